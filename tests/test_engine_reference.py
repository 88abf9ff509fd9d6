"""The readable reference: against `jax.jacrev` over the copies of W, and the fast engine against it."""

import jax
import numpy as np
import oracle
import pytest

import gradflow as gf
from gradflow.engine.reference import all_terms

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
