"""The picture's data say what the measurement says, and its specification never changes."""

import base64
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from gradflow.app.charts import base, heatmap, specification, terms
from gradflow.app.charts.base import as_json, rows
from gradflow.app.scenario import Scenario
from gradflow.app.view import View
from gradflow.reading import number, per_step_factor, read
from support import labels
from support.page_driver import luminance
from support.specifications import size, uses
from support.subprocesses import loaded

LN10 = np.log(10)


def record(
    log_terms, t=None, *, cell="lstm", gates=None, labels=None, overflow=None, underflow=None, inputs=-np.inf, called=""
):
    """A measurement with these terms f[T, T], all of one sign; inputs: log of the terms of weight_ih."""
    horizon = len(log_terms)
    t = horizon - 1 if t is None else t
    row = log_terms[t, : t + 1]
    with np.errstate(invalid="ignore"):
        partial = np.logaddexp.accumulate(row)
    log_sums, log_residual = np.zeros(horizon), np.where((log_terms > -np.inf).any(1), 0.0, -np.inf)
    return SimpleNamespace(
        scenario=Scenario(cell=cell),
        t=t,
        log_terms=log_terms,
        log_row=row,
        log_partial=partial,
        log_residual=log_residual,
        lags=SimpleNamespace(log_terms=lambda weight, gate: {"weight_ih": np.full(t + 1, inputs)}[weight]),
        called=called,
        cost=np.ones(horizon),
        gates=gates or {},
        strips=gates or {"slope": np.ones(horizon)},
        labels=labels or ("",) * horizon,
        overflow=overflow,
        underflow=underflow,
        reading=read(row, row, partial, log_sums, log_residual, overflow, underflow, t),
    )


def frame_of(measurement):
    """The decades that hold a measurement."""
    return terms.domain(measurement, View())


def geometric(horizon, slope):
    """Terms exp(slope · u), −inf beyond t."""
    t, u = np.indices((horizon, horizon))
    return np.where(u > t, -np.inf, slope * u)


def noisy(horizon):
    """Terms with a random residual at t and a random state at step t − u."""
    random, (t, u) = np.random.default_rng(0), np.indices((horizon, horizon))
    return geometric(horizon, -0.1) + random.normal(size=(horizon, 1)) + random.normal(size=horizon)[t - u]


def with_zeros():
    """Only every third step is written, and the state underflows from step 20 on."""
    terms = geometric(30, -0.5)
    t, u = np.indices(terms.shape)
    terms[((t - u) % 3 > 0) | (t - u >= 20)] = -np.inf
    return record(terms, underflow=20)


def broken():
    """The forward pass overflows at step 12 of 20."""
    terms = geometric(20, 0.5)
    t, u = np.indices(terms.shape)
    terms[(t >= 12) & (u <= t)] = np.nan
    return terms


RECORDS = {
    "vanishing": record(geometric(100, -0.2)),
    "exploding": record(geometric(256, 0.1)),
    "beyond every decade": record(geometric(256, -5.0)),
    "one term": record(geometric(2, 0.0), 0),
    "zeros": with_zeros(),
    "nothing": record(np.full((5, 5), -np.inf)),
    "overflow": record(broken(), overflow=12),
    "before the overflow": record(broken(), 8, overflow=12),
    "lstm": record(noisy(256), gates={name: np.linspace(0, 1, 256) for name in ("input", "forget", "output")}),
    "gru": record(geometric(9, -1.0), 5, gates={"reset": np.full(9, 0.25), "update": np.full(9, 0.75)}),
    "letters": record(geometric(6, -0.1), labels=tuple("a b é😀")),
    "years": record(geometric(100, -0.1), labels=tuple(str(1700 + s) for s in range(100))),
}


@pytest.fixture(params=RECORDS.values(), ids=RECORDS.keys())
def measurement(request):
    return request.param


def drawn(measurement, domain=None):
    """The datasets as lists by name and column."""
    tables = terms.data(measurement, View(), None, domain or frame_of(measurement))
    return {name: as_json(table) for name, table in tables.items()}


