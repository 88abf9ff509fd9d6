"""Scenarios with a name, to start from."""

from typing import Any

from gradflow.app.scenario import Scenario

_UNIT: dict[str, Any] = {"cell": "rnn-linear", "hidden": 1, "weight": "bias_hh"}

PRESETS: dict[str, Scenario] = {
    "LSTM at initialisation": Scenario(),
    "LSTM that remembers": Scenario(forget=0.99, gain=0.4),
    "LSTM that explodes": Scenario(init="orthogonal", forget=0.9, gain=0.7, input_gain=0.002),  # too small to saturate
    "Chaotic LSTM": Scenario(gain=12.0),
    "GRU": Scenario(cell="gru"),
    "minGRU": Scenario(cell="mingru", update=0.9),
    "Vanishing": Scenario(**_UNIT, gain=0.8),
    "Constant": Scenario(**_UNIT, gain=1.0),
    "Exploding": Scenario(**_UNIT, gain=1.1),
    "Ignores ten inputs": Scenario(
        gates="pinned", forget=1.0, input=1.0, output=1.0, write_every=12, gate="cell", horizon=96, gain=0.5
    ),
}
DEFAULT_PRESET = "LSTM at initialisation"
CUSTOM = "Custom"


def preset_of(scenario: Scenario) -> str:
    """The name of the preset that has exactly these values, or "Custom"."""
    return next((name for name, preset in PRESETS.items() if preset == scenario), CUSTOM)
