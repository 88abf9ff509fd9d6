"""What every chart keeps to, whatever it shows: a constant specification, complete and small data, a message."""

import json
import re
from dataclasses import replace
from functools import cache
from itertools import combinations, product

import altair as alt
import numpy as np
import pytest

from gradflow.app import charts
from gradflow.app.charts import BUILT, CHARTS, sums, terms_panels
from gradflow.app.charts.base import as_json, rows
from gradflow.app.charts.specs import every_specification
from gradflow.app.measurement import measure
from gradflow.app.scenario import CHOICES
from gradflow.app.view import SHOWN, View
from gradflow.cells import CELLS
from support.scenarios import EVERY_CELL, OVERFLOWING, RARE, SMALL
from support.specifications import kinds, looked_up, size, uses

SCENARIOS = {**EVERY_CELL, "overflow": OVERFLOWING, **RARE}
KEPT = {"nothing": None, "other": replace(SMALL, cell="gru", horizon=64, gain=2.0), "overflow": OVERFLOWING}
LOOKS = {
    "first view": View(),
    "closer": View(closer=True, lag=5, row=1, col=2, relative=True, chains=True),
    "beyond": View(closer=True, lag=255, row=255, col=63, whole=True, float32=True, chains=True),
}


def pairs():
    """Every chart with every scenario."""
    return pytest.mark.parametrize(
        ("name", "case"),
        [
            pytest.param(name, case, id=f"{name}, {case}", marks=pytest.mark.slow if case in RARE else ())
            for name, case in product(CHARTS, SCENARIOS)
        ],
    )


every_chart = pytest.mark.parametrize("name", CHARTS)


@cache
def measured(scenario):
    return measure(scenario)


@cache
def datasets(name, scenario, view, kept=None):
    """The datasets of a chart, as on the page."""
    chart, measurement = CHARTS[name], measured(scenario)
    kept = kept and measured(kept)
    frame = chart.frame(view, measurement, kept)
    return chart.data(measurement, view, kept, frame)


def every_dataset(name, case):
    """(which, datasets) with every look, alone and beside what is kept."""
    for (angle, view), (beside, kept) in product(LOOKS.items(), KEPT.items()):
        yield f"{angle}, kept: {beside}", datasets(name, SCENARIOS[case], view, kept)


