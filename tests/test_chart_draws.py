"""Draws as dots: where each stands, what it is called, and the sentence that counts them."""

import re

import numpy as np
import pytest

from gradflow.charts import draws
from gradflow.charts.draws import Draws

HOW = {"title": "Growth", "axis": "factor"}
RNG = np.random.default_rng(5)


def groups(rows=6, each=8):
    """Rows of draws that do one of two things."""
    kinds = (("settles", 0.0), ("explodes", 9.0))
    return [
        Draws(f"case {row}", kind, tuple(RNG.normal(far * row, 1 + row, each).tolist()))
        for row in range(rows)
        for kind, far in kinds
    ]


def rows_of(table):
    return table.to_pylist()


def shown(words):
    """The number in the words of a dot."""
    return float(re.search(r": (−?[\d.]+(e[+-]\d+)?)", words)[1].replace("−", "-"))


@pytest.mark.parametrize("log", [True, False])
def test_a_dot_stands_where_the_ticks_say_its_value_is(log):
    """The axis is linear in the value, or in its logarithm: two ticks fix it for every dot."""
    given = groups()
    tables = draws.data(given, **HOW, log=log)
    ticks = rows_of(tables["ticks"])
    powers = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-")

    def value(words):
        words = (
            words.translate(powers)
            if not words.startswith("10") or len(words) == 2
            else f"1e{words[2:].translate(powers)}"
        )
        return np.log(float(words)) if log else float(words)

    x, y = [tick["x"] for tick in ticks], [value(tick["words"]) for tick in ticks]
    assert len(ticks) >= 2
    slope, start = np.polyfit(x, y, 1)
    values = [value for group in given for value in group.values]
    dots = sorted(rows_of(tables["dots"]), key=lambda dot: (dot["row"], dot["color"] != draws.STYLES[0][0]))
    np.testing.assert_allclose([start + slope * dot["x"] for dot in dots], values, atol=1e-4 * (max(y) - min(y)))
    for dot, each in zip(dots, values, strict=True):
        assert shown(dot["words"]) == pytest.approx(np.exp(each) if log else each, rel=0.06, abs=1e-3)
