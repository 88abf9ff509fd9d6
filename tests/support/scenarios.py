"""Scenarios for tests that try many: small, and what is rare."""

from dataclasses import replace

from gradflow.app.presets import PRESETS
from gradflow.app.scenario import CHOICES, MAX_HORIZON, Scenario

SMALL = Scenario(hidden=4, horizon=40)
OVERFLOWING = Scenario(cell="rnn-linear", gain=12.0, horizon=MAX_HORIZON, hidden=4)
EVERY_CELL = {cell: replace(SMALL, cell=cell) for cell in CHOICES["cell"]}
RARE = {
    "before the overflow": replace(OVERFLOWING, time=10),
    "far below float32": replace(SMALL, cell="rnn-sigmoid", horizon=MAX_HORIZON),
    "two steps": replace(SMALL, horizon=2),
    "time 0": replace(SMALL, time=0),
    "ten ignored": replace(PRESETS["Ignores ten inputs"], hidden=4),
    "recall": replace(SMALL, sequence="recall"),
    "before any recall": replace(SMALL, sequence="recall", horizon=15),
    "sentence": replace(SMALL, sequence="sentence", horizon=MAX_HORIZON),
    "sunspots": replace(SMALL, sequence="sunspots", cell="gru", horizon=120),
    "impulse": replace(SMALL, sequence="impulse", cell="rnn-relu", hidden=1),
    "all weights": replace(SMALL, weight="all", gate="forget"),
    "a bias": replace(SMALL, weight="bias_hh", gate="output"),
    "cell path": replace(SMALL, cell_path_only=True),
}
