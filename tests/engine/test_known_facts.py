"""Facts from the literature and from pen and paper that the engine has to reproduce."""

import numpy as np
import pytest

import gradflow as gf
from support import oracle
from support.fits import factor_per_step

pytestmark = pytest.mark.slow


def normal_layer(cell, hidden, inputs, seed, *, gain=1.0, forget_bias=0.0, copies=None):
    """W ~ N(0, 1/fan_in), W_hh times the gain, no bias but the forget gate's."""
    rng = np.random.default_rng(seed)
    gates, lead = gf.CELLS[cell].gates, () if copies is None else (copies,)
    bias = np.zeros((*lead, len(gates), hidden))
    if "forget" in gates:
        bias[..., gates.index("forget"), :] = forget_bias
    rows = len(gates) * hidden
    return gf.Weights(
        *map(
            np.float32,
            (
                rng.normal(size=(*lead, rows, inputs)) / np.sqrt(inputs),
                rng.normal(size=(*lead, rows, hidden)) * gain / np.sqrt(hidden),
                bias.reshape(*lead, rows),
                np.zeros((*lead, rows)),
            ),
        )
    )


def noise(steps, hidden, inputs, seed):
    """Inputs, readout and targets drawn from N(0, 1)."""
    rng = np.random.default_rng([seed, 1])
    return (np.float32(rng.normal(size=shape)) for shape in ((steps, inputs), hidden, steps))


# tied and untied


def test_depth_vanishes_between_layers():
    """One W per layer, sigmoid, gain 1: the terms fall by 0.21–0.30 a layer: the bottom gets nothing."""
    factors = []
    for seed in range(8):
        weights = normal_layer("rnn-sigmoid", 16, 4, seed, copies=80)
        lags = gf.lag_terms("rnn-sigmoid", weights, *noise(80, 16, 4, seed), 79)
        factors.append(factor_per_step(lags.log_terms()))
    assert 0.19 < np.median(factors) < 0.32


def test_small_singular_values_are_sure_to_vanish():
    """σ₁(W_hh) ≤ r/γ, γ = 1 for tanh and ¼ for sigmoid: ‖dC/da(t−u)‖ ≤ r^u γ ‖dC/dh(t)‖ (Pascanu 2013)."""
    steps, hidden, r = 60, 8, 0.9
    orthogonal = np.linalg.qr(np.random.default_rng(0).normal(size=(hidden, hidden)))[0]
    for cell, slope in (("rnn-tanh", 1.0), ("rnn-sigmoid", 0.25)):
        weights = normal_layer(cell, hidden, 2, 0)._replace(weight_hh=np.float32(orthogonal * r / slope))
        inputs, readout, targets = noise(steps, hidden, 2, 0)
        gmap = gf.gradient_map(cell, weights, inputs, readout, targets)
        log_residual = np.log(2 * np.float64(gmap.cost)) / 2
        bound = np.log(slope) + log_residual + np.log(np.linalg.norm(readout))
        t, u = np.tril_indices(steps)
        assert (gmap.log_terms("bias_hh")[t, u] <= bound[t] + u * np.log(r) + 1e-4).all()


def test_a_spectral_radius_of_zero_does_not_keep_gradients_from_exploding():
    """W = [[8, 8], [−8, −8]] has ρ = 0 and σ₁ = 16. At the fixed point (0, artanh ½) of the pre-activation
    (da(t)/da(t−1))^l = 2^(l−1) [[8, 6], [−8, −6]]: the norm is 14.142 · 2^(l−1). (Pascanu 2013)"""
    w, a = np.array([[8.0, 8], [-8, -8]]), np.array([0, np.arctanh(0.5)])
    assert max(abs(np.linalg.eigvals(w))) < 1e-6
    h = np.tanh(a)
    weights = gf.Weights(*map(np.float32, (np.zeros((2, 1)), w, a - w @ h, np.zeros(2))))
    slope = 1 - h**2
    readout = np.array([1, -1]) / np.sqrt(2) / slope  # so that dC/da(t) is the unit vector that grows most
    steps = 13
    lags = gf.lag_terms(
        "rnn-tanh",
        weights,
        np.zeros((steps, 1), np.float32),
        np.float32(readout),
        np.full(steps, readout @ h - 1, np.float32),
        steps - 1,
        carry=(np.float32(h),),
    )
    lag = np.arange(1, steps)
    log_terms = lags.log_terms("bias_hh")
    np.testing.assert_allclose(log_terms[0], 0, atol=2e-2)
    np.testing.assert_allclose(log_terms[1:] - log_terms[0], np.log(10 * np.sqrt(2)) + (lag - 1) * np.log(2), atol=2e-2)


