"""Lesson eleven: what its file holds, and every number that is said of it once more, by plain NumPy."""

import re

import altair as alt
import numpy as np
import pytest

from gradflow.app import charts
from gradflow.app.charts import trained as chart
from gradflow.app.charts import trained_map
from gradflow.app.charts.base import rows
from gradflow.app.lessons import LESSONS
from gradflow.app.lessons.trained import CASES, FILE, LAYERS, MEASURED, map_of, measured, stored
from gradflow.app.measurement import measure
from support.apptest_page import components, open_lessons, press
from support.specifications import looked_up, uses

LESSON = LESSONS[-1]
NUMBER = len(LESSONS)
ROWS = [(layer, case) for layer in LAYERS for case in CASES]
ROWS += [("encoder.2", "numbers"), ("detector.0", "numbers"), ("encoder.0", "alone")]
MAPS = [(layer, case) for layer in list(LAYERS)[:4] for case in ("trained", "drawn")]

every_row = pytest.mark.parametrize(("layer", "case"), ROWS)


def sizes(layer, case):
    """‖δ‖ and ‖term‖ by lag, each divided by its largest, f64[8, T]."""
    arrays = np.load(FILE)
    delta, state = (arrays[f"{layer}.{case}.{name}"].astype(float) for name in ("log_delta", "log_state"))
    return (np.exp(logs - logs.max(axis=1, keepdims=True)) for logs in (delta, delta + state))


def paces(layer, case):
    delta, _ = sizes(layer, case)
    return [np.exp(np.polyfit(np.arange(len(row)), np.log(row), 1)[0]) for row in delta]


def memories(layer, case):
    _, terms = sizes(layer, case)
    return [1 + int(np.argmax(np.cumsum(row) >= 0.9 * row.sum())) for row in terms]


def words(app):
    return " ".join(element.value for element in (*app.markdown, *app.caption, *app.info, *app.success, *app.subheader))


# ------------------------------------------------------------------------------------------------- the file


