"""Magnitudes far outside float32, measured in float32: vanishing, exploding, saturated, zero, overflowing."""

import numpy as np
import pytest

import gradflow as gf
from support import oracle
from support.plain_network import Network
from support.problems import log_geometric, unit

pytestmark = pytest.mark.slow

STEPS = 256


def impulse(steps, size=1.0):
    return np.float32(size) * (np.arange(steps) == 0)[:, None]


# one linear unit: the term at lag u is w^u, the sum is geometric


@pytest.mark.parametrize("w", [1e-30, 0.2, 0.9, -0.9, 1.0, 1.1, 3.0, -3.0, 1e30])
class TestLinearUnit:
    """Down to 1e-7650 and up to 1e+7650: no working precision holds these numbers."""

    def test_terms(self, w):
        log_terms = gf.gradient_map(*unit(w)).log_terms("bias_hh")
        t, u = np.tril_indices(STEPS)
        np.testing.assert_allclose(log_terms[t, u], u * np.log(abs(np.float32(w)).astype(float)), atol=1e-4)

    def test_sums(self, w):
        log_sums = gf.gradient_map(*unit(w)).log_sums("bias_hh")
        np.testing.assert_allclose(log_sums, log_geometric(float(np.float32(w)), np.arange(1, STEPS + 1)), atol=1e-4)

    def test_one_time(self, w):
        lags = gf.lag_terms(*unit(w), STEPS - 1)
        u = np.arange(STEPS)
        np.testing.assert_allclose(lags.log_terms("bias_hh"), u * np.log(float(abs(np.float32(w)))), atol=1e-4)
        sums = log_geometric(float(np.float32(w)), u + 1)
        np.testing.assert_allclose(lags.log_partial_sums("bias_hh"), sums, atol=1e-4)
        sign, log = lags.entry("bias_hh", 0)
        np.testing.assert_array_equal(sign, np.sign(w) ** u)
        np.testing.assert_allclose(log, u * np.log(float(abs(np.float32(w)))), atol=1e-4)

    def test_what_multiplies_zero_is_an_exact_zero(self, w):
        """The unit never leaves 0 and sees no input, so weight_hh and weight_ih have no gradient at all."""
        gmap, lags = gf.gradient_map(*unit(w)), gf.lag_terms(*unit(w), STEPS - 1)
        for weight in ("weight_hh", "weight_ih"):
            assert np.isneginf(gmap.log_terms(weight)).all()
            assert np.isneginf(gmap.log_sums(weight)).all()
            assert np.isneginf(lags.log_partial_sums(weight)).all()
            sign, log = lags.entry(weight, 0, 0)
            assert (sign == 0).all()
            assert np.isneginf(log).all()


def test_the_extremes_are_where_they_should_be():
    far = [gf.gradient_map(*unit(w)).log_terms("bias_hh")[-1, -1] / np.log(10) for w in (0.2, 3.0)]
    assert round(far[0]) == -178
    assert int(far[1]) == 121


@pytest.mark.parametrize("w", [0.9, 1.0, 1.1])
def test_an_impulse_is_carried_by_weight_hh_equally_at_every_lag(w):
    """With x only at the start h(s) = x₀ w^s: the term of weight_hh at any lag u < t is x₀ w^(t−1) dC/dh."""
    steps, size, target = 60, 0.5, -1.0
    arrays = unit(w, inputs=impulse(steps, size), target=target)
    gmap = gf.gradient_map(*arrays)
    log_w, t = np.log(float(np.float32(w))), np.arange(1, steps)
    residual = size * np.exp(log_w * t) - target
    expected = np.log(size) + (t - 1) * log_w + np.log(residual)
    log_terms = gmap.log_terms("weight_hh")
    for row in t:
        np.testing.assert_allclose(log_terms[row, :row], expected[row - 1], atol=1e-4)
        assert np.isneginf(log_terms[row, row])
    np.testing.assert_allclose(gmap.log_sums("weight_hh")[1:], expected + np.log(t), atol=1e-4)


