"""The readable reference: against `jax.jacrev` over the copies of W, and the fast engine against it."""

import jax
import numpy as np
import pytest

import gradflow as gf
from gradflow.engine.contractions import lower_factor
from gradflow.engine.reference import all_terms, whole_gradient
from support import oracle

VARIANTS = {
    "plain": {},
    "two outputs": {"outputs": 2},
    "untied": {"copies": 9},
    "carry": {"carry": True},
    "pins": {"pins": 0.25},
    "cell path only": {"cell_path_only": True},
}


def problem(cell, outputs=None, copies=None, carry=False, pins=None, cell_path_only=False):
    """Arguments of `gradient_map`; one target is masked."""
    arrays, options = oracle.draw(cell, outputs=outputs, copies=copies), {}
    arrays[3][4] = np.nan
    if carry:
        options["carry"] = oracle.draw_carry(cell)
    if pins is not None:
        options["pins"] = dict.fromkeys(oracle.SIGMOID_GATES.get(cell, ())[:1], pins)
    if cell_path_only and cell == "lstm":
        options["cell_path_only"] = True
    return arrays, options


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("cell", gf.CELLS)
def test_every_term_is_the_derivative_by_that_copy(cell, variant):
    arrays, options = problem(cell, **VARIANTS[variant])
    terms, answer = all_terms(cell, *arrays, **options), oracle.Answer(cell, *arrays, **options)
    for field, mine in terms._asdict().items():
        for t in range(len(mine)):
            np.testing.assert_allclose(mine[t, t::-1], answer.by_lag[field][t, : t + 1], rtol=1e-9, atol=1e-13)
            assert (mine[t, t + 1 :] == 0).all()


@pytest.mark.parametrize("cell", gf.CELLS)
def test_the_fast_engine_agrees_with_it(cell):
    """At more than one block, in float32."""
    arrays = jax.tree.map(np.float32, oracle.draw(cell, steps=40, hidden=5))
    terms, gmap = all_terms(cell, *arrays), gf.gradient_map(cell, *arrays)
    for field, mine in terms._asdict().items():
        norms = np.linalg.norm(mine.reshape(40, 40, -1), axis=-1)
        sums = np.linalg.norm(mine.sum(1).reshape(40, -1), axis=-1)
        log_terms = gmap.log_terms(field)
        for t in range(40):
            np.testing.assert_allclose(np.exp(log_terms[t, : t + 1]), norms[t, t::-1], rtol=1e-3, atol=1e-15)
        np.testing.assert_allclose(np.exp(gmap.log_sums(field)), sums, rtol=1e-3)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("gain", (0.5, 1.0, 2.0))
def test_sums_of_many_units_and_steps_are_the_gradient(gain):
    """Where the nearest terms are all that counts, where all do, and where the furthest ones do."""
    steps, hidden, rng = 150, 70, np.random.default_rng(0)
    orthogonal = np.linalg.qr(rng.normal(size=(hidden, hidden)))[0]
    draw = lambda *shape: np.float32(1e-30 * rng.normal(size=shape))
    weights = gf.Weights(draw(hidden, 3), np.float32(gain * orthogonal), draw(hidden), draw(hidden))
    inputs, readout = 1e30 * draw(steps, 3), 1e30 * draw(hidden)
    arrays = weights, inputs, readout, np.ones(steps, np.float32)
    gmap, times = gf.gradient_map("rnn-linear", *arrays), (1, 63, 64, 127, steps - 1)
    sums = {field: gmap.log_sums(field)[list(times)] for field in gf.Weights._fields}
    for k, t in enumerate(times):
        gradient = whole_gradient("rnn-linear", *jax.tree.map(np.float64, arrays), t)
        for field, mine in sums.items():
            np.testing.assert_allclose(mine[k], np.log(np.linalg.norm(getattr(gradient, field))), atol=1e-5)


@pytest.mark.parametrize("steps", (50, 150))
def test_the_lower_factor_is_choleskys(steps):
    z = np.random.default_rng(0).normal(size=(steps, 70))
    z[:, 5] = z[:, 3] = 0
    z *= np.logspace(-12, 12, steps)[:, None]
    z = np.float32(z)
    size = np.linalg.norm(np.float64(z), axis=1, keepdims=True)
    lower, z = (np.asarray(a, np.float64) / size for a in (lower_factor(z), z))
    assert (np.triu(lower, 1) == 0).all()
    np.testing.assert_allclose(lower @ lower.T, z @ z.T, atol=1e-6)
    independent = slice(min(steps, 68))  # as many rows as there are columns that are not zero
    answer = np.linalg.cholesky(z[independent] @ z[independent].T)
    np.testing.assert_allclose(np.abs(lower[independent, independent]), np.abs(answer), atol=1e-5)