def test_the_file_is_small_and_holds_sizes_and_no_weights():
    assert FILE.stat().st_size < 700_000
    for key, array in stored().items():
        if key.endswith(".package"):
            assert re.fullmatch(
                r"(Resemblyzer 0\.1\.4|silero-vad 6\.2\.3|g2p-en 2\.1\.0), (MIT|Apache-2\.0)", str(array)
            )
            continue
        name = key.rpartition(".")[2]
        steps = 14 if key.startswith("speller") else 160
        shape = {"log_delta": (8, steps), "log_state": (8, steps), "map": (160 * 161 // 2,)}
        units = 128 if key.startswith("detector") else 256
        assert array.dtype == np.float32 and array.shape == (shape | {"kept": (units,)})[name], key
    assert MEASURED.startswith("Eight") and "eight words of 13 letters and an end" in MEASURED  # the shapes above
    assert sum(key.endswith(".package") for key in stored()) == 3


@every_row
def test_every_row_is_finite_but_where_no_state_was(layer, case):
    found = measured(layer, case)
    assert np.isfinite(found.log_delta).all() and np.isfinite(found.log_terms[:, :-1]).all()
    assert np.isneginf(found.log_terms[:, -1]).all(), "the copy of the first step meets no state"


@pytest.mark.parametrize(("layer", "case"), MAPS)
def test_a_map_is_a_finite_triangle_that_ends_in_its_row(layer, case):
    whole = map_of(layer, case)
    below = np.tri(len(whole), dtype=bool)
    assert np.isfinite(whole[below]).all() and np.isnan(whole[~below]).all()
    np.testing.assert_allclose(whole[-1], measured(layer, case).log_delta[0], atol=1e-4)


# ------------------------------------------------------------------------------------------------- the numbers


@every_row
def test_pace_and_memory_are_those_of_a_line_and_of_a_sum(layer, case):
    found = measured(layer, case)
    assert found.paces == pytest.approx(paces(layer, case), rel=1e-5)
    assert found.memories == memories(layer, case)


def test_the_verdicts_say_these_numbers():
    told = [verdict.evidence() for verdict in LESSON.verdicts]
    assert all(true for true, _ in told)
    of_layers = [
        [(layer, "drawn") for layer in LAYERS],
        [(layer, "trained") for layer in list(LAYERS)[:3]],
        [("detector.0", "trained")],
        [("speller.0", "trained")],
        [(layer, "noise") for layer in list(LAYERS)[:4]],
        [("encoder.2", "numbers"), ("detector.0", "numbers")],
        [("encoder.0", "alone")],
    ]
    for (_, numbers), layers in zip(told[:-1], of_layers, strict=True):
        said = re.findall(
            r"×([\d.]+) \(([\d.]+) to ([\d.]+)\) a step, (\d+) \((\d+) to (\d+)\) of (\d+) steps", numbers
        )
        assert len(said) == len(layers)
        for (pace, low, high, held, least, most, steps), (layer, case) in zip(said, layers, strict=True):
            factors, lags = paces(layer, case), memories(layer, case)
            ends = np.median(factors), min(factors), max(factors)
            assert [float(pace), float(low), float(high)] == pytest.approx(ends, rel=5.1e-3)
            assert abs(int(held) - np.median(lags)) <= 0.5
            assert (int(least), int(most)) == (min(lags), max(lags)) and int(steps) == (
                14 if "speller" in layer else 160
            )
    (seconds,) = re.findall(r"([\d.]+) seconds", told[2].numbers)
    assert float(seconds) == pytest.approx(np.median(memories("detector.0", "trained")) * 512 / 16_000, rel=5e-3)
    assert "two per cent" in LESSON.verdicts[2].case
    assert 0.975 < np.median(paces("detector.0", "trained")) < 0.985
    top, lowest = (np.load(FILE)[f"encoder.{k}.trained.kept"] for k in (2, 0))
    many, most = re.search(r"in (\d+) of 256 units; layer 1: at most ([\d.]+)", told[-1].numbers).groups()
    assert int(many) == (top > 0.95).sum() and float(most) == pytest.approx(lowest.max(), abs=5e-4)
    assert "in half of its units" in LESSON.verdicts[-1].case and 0.4 < (top > 0.95).mean() < 0.6


def test_the_options_are_what_is_drawn_and_what_is_trained():
    trained, drawn = memories("encoder.0", "trained"), memories("encoder.0", "drawn")
    assert min(trained) > 100 and "More than a hundred" in LESSON.guess.options[2]
    assert min(drawn) >= 8 and max(drawn) <= 11 and "About ten" in LESSON.guess.options[0]
    assert LESSON.guess.answer(measure(LESSON.scenario)) == 2
    assert pytest.approx(1 - 0.944**40, abs=2e-3) == 0.9 and "six per cent" in LESSON.guess.why[1]
    assert min(paces("encoder.0", "trained")) > 0.99


def test_the_live_picture_forgets_and_its_counter_example_does_not():
    drawn, remembers = (measure(each) for each in (LESSON.scenario, LESSON.examples[-1].scenario))
    held = [
        1 + int(np.argmax(np.cumsum(row) >= 0.9 * row.sum())) for row in (np.exp(m.log_row) for m in (drawn, remembers))
    ]
    assert held[0] < 10 and held[1] >= np.median(memories("encoder.0", "trained"))
    said = LESSON.headline(drawn, LESSON.view)
    assert f"the nearest {held[0]} of 160 steps" in said
    assert f"lowest layer, {np.median(memories('encoder.0', 'trained')):.0f} of 160" in said


def test_the_conclusion_is_of_these_steps():
    reach = lambda layer, step: step * np.median(memories(layer, "trained"))
    assert reach("encoder.0", 0.010) > 1 and "more than a second of a voice" in LESSON.conclusion
    assert reach("detector.0", 0.032) > 2 and "seconds of sound" in LESSON.conclusion
    assert np.median(memories("speller.0", "trained")) > 10 and "a word" in LESSON.conclusion


# ------------------------------------------------------------------------------------------------- the charts


@pytest.mark.parametrize("name", ["trained", "trained_map"])
def test_a_specification_is_valid_and_reads_what_the_data_have(name):
    spec = charts.specification(name)
    assert alt.Chart.from_dict(spec | {"datasets": {}}, validate=True)
    tables = {"trained": chart, "trained_map": trained_map}[name].data()
    needed = {*uses(spec), *looked_up(spec)}
    assert {dataset for dataset, _ in needed} == tables.keys()
    for dataset, field in needed:
        assert field in tables[dataset], f"{dataset} has no {field}"


def test_the_curves_are_medians_of_shares():
    curves = rows(chart.data()["curves"])
    for panel, layer in enumerate(LAYERS):
        for k, case in enumerate(chart.STYLES):
            _, terms = sizes(layer, case)
            with np.errstate(divide="ignore"):
                logs = np.median(np.log10(terms / terms.sum(axis=1, keepdims=True)), axis=0)
            drawn = [row["share"] for row in curves if (row["panel"], row["case"]) == (panel, k)]
            assert len(drawn) == len(logs)
            for log, y in zip(logs, drawn, strict=True):
                assert y is None if log < chart.LOW else y == pytest.approx(log, abs=1e-3)


def test_what_the_charts_say_is_measured():
    said = chart.say()
    for layer, name in LAYERS.items():
        held, drawn, noise = (f"{np.median(memories(layer, case)):.0f}" for case in CASES)
        steps = 14 if "speller" in layer else 160
        assert f"{name}: {held} of {steps}, freshly drawn {drawn}, on noise {noise}" in said
    left = [float(each) for each in re.findall(r"has ([\d.]+) .*, and ([\d.e-]+) in", trained_map.say())[0]]
    for case, value in zip(("trained", "drawn"), left, strict=True):
        row = np.exp(map_of("encoder.0", case)[-1])
        assert value == pytest.approx(row[100] / row.max(), rel=0.02)


# ------------------------------------------------------------------------------------------------- the page


@pytest.mark.slow
def test_the_page_shows_the_measured_maps_once_they_are_revealed():
    app = open_lessons(lesson=NUMBER)
    assert not {"trained", "trained_map"} & components(app).keys()
    assert not re.search(r"\b141\b", words(app)), "the answer is not told before"
    app.radio(key=f"guess_{NUMBER}").set_value(0).run()
    press(app, "Show what is measured")
    assert not app.exception
    assert {"trained", "trained_map"} <= components(app).keys()
    assert LESSON.guess.why[0] in app.info[0].value
    for text in (
        MEASURED,
        chart.say(),
        trained_map.say(),
        *(verdict.evidence().numbers for verdict in LESSON.verdicts),
    ):
        assert text in words(app)


def test_at_most_150_words_are_read_before_the_reveal():
    assert sum(len(text.split()) for text in LESSON.asks(LESSON.scenario)) <= 150
