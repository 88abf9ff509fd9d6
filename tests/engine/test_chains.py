"""The chains beside the terms (the two factors, dh(t)/dh(t−u), dC(t)/dx(t−u)), the largest entry, and plain arithmetic.

The oracle is the plain forward pass of `oracle`, differentiated in float64; beyond float64 it is a closed form.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradflow as gf
from support import oracle
from support.problems import (
    EXPLODING,
    FEW_CASES,
    LONG,
    TIME,
    WEIGHTS,
    assert_logs,
    double,
    every_cell,
    every_few,
    explode,
    follow,
    kept,
    problem,
    rows,
    solve,
    unit,
)

pytestmark = pytest.mark.slow

# the two factors of a term


@double
@every_few
def test_the_factors_add_up_to_the_terms(cell, variant):
    lags = follow(cell, variant, TIME)
    for weight in gf.Weights._fields:
        for gate in rows(cell):
            delta, other = lags.log_factors(weight, gate)
            assert delta.dtype == other.dtype == np.float64
            assert_logs(delta + other, lags.log_terms(weight, gate))


@double
@every_cell
def test_the_other_factor_is_what_the_weight_multiplies(cell):
    """x(s), 1, and h(s−1), which is zero at the start."""
    arrays, lags = problem(cell, "plain")[0], follow(cell, "plain", TIME)
    weights, inputs, _, _, pins, carry = oracle.plain(cell, *arrays)
    before = []
    for s in range(TIME + 1):
        before.append(carry[0])
        w, x, pin = jax.tree.map(lambda leaf, s=s: leaf[s], (weights, inputs, pins))
        carry = oracle.step(np, cell, w.weight_ih @ x + w.bias_ih, w.weight_hh @ carry[0] + w.bias_hh, carry, pin)
    assert_logs(lags.log_factors("weight_ih")[1], oracle.log_norm(inputs)[TIME::-1])
    assert_logs(lags.log_factors("bias_ih")[1], np.zeros(TIME + 1))
    assert_logs(lags.log_factors("weight_hh")[1], oracle.log_norm(np.stack(before))[::-1])


# dh(t)/d carry(t−u)


@cache
def state_jacobian(cell, truncate):
    """h(t) by what is added to every state at s, the others held: one [n, T, n] a state."""

    def one(carry, now):
        added, w, x, pins = now
        h = jax.lax.stop_gradient(carry[0]) if truncate else carry[0]
        h, *others = oracle.step(jnp, cell, w.weight_ih @ x + w.bias_ih, w.weight_hh @ h + w.bias_hh, carry, pins)
        return tuple(state + more for state, more in zip((h, *others), added, strict=True)), None

    def state(added, carry, *steps):
        return jax.lax.scan(one, carry, (added, *steps))[0][0]

    return jax.jit(jax.jacrev(state))


@double
@every_few
def test_state_sensitivity(cell, variant):
    arrays, options = problem(cell, variant)
    truncate = options.pop("cell_path_only", False)
    weights, inputs, readout, _, pins, carry = oracle.plain(cell, *arrays, **options)
    for t in (TIME, 3):
        past = jax.tree.map(lambda leaf, t=t: leaf[: t + 1], (weights, inputs, pins))
        nothing = tuple(np.zeros((t + 1, readout.shape[-1])) for _ in carry)
        by_step = np.moveaxis(np.concatenate(state_jacobian(cell, truncate)(nothing, carry, *past), axis=-1), 1, 0)
        log = follow(cell, variant, t).log_state_sensitivity()
        assert_logs(log, oracle.log_norm(by_step.reshape(t + 1, -1)[::-1]))
        assert log[0] == pytest.approx(np.log(3) / 2)


@pytest.mark.parametrize("cell", EXPLODING)
def test_a_state_sensitivity_of_any_size(cell):
    """From the fixed points up to 1e+52 and more."""
    positional, options = explode(cell)
    first, factor = EXPLODING[cell][3:]
    log = gf.lag_terms(*positional, 110, **options).log_state_sensitivity()
    assert log[0] == 0
    np.testing.assert_allclose(log[1:], np.log(first) + np.arange(110) * np.log(factor), atol=1e-3)


@pytest.mark.parametrize("w", [1e-30, 0.2, -0.5, 1.0, 3.0, -3.0, 1e30])
def test_a_linear_unit_remembers_by_powers_of_its_weight(w):
    """dh(t)/dh(t−u) = w^u, far beyond 1e-80 and 1e+80, whatever the state and the cost are."""
    lags = gf.lag_terms(*unit(w, 256), 255)
    log_w = np.log(float(abs(np.float32(w))))
    np.testing.assert_allclose(lags.log_state_sensitivity(), np.arange(256) * log_w, atol=1e-3)
    np.testing.assert_allclose(lags.log_input_sensitivity(), np.arange(256) * log_w, atol=1e-3)


def test_one_unit_that_explodes_does_not_hide_one_that_vanishes():
    weights = gf.Weights(*map(np.float32, ([[0], [0]], np.diag([3, 0.2]), [0, 0], [0, 0])))
    _, _, inputs, _, targets = unit(1.0, 256)
    lags = gf.lag_terms("rnn-linear", weights, inputs, np.float32([1, 1]), targets, 255)
    u = np.arange(256)
    expected = u * np.log(3) + np.log1p((0.2 / 3) ** (2 * u)) / 2
    np.testing.assert_allclose(lags.log_state_sensitivity(), expected, atol=1e-3)
    assert np.isneginf(lags.log_input_sensitivity()).all()  # W_ih = 0


# dC(t)/dx(t−u)


@cache
def input_gradient(cell, truncate):
    cost = lambda inputs, weights, *rest: oracle.costs(jnp, cell, truncate, weights, inputs, *rest)[TIME]
    return jax.jit(jax.grad(cost))


@double
@every_few
def test_input_sensitivity(cell, variant):
    arrays, options = problem(cell, variant)
    truncate = options.pop("cell_path_only", False)
    weights, inputs, *rest = oracle.plain(cell, *arrays, **options)
    gradient = np.asarray(input_gradient(cell, truncate)(inputs, weights, *rest))
    assert_logs(follow(cell, variant, TIME).log_input_sensitivity(), oracle.log_norm(gradient[TIME::-1]))


# the largest entry of the sum


@double
@every_few
def test_largest_entry(cell, variant):
    """Of the gradient of the shared weight; one copy a step is one shared change of all of them."""
    arrays, options = problem(cell, variant)
    truncate = options.pop("cell_path_only", False)
    copies, *rest = oracle.plain(cell, *arrays, **options)
    shared = gf.Weights(*(np.zeros(field.shape[1:]) for field in copies))
    gradient = shared_gradient(cell, truncate)(shared, copies, *rest)
    lags, gates, n = follow(cell, variant, TIME), gf.CELLS[cell].gates, arrays[2].shape[-1]
    for field, matrix in gradient._asdict().items():
        size = np.abs(np.asarray(matrix)).reshape(len(matrix), -1)
        for gate in rows(cell):
            first = 0 if gate is None else gates.index(gate) * n
            block = size if gate is None else size[first : first + n]
            row, col = np.unravel_index(np.argmax(block), block.shape)
            assert lags.largest_entry(field, gate) == (first + row, col if matrix.ndim == 2 else None)


@cache
def shared_gradient(cell, truncate):
    def cost(shared, copies, *rest):
        return oracle.costs(jnp, cell, truncate, jax.tree.map(lambda a, b: a[None] + b, shared, copies), *rest)[TIME]

    return jax.jit(jax.grad(cost))


def test_the_largest_entry_may_be_of_any_size():
    """Sums of 1e+121, 1e+121 and 1e-178 beside 1 / (1 − 0.2)."""
    for diagonal, expected in (([3, 0.2], 0), ([0.2, 3], 1), ([-3, -3.5], 1)):
        weights = gf.Weights(*map(np.float32, ([[0], [0]], np.diag(diagonal), [0, 0], [0, 0])))
        _, _, inputs, _, targets = unit(1.0, 256)
        lags = gf.lag_terms("rnn-linear", weights, inputs, np.float32([1, 1]), targets, 255)
        assert lags.largest_entry("bias_hh") == (expected, None)
        assert lags.largest_entry("weight_hh") == (0, 0)  # the state is zero


@double
def test_without_any_gradient_the_largest_entry_is_the_first():
    masked = follow("lstm", "masked target", 4)
    assert masked.largest_entry("weight_ih") == (0, 0)
    assert masked.largest_entry("weight_ih", "cell") == (6, 0)
    assert masked.largest_entry("bias_hh", "output") == (9, None)


# plain arithmetic


@double
@pytest.mark.parametrize(("cell", "variant"), FEW_CASES[-3:])
def test_plain_arithmetic_is_right_within_its_range(cell, variant):
    gmap, lags = solve(cell, variant)[0], follow(cell, variant, TIME)
    for weight in WEIGHTS:
        for gate in rows(cell):
            terms = gmap.unscaled_terms(weight, gate)
            assert terms.dtype == np.float64
            near = {"rtol": 1e-9, "atol": 1e-300}
            np.testing.assert_allclose(terms, np.exp(gmap.log_terms(weight, gate)), **near)
            np.testing.assert_allclose(lags.unscaled_terms(weight, gate), terms[TIME, : TIME + 1], **near)
            sums = np.exp(lags.log_partial_sums(weight, gate))
            np.testing.assert_allclose(lags.unscaled_partial_sums(weight, gate), sums, **near)


FADING = [cell for cell in gf.CELLS if kept(cell, 0.5) ** (LONG[0] - 20) < 1e-21]  # what a state can lose in time


@pytest.mark.parametrize("cell", FADING)
def test_plain_arithmetic_loses_what_vanishes(cell):
    """In float32 a term below 1e-19 is exactly 0, since its square is; the logarithm has it."""
    arrays = jax.tree.map(lambda array: np.abs(array).astype(np.float32), oracle.draw(cell, *LONG))  # no relu is shut
    arrays = (arrays[0]._replace(weight_hh=arrays[0].weight_hh * np.float32(0.02)), *arrays[1:])
    keep = gf.CELLS[cell].keep_gate
    pins = {keep: 0.5} if keep else None
    gmap, lags = gf.gradient_map(cell, *arrays, pins=pins), gf.lag_terms(cell, *arrays, 119, pins=pins)
    for weight in WEIGHTS:
        if weight in gf.CELLS[cell].unused:
            continue
        for gate in rows(cell):
            log, plain = gmap.log_terms(weight, gate)[119], gmap.unscaled_terms(weight, gate)[119]
            large, small = log > np.log(1e-17), log < np.log(1e-21)
            assert plain.dtype == np.float32
            assert small[-20:].all()
            assert (plain[small] == 0).all()
            np.testing.assert_allclose(plain[large], np.exp(log[large]), rtol=1e-3)
            np.testing.assert_allclose(lags.unscaled_terms(weight, gate), plain, rtol=1e-3, atol=1e-18)
            sums = np.exp(lags.log_partial_sums(weight, gate))  # which do not notice
            np.testing.assert_allclose(lags.unscaled_partial_sums(weight, gate), sums, rtol=1e-3)
    assert np.isfinite(gmap.log_terms("all")[119]).all()


@pytest.mark.parametrize("cell", EXPLODING)
def test_plain_arithmetic_gives_up_on_what_explodes(cell):
    """In float32 a term above 1e+19 is inf, or NaN once δ itself is; sums of them are neither numbers."""
    positional, options = explode(cell)
    gmap, lags = gf.gradient_map(*positional, **options), gf.lag_terms(*positional, 119, **options)
    assert gmap.overflow is None
    log, plain = gmap.log_terms("bias_hh")[119], gmap.unscaled_terms("bias_hh")[119]
    assert log[-1] > np.log(1e50)
    large, small = log > np.log(1e21), log < np.log(1e17)
    assert large[-40:].all()
    assert not np.isfinite(plain[large]).any()
    assert np.isinf(plain[large]).any()
    np.testing.assert_allclose(plain[small], np.exp(log[small]), rtol=1e-3)
    np.testing.assert_allclose(lags.unscaled_terms("bias_hh"), plain, rtol=1e-4)
    sums = lags.unscaled_partial_sums("bias_hh")
    assert not np.isfinite(sums[large]).any()
    np.testing.assert_allclose(sums[small], np.exp(lags.log_partial_sums("bias_hh")[small]), rtol=1e-3)


def test_an_exploding_linear_chain_is_inf_and_nothing_else():
    """No step multiplies by a zero, so that no NaN can come."""
    gmap = gf.gradient_map(*unit(3.0, 256))
    assert np.isinf(gmap.unscaled_terms("bias_hh")[255, 60:]).all()
    assert (gmap.unscaled_terms("bias_hh")[np.triu_indices(256, 1)] == 0).all()


def test_a_large_state_keeps_a_small_term_in_range():
    """The norm is that of the matrix δ zᵀ: δ = 1e-24 alone squares to 0, δ · h = 1e-4 does not."""
    cell, weights, inputs, readout, targets = unit(1.0, 256, inputs=np.eye(256, 1) * 1e20, target=0)
    gmap = gf.gradient_map(cell, weights, inputs, readout * np.float32(1e-22), targets)
    log = gmap.log_terms("weight_hh")[4, :4]
    np.testing.assert_allclose(gmap.unscaled_terms("weight_hh")[4, :4], np.exp(log), rtol=1e-3)
    assert (gmap.unscaled_terms("bias_hh")[4] == 0).all()


def test_a_shorter_horizon_is_the_corner():
    arrays = jax.tree.map(np.float32, oracle.draw("gru", *LONG))
    whole, part = (gf.gradient_map("gru", *arrays) for _ in range(2))
    corner = part.unscaled_terms("all", horizon=50)
    assert corner.shape == (50, 50)
    assert max(part._cache.results("squares")) + part._block_size == 50  # nothing beyond was computed
    np.testing.assert_array_equal(corner, whole.unscaled_terms("all")[:50, :50])
    np.testing.assert_allclose(gf.lag_terms("gru", *arrays, 110).unscaled_terms("all"),
                               whole.unscaled_terms("all")[110, :111], rtol=1e-4, atol=1e-18)  # fmt: skip


# overflow, refusals, compilations


def test_after_an_overflow_there_is_no_answer():
    """h(s) = 4^s leaves float32 at s = 64."""
    arrays = unit(4.0, 256, inputs=np.eye(256, 1))
    gmap, lags = gf.gradient_map(*arrays), gf.lag_terms(*arrays, 70)
    assert np.isnan(gmap.unscaled_terms("bias_hh")[64:]).all()
    assert not np.isnan(gmap.unscaled_terms("bias_hh")[:64]).any()
    assert lags.largest_entry() == (0, 0)
    for answer in (*lags.log_factors(), lags.log_state_sensitivity(), lags.log_input_sensitivity(),
                   lags.unscaled_terms(), lags.unscaled_partial_sums()):  # fmt: skip
        assert answer.shape == (71,)
        assert np.isnan(answer).all()
    before = gf.lag_terms(*arrays, 63)
    np.testing.assert_allclose(before.log_state_sensitivity(), np.arange(64) * np.log(4), atol=1e-4)


@double
def test_what_has_no_answer_is_explained():
    gmap, lags = solve("lstm", "plain")[0], follow("lstm", "plain", TIME)
    fields = "weight_ih, weight_hh, bias_ih, bias_hh"
    for ask in (lags.log_factors, lags.largest_entry):
        with pytest.raises(ValueError, match=f"weight is 'all'.*{fields}"):
            ask("all")
    for ask in (lags.log_factors, lags.largest_entry, gmap.unscaled_terms, lags.unscaled_terms,
                lags.unscaled_partial_sums):  # fmt: skip
        with pytest.raises(ValueError, match=f"weight is 'weight_xh'.*{fields}"):
            ask("weight_xh")
        with pytest.raises(ValueError, match="gate is 'reset'; the gates of lstm are input, forget, cell, output"):
            ask("bias_ih", "reset")


@every_cell
def test_another_time_compiles_nothing(cell, compilations):
    """Nor do other weights, fields, gates and horizons."""
    ask(cell, 0, 4)
    compilations.clear()
    for t in (7, 0):
        ask(cell, t + 1, t)
    assert compilations == []


def ask(cell, seed, t):
    arrays = jax.tree.map(np.float32, oracle.draw(cell, *LONG, seed=seed))
    gmap, lags = gf.gradient_map(cell, *arrays), gf.lag_terms(cell, *arrays, t)
    lags.log_state_sensitivity()
    lags.log_input_sensitivity()
    for gate in rows(cell):
        for weight in WEIGHTS:
            gmap.unscaled_terms(weight, gate, horizon=t + 1)
            lags.unscaled_terms(weight, gate)
            lags.unscaled_partial_sums(weight, gate)
        for weight in gf.Weights._fields:
            lags.log_factors(weight, gate)
            lags.largest_entry(weight, gate)