def image_of(measurement, domain):
    url = heatmap.map_url(measurement, domain)
    return Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,"))))


def test_what_is_made_up_is_drawn_too(measurement):
    """As `test_chart_registry` asks of every chart and scenario."""
    tables = terms.data(measurement, View(), None, frame_of(measurement))
    json.dumps({name: as_json(table) for name, table in tables.items()}, allow_nan=False)
    assert size(tables) <= 40_000
    for name, field in uses(specification("terms")):
        assert field in tables[name], f"{name} has no {field}"


def test_every_term_is_drawn_once_as_what_it_is(measurement):
    domain = frame_of(measurement)
    data = drawn(measurement, domain)
    row = measurement.log_row / LN10
    plain = np.array(data["terms"]["lag"], int)
    np.testing.assert_allclose(data["terms"]["term"], row[plain], rtol=1e-6)
    assert all(domain[0] <= term <= domain[1] for term in data["terms"]["term"])
    shown = sorted(data["terms"]["lag"] + data["odd"]["lag"])
    assert shown == [u for u in range(measurement.t + 1) if not np.isnan(row[u])]


def test_zeros_flushes_and_what_lies_beyond_the_frame_have_marks_of_their_own():
    measurement = with_zeros()
    data = drawn(measurement, (-2, 1))
    marks = dict(zip(data["odd"]["lag"], data["odd"]["mark"], strict=True))
    zero, flushed, below, above = (terms.MARKS[state][0] for state in ("zero", "flushed", "below", "above"))
    assert len({zero, flushed, below, above}) == 4
    assert [marks[u] for u in range(10)] == 10 * [flushed]  # steps 29…20
    assert marks[10] == zero and marks[11] == below  # steps 19 and 18; 18 is written, and 10^-2.4
    assert data["frame"]["note"][0].split("   ") == [
        f"{mark} {words}" for mark, _, words in (terms.MARKS[s] for s in ("below", "zero", "flushed"))
    ]
    rising = drawn(record(geometric(30, 0.5)), (-2, 1))
    assert set(rising["odd"]["mark"]) == {above}
    assert not set(drawn(record(geometric(30, -0.1)))["odd"]["mark"])


def test_no_number_is_invented_for_a_sum_that_is_zero():
    terms = geometric(6, 0.0)
    terms[:, :2] = -np.inf
    data = drawn(record(terms))
    assert data["sums"]["sum"][:2] == data["sums"]["norms"][:2] == [None, None]
    np.testing.assert_allclose(data["sums"]["sum"][2:], np.log10([1, 2, 3, 4]), rtol=1e-6)


def test_the_map_has_one_pixel_a_pair_and_four_states():
    measurement = with_zeros()
    measurement.log_terms[25:, :] = np.where(np.indices((5, 30))[1] > np.arange(25, 30)[:, None], -np.inf, np.nan)
    pixels = heatmap.map_pixels(measurement, (-10, 1))
    t, u = np.indices(pixels.shape)
    assert (pixels[u > t] == heatmap.BLANK).all()
    assert (pixels[(t >= 25) & (u <= t)] == heatmap.BROKEN).all()
    seen = (t < 25) & (u <= t)
    assert (pixels[seen & (t - u >= 20)] == heatmap.FLUSHED).all()
    assert (pixels[seen & (t - u < 20) & ((t - u) % 3 > 0)] == heatmap.ZERO).all()
    assert (pixels[seen & (t - u < 20) & ((t - u) % 3 == 0)] < heatmap.COLOURS).all()