@pytest.mark.parametrize("size", [1e-25, 1e-15, 1e15, 1e25])
def test_a_cost_of_any_size_has_gradients(size):
    """Readout and residual may each be a float32 and their product, dC/dh, may not."""
    cell, weights, inputs, readout, targets = unit(0.5, 20)
    gmap = gf.gradient_map(cell, weights, inputs, np.float32(size) * readout, np.float32(size) * targets)
    t, u = np.tril_indices(20)
    expected = 2 * np.log(size) - u * np.log(2)
    np.testing.assert_allclose(gmap.log_terms("bias_hh")[t, u], expected, atol=1e-4)
    np.testing.assert_allclose(
        gmap.log_sums("bias_hh"), 2 * np.log(size) + log_geometric(0.5, np.arange(1, 21)), atol=1e-4
    )


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_a_state_of_any_size_has_gradients(size):
    """A norm squares, and so must not: x₀ = 1e±30 is carried by w = 1."""
    gmap = gf.gradient_map(*unit(1.0, 20, inputs=impulse(20, size)))
    log_term = np.log(size) + np.log(size + 1)
    t = np.arange(1, 20)
    np.testing.assert_allclose(gmap.log_terms("weight_ih")[t, t], log_term, atol=1e-4)
    np.testing.assert_allclose(gmap.log_sums("weight_ih"), log_term, atol=1e-4)
    np.testing.assert_allclose(gmap.log_sums("weight_hh")[1:], log_term + np.log(t), atol=1e-4)


def test_a_wide_layer_explodes_and_vanishes_within_one_row():
    """W_hh = diag(3, 0.2): the terms of two units grow and fade side by side; neither disturbs the other."""
    weights = gf.Weights(*map(np.float32, ([[0], [0]], np.diag([3, 0.2]), [0, 0], [0, 0])))
    lags = gf.lag_terms(
        "rnn-linear", weights, np.zeros((STEPS, 1), np.float32), np.float32([1, 1]), np.full(STEPS, -1, np.float32), 60
    )
    u = np.arange(61)
    np.testing.assert_allclose(lags.entry("bias_hh", 0)[1], u * np.log(3), atol=1e-4)
    np.testing.assert_allclose(lags.log_terms("bias_hh"), u * np.log(3) + np.log1p((0.2 / 3) ** (2 * u)) / 2, atol=1e-4)


def test_dead_units_leave_exact_zeros():
    """relu′(z) = 0 for z ≤ 0, at z = 0 too."""
    for bias in (-1.0, 0.0):
        gmap = gf.gradient_map(*unit(0.9, 20, cell="rnn-relu", bias=bias))
        assert np.isneginf(gmap.log_terms("all")).all()
        assert np.isneginf(gmap.log_sums("all")).all()


# saturation


@pytest.mark.parametrize("z", [30.0, 80.0])
def test_a_saturated_sigmoid_still_has_a_derivative(z):
    """σ′(z) = e^−z to rounding, where σ(1−σ) in float32 is 0; lag u multiplies u + 1 of them."""
    arrays = unit(0.5, 5, cell="rnn-sigmoid", bias=z)
    log_terms = gf.gradient_map(*arrays).log_terms("bias_hh")
    slopes = -z - np.array([0, 0.5, 0.5, 0.5, 0.5])  # h is 0 before the first step and 1 after it
    for t in range(5):
        expected = np.log(2) + slopes[: t + 1][::-1].cumsum() + np.arange(t + 1) * np.log(0.5)
        np.testing.assert_allclose(log_terms[t, : t + 1], expected, atol=1e-4)


@pytest.mark.parametrize("z", [12.0, -12.0, 20.0, 40.0])
def test_a_saturated_tanh_still_has_a_derivative(z):
    """1 − tanh² z = 4 e^−2|z| to rounding, where 1 − tanh² in float32 is 0 from |z| = 8."""
    log_terms = gf.gradient_map(*unit(0.5, 1, cell="rnn-tanh", bias=z, target=-3.0)).log_terms("bias_ih")
    np.testing.assert_allclose(log_terms[0, 0], np.log(3 + np.sign(z)) + np.log(4) - 2 * abs(z), atol=1e-4)


def constant_lstm(steps, *, i=0.0, f=0.0, g=0.0, o=0.0):
    """One unit whose pre-activations are the given constants: every weight is 0 but the biases."""
    weights = gf.Weights(*map(np.float32, (np.zeros((4, 1)), np.zeros((4, 1)), [i, f, g, o], np.zeros(4))))
    return ("lstm", weights, np.zeros((steps, 1), np.float32), np.ones(1, np.float32), np.full(steps, -1, np.float32))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def constant_lstm_states(steps, i, f, g, o):
    """(c before each step, c after it, dC/dh · dh/dc), in float64."""
    c = np.zeros(steps + 1)
    for s in range(steps):
        c[s + 1] = sigmoid(f) * c[s] + sigmoid(i) * np.tanh(g)
    pull = (sigmoid(o) * np.tanh(c[1:]) + 1) * sigmoid(o) / np.cosh(c[1:]) ** 2
    return c[:-1], c[1:], pull


