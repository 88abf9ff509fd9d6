"""The frame that stands while a range is swept: one for all of it, not so wide that nothing could be told apart."""

from dataclasses import replace

import numpy as np
import pytest

from gradflow.app.charts import CHARTS, base, sums, terms
from gradflow.app.charts.base import rows
from gradflow.app.charts.heatmap import COLOURS, map_pixels
from gradflow.app.frame import Request, frame
from gradflow.app.measurement import measure
from gradflow.app.scenario import RANGES, Scenario
from gradflow.app.view import View

START = Scenario(hidden=4, horizon=100)
RELU = replace(START, cell="rnn-relu")
LOGS = [name for name in CHARTS if name not in ("sums", "shares")]
every_chart = pytest.mark.parametrize("name", CHARTS)


def swept(name, scenario, field, axes=None):
    """The axes of a chart as a sweep begins, or goes on in those that stand."""
    return frame(Request(scenario, View(show=name), moving=True, playing=field, axes=axes))["axes"]


def height(log, domain):
    """Where a natural log stands in a frame: 0 at its foot, 1 at its top."""
    return (log / np.log(10) - domain[0]) / (domain[1] - domain[0])


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize(("scenario", "field"), [(START, "forget"), (START, "gain"), (RELU, "gain"), (RELU, "horizon")])
def test_a_sweep_has_twenty_decades_at_most(name, scenario, field):
    low, high = swept(name, scenario, field)
    assert 0 < high - low <= 20
    assert low < 0 < high


def test_two_paces_can_be_told_apart():
    """Forget gate 0.83 against 0.37: over 30 lags 1e-2.4 against 1e-13, half the height of the frame."""
    domain = swept("terms", replace(START, gates="pinned"), "forget")
    rows = [measure(replace(START, gates="pinned", gain=0.2, forget=forget)).log_row for forget in (0.83, 0.37)]
    slow, fast = (height(row[30], domain) - height(row[0], domain) for row in rows)
    assert slow - fast > 0.4


def test_where_the_terms_explode_those_that_do_not_stay_in_the_frame():
    domain = swept("terms", replace(RELU, gain=12.0), "gain")
    settled = measure(replace(RELU, gain=1.0))
    assert 0 < height(settled.log_row[0], domain) < 1
    assert 0 < height(settled.log_partial[-1], domain) < 1
    wild = measure(replace(RELU, gain=12.0))
    assert height(wild.log_partial[-1], domain) > 1


@pytest.mark.parametrize("seed", range(20))
def test_a_frame_is_cut_no_more_than_is_needed(seed):
    rng = np.random.default_rng(seed)
    frames = [(low, high) for low, high in zip(-rng.integers(1, 90, 5), rng.integers(1, 90, 5), strict=True)]
    low, high = base.bounded(*frames)
    widest = base.widest(*frames)
    tops = [top for _, top in frames]
    assert high == max(tops) or high == min(tops) + 10 < max(tops)
    assert low == widest[0] or low == high - 20 > widest[0]
    assert base.bounded((-5, 1), (-10, 2)) == (-10, 2), "what fits is held whole"


def test_on_the_linear_axis_of_the_sums_the_present_bars_stay_visible():
    own = (-3, -2.0, 5.0)  # a unit of 1e-3
    assert sums.bounded(own, (-2, 0.0, 3.0)) == sums.widest(own, (-2, 0.0, 3.0))
    assert sums.bounded(own, (-2, 0.0, 7.0), (40, -1.0, 1.0), (300, 0.0, 1.0)) == own
    unit, floor, ceiling = swept("sums", replace(RELU, gain=1.0), "gain")
    _, *ends = sums.domain(measure(replace(RELU, gain=1.0)), View())
    assert (ceiling - floor) * 10.0**unit <= 20 * max(abs(end) for end in ends)


def test_what_lies_below_stands_at_the_floor_and_is_marked_and_the_map_is_coloured_so():
    domain = swept("terms", replace(START, gates="pinned"), "forget")
    measurement = measure(replace(START, gates="pinned", gain=0.2, forget=0.1))
    below = np.isfinite(measurement.log_row) & (measurement.log_row < domain[0] * np.log(10))
    assert below.sum() > 50
    data = base.swept(terms.data(measurement, View(), None, domain))
    (note,) = data["frame"]["note"]
    assert note.startswith("axis fixed for this sweep   ") and "▼ below the frame" in note
    marked = {lag for lag, mark in zip(*(data["odd"][name] for name in ("lag", "mark")), strict=True) if mark == "▼"}
    assert marked == set(np.flatnonzero(below))
    pixels = map_pixels(measurement, domain)[measurement.t]
    assert (pixels[below] == 0).all() and (pixels[:5] > COLOURS // 2).all()


@every_chart
def test_the_frame_is_chosen_once_and_left_once(name):
    scenario = replace(START, gates="pinned")
    first = swept(name, scenario, "forget")
    for value in RANGES["forget"].low, 0.5, RANGES["forget"].high:
        assert swept(name, replace(scenario, forget=value), "forget", first) == first
    at_rest = frame(Request(scenario, View(show=name)))["axes"]
    assert at_rest == CHARTS[name].frame(View(show=name), measure(scenario))


@every_chart
def test_the_chart_says_so_in_one_place(name):
    measurement, view = measure(START), View(show=name)
    plain = CHARTS[name].data(measurement, view, None, CHARTS[name].frame(view, measurement))
    said = base.swept(plain)
    assert {dataset for dataset in plain if plain[dataset] != said[dataset]} == {"frame"}
    (before,), (after,) = (rows(tables["frame"]) for tables in (plain, said))
    (changed,) = [field for field in before if before[field] != after[field]]
    assert base.SWEPT in after[changed]
