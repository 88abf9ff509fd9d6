"""Two scenarios beside one another: how they differ in words, and what the opposite of one is."""

from dataclasses import asdict, replace

from gradflow.app.measurement import Measurement, measure
from gradflow.app.presets import CUSTOM, preset_of
from gradflow.app.scenario import GATE_FIELDS, Scenario, defaults, pinnable_gates
from gradflow.app.url_codec import short
from gradflow.app.view import View
from gradflow.cells import CELLS

_CAROUSEL = {  # the state is kept from step to step, and so is the gradient; the first that proves so is taken
    "lstm": ({"gates": "pinned", "forget": 1.0, "gain": 0.2},),
    "gru": ({"gates": "pinned", "update": 0.99, "gain": 0.2}, {"gates": "pinned", "update": 0.999, "gain": 1.0}),
    "rnn-linear": ({"init": "identity", "gain": 1.0}, {"init": "orthogonal", "gain": 1.0}),
    "rnn-relu": (
        {"init": "identity", "gain": 1.0},
        {"init": "identity", "gain": 1.05},
        {"init": "identity", "gain": 1.2, "input_gain": 0.1},
        {"init": "orthogonal", "gain": 2.0},
    ),
    "rnn-tanh": (
        {"init": "orthogonal", "gain": 1.05, "input_gain": 0.02},
        {"init": "identity", "gain": 1.0, "input_gain": 0.02},
        {"init": "normal", "gain": 2.0, "input_gain": 0.1},
    ),
    "rnn-sigmoid": (  # a slope of at most a quarter, times what W passes on: half of the draws have one
        {"init": "normal", "gain": 12.0, "input_gain": 0.2},
        {"init": "orthogonal", "gain": 12.0, "input_gain": 0.2},
        {"init": "normal", "gain": 8.0, "input_gain": 0.0},
    ),
}
_VANISHING = {"rnn-sigmoid": ({"init": "identity", "gain": 1.0},)}


def _settings(cell, vanishing):
    """What to try in turn, fields of a scenario: where δ vanishes what keeps it, elsewhere what lets it vanish."""
    gate = CELLS[cell].keep_gate
    if gate is None:
        others = {"init": "identity", "gain": 1.0 if vanishing else 0.8}
    elif vanishing:
        others = {"gates": "pinned", gate: 0.99, "gain": 0.2}
    else:
        others = {"gates": "learned", gate: 0.5, "gain": 1.0}
    return (_CAROUSEL if vanishing else _VANISHING).get(cell, (others,))


def opposite(scenario: Scenario, regime: str) -> Scenario | None:
    """Where δ vanishes, the same network as one that keeps it; where it does not, one that lets it vanish.

    Args:
        scenario: the present one.
        regime: what its `Reading` says of it.

    Returns:
        The first Scenario out of a few that measures so, with the same cell, size, seed, sequence, horizon, time and
        weight. None where none measures so.

    Source: constant error carousel, Hochreiter & Schmidhuber 1997; identity initialisation, Le et al. 2015.
    """
    vanishing = regime == "vanishing"
    for changes in _settings(scenario.cell, vanishing):
        other = replace(scenario, write_every=1, **changes)
        if (measure(other).reading.regime == "vanishing") != vanishing:
            return other
    return None


def every_cell(scenario: Scenario) -> dict[str, Scenario]:
    """The same scenario in every cell; another cell shows all its rows and paths."""
    swap = lambda cell: replace(scenario, cell=cell, gate="all", cell_path_only=False)
    return {cell: scenario if cell == scenario.cell else swap(cell) for cell in CELLS}


def needed(scenario: Scenario, view: View) -> list[Scenario]:
    """What a picture of the scenario in this view measures: it, or every cell, and what is kept beside it."""
    shown = every_cell(scenario).values() if view.show == "cells" else (scenario,)
    return [*shown, *([view.kept] if view.kept else [])]


def in_every_cell(measurement: Measurement) -> dict[str, Measurement]:
    """The same scenario measured in every cell, cell -> measurement."""
    now = measurement.scenario.cell
    every = every_cell(measurement.scenario)
    return {cell: measurement if cell == now else measure(scenario) for cell, scenario in every.items()}


def difference(kept: Scenario, now: Scenario, most: int | None = 2) -> str:
    """What differs, in a few words: "forget 0.90 → 0.99"; a kept preset that differs in much has its name.

    Args:
        kept, now: two scenarios.
        most: how many fields are named before the rest is counted; None names them all, and no preset.
    """
    pinnable = {*pinnable_gates(kept.cell), *pinnable_gates(now.cell)}
    idle = {*GATE_FIELDS} - pinnable  # what does nothing in either
    idle |= set() if pinnable else {"gates", "write_every"}
    idle |= set() if CELLS[kept.cell].has_cell_path or CELLS[now.cell].has_cell_path else {"cell_path_only"}
    idle |= set() if "sentence" in (kept.sequence, now.sequence) else {"text"}
    before, after = asdict(kept), asdict(now)
    if kept.init != now.init:  # which says how the gates start
        first, then = defaults(kept.init), defaults(now.init)
        idle |= {gate for gate in GATE_FIELDS if before[gate] == first[gate] and after[gate] == then[gate]}
    names = [name for name in before if before[name] != after[name] and name not in idle]
    if not names:
        return "the same"
    most = len(names) if most is None else most
    if len(names) > most and preset_of(kept) != CUSTOM:
        return preset_of(kept)
    labels = dict(CELLS[kept.cell].labels + CELLS[now.cell].labels)
    word = {name: labels.get(name, name.replace("_", " ")) for name in names}
    said = [f"{word[name]} {_value(before[name])} → {_value(after[name])}" for name in names[:most]]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(said) + more


def _value(value):
    if value is None:
        return "as initialised"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.2f}" if value == round(value, 2) else f"{value:.3f}"
    return short(str(value))
