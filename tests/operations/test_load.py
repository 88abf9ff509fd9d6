"""Many visitors at once, and many scenarios in one process: none meets another's numbers, nothing piles up."""

import gc
import random
from dataclasses import replace

import numpy as np
import pytest

from gradflow.app import measurement
from gradflow.app.measurement import measure
from gradflow.app.memory import release_memory, resident
from gradflow.app.scenario import CHOICES, RANGES, Scenario, gate_names
from gradflow.caching import COMPILED
from gradflow.engine.compile_cache import forget_compiled
from support.load import load
from support.strategies import WHOLE
from support.ws_client import verdict

pytestmark = pytest.mark.slow

SIZES = (4, 16)
FLAT = 20  # MB


def test_sessions_at_once_get_their_own_numbers_and_no_error(server):
    happened = load(server, sessions=4, seconds=4, every=0.4)
    assert not happened.errors()
    assert len(happened.moved) == 4 * 10
    assert not happened.foreign()
    verdicts = {verdict(answer) for _, answer in happened.moved}
    assert len(verdicts) > 25, "the sessions do not differ, so a mix-up would not show"


def test_another_sessions_numbers_would_be_noticed(server):
    happened = load(server, sessions=2, seconds=2)
    (mine, _), (_, other) = happened.moved[0], next(each for each in happened.moved if each[0].seed == 1)
    assert mine.seed == 0
    assert not happened.foreign()
    assert happened._replace(moved=[(mine, other)]).foreign()


def test_random_scenarios_compile_once_a_kind_and_memory_stays_flat(compilations):
    forget_compiled()  # whatever other tests have left
    dice, seen, memory = random.Random(0), set(), []
    count = 600 if WHOLE else 300
    for k in range(count):
        one = random_scenario(dice)
        compilations.clear()
        measure(one)
        assert not (one.kind in seen and compilations), f"{one} compiles again: {compilations}"
        seen.add(one.kind)
        if k in (count // 3, count - 1):
            gc.collect()
            release_memory()
            memory.append(resident())
    assert len(seen) == len(CHOICES["cell"]) * len(SIZES) + len(SIZES)  # an lstm's cell path is a kind of its own
    assert memory[1] - memory[0] < FLAT


def random_scenario(dice):
    """A scenario of any values, of a few sizes."""
    fields = {name: dice.choice(options) for name, options in CHOICES.items()} | {"hidden": dice.choice(SIZES)}
    fields |= {name: limits.snap(dice.uniform(limits.low, limits.high)) for name, limits in RANGES.items()}
    gate = dice.choice(("all", *gate_names(fields["cell"])))
    return Scenario(**fields, gate=gate, cell_path_only=dice.random() < 0.3, text=str(dice.random()))


def test_the_number_of_compiled_kinds_is_bounded(monkeypatch, compilations):
    monkeypatch.setattr(measurement, "MAX_COMPILED_KINDS", 3)
    sizes = [Scenario(cell="rnn-linear", hidden=hidden, seed=99) for hidden in CHOICES["hidden"][:4]]
    forget_compiled()
    assert not COMPILED
    for each in sizes:
        measure(each)
    assert measurement.measured_kinds() == {sizes[-1].kind}, "the first three are still there"
    compilations.clear()
    measure(replace(sizes[-1], seed=98))
    assert not compilations
    again = measure(replace(sizes[0], seed=98))
    assert compilations and np.isfinite(again.log_row[0])