def test_the_map_is_scaled_from_low_to_high():
    measurement = record(np.array([[-np.inf, 0.0], [-2.0, 1.0]]) * LN10)
    measurement.log_terms[0, 0] = -5 * LN10
    top = heatmap.COLOURS - 1
    pixels = heatmap.map_pixels(measurement, (-4, 1))
    assert pixels.tolist() == [[0, heatmap.BLANK], [round(top * 2 / 5), top]]
    assert heatmap.map_pixels(measurement, (-4, 0))[1, 1] == top


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("colour", base.TEXT_COLOURS)
def test_letters_can_be_read_also_on_the_lit_column(colour, dark):
    channels = lambda code: np.array([int(code[k : k + 2], 16) for k in (1, 3, 5)], float)
    paper = channels(base.BACKGROUNDS[dark])
    letters = luminance(channels(base.TEXT_COLOURS[colour][dark]))
    for ground in (paper, (1 - base.HIGHLIGHT_OPACITY) * paper + base.HIGHLIGHT_OPACITY * channels(base.ORANGE)):
        low, high = sorted((letters, luminance(ground)))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_the_image_decodes_to_the_pixels_in_colours_that_differ(measurement):
    domain = frame_of(measurement)
    drawing = image_of(measurement, domain)
    pixels = heatmap.map_pixels(measurement, domain)
    assert drawing.mode == "P"
    assert drawing.size == measurement.log_terms.shape
    np.testing.assert_array_equal(np.asarray(drawing), pixels)
    rgba = np.asarray(drawing.convert("RGBA"))
    for state, (_, opacity) in heatmap.STATES.items():
        assert (rgba[pixels == state, 3] == opacity).all()
    assert (rgba[pixels < heatmap.COLOURS, 3] == 255).all()


def test_the_palette_brightens_evenly_and_keeps_its_states_apart():
    image = image_of(record(np.zeros((2, 2))), (-1, 1))
    colours, opacities = np.reshape(image.getpalette(), (-1, 3)).astype(float), image.info["transparency"]
    assert len(colours) == len(opacities) == heatmap.COLOURS + len(heatmap.STATES)
    lightness = (colours[: heatmap.COLOURS] / 255) ** 2.2 @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(np.cbrt(lightness)) > 0).all()
    states = [(*colours[state], opacities[state]) for state in heatmap.STATES]
    assert len(set(states)) == len(states)


@given(st.floats(-900, 900), st.floats(-900, 900))
def test_decades_hold_what_they_can(first, last):
    row = np.array([first, last])
    low, high = frame_of(SimpleNamespace(log_row=row, log_partial=row, log_terms=row[None]))
    assert low in base.LOWS and high in base.HIGHS
    assert low <= row.min() / LN10 or low == min(base.LOWS)
    assert high >= row.max() / LN10 or high == max(base.HIGHS)


def test_decades_are_the_tightest_and_hold_still_while_a_factor_moves():
    assert frame_of(record(geometric(100, np.log(0.83)))) == (-10, 1)
    assert frame_of(record(geometric(100, np.log(0.85)))) == (-10, 1)
    assert frame_of(record(geometric(100, np.log(0.75)))) == (-20, 1)


def test_decades_without_a_term_are_those_of_the_other_times():
    assert frame_of(record(broken(), overflow=12)) == (-2, 5)
    assert frame_of(record(np.full((5, 5), -np.inf))) == (base.LOWS[0], base.HIGHS[0])


@given(st.floats(-3, 3), st.floats(-50, 50))
@example(1e-308, 0.0)
def test_the_fitted_line_is_cut_to_the_frame_on_its_own_line(slope, intercept):
    measurement = record(geometric(40, slope) + intercept)
    domain = frame_of(measurement)
    frame = {name: value[0] for name, value in drawn(measurement, domain)["frame"].items()}
    assert 0 <= frame["fit_x"] <= frame["fit_x2"] <= 39
    for x, y in ((frame["fit_x"], frame["fit_y"]), (frame["fit_x2"], frame["fit_y2"])):
        assert domain[0] <= y <= domain[1]
        np.testing.assert_allclose(y, (intercept + slope * x) / LN10, atol=1e-6)
    assert frame["factor"] == f"terms ×{number(per_step_factor(measurement.log_row).slope)} a step"


