"""Draws as dots: where each stands, what it is called, and the sentence that counts them."""

import re
from collections import defaultdict
from math import inf, log, nan

import altair as alt
import numpy as np
import pytest

from gradflow.app import charts
from gradflow.app.charts import draws
from gradflow.app.charts.base import rows
from gradflow.app.charts.draws import Draws
from support.specifications import kinds, looked_up, uses

HOW = {"title": "Growth", "axis": "factor"}
POWERS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-")


def groups(spread=1.0, rows=6, each=8):
    """Rows of draws that do one of two things."""
    rng = np.random.default_rng(5)
    kinds = (("settles", 0.0), ("explodes", 9.0))
    return [
        Draws(f"case {row}", kind, tuple((spread * rng.normal(far * row, 1 + row, each)).tolist()))
        for row in range(rows)
        for kind, far in kinds
    ]


def drawn(given, **how):
    """Dataset -> rows."""
    return {name: rows(table) for name, table in draws.data(given, **HOW | how).items()}


def number_of(words):
    """What a tick says: "0.5", "10⁻⁸"."""
    return float(f"1e{words[2:].translate(POWERS)}" if re.match("10[⁻⁰-⁹¹²³]", words) else words.translate(POWERS))


def value_at(x, ticks, logarithmic):
    """What stands at x by two ticks of the axis: a value, or its logarithm."""
    read = [np.log(number_of(tick["words"])) if logarithmic else number_of(tick["words"]) for tick in ticks]
    slope, start = np.polyfit([tick["x"] for tick in ticks], read, 1)
    return start + slope * np.asarray(x)


@pytest.mark.parametrize("spread", [0.01, 0.1, 1, 10])
@pytest.mark.parametrize("logarithmic", [True, False])
def test_a_dot_stands_where_the_ticks_say_its_value_is(spread, logarithmic):
    given = groups(spread)
    tables = drawn(given, log=logarithmic)
    assert 2 <= len(tables["ticks"]) <= 8
    values = [value for group in given for value in group.values]
    dots = sorted(tables["dots"], key=lambda dot: (dot["row"], dot["color"] != draws.STYLES[0][0]))
    found = value_at([dot["x"] for dot in dots], tables["ticks"], logarithmic)
    np.testing.assert_allclose(found, values, atol=1e-4 * np.ptp(values))
    for dot, value in zip(dots, values, strict=True):
        said = float(re.search(r": (−?[\d.]+(e[+-]\d+)?)", dot["words"])[1].replace("−", "-"))
        assert said == pytest.approx(np.exp(value) if logarithmic else value, rel=0.06)


def test_each_kind_has_its_own_median_colour_and_shape():
    given = groups()
    tables = drawn(given)
    medians = [np.log(np.median(np.exp(group.values))) for group in given]  # of the numbers, as verdicts say them
    np.testing.assert_allclose(value_at([each["x"] for each in tables["medians"]], tables["ticks"], True), medians)
    assert [each["row"] for each in tables["medians"]] == [row for row in range(6) for _ in range(2)]
    styles = {each["kind"]: (each["color"], each["shape"]) for each in tables["kinds"]}
    assert len(set(styles.values())) == 2
    for dot in tables["dots"]:
        (kind,) = [kind for kind in styles if dot["words"].endswith(f", {kind}")]
        assert styles[kind] == (dot["color"], dot["shape"])
        assert dot["words"].startswith(f"{tables['labels'][dot['row']]['label']}: ")


@pytest.mark.parametrize("alike", [1, 2, 16, 40])
def test_no_dot_hides_another_and_none_leaves_its_row(alike):
    dots = drawn([Draws("a", "", (0.5,) * alike), Draws("a", "b", (0.5, 0.7))])["dots"]
    places = defaultdict(list)
    for dot in dots:
        places[dot["x"]].append(dot["offset"])
    for offsets in places.values():
        assert len(set(offsets)) == len(offsets)
    assert max(abs(dot["offset"]) for dot in dots) <= draws.LANE + 1e-5


def test_what_is_no_number_stands_apart_under_its_name():
    tables = drawn([Draws("a", "x", (-inf, 0.2, 0.4, 3.0)), Draws("a", "y", (inf, nan))])
    names = {tick["x"]: tick["words"] for tick in tables["ticks"]}
    assert names[0.0] == "0" and names[1.0] == "overflow"
    ends = {dot["words"]: dot["x"] for dot in tables["dots"]}
    assert ends["a: 0, x"] == 0 and ends["a: overflow, y"] == 1
    inside = [x for x in ends.values() if 0 < x < 1]
    assert len(inside) == 3 and min(inside) > 0.1 and max(inside) < 0.9
    named = drawn([Draws("a", "x", (75.0, inf))], log=False, beyond="not in 600")
    assert "not in 600" in {tick["words"] for tick in named["ticks"]}
    assert {dot["words"] for dot in named["dots"]} == {"a: 75.0, x", "a: not in 600, x"}
    assert not {"0", "overflow"} & {tick["words"] for tick in drawn([Draws("a", "x", (0.2, 0.4))])["ticks"]}


@pytest.mark.parametrize("logarithmic", [True, False])
def test_the_line_stands_at_its_number(logarithmic):
    tables = drawn([Draws("a", "", (2.0, 4.0))], log=logarithmic, reference=1)
    found = value_at(tables["frame"][0]["reference"], tables["ticks"], logarithmic)
    assert found == pytest.approx(0 if logarithmic else 1, abs=1e-6)
    assert drawn([Draws("a", "", (2.0, 4.0))])["frame"][0]["reference"] is None


def test_the_sentence_counts_each_kind():
    given = [
        Draws("16 units", "reflection", (log(4), log(9), log(5))),
        Draws("16 units", "rotation", (log(0.25), log(1))),
        Draws("ReLU", "", (log(3), -inf, inf)),
    ]
    assert draws.say(given) == (
        "16 units: reflection in 3 of 5 draws, median 5.00; rotation in 2 of 5 draws, median 0.625. "
        "ReLU: 3 draws, median 3.00."
    )
    assert draws.say([Draws("a", "b", (inf, nan))], beyond="never") == "a: b in 2 of 2 draws."
    assert draws.say([Draws("a", "b", (inf, nan, 0.0))]) == "a: b in 3 of 3 draws, median overflow."
    assert draws.say([Draws("a", "", (-0.5, 0.25))], log=False) == "a: 2 draws, median −0.125."


def test_more_kinds_than_can_be_told_apart_are_refused():
    with pytest.raises(ValueError, match="kinds are 0, 1, 2, 3, 4; at most 4"):
        draws.data([Draws("a", str(k), (1.0,)) for k in range(5)], **HOW)


def test_the_specification_is_valid_and_reads_what_the_data_have():
    spec = charts.specification("draws")
    assert alt.Chart.from_dict(spec | {"datasets": {}}, validate=True)
    tables = draws.data(groups(), **HOW, reference=2)
    needed = {*uses(spec), *looked_up(spec)}
    assert {dataset for dataset, _ in needed} == tables.keys()
    for dataset, field in needed:
        assert field in tables[dataset]
    for name, other in draws.data([Draws("a", "", (nan,))], **HOW).items():
        for field in tables[name]:
            assert len(kinds(tables[name], field) | kinds(other, field)) <= 1, f"{name} {field}"