# the cell path of the LSTM


def cell_path(pins, steps=100, seed=3, **options):
    """One unit with its gates pinned, along the cell path: (map, dC/dh(t), c(t), g(t))."""
    weights, inputs, readout, targets = oracle.draw("lstm", steps, hidden=1, inputs=2, seed=seed)
    problem = oracle.plain("lstm", weights, inputs, readout, targets, pins=pins)
    h, c, states, candidates = np.zeros(1), np.zeros(1), [], []
    for s in range(steps):
        a_x, a_h = weights.weight_ih @ inputs[s] + weights.bias_ih, weights.weight_hh @ h + weights.bias_hh
        candidates.append(np.tanh((a_x + a_h)[2]))
        h, c = oracle.step(np, "lstm", a_x, a_h, (h, c), {gate: pin[s] for gate, pin in problem[4].items()})
        states.append((h[0], c[0]))
    h, c = np.array(states).T
    gmap = gf.gradient_map("lstm", weights, inputs, readout, targets, pins=pins, cell_path_only=True, **options)
    return gmap, (readout[0] * h - targets) * readout[0], c, np.array(candidates)


@pytest.mark.parametrize("forget", [1.0, 0.9, 0.3, "random"])
def test_the_cell_path_carries_the_product_of_the_forget_gates(float64, forget):
    """δ_cell(t, s) = dC/dh(t) · o(t) (1 − tanh² c(t)) · Π f(r) · i(s) (1 − g(s)²), all of it."""
    rng, steps = np.random.default_rng(5), 100
    gates = {gate: rng.uniform(0.1, 1, steps) for gate in ("input", "forget", "output")}
    if forget != "random":
        gates["forget"] = np.full(steps, forget)
    gmap, pull, c, g = cell_path(gates)
    i, f, o = gates.values()
    log_forgotten = np.concatenate([[0], np.cumsum(np.log(f))])
    t, u = np.tril_indices(steps)
    s = t - u
    local = np.log(np.abs(pull * o / np.cosh(c) ** 2))[t] + np.log(i * (1 - g**2))[s]
    measured = gmap.log_terms("bias_hh", "cell")[t, u]
    np.testing.assert_allclose(measured - local, (log_forgotten[t + 1] - log_forgotten[s + 1]), atol=1e-8)


def test_the_truncated_output_gate_keeps_only_lag_zero(float64):
    """With learned gates the input and cell rows reach back; the output gate acts on its own step alone."""
    gmap = cell_path({})[0]
    for weight in ("weight_ih", "bias_hh"):
        own = gmap.log_terms(weight, "output")
        assert np.isfinite(own[:, 0]).all()
        assert np.isneginf(own[:, 1:]).all()
        for gate in ("input", "cell"):
            assert np.isfinite(gmap.log_terms(weight, gate)[np.tril_indices(100)]).all()


def test_without_recurrent_weights_the_cell_path_is_all_there_is():
    weights = normal_layer("lstm", 8, 3, 0, gain=0.0, forget_bias=1.0)
    arrays = list(noise(40, 8, 3, 0))
    full, path = (gf.gradient_map("lstm", weights, *arrays, cell_path_only=only) for only in (False, True))
    for weight in gf.Weights._fields:
        np.testing.assert_allclose(path.log_terms(weight), full.log_terms(weight), atol=1e-5)


@pytest.mark.parametrize(("bias", "memory", "hundred"), [(0, 2, 7.9e-31), (1, 3.72, 2.5e-14), (5, 149, 0.511)])
def test_the_forget_bias_sets_the_memory(bias, memory, hundred):
    """A gate left to itself rests at f = σ(b): f^100 is left after 100 steps, and Σ f^u → 1/(1 − f)."""
    steps = 2000
    weights = gf.Weights(*map(np.float32, (np.zeros((4, 1)), np.zeros((4, 1)), [0, bias, 0.1, 0], np.zeros(4))))
    arrays = np.zeros((steps, 1), np.float32), np.ones(1, np.float32), np.full(steps, -1, np.float32)
    lags = gf.lag_terms("lstm", weights, *arrays, steps - 1)
    log_terms = lags.log_terms("bias_ih", "cell") - lags.log_terms("bias_ih", "cell")[0]
    np.testing.assert_allclose(np.exp(log_terms[100]), hundred, rtol=2e-2)
    sums = lags.log_partial_sums("bias_ih", "cell") - lags.log_terms("bias_ih", "cell")[0]
    np.testing.assert_allclose(np.exp(sums[-1]), memory, rtol=5e-3)


