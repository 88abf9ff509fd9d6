"""What each lesson invites to try can be done, with the controls at hand."""

import re
from dataclasses import replace

import numpy as np
import pytest

from gradflow.app import training
from gradflow.app.counterexample import in_every_cell
from gradflow.app.lessons import LESSONS
from gradflow.app.lessons.depth import lowest
from gradflow.app.lessons.evidence import plain
from gradflow.app.lessons.growing_sum import ratio
from gradflow.app.lessons.trained import measured
from gradflow.app.lessons.training_problem import LSTM, outcome
from gradflow.app.lessons.vanishing_terms import in_first_terms
from gradflow.app.measurement import measure
from gradflow.app.scenario import RANGES
from gradflow.app.view import RANGES as VIEW_RANGES
from gradflow.cells import CELLS

pytestmark = pytest.mark.slow

TRIES = {}  # title -> test


def tries(title):
    """Register the test of a lesson's “Try this”: it is called with the lesson."""
    return lambda test: TRIES.setdefault(title, test)


def moved(lesson, start=None, **values):
    """The lesson's scenario, or that of one of its examples, after its own controls were set to these values."""
    for name, value in values.items():
        low, high, _ = RANGES[name]
        assert name in lesson.controls and low <= value <= high
    return replace(start or lesson.scenario, **values)


def looked(lesson, **values):
    """The lesson's look after its own controls were set to these values."""
    for name, value in values.items():
        low, high, _ = VIEW_RANGES[name]
        assert name in lesson.controls and low <= value <= high
    return replace(lesson.view, **values)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.title)
def test_it_can_be_done(lesson):
    TRIES[lesson.title](lesson)


@tries("A sum over lags")
def _(lesson):
    def smaller(row):
        sign, log = measure(lesson.scenario).lags.entry("weight_hh", row, lesson.view.col)
        bars = sign * np.exp(log)
        return abs(bars.sum()) < np.abs([*bars[:12], bars[12:].sum()]).max()

    assert not smaller(lesson.view.row)
    found = [row for row in range(lesson.scenario.hidden) if smaller(looked(lesson, row=row).row)]
    assert 3 <= len(found) <= 13


@tries("Vanishing terms, a sum that settles")
def _(lesson):
    times = lambda **values: in_first_terms(measure(moved(lesson, **values)))
    for gain, end, first in ((0.95, 18, 45), (0.99, 90, 230)):
        assert 0.9 / (1 - gain) == pytest.approx(end)
        assert times(gain=gain, horizon=first) > end > times(gain=gain, horizon=first - 1)
        assert str(end) in lesson.try_this


@tries("Not vanishing is not exploding")
def _(lesson):
    logs = {gain: ratio(measure(moved(lesson, gain=gain)))[-1] for gain in (1.0, 1.037)}
    assert np.exp(logs[1.0]) == pytest.approx(100)
    assert np.exp(logs[1.037]) == pytest.approx(1000, rel=0.01)


@tries("“LSTMs are sure to vanish”")
def _(lesson):
    paces = [measure(moved(lesson, forget=1.0, gain=gain)).reading.pace for gain in np.arange(0, 6.01, 0.5)]
    assert 0.97 < min(paces) < max(paces) < 1.03 and "3 %" in lesson.try_this
    first, last = (measure(moved(lesson, forget=1.0, gain=gain)) for gain in (1.0, 6.0))
    assert first.reading.log_sum > np.log(0.5) and f"falls to {plain(np.exp(last.reading.log_sum))}" in lesson.try_this
    problem, h, c = last.scenario.problem(), np.zeros(16), np.zeros(16)
    w_ih, w_hh = (np.asarray(problem["weights"][k], float).reshape(4, 16, -1)[2] for k in (0, 1))
    for x in problem["inputs"][: last.scenario.horizon]:
        c = c + 0.5 * np.tanh(w_ih @ x + w_hh @ h)
        h = 0.5 * np.tanh(c)
    assert np.linalg.norm(problem["readout"] * (1 - np.tanh(c) ** 2)) < 1e-4 * np.linalg.norm(problem["readout"])


@tries("Depth: where vanishing does hurt")
def _(lesson):
    share = lambda gain, horizon: np.exp(lowest(measure(moved(lesson, gain=gain, horizon=horizon)))[1])
    assert share(9.5, 12) < 0.1 < share(10.5, 12)
    assert max(share(gain, 30) for gain in np.arange(8, 12.01, 0.25)) < 0.1


@tries("Any RNN; gates choose")
def _(lesson):
    each = {gain: in_every_cell(measure(moved(lesson, gain=gain))) for gain in (1.0, 3.0, 8.0)}
    at_first, then, last = (
        {cell for cell, one in cells.items() if one.reading.regime == "vanishing"} for cells in each.values()
    )
    assert at_first > then > last and len(last) == 2 and "which two cells" in lesson.try_this
    (unreached,) = {cell for cell in last if "weight_hh" in CELLS[cell].unused}
    assert len({cells[unreached].reading.pace for cells in each.values()}) == 1


@tries("The output that ignores ten inputs")
def _(lesson):
    lit = lambda time: np.flatnonzero(np.isfinite(measure(moved(lesson, time=time)).log_row)).tolist()
    assert (lit(71), lit(72), lit(84)) == ([11], [0], [0])


@tries("What the sum hides")
def _(lesson):
    _, high, step = RANGES["forget"]
    shares = {
        forget: measure(moved(lesson, forget=forget)).reading.far_share
        for forget in map(RANGES["forget"].snap, np.arange(0.73, high, step))
    }
    assert 0.85 < min(forget for forget, share in shares.items() if share > 0.1) < 0.95
    scenario = moved(lesson, gain=12.0)
    run = training.begin(scenario.cell, gain=scenario.gain, seed=scenario.seed)
    assert np.exp(training.credit(run)).min() > 0.4
    *_, losses = training.train(run)
    assert training.learned_at(losses) == [None, None, None]


@tries("Otherwise a training problem")
def _(lesson):
    learned = outcome(moved(lesson, forget=0.73), *LSTM[1:], lesson.scenario.seed).learned_at
    assert [at is not None for at in learned] == [False, True, False, False]


@tries("Nothing explodes, and it is still hard")
def _(lesson):
    rms = lambda **values: re.search(r"rms tends to (\S+) times", said(lesson, moved(lesson, **values)))[1]
    said = lambda lesson, scenario: lesson.headline(measure(scenario), lesson.view)
    assert float(rms(gain=0.97)) == pytest.approx(97, rel=0.01)
    scale = RANGES["input_gain"].snap(np.sqrt(1 - 0.97**2))
    assert float(rms(gain=0.97, input_gain=scale)) == pytest.approx(24, rel=0.02) and "24 times" in lesson.try_this


@tries("Three that were really trained")
def _(lesson):
    held = lambda forget: measure(moved(lesson, forget=forget)).reading.memory
    half = next(forget for forget in np.arange(0.5, 1.0, 0.005).round(3) if held(forget) >= 80)
    assert 0.85 < half < 0.95 and held(half) < 100 and lesson.scenario.horizon == 160
    assert abs(held(half) - np.median(measured("detector.0", "trained").memories)) < 15