def test_the_zero_at_the_last_lag_says_why_it_is_one():
    row = geometric(24, -0.1)
    row[-1, 23] = -np.inf
    assert drawn(record(row))["frame"]["note"] == ["✕ exact zero: no state before the first step"]
    note = "✕ exact zero: no state yet; weight_ih has a term"
    assert drawn(record(row, inputs=0.0))["frame"]["note"] == [note]
    low = drawn(record(row, inputs=0.0), (-0.5, 1))["frame"]["note"]
    assert low == ["▼ below the frame   ✕ exact zero: no state before the first step"], "there is no room for more"
    row[-1, 5] = -np.inf
    assert drawn(record(row, inputs=0.0))["frame"]["note"] == ["✕ exact zero"]


def with_costs_at(*times, horizon=24, **options):
    """Terms at these times alone."""
    terms = geometric(horizon, -0.1)
    terms[np.setdiff1d(range(horizon), times)] = -np.inf
    return record(terms, **options)


@pytest.mark.parametrize(("times", "few"), [((23,), True), (range(13, 24), True), (range(12, 24), False)])
@pytest.mark.parametrize("width", [358, 1000])
def test_the_map_says_where_no_cost_enters(times, few, width):
    measurement = with_costs_at(*times)
    assert drawn(measurement)["frame"]["few_costs"] == [few]
    tables = terms.data(measurement, View(), None, frame_of(measurement))
    texts = [text for text, _ in labels.boxes(labels.drawn(specification("terms"), tables, width))]
    wide = "Terms of every t (edge: first step; grey: no cost)", "Terms of every t (edge: first step)"
    narrow = "Terms of every t (grey: no cost)", "Terms of every t (edge: first step)"
    assert (narrow if width < 620 else wide)[not few] in texts


@pytest.mark.parametrize(("called", "word"), [("", "kept"), ("the same sizes, freshly drawn", "grey")])
def test_what_is_grey_is_called_kept_only_where_it_was(called, word):
    kept = record(geometric(24, -0.2), called=called)
    tables = terms.data(record(geometric(24, -0.1)), View(), kept, (-5, 1))
    (frame,) = rows(tables["frame"])
    assert frame["kept_total"].startswith(f"{word} sum ")
    assert frame["kept_front"].replace("\n", " ") == f"dashed: how far back {word} terms above 1e-2 reach"
    assert len(tables["front"]["t"]) == 24


def test_one_time_with_a_cost_has_no_front():
    kept, domain = with_costs_at(23), (-5, 1)
    tables = terms.data(record(geometric(24, -0.1)), View(), kept, domain)
    assert len(tables["front"]["t"]) == 0 and tables["frame"]["kept_front"][0] == ""
    assert terms.data(record(geometric(24, -0.1)), View(), with_costs_at(5, 23), domain)["front"]["t"].size == 24


def test_why_the_last_term_is_zero_has_room():
    row = geometric(24, -0.1)
    row[-1, 23] = -np.inf
    tables = terms.data(record(row, inputs=0.0), View(), None, (-5, 1))
    note = "✕ exact zero: no state yet; weight_ih has a term"
    for width in (800, 1000):
        assert note in [text for text, _ in labels.boxes(labels.drawn(specification("terms"), tables, width))]
    phone = dict(labels.boxes(labels.drawn(specification("terms"), tables, 358)))
    room = phone["t = 23"][:, 0].max() - phone["Each term: ‖dC(t)/dW(t−u)‖"][:, 0].min()
    assert labels.font(True).getlength(note) * 13 / 100 < room


def test_no_line_is_drawn_where_no_one_factor_fits():
    measurement = record(geometric(24, 0.0))
    measurement.log_terms[-1, 1::2] = -np.inf
    measurement = record(measurement.log_terms)
    assert measurement.reading.regime == "mixed"
    frame = drawn(measurement)["frame"]
    assert frame["fit_y"] == [None] and frame["factor"] == [""]