@pytest.mark.parametrize("gate", ["input", "forget", "cell", "output"])
@pytest.mark.parametrize("z", [30.0, -30.0])
def test_saturated_lstm_gates_still_have_derivatives(gate, z):
    pre = {"input": 0.3, "forget": 1.0, "cell": 0.5, "output": -0.2} | {gate: z}
    i, f, g, o = pre.values()
    steps = 6
    before, after, pull = constant_lstm_states(steps, i, f, g, o)
    slope = {
        "input": sigmoid(i) * sigmoid(-i) * np.tanh(g) * np.ones(steps),
        "forget": sigmoid(f) * sigmoid(-f) * before,
        "cell": sigmoid(i) / np.cosh(g) ** 2 * np.ones(steps),
    }
    log_terms = gf.gradient_map(*constant_lstm(steps, i=i, f=f, g=g, o=o)).log_terms
    for row, local in slope.items():
        for t in range(steps):
            u = np.arange(t + 1)
            with np.errstate(divide="ignore"):
                expected = np.log(np.abs(pull[t] * sigmoid(f) ** u * local[t - u]))
            np.testing.assert_allclose(log_terms("bias_ih", row)[t, : t + 1], expected, atol=1e-3)
    own = np.log((sigmoid(o) * np.tanh(after) + 1) * np.abs(np.tanh(after)) * sigmoid(o) * sigmoid(-o))
    np.testing.assert_allclose(log_terms("bias_ih", "output")[:, 0], own, atol=1e-3)
    assert np.isneginf(log_terms("bias_ih", "output")[:, 1:]).all()


def test_a_full_memory_still_has_a_derivative():
    """All gates open, c grows by 1 a step: 1 − tanh² c ≈ 4 e^−2c long after float32 rounds it to 0.

    The only learned gate is the forget gate of step 5, σ(0) = ½, so that c(5) = ½ · 5 + 1.
    """
    steps = 30
    forget = np.where(np.arange(steps) == 5, np.nan, 1.0)
    pins = {"input": 1.0, "forget": forget, "output": 1.0}
    log_terms = gf.gradient_map(*constant_lstm(steps, g=50.0), pins=pins).log_terms("bias_ih", "forget")
    t = np.arange(5, steps)
    c = 3.5 + t - 5
    expected = np.log(np.tanh(c) + 1) - 2 * np.log(np.cosh(c)) + np.log(5 * 0.25)
    np.testing.assert_allclose(log_terms[t, t - 5], expected, atol=1e-3)
    log_terms[t, t - 5] = -np.inf
    assert np.isneginf(log_terms).all()


@pytest.mark.parametrize("z", [30.0, -30.0])
def test_a_saturated_gru_still_writes(z):
    """Update gate σ(z): the new state enters with 1 − σ(z) = σ(−z), which float32 rounds to 0 at z = 30."""
    steps, new = 4, 0.5
    weights = gf.Weights(*map(np.float32, (np.zeros((3, 1)), np.zeros((3, 1)), [0, z, new], np.zeros(3))))
    _, _, *arrays = unit(0.0, steps)
    gmap = gf.gradient_map("gru", weights, *arrays, carry=(np.float32([0.25]),))
    keep, write = sigmoid(z), sigmoid(-z)
    h = [0.25]
    for _ in range(steps):
        h.append(write * np.tanh(new) + keep * h[-1])
    h = np.array(h)
    for t in range(steps):
        u = np.arange(t + 1)
        pull = (h[t + 1] + 1) * keep**u
        log_new = np.log(pull * write / np.cosh(new) ** 2)
        log_update = np.log(np.abs(pull * keep * write * (h[t - u] - np.tanh(new))))
        np.testing.assert_allclose(gmap.log_terms("bias_ih", "new")[t, : t + 1], log_new, atol=1e-3)
        away = np.abs(h[t - u] - np.tanh(new)) > 1e-12  # h − new cancels once the new state is reached
        np.testing.assert_allclose(gmap.log_terms("bias_ih", "update")[t, : t + 1][away], log_update[away], atol=1e-3)


def test_what_is_left_of_a_gru_between_its_state_and_the_new_one():
    """h(s) − new = (h(−1) − new) z^{s+1} with z = ½, down to 1e-10: float32 has none of it from step 24 on."""
    steps, new, z = 32, np.tanh(1.25), 0.5
    weights = gf.Weights(*map(np.float32, (np.zeros((3, 1)), np.zeros((3, 1)), [0, 0, 1.25], np.zeros(3))))
    _, _, *arrays = unit(0.0, steps)
    log_terms = gf.gradient_map("gru", weights, *arrays).log_terms("bias_ih", "update")
    t, u = np.tril_indices(steps)
    log_pull = np.log(1 + new - new * z ** (t + 1)) + u * np.log(z)
    expected = log_pull + np.log(z * (1 - z) * new) + (t - u) * np.log(z)
    np.testing.assert_allclose(log_terms[t, u], expected, atol=1e-5)


