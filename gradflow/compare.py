"""Two scenarios beside one another: how they differ in words, and what the opposite of one is."""

from dataclasses import asdict, replace

from gradflow.scenario import CUSTOM, PINNABLE, pinnable_gates, preset_of

_GATES = {gate for gates in PINNABLE.values() for gate in gates}
_CAROUSEL = {  # the state is kept from step to step, and so is the gradient
    "lstm": {"gates": "pinned", "forget": 1.0, "gain": 0.2},
    "gru": {"gates": "pinned", "update": 0.99, "gain": 0.2},
    "rnn-linear": {"init": "identity", "gain": 1.0},
    "rnn-relu": {"init": "identity", "gain": 1.0},
    "rnn-tanh": {"init": "orthogonal", "gain": 1.05, "input_gain": 0.02},
}
_VANISHING = {
    "lstm": {"gates": "learned", "forget": 0.5, "gain": 1.0},
    "gru": {"gates": "learned", "update": 0.5, "gain": 1.0},
    "rnn-linear": {"init": "identity", "gain": 0.8},
    "rnn-relu": {"init": "identity", "gain": 0.8},
    "rnn-tanh": {"init": "identity", "gain": 0.8},
    "rnn-sigmoid": {"init": "identity", "gain": 1.0},
}


def opposite(scenario, regime):
    """Where terms vanish, the same network as a carousel that keeps them; where they do not, one that lets them fade.

    Args:
        scenario: the present one.
        regime: what its `Reading` says of it.

    Returns:
        Scenario with the same cell, size, seed, sequence, horizon, time, weight and gate; None for a sigmoid unit
        whose terms vanish: it passes on at most a quarter, so no ordinary weight makes it a carousel.

    Source: constant error carousel, Hochreiter & Schmidhuber 1997; identity initialisation, Le et al. 2015.
    """
    table = _CAROUSEL if regime == "vanishing" else _VANISHING
    changes = table.get(scenario.cell)
    return changes and replace(scenario, write_every=1, **changes)


def difference(kept, now):
    """What differs, in a few words: "forget 0.90 → 0.99"; a kept preset that differs in much has its name."""
    idle = _GATES - set(pinnable_gates(kept.cell)) - set(pinnable_gates(now.cell))
    before, after = asdict(kept), asdict(now)
    names = [name for name in before if before[name] != after[name] and name not in idle]
    if not names:
        return "the same"
    if len(names) > 2 and preset_of(kept) != CUSTOM:
        return preset_of(kept)
    said = [f"{name.replace('_', ' ')} {_value(before[name])} → {_value(after[name])}" for name in names[:2]]
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(said) + more


def _value(value):
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.2f}" if value == round(value, 2) else f"{value:.3f}"
    return str(value)