# a write gate that opens every twelve steps


K, PERIODS = 12, 8


def writes():
    now = np.arange(K * PERIODS) % K == 0
    return {"input": np.where(now, 1.0, 0.0), "forget": np.where(now, 0.0, 1.0), "output": np.ones(K * PERIODS)}


@pytest.fixture(scope="module")
def written():
    """{cell_path_only: map} of an LSTM that takes in one input of every twelve."""
    weights, arrays = normal_layer("lstm", 8, 3, 1), list(noise(K * PERIODS, 8, 3, 1))
    return {
        only: gf.gradient_map("lstm", weights, *arrays, pins=writes(), cell_path_only=only) for only in (False, True)
    }


@pytest.mark.parametrize("weight", ["bias_hh", "weight_ih"])
def test_just_before_a_write_ten_inputs_are_ignored_and_lag_eleven_carries_everything(written, weight):
    log_terms = written[True].log_terms(weight, "cell")
    before = np.arange(2 * K - 1, K * PERIODS, K)
    assert np.isneginf(log_terms[before, :11]).all()
    assert np.isfinite(log_terms[before, 11]).all()
    assert np.isneginf(log_terms[before + 1 - K, 11]).all()  # a write has come


def test_on_the_cell_path_only_the_last_write_is_left(written):
    t, u = np.tril_indices(K * PERIODS)
    for weight in ("bias_hh", "weight_ih"):
        np.testing.assert_array_equal(np.isfinite(written[True].log_terms(weight, "cell")[t, u]), u == t % K)


def test_on_the_cell_path_a_write_is_not_forgotten_at_all(float64):
    """dc(t)/dc(s) = 1 from the write on: what is left after the local factors has no trend."""
    gmap, pull, c, g = cell_path(writes(), K * PERIODS)
    t = np.arange(K * PERIODS)
    last = t - t % K
    local = np.log(np.abs(pull / np.cosh(c) ** 2)) + np.log(1 - g[last] ** 2)
    np.testing.assert_allclose(gmap.log_terms("bias_hh", "cell")[t, t % K], local, atol=1e-8)


@pytest.mark.parametrize(("weight", "first"), [("bias_hh", 0), ("weight_ih", 0), ("weight_hh", 1)])
def test_on_the_cell_path_the_mean_share_is_even_up_to_lag_eleven_and_then_zero(written, weight, first):
    """Over whole periods; weight_hh sees no state at the very first write, so its first period is skipped."""
    terms = np.exp(written[True].log_terms(weight, "cell")[first * K :])
    share = (terms / terms.sum(1, keepdims=True)).mean(0)
    np.testing.assert_allclose(share[:K], 1 / K, rtol=1e-12)
    np.testing.assert_array_equal(share[K:], 0)


def test_on_the_full_path_earlier_writes_reappear_smaller(written):
    log_terms = written[False].log_terms("bias_hh", "cell")
    t, u = np.tril_indices(K * PERIODS)
    np.testing.assert_array_equal(np.isfinite(log_terms[t, u]), (t - u) % K == 0)
    rows = np.arange(3 * K, K * PERIODS)
    last, previous = log_terms[rows, rows % K], log_terms[rows, rows % K + K]
    assert np.median(previous - last) < 0


# what an LSTM or a GRU does at initialisation, and with large recurrent weights


@pytest.mark.parametrize(("cell", "gain", "low", "high"), [
    ("lstm", 1, 0.80, 0.86),
    ("lstm", 8, 1.04, 1.24),
    ("lstm", 12, 1.2, 1.6),
    ("gru", 1, 0.63, 0.67),
    ("gru", 6, 1.14, 1.29),
])  # fmt: skip
def test_gated_cells_vanish_at_gain_one_and_explode_at_large_gains(cell, gain, low, high):
    """Median factor per step over eight seeds (n = 16, T = 80, inputs N(0, 1), forget bias 1)."""
    factors = []
    for seed in range(8):
        weights = normal_layer(cell, 16, 4, seed, gain=gain, forget_bias=1.0)
        lags = gf.lag_terms(cell, weights, *noise(80, 16, 4, seed), 79)
        factors.append(factor_per_step(lags.log_terms()))
    assert low - 0.03 < np.median(factors) < high + 0.03