def differences(one, other, path=()):
    """(path, one, other) of every leaf in which two JSON values differ."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            yield from differences(one[key], other[key], (*path, key))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for key, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from differences(a, b, (*path, key))
    elif one != other:
        yield path, one, other


# The most characters of a specification and bytes of its data; the chart with a panel for each cell grows with them.
LONGEST = dict.fromkeys(CHARTS, 25_500) | {"cells": 4_250 * len(CELLS)}
LARGEST = dict.fromkeys(CHARTS, 40_000) | {"cells": 9_500 * len(CELLS)}


# ----------------------------------------------------------------------------------------- the specification


def test_a_chart_can_be_chosen_and_a_choice_is_a_chart():
    assert tuple(CHARTS) == tuple(SHOWN)


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_has_one_name_in_its_file_its_links_and_its_label(name):
    assert {CHARTS[name].data.__module__, CHARTS[name].specification.__module__} == {f"gradflow.app.charts.{name}"}
    assert SHOWN[name].lower().replace(" ", "_") == name


@pytest.mark.slow
def test_the_files_are_what_altair_builds():
    """Else: python -m gradflow.app.charts.specs"""
    built = every_specification()
    assert {path.stem for path in BUILT.iterdir()} == built.keys()
    for name, spec in built.items():
        assert json.loads((BUILT / f"{name}.json").read_text("utf-8")) == json.loads(json.dumps(spec)), name


@every_chart
@pytest.mark.parametrize("make", [charts.specification, charts.file_specification])
def test_a_specification_is_valid_strict_json_without_data(name, make):
    spec = make(name)
    assert len(json.dumps(spec, allow_nan=False)) < LONGEST[name]
    assert "datasets" not in spec and spec["description"].strip()
    assert alt.Chart.from_dict(spec | {"datasets": {}}, validate=True)


@every_chart
def test_the_stage_has_larger_letters_and_other_places_alone(name):
    page, stage = charts.specification(name), charts.specification(name, True)
    assert alt.Chart.from_dict(stage | {"datasets": {}}, validate=True)
    letters, larger = set(), {"terms": terms_panels.LARGE, "sums": sums.LARGE}
    for path, small, large in differences(page, stage):
        if path[0] == "params":
            assert page["params"][path[1]]["name"] in larger[name]
        else:
            assert path[-1].endswith(("ontSize", "Extent")) or path[-2].endswith("ontSize"), path
            letters.add(large / small if path[-1] != "expr" else float(large.removesuffix(f" * ({small})")))
    (factor,) = letters
    assert factor > 1, "all letters grow alike"


# -------------------------------------------------------------------------------------------------- the data


@pairs()
def test_every_field_that_is_read_is_in_the_data(name, case):
    spec = charts.specification(name)
    needed = {*uses(spec), *looked_up(spec)}
    for which, tables in every_dataset(name, case):
        assert {dataset for dataset, _ in needed} == tables.keys(), which
        for dataset, field in needed:
            assert field in tables[dataset], f"{which}: {dataset} has no {field}"


@pairs()
def test_the_data_are_strict_json(name, case):
    for which, tables in every_dataset(name, case):
        json.dumps({dataset: as_json(table) for dataset, table in tables.items()}, allow_nan=False)
        assert len(rows(tables["frame"])) == 1, which


@pairs()
def test_the_data_are_small(name, case):
    for which, tables in every_dataset(name, case):
        assert size(tables) < LARGEST[name], which


@pairs()
def test_the_columns_keep_their_kinds_whatever_is_shown(name, case):
    """A dataset without rows, or a field without a value, must not become another kind of field."""
    usual = datasets(name, SMALL, View(closer=True), SMALL)
    for which, tables in every_dataset(name, case):
        for dataset, table in tables.items():
            assert table.keys() == usual[dataset].keys(), f"{which}: {dataset}"
            for field in table:
                assert len(kinds(table, field) | kinds(usual[dataset], field)) <= 1, f"{which}: {dataset} {field}"


@pairs()
def test_a_kept_scenario_is_named_where_there_is_one(name, case):
    for which, tables in every_dataset(name, case):
        (kept,) = tables["frame"]["kept"]
        assert re.match("grey: .*kept.*, ", kept) if not which.endswith("nothing") else kept == "", which


@pairs()
def test_an_alarm_is_raised_where_the_forward_pass_is_broken_and_nowhere_else(name, case):
    measurement = measured(SCENARIOS[case])
    for which, tables in every_dataset(name, case):
        (alarm,) = tables["frame"]["alarm"]
        broken = np.isnan(measurement.log_row).any()
        assert alarm == (f"The forward pass overflowed at step {measurement.overflow}" if broken else ""), which


@every_chart
def test_without_anything_kept_the_frame_is_the_measurement_s_own(name):
    chart = CHARTS[name]
    for scenario, view in product(SCENARIOS.values(), LOOKS.values()):
        frame = chart.domain(measured(scenario), view)
        assert chart.widest(frame) == frame
        low, high = ends(frame)
        assert np.isfinite([low, high]).all() and low < high


def ends(frame, unit=0):
    """(low, high): decades as they are, or (unit, floor, ceiling) in another unit."""
    *own, low, high = frame
    scale = 10.0 ** (own[0] - unit) if own else 1.0
    return low * scale, high * scale


@every_chart
def test_the_widest_frame_holds_each_and_no_more(name):
    chart = CHARTS[name]
    frames = {chart.domain(measured(scenario), view) for scenario in SCENARIOS.values() for view in LOOKS.values()}
    assert len(frames) > 2 or frames == {(0.0, 1.0)}
    for pair in combinations(sorted(frames), 2):
        unit = max(frame[0] for frame in pair) if len(pair[0]) == 3 else 0
        lows, highs = zip(*(ends(frame, unit) for frame in pair), strict=True)
        assert chart.widest(*pair) == chart.widest(*pair[::-1])
        assert ends(chart.widest(*pair), unit) == pytest.approx((min(lows), max(highs)))


@pytest.mark.parametrize("name", [name for name in CHARTS if name not in ("sums", "unrolled")])
def test_nothing_stands_beyond_the_axis_however_long_what_is_kept_is(name):
    """A mark that did would narrow the whole view."""
    for scenario in (SCENARIOS["two steps"], SMALL):
        tables = datasets(name, scenario, LOOKS["closer"], KEPT["other"])
        (horizon,) = tables["frame"]["horizon"]
        for table in tables.values():
            for field in {"lag", "x"} & table.keys():
                assert np.nanmax([0.0, *np.array(table[field], float)]) < horizon


# ------------------------------------------------------------------------------------------------- the words


@pairs()
def test_what_it_says_is_a_sentence_with_numbers(name, case):
    measurement = measured(SCENARIOS[case])
    for view in LOOKS.values():
        said = CHARTS[name].say(measurement, view)
        assert said[0].isupper() and said.endswith(".") and 20 < len(said) < 400
        assert not re.search(r"\b(nan|inf|none)\b|—|[{}]", said.replace("inf or NaN", ""), re.IGNORECASE), said
        if np.isfinite(measurement.log_row).sum() > 1:
            assert re.search(r"\d", said), said


@pytest.mark.parametrize(
    "name",
    [name for name in CHARTS if name != "growth"],  # it shows the times before as well
)
def test_an_overflow_is_said_with_its_step(name):
    measurement = measured(OVERFLOWING)
    for view in LOOKS.values():
        said = CHARTS[name].say(measurement, view)
        assert "overflow" in said and str(measurement.overflow) in said


@every_chart
def test_what_it_says_is_of_this_scenario(name):
    said = {CHARTS[name].say(measured(replace(SMALL, cell=cell)), View()) for cell in CHOICES["cell"]}
    assert len(said) == len(CHOICES["cell"])
