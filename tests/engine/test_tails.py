"""What truncated backpropagation leaves out: the sums over all lags from u on."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradflow as gf
from support import oracle
from support.problems import (
    LONG,
    STEPS,
    TIME,
    WEIGHTS,
    assert_logs,
    double,
    every_cell,
    every_few,
    follow,
    log_geometric,
    problem,
    rows,
    solve,
    unit,
)

pytestmark = pytest.mark.slow


@double
@every_few
@pytest.mark.parametrize("t", [0, 3, TIME])
def test_tail_sums(cell, variant, t):
    lags, answer = follow(cell, variant, t), solve(cell, variant)[1]
    for weight in WEIGHTS:
        for gate in rows(cell):
            terms = answer.terms(weight, gate)[t, : t + 1]
            assert_logs(lags.log_tail_sums(weight, gate), oracle.log_norm(terms[::-1].cumsum(0)[::-1]))


@double
@every_few
def test_the_first_tail_is_the_whole_and_the_last_one_term(cell, variant):
    lags = follow(cell, variant, TIME)
    for weight in WEIGHTS:
        for gate in rows(cell):
            tails = lags.log_tail_sums(weight, gate)
            assert_logs(tails[:1], lags.log_partial_sums(weight, gate)[-1:])
            assert_logs(tails[-1:], lags.log_terms(weight, gate)[-1:])
    np.testing.assert_array_equal(lags.log_tail_sums(), lags.log_tail_sums("weight_hh", None))


@cache
def shared_gradient(cell, lags):
    """dC(TIME)/dW of the shared weights through the last `lags` steps alone; the state before them is a constant."""

    def cost(shared, inputs, readout, targets, pins, carry):
        for s in range(TIME + 1):
            if s == TIME + 1 - lags:
                carry = jax.lax.stop_gradient(carry)
            now = jax.tree.map(lambda a, s=s: a[s], pins)
            a_x, a_h = shared.weight_ih @ inputs[s] + shared.bias_ih, shared.weight_hh @ carry[0] + shared.bias_hh
            carry = oracle.step(jnp, cell, a_x, a_h, carry, now)
        return (readout @ carry[0] - targets[TIME]) ** 2 / 2

    return jax.jit(jax.grad(cost))


@double
@every_cell
def test_a_tail_is_what_truncated_backpropagation_misses(cell):
    """The whole gradient minus the truncated one, for the shared weights."""
    arrays, _ = problem(cell, "plain")
    rest, tails = oracle.plain(cell, *arrays)[1:], follow(cell, "plain", TIME)
    whole = shared_gradient(cell, STEPS)(arrays[0], *rest)
    for kept in (1, 4):
        truncated = shared_gradient(cell, kept)(arrays[0], *rest)
        for field in gf.Weights._fields:
            missed = np.asarray(getattr(whole, field) - getattr(truncated, field)).reshape(1, -1)
            assert_logs(tails.log_tail_sums(field)[kept : kept + 1], oracle.log_norm(missed))


@pytest.mark.parametrize("w", [1e-30, 0.2, -0.5, 1.0, 3.0])
def test_a_tail_may_be_of_any_size(w):
    """Σ_{u'≥u} w^u' = w^u (1 + w + … + w^(t−u)), far beyond 1e-80 and 1e+80."""
    tails, u = gf.lag_terms(*unit(w, 256), 200).log_tail_sums("bias_hh"), np.arange(201)
    w = float(np.float32(w))
    np.testing.assert_allclose(tails, u * np.log(abs(w)) + log_geometric(w, 201 - u), atol=1e-3)


def test_the_tails_of_a_weight_that_multiplies_nothing_are_exact_zeros():
    lags = gf.lag_terms(*unit(0.5, 256, inputs=np.zeros((256, 1))), 9)
    assert np.isneginf(lags.log_tail_sums("weight_ih")).all()


def test_after_an_overflow_there_is_no_tail():
    """h(s) = 4^s leaves float32 at s = 64."""
    tails = gf.lag_terms(*unit(4.0, 256, inputs=np.eye(256, 1)), 70).log_tail_sums("all")
    assert tails.shape == (71,)
    assert np.isnan(tails).all()


def test_an_unknown_weight_is_explained():
    with pytest.raises(ValueError, match="weight is 'weight_xh'"):
        gf.lag_terms(*unit(0.5, 256), 9).log_tail_sums("weight_xh")


@every_cell
def test_another_time_compiles_nothing(cell, compilations):
    """Nor does a tail beyond what the partial sums compiled."""
    arrays = jax.tree.map(np.float32, oracle.draw(cell, *LONG))
    gf.lag_terms(cell, *arrays, 4).log_partial_sums()
    compilations.clear()
    for t in (4, 7, 0, 119):
        for weight in WEIGHTS:
            gf.lag_terms(cell, *arrays, t).log_tail_sums(weight)
    assert compilations == []