def growing_cell(steps, path):
    """(the arguments of a map, log of dC/dc(t)): one unit, all gates open, c(s) = s + 1; its tanh′ is 1e-86 at 100.

    The forget gate is learned at step 1 alone, σ(0) = ½, so that c(s) = s + ½ from there on.
    """
    pins = {"input": 1.0, "forget": np.where(np.arange(steps) == 1, np.nan, 1.0), "output": 1.0}
    c = np.arange(steps) + np.where(np.arange(steps) == 0, 1, 0.5)
    log_sech2 = np.log(4) - 2 * c - 2 * np.log1p(np.exp(-2 * c))
    return (constant_lstm(steps, g=50.0), {"pins": pins, "cell_path_only": path}), np.log(np.tanh(c) + 1) + log_sech2


def test_a_derivative_beneath_the_range_of_float32_on_the_cell_path():
    (problem, options), log_pull = growing_cell(100, path=True)
    gmap, t = gf.gradient_map(*problem, **options), np.arange(1, 100)
    expected = log_pull[t] + np.log(0.25)
    np.testing.assert_allclose(gmap.log_terms("bias_ih", "forget")[t, t - 1], expected, atol=1e-4)
    np.testing.assert_allclose(gmap.log_sums("bias_ih", "forget")[t], expected, atol=1e-4)


@pytest.mark.parametrize("path", [True, False])
def test_a_derivative_beneath_the_range_of_float32_at_one_time(path):
    (problem, options), log_pull = growing_cell(100, path)
    for t in (20, 60, 99):
        log_terms = gf.lag_terms(*problem, t, **options).log_terms("bias_ih", "forget")
        assert log_terms[t - 1] == pytest.approx(log_pull[t] + np.log(0.25), abs=1e-4)
        assert np.isneginf(np.delete(log_terms, t - 1)).all()


def test_a_gate_whose_delta_is_far_beneath_the_others():
    """Of the cell's gradient, W_hh hands 1e-20 to h; of that the output gate, σ(−60) at even steps, passes 1e-26."""
    problem = list(constant_lstm(12, i=1.0, f=3.0, g=0.5, o=-60.0))
    problem[1] = problem[1]._replace(weight_hh=np.full((4, 1), 1e-20, np.float32))
    options = {"pins": {"output": np.where(np.arange(12) % 2, 1, np.nan)}}
    gmap, network = gf.gradient_map(*problem, **options), Network(*problem, **options)
    t, u = np.tril_indices(12)
    odd = t % 2 == 1
    for weight in ("bias_hh", "weight_hh"):
        _, expected, expected_sums = network.measure(np.arange(12), weight, "output")
        np.testing.assert_allclose(gmap.log_terms(weight, "output")[t, u][odd], expected[t, t - u][odd], atol=1e-4)
        np.testing.assert_allclose(gmap.log_sums(weight, "output")[1::2], expected_sums[1::2], atol=1e-4)


# overflow


def test_overflow_is_reported_and_stays_where_it_happens():
    """h(s) = 4^s leaves float32 at s = 64; every row before it is the row of the run cut before it."""
    gmap = gf.gradient_map(*unit(4.0, 80, inputs=impulse(80)))
    assert gmap.overflow == 64
    for weight in ("weight_hh", "bias_hh", "all"):
        log_terms, log_sums = gmap.log_terms(weight), gmap.log_sums(weight)
        assert np.isnan(log_terms[64:][np.tril_indices(16, 0, 80)]).all()
        assert np.isnan(log_sums[64:]).all()
        cut = gf.gradient_map(*unit(4.0, 64, inputs=impulse(64)))
        assert cut.overflow is None
        np.testing.assert_array_equal(log_terms[:64, :64], cut.log_terms(weight))
        np.testing.assert_array_equal(log_sums[:64], cut.log_sums(weight))
        np.testing.assert_array_equal(gmap.cost[:64], cut.cost)


def test_a_cost_may_be_infinite_long_before_the_state_is():
    """½ h² leaves float32 at h = 2^64, s = 32; dC/dh = h + 1 and all terms are still there."""
    gmap = gf.gradient_map(*unit(4.0, 80, inputs=impulse(80)))
    h = 4.0 ** np.arange(64)
    assert np.isinf(gmap.cost[33:64]).all()
    np.testing.assert_allclose(gmap.cost[:32], (h[:32] + 1) ** 2 / 2, rtol=1e-6)
    t, u = np.tril_indices(64)
    np.testing.assert_allclose(gmap.log_terms("bias_hh")[t, u], np.log(h + 1)[t] + u * np.log(4), atol=1e-4)


