"""Two scenarios beside one another: the opposite of one does the opposite when measured; a difference is in words."""

from dataclasses import asdict, replace
from functools import cache

import pytest
from hypothesis import given, settings

from gradflow.app.counterexample import difference, opposite
from gradflow.app.measurement import measure
from gradflow.app.presets import PRESETS
from gradflow.app.scenario import CHOICES, GATE_FIELDS, Scenario, gate_names, pinnable_gates
from gradflow.cells import CELLS
from support.strategies import scenarios

MOVED = {"gates", "forget", "update", "gain", "input_gain", "init", "write_every"}  # by `opposite`
AS_INITIALISED = dict.fromkeys(GATE_FIELDS)
PAIRS = [(preset, cell) for preset in PRESETS for cell in CHOICES["cell"]]


def cases():
    """Every preset with every cell, of its own weight and of a bias, whose term is δ alone."""
    return [
        pytest.param(replace(with_cell(*pair), **change), id=", ".join((*pair, name)))
        for name, change in (("weight", {}), ("bias", {"weight": "bias_hh", "gate": "all"}))
        for pair in PAIRS
    ]


def has_none(scenario):
    """Half of the draws of sigmoids have no such gain; one ReLU is off at times: a zero neither fades nor keeps."""
    sigmoid = scenario.cell == "rnn-sigmoid" and vanishes(scenario)
    return sigmoid or (scenario.cell == "rnn-relu" and scenario.hidden == 1 and regime(scenario) == "mixed")


def with_cell(preset, cell):
    """A preset's values for another cell; a gate that it does not have gives way to all."""
    gate = PRESETS[preset].gate
    return replace(PRESETS[preset], cell=cell, gate=gate if gate in gate_names(cell) else "all")


def vanishes(scenario):
    return regime(scenario) == "vanishing"


@cache
def regime(scenario):
    return measure(scenario).reading.regime


def flipped(scenario):
    return opposite(scenario, regime(scenario))


@pytest.mark.slow
@pytest.mark.parametrize("scenario", cases())
def test_the_opposite_vanishes_where_this_does_not(scenario):
    other = flipped(scenario)
    if other is None:
        assert has_none(scenario)
    else:
        assert vanishes(other) != vanishes(scenario)


@pytest.mark.parametrize("seed", [1, 3, 5])
def test_a_sigmoid_s_opposite_takes_a_large_gain(seed):
    """Its slope is at most a quarter, but W multiplies as well."""
    other = flipped(Scenario(cell="rnn-sigmoid", seed=seed))
    assert other.gain >= 8 and measure(other).reading.pace > 0.95


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_s_first_scenario_has_an_opposite(cell):
    """A cell whose own has none needs an entry in `_CAROUSEL`: what makes it keep its error."""
    scenario = Scenario(cell=cell)
    assert vanishes(flipped(scenario)) != vanishes(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", cases())
def test_the_opposite_of_the_opposite_is_back(scenario):
    other = flipped(scenario)
    if other is not None:
        assert vanishes(flipped(other)) == vanishes(scenario) != vanishes(other)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", cases())
def test_the_opposite_moves_the_network_alone(scenario):
    other = flipped(scenario)
    if other is not None:
        before, after = asdict(scenario), asdict(other)
        moved = {name for name in before if before[name] != after[name]}
        assert moved <= MOVED
        assert other.write_every == 1, "a gate that is opened at times is no carousel"
        assert not {"forget", "update"} & moved - set(pinnable_gates(scenario.cell))


# ------------------------------------------------------------------------------------------------- in words


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({}, "the same"),
        ({"forget": 0.9}, "forget 0.73 → 0.90"),
        ({"forget": 0.995}, "forget 0.73 → 0.995"),
        ({"cell": "gru"}, "cell lstm → gru"),
        ({"forget": None}, "forget 0.73 → as initialised"),
        ({"init": "shift"}, "init normal → shift"),
        ({"init": "keras", **AS_INITIALISED}, "init normal → keras"),
        ({"init": "keras", **AS_INITIALISED, "forget": 0.9}, "forget 0.73 → 0.90, init normal → keras"),
        ({"hidden": 4}, "hidden 16 → 4"),
        ({"cell_path_only": True}, "cell path only off → on"),
        ({"write_every": 12}, "write every 1 → 12"),
        ({"gain": 2.0, "forget": 1.0}, "forget 0.73 → 1.00, gain 1.00 → 2.00"),
    ],
)
def test_what_differs_is_named_before_and_after(now, words):
    assert difference(Scenario(), Scenario(**now)) == words


def test_a_gate_that_was_as_initialised_is_named_so():
    kept = Scenario(init="keras", **AS_INITIALISED)
    assert difference(kept, replace(kept, forget=0.9)) == "forget as initialised → 0.90"
    assert difference(kept, Scenario(init="pytorch", **AS_INITIALISED)) == "init keras → pytorch"
    assert difference(kept, Scenario()) == "init keras → normal"


def test_a_kept_preset_that_differs_in_much_has_its_name():
    kept, now = PRESETS["LSTM that remembers"], Scenario(gain=2.0, seed=1, horizon=50)
    assert difference(kept, now) == "LSTM that remembers"
    assert difference(kept, replace(kept, seed=1, horizon=50)) == "horizon 100 → 50, seed 0 → 1"


def test_of_many_differences_two_are_named_and_the_rest_counted():
    kept = Scenario(gain=1.5)
    assert difference(kept, Scenario(gain=2.0, seed=1, horizon=50)) == "gain 1.50 → 2.00, horizon 100 → 50 and 1 more"
    many = Scenario(gain=2.0, seed=1, horizon=50, hidden=4, init="identity")
    assert difference(kept, many) == "gain 1.50 → 2.00, init normal → identity and 3 more"
    every = "gain 1.50 → 2.00, init normal → identity, hidden 16 → 4, horizon 100 → 50, seed 0 → 1"
    assert difference(kept, many, most=None) == every


def test_a_gate_that_neither_cell_has_is_no_difference():
    assert difference(Scenario(update=0.1, reset=0.1), Scenario()) == "the same"
    assert difference(Scenario(cell="gru", forget=0.1), Scenario(cell="gru")) == "the same"
    plain = Scenario(cell="rnn-tanh", forget=0.1, update=0.1)
    assert difference(plain, Scenario(cell="rnn-tanh")) == "the same"


def test_a_gate_that_one_cell_has_is_a_difference():
    assert difference(Scenario(update=0.1), Scenario(cell="gru")) == "cell lstm → gru, keep 0.10 → 0.50"
    assert difference(Scenario(cell="gru"), Scenario(update=0.9)) == "cell gru → lstm, keep 0.50 → 0.90"


@pytest.mark.slow
@given(scenarios(), scenarios())
@settings(derandomize=True, max_examples=200, deadline=None)
def test_a_difference_is_short_and_there_from_both_sides(kept, now):
    now = replace(now, text=kept.text)
    there, back = difference(kept, now), difference(now, kept)
    assert len(there) < 120
    assert (there == "the same") == (back == "the same")
    assert difference(kept, kept) == "the same"


def test_a_long_text_is_cut():
    assert len(difference(Scenario(text="a" * 256), Scenario(text="b" * 256))) < 120