def test_an_overflow_says_its_step_and_draws_nothing():
    data = drawn(RECORDS["overflow"])
    assert "12" in data["frame"]["alarm"][0]
    assert data["terms"]["lag"] == data["odd"]["lag"] == []
    assert set(data["sums"]["sum"]) == {None}
    earlier = drawn(RECORDS["before the overflow"])
    assert earlier["frame"]["alarm"] == [""] and "12" in earlier["frame"]["broken"][0]


def test_the_strips_show_the_gates_of_step_t_minus_u():
    opening = np.linspace(0, 1, 9)
    measurement = record(geometric(9, -1.0), 5, gates={"reset": opening, "update": 1 - opening}, cell="gru")
    pixels = heatmap.strip_pixels(measurement.gates, 5, 9, 3).reshape(3, heatmap.STRIP, 9)
    heights = pixels.sum(1) / (0.8 * heatmap.STRIP)
    np.testing.assert_allclose(heights[0, :6], opening[5::-1], atol=0.5 / (0.8 * heatmap.STRIP))
    np.testing.assert_allclose(heights[1, :6], 1 - opening[5::-1], atol=0.5 / (0.8 * heatmap.STRIP))
    assert not pixels[2].any() and not pixels[:, :, 6:].any(), "there is no such gate, no such lag"
    floors = heatmap.STRIP - 1 - pixels[:2, ::-1, :6].argmax(1)
    assert set(floors[heights[:2, :6] > 0]) == {round(0.9 * heatmap.STRIP) - 1}, "a bar stands on the floor"
    frame = drawn(measurement)["frame"]
    assert frame["gate2"] == [None]
    assert [frame[f"name{k}"] for k in range(3)] == [["reset"], ["keep"], [""]]


def test_the_images_lie_under_their_panels():
    for large, places in terms.IMAGE_LAYOUTS.items():
        signals = {each["name"]: each["expr"] for each in specification("terms", large)["params"] if "expr" in each}
        for k in (0, 1):
            for name in ("strips", "map"):
                top, bottom = getattr(places, name)[k]
                for edge, value in (("top", top), ("bottom", bottom)):
                    assert signals[f"{name}_{edge}"].split(" ? ")[1].split(" : ")[1 - k] == str(value)
                rule = (
                    f"img.{name} {{ bottom: {places.foot + places.map[k][1] - bottom}px; height: {bottom - top}px; }}"
                )
                assert rule in places.style()


def test_letters_stand_under_their_lag_and_years_only_where_round():
    letters = drawn(RECORDS["letters"])["letters"]
    assert letters == {"lag": [0, 1, 3, 5], "label": ["😀", "é", "b", "a"], "every": [1] * 4}
    years = drawn(RECORDS["years"])["letters"]
    assert years == {"lag": [19, 39, 59, 79, 99], "label": ["1780", "1760", "1740", "1720", "1700"], "every": [1] * 5}


def test_words_under_the_lags_are_those_of_as_many_steps_as_there_is_room_for():
    """Those of every step, every second, every fourth …; a word keeps its step when t moves on."""
    words = ["the", "cat", "", "sat", *["on"] * 4, "the", "dishwasher"]
    data = drawn(record(geometric(10, -0.1), labels=tuple(words)))
    letters = data["letters"]
    assert letters["label"] == ["dishwas…", "the", "on", "on", "on", "on", "sat", "cat", "the"]
    assert letters["every"] == [1, 8, 1, 2, 1, 4, 1, 1, 2**14]
    assert data["frame"]["room"] == [8 * 8 + 4], "px of a word that is cut"


def test_the_words_of_a_lag_are_its_numbers():
    measurement = RECORDS["years"]
    columns, sums = drawn(measurement)["columns"], drawn(measurement)["sums"]
    assert columns["lag"] == list(range(100))
    assert columns["step"][30] == "69 1769"
    assert sums["term"][30] == number(-3.0)
    assert sums["total"][30] == number(measurement.log_partial[30])


def test_the_charts_do_without_large_libraries():
    assert not loaded({"jax", "streamlit", "altair", "pandas"}, "import gradflow.app.charts")