@pytest.mark.parametrize("cell", ["rnn-linear", "rnn-relu", "lstm", "gru"])
def test_what_happens_later_does_not_reach_earlier_rows(cell):
    """An input that overflows the pre-activation at step 20 changes no earlier row by a single bit."""
    weights, inputs, readout, targets = (
        gf.Weights(*map(np.float32, part)) if isinstance(part, tuple) else np.float32(part)
        for part in oracle.draw(cell, 40, hidden=4)
    )
    weights = weights._replace(weight_ih=4 * np.sign(weights.weight_ih))
    bomb = inputs.copy()
    bomb[20:] = 2e38
    calm, loud = (gf.gradient_map(cell, weights, x, readout, targets) for x in (inputs, bomb))
    assert calm.overflow is None
    assert loud.overflow == 20
    for weight in ("weight_hh", "weight_ih", "all"):
        np.testing.assert_array_equal(loud.log_terms(weight)[:20], calm.log_terms(weight)[:20])
        np.testing.assert_array_equal(loud.log_sums(weight)[:20], calm.log_sums(weight)[:20])
    np.testing.assert_array_equal(loud.cost[:20], calm.cost[:20])
    before = gf.lag_terms(cell, weights, bomb, readout, targets, 19)
    assert np.isfinite(before.log_terms("bias_ih")[:10]).all() or cell == "rnn-relu"
    np.testing.assert_allclose(before.log_terms("all"), calm.log_terms("all")[19, :20], atol=1e-4)


def test_a_pre_activation_counts_even_where_the_state_hides_it():
    """tanh(inf) = 1: the state stays finite, the pre-activation does not."""
    weights = gf.Weights(*map(np.float32, (np.ones((4, 1)), np.full((4, 4), 3e38), np.zeros(4), np.zeros(4))))
    gmap = gf.gradient_map(
        "rnn-tanh", weights, np.ones((6, 1), np.float32), np.ones(4, np.float32), np.zeros(6, np.float32)
    )
    assert gmap.overflow == 1
    assert np.isfinite(gmap.log_terms("bias_hh")[0, 0])
    assert np.isnan(gmap.log_terms("bias_hh")[1:][np.tril_indices(5, 0, 6)]).all()


def test_overflow_at_the_first_step_leaves_nothing():
    gmap = gf.gradient_map(*unit(1.0, 5, inputs=np.full((5, 1), 3e38), bias=3e38))
    assert gmap.overflow == 0
    assert np.isnan(gmap.log_sums("bias_hh")).all()


def test_double_precision_overflows_much_later(float64):
    cell, weights, *arrays = unit(4.0, 80, inputs=impulse(80))
    gmap = gf.gradient_map(cell, gf.Weights(*(field.astype(float) for field in weights)), *arrays)
    assert gmap.overflow is None
    assert np.isfinite(gmap.cost).all()


@pytest.mark.parametrize("horizon", [60, 100])
def test_a_zero_factor_does_not_hide_the_terms_beside_it(horizon):
    """An impulse into a linear unit, w = 0.2: one term of weight_ih a time, 0.2^t, beside factors x(s) = 0; and
    terms of weight_hh that are all x₀ 0.2^{t−1}, beside states that underflowed to zero at step 55."""
    one = np.ones(1, np.float32)
    weights = gf.Weights(one[:, None], np.float32([[0.2]]), 0 * one, 0 * one)
    impulse = np.eye(horizon, 1, dtype=np.float32)
    gmap = gf.gradient_map("rnn-linear", weights, impulse, one, np.full(horizon, 2, np.float32))
    t = np.arange(1, horizon)
    lead = gmap.log_residual[1:] + (t - 1) * np.log(0.2)
    assert gmap.underflow == 55
    np.testing.assert_allclose(gmap.log_sums("weight_ih")[1:], lead + np.log(0.2), atol=1e-3)
    np.testing.assert_allclose(gmap.log_sums("weight_hh")[1:], lead + np.log(np.minimum(t, 55)), atol=1e-3)
    partial = gf.lag_terms(
        "rnn-linear", weights, impulse, one, np.full(horizon, 2, np.float32), horizon - 1
    ).log_partial_sums("weight_hh")
    assert partial[-1] == pytest.approx(gmap.log_sums("weight_hh")[-1], abs=1e-3)
