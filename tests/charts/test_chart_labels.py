"""No text of a chart stands over another or leaves the view: a few scenarios; `labels` tries more."""

import re
from dataclasses import replace
from itertools import islice, product

import numpy as np
import pytest

import gradflow as gf
from gradflow.app import charts
from gradflow.app.charts import CHARTS, draws, laws, layers, learning, turning
from gradflow.app.charts.base import HIGHLIGHT_OPACITY, ORANGE
from gradflow.app.lessons import LESSONS
from gradflow.app.lessons.growing_sum import TWO_UNITS, sums_at_one
from gradflow.app.measurement import measure
from gradflow.app.presets import PRESETS
from gradflow.app.scenario import RECALL_LAG, Scenario
from gradflow.app.view import View
from support.labels import Box, boxes, collisions, drawn, faults, overlap, random_cases, wrong
from support.strategies import WHOLE

pytestmark = pytest.mark.slow

SMALL = Scenario(hidden=4)
CASES = {  # scenario, look without a chart, what is kept
    "default": (SMALL, {}, replace(SMALL, forget=0.9, gain=2.0)),
    "carousel": (
        replace(PRESETS["Ignores ten inputs"], hidden=4),
        {"closer": True, "lag": 11},
        replace(SMALL, cell="gru", horizon=256),
    ),
    "chaos": (
        replace(SMALL, cell="rnn-relu", gain=3.3, horizon=60),
        {"closer": True, "row": 1, "lag": 30, "float32": True},
        replace(SMALL, cell="rnn-relu"),
    ),
    "overflow": (
        replace(SMALL, cell="rnn-linear", gain=12.0, horizon=256),
        {"closer": True},
        replace(SMALL, cell="rnn-linear", horizon=256),
    ),
    "two steps": (
        replace(SMALL, horizon=2, sequence="sentence"),
        {"closer": True, "chains": True, "whole": True},
        SMALL,
    ),
    **{f"random {k}": case for k, case in enumerate(islice(random_cases(3), 40 if WHOLE else 1))},
}
VIEWS = {"page": (1000, False, False), "phone": (358, False, True), "stage": (1200, True, True)}  # px, large, compared


def box(text, left, top, width=50, height=10, angle=0.0):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ turn.T
    return Box(text, corners + np.array([left, top]))


def test_the_measure_finds_what_collides_and_nothing_else():
    one = box("one", 10, 10)
    for other, reach in ((box("over", 40, 15), 5), (box("beside", 61, 10), -1), (box("under", 10, 22), -2)):
        assert overlap(one.corners, other.corners) == pytest.approx(reach)
    upright = [box(f"upright {k}", 100 + 14 * k, 80, angle=-np.pi / 2) for k in range(3)]
    slanted = [box(f"slanted {k}", 100 + 14 * k, 180, angle=-np.pi / 3) for k in range(3)]
    assert not [*collisions([one, *upright, *slanted], 200, 200)]
    for other in (box("over", 40, 15), box("out", 170, 100), box("through", 90, 60)):
        assert [*collisions([one, *upright, other], 200, 200)]


def test_the_measure_sees_the_texts_of_a_chart():
    measurement, view = measure(SMALL), View(show="terms", closer=True)
    chart = CHARTS["terms"]
    data = chart.data(measurement, view, None, chart.domain(measurement, view))
    spec = charts.specification("terms")
    assert not faults(spec, data, 1000)
    crowded = charts.base.framed(data, note=200 * "crowded", total="sum\n" * 9, time=60 * "wide ")
    assert len(faults(spec, crowded, 1000)) > 2
    assert drawn(spec, data, 1000) != drawn(spec, crowded, 1000)


@pytest.mark.parametrize(("name", "case"), [*product(CHARTS, CASES)])
def test_no_label_prints_over_another(name, case):
    scenario, ways, other = CASES[case]
    for view, (width, stage, compared) in VIEWS.items():
        found = wrong(name, scenario, View(show=name, **ways), other if compared else None, width, stage)
        assert not found, f"{view}: {found}"


RNG = np.random.default_rng(2)
LOSSES = {f"forget bias {k}": RNG.uniform(0.01, 1, 24) for k in ("0", "1", "log k")}
CASES_OF_DRAWS = [
    draws.Draws(f"{2**k} units, orthogonal", kind, tuple(RNG.normal(far * k, 1, 8)))
    for k in range(6)
    for kind, far in (("reflection", 0.0), ("rotation", 5.0))
]
BESIDE = {  # what stands under a lesson: its specification -> its data
    "layers": lambda: layers.data(gf.layer_gradients("sigmoid", 20, 4)),
    "learning": lambda: learning.data(LOSSES, 1.0, 24),
    "laws": lambda: laws.data(sums_at_one()),
    "turning": lambda: turning.data(*map(measure, TWO_UNITS)),
    "draws": lambda: draws.data(
        CASES_OF_DRAWS, title="How much the sum grows", axis="‖Σ(256)‖ / ‖Σ(128)‖", reference=1
    ),
}


@pytest.mark.parametrize("name", BESIDE)
def test_no_label_beside_a_lesson_prints_over_another(name):
    data = BESIDE[name]()
    for width in (740, 550, 358):
        assert not faults(charts.specification(name), data, width), width


def test_the_lag_that_a_lesson_marks_lies_beside_the_words_on_the_line():
    lesson = next(lesson for lesson in LESSONS if lesson.view.lag == RECALL_LAG)
    measurement, chart = measure(lesson.scenario), CHARTS["terms"]
    data = chart.data(measurement, lesson.view, None, chart.domain(measurement, lesson.view))
    for width in (690, 740, 800, 1000):
        svg = drawn(charts.specification("terms"), data, width)
        band = re.search(rf'd="M([\d.]+),\d+h([\d.]+)[^"]*" fill="{ORANGE}" opacity="{HIGHLIGHT_OPACITY}"', svg)
        end = re.search(r'translate\(([\d.]+),[\d.]+\)"[^>]*>[^<]*a step<', svg)  # beside it, in the same panel
        (words,) = (one for one in boxes(svg) if one.text.endswith("a step"))
        assert float(end[1]) - np.ptp(words.corners[:, 0]) > sum(map(float, band.groups())), width
