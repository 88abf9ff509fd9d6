"""Networks whose sentence was once false, and what is so."""

from dataclasses import replace

import numpy as np
import pytest

import gradflow as gf
from gradflow.app.measurement import measure
from gradflow.app.presets import PRESETS
from gradflow.app.scenario import Scenario

pytestmark = pytest.mark.slow


def claims(reading):
    return dict(reading.claims)


def drawn(hidden, steps, inputs=4, seed=0):
    """An LSTM of weights ~ N(0, 1/fan-in) and forget bias 1, inputs ~ N(0, 1)."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
    bias = np.repeat(np.float32([0, 1, 0, 0]), hidden)
    weights = gf.Weights(draw(4 * hidden, inputs), draw(4 * hidden, hidden), bias, 0 * bias)
    x = rng.standard_normal((steps, inputs)).astype(np.float32)
    return weights, x, draw(hidden), rng.standard_normal(steps).astype(np.float32)


def test_a_sum_that_rises_over_forty_steps_and_falls_after_them_does_not_explode():
    scenario = Scenario(forget=0.97, seed=10)
    short, long = (measure(replace(scenario, horizon=horizon)) for horizon in (40, 160))
    ratio = np.exp(long.log_sums - long.log_residual)
    assert ratio[[39, 79, 159]] == pytest.approx([4.95, 2.03, 1.09], rel=0.01)
    assert "explodes" not in claims(short.chaos_checked)
    assert long.chaos_checked.growth_by_error.said == "fades"


def test_an_identity_that_keeps_delta_is_not_called_vanishing():
    """Its terms fall by 0.987 a step, because the state grows forwards; δ is level to the last digit."""
    scenario = Scenario(cell="rnn-linear", init="identity", hidden=64, gain=1.0, horizon=150)
    reading = measure(scenario).chaos_checked
    assert reading.pace == pytest.approx(1, abs=1e-5) and reading.regime == "constant"
    assert claims(reading)["term_pace"] == pytest.approx(0.987, abs=5e-4)
    assert "error δ by 1.00: δ keeps its size" in reading.verdict


@pytest.mark.parametrize("cell_path_only", [False, True])
def test_one_shut_gate_is_a_cliff_or_a_wall(cell_path_only):
    """A forget gate of 0 at step 10 of 40: δ falls by six at lag 30, and on the cell path alone nothing passes."""
    forget = np.full(40, np.nan)
    forget[10] = 0.0
    gmap = gf.gradient_map("lstm", *drawn(16, 40), pins={"forget": forget}, cell_path_only=cell_path_only)
    reading = gmap.read(39, chaos=True)
    delta = gmap.lags(39).log_delta()
    if cell_path_only:
        assert reading.zero_lags == 40 - 30 == claims(reading)["zero_lags"]
        assert np.isneginf(delta[30:]).all() and np.isfinite(delta[:30]).all()
    else:
        lag, factor = claims(reading)["cliff"]
        assert lag == 30 and factor == pytest.approx(np.exp(delta[30] - delta[29])) and 5 < 1 / factor < 16
        assert f"at lag {lag}" in reading.verdict


def test_where_the_terms_are_is_said_of_ten_words_and_fifty_steps_of_padding():
    rng = np.random.default_rng(0)
    uniform = lambda *shape: rng.uniform(-1 / 16, 1 / 16, shape).astype(np.float32)  # as PyTorch draws 256 units
    weights = gf.Weights(uniform(1024, 4), uniform(1024, 256), uniform(1024), uniform(1024))
    _, inputs, readout, targets = drawn(256, 60)
    inputs[10:] = 0
    gmap = gf.gradient_map("lstm", weights, inputs, readout, targets)
    reading = gmap.read(59)
    terms = np.exp(gmap.log_terms()[59])
    assert terms[50:].sum() / terms.sum() < 1e-8  # what lies in the words
    reach = claims(reading)["reach"]
    assert reach < 25 and terms[:reach].sum() >= 0.9 * terms.sum() > terms[: reach - 1].sum()
    assert f"the nearest {reach} lags hold 90 %" in reading.verdict


PROMISES = {
    "LSTM at initialisation": {"regime": "vanishing", "settles": "growth_by_error"},
    "GRU": {"regime": "vanishing", "settles": "growth_by_error"},
    "minGRU": {"regime": "vanishing", "settles": "growth_by_error"},
    "Vanishing": {"regime": "vanishing", "settles": "growth_by_error", "pace": 0.8},
    "Constant": {"regime": "constant", "grows": "growth_by_error", "pace": 1.0},
    "Exploding": {"regime": "exploding", "explodes": "growth_by_error", "pace": 1.1},
    "LSTM that explodes": {"regime": "exploding", "explodes": "growth_by_error"},
    "Chaotic LSTM": {"chaotic": True},
    "Ignores ten inputs": {"zero_lags": 89},
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_makes_the_claim_its_name_promises(name):
    reading = measure(PRESETS[name]).chaos_checked
    if name == "LSTM that remembers":
        assert reading.far_share == claims(reading)["far_share"] > 0.2
        return
    for kind, value in PROMISES[name].items():
        assert claims(reading)[kind] == (pytest.approx(value, rel=1e-4) if isinstance(value, float) else value)
