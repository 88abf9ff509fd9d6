"""The readable references: every term by the plain recursion, and the sum of one cost's terms by `jax.grad`.

Plain arithmetic, which underflows and overflows as it always does: no scaling, no blocks, nothing of the fast sweep.
"""

from collections.abc import Iterable, Mapping
from inspect import unwrap
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import ArrayLike

from gradflow.cells import Cell
from gradflow.engine.forward import working_arrays
from gradflow.engine.jit import jit
from gradflow.engine.losses import unscaled_cotangents
from gradflow.engine.unroll import copy_at, input_preact, step, unroll
from gradflow.problem import check, check_time
from gradflow.weights import Weights


def all_terms(
    cell: str | Cell,
    weights: Weights,
    inputs: ArrayLike,
    readout: ArrayLike,
    targets: ArrayLike,
    *,
    pins: Mapping[str, ArrayLike] | None = None,
    carry: Iterable[ArrayLike] | None = None,
    cell_path_only: bool = False,
) -> Weights:
    """Every dC(t)/dW(s), the whole matrices; the algorithm of the engine in its simplest form.

        δ(t,s) = ∂carry(s)/∂a(s)ᵀ ct(t,s)        ct(t,s−1) = ∂carry(s)/∂carry(s−1)ᵀ ct(t,s) + W_hhᵀ δ_h(t,s)
        dC(t)/dW_hh(s) = δ_h(t,s) h(s−1)ᵀ        dC(t)/dW_ih(s) = δ_x(t,s) x(s)ᵀ        dC(t)/db(s) = δ(t,s)

    Args and Raises: as in `gradient_map`.

    Returns:
        `Weights` of arrays [t, s, ...]; zeros where s > t.
    """
    problem = check(cell, weights, inputs, readout, targets, pins=pins, carry=carry, cell_path_only=cell_path_only)
    arrays = jax.tree.map(jnp.asarray, working_arrays(problem))
    return _all_terms(problem.cell, *arrays, cell_path_only=cell_path_only)


def _all_terms(cell, weights, inputs, cost, pins, carry, _, *, cell_path_only):
    trajectory, T = unroll(cell, weights, inputs, pins, carry), len(inputs)
    dC_dh = unscaled_cotangents(cost, trajectory.after[0])  # [t, n]
    ct = [jnp.zeros_like(dC_dh) for _ in cell.carry]  # dC(t)/d carry(s), each [t, n]
    delta_x: Any = [None] * T
    delta_h: Any = [None] * T
    for s in reversed(range(T)):
        ct[0] = ct[0].at[s].set(dC_dh[s])  # C(t) enters at s = t
        *residuals, pins = jax.tree.map(lambda a, s=s: a[s], trajectory.residuals)
        _, vjp = jax.vjp(lambda a_x, a_h, carry, pins=pins: cell.step(a_x, a_h, carry, pins), *residuals)
        delta_x[s], delta_h[s], ct = (jax.tree.map(_flat, a) for a in jax.vmap(vjp)(tuple(ct)))
        ct = list(ct)
        if not cell_path_only:
            ct[0] += delta_h[s] @ copy_at(weights, s).weight_hh  # W_hhᵀ δ_h of all t
    delta_x, delta_h = (np.stack(delta, axis=1) for delta in (delta_x, delta_h))  # [t, s, G·n]
    outer = lambda delta, z: delta[..., None] * np.asarray(z)[:, None]
    return Weights(outer(delta_x, inputs), outer(delta_h, trajectory.before[0]), delta_x, delta_h)


def _flat(a):
    """[t, ...] as [t, all the others]."""
    return a.reshape(len(a), -1)


def whole_gradient(
    cell: str | Cell,
    weights: Weights,
    inputs: ArrayLike,
    readout: ArrayLike,
    targets: ArrayLike,
    t: int,
    *,
    pins: Mapping[str, ArrayLike] | None = None,
    carry: Iterable[ArrayLike] | None = None,
    cell_path_only: bool = False,
) -> Weights:
    """Differentiate C(t) by the shared weights.

        dC(t)/dW,   C(t) = ½ ‖readout · h(t) − target(t)‖²

    Args:
        t: the time, 0-based, in [0, T−1]; another t does not recompile.
        The others: as in `gradient_map`, with one copy of the weights.

    Returns:
        `Weights` of NumPy arrays, of the weights' shapes; zeros where the target is NaN.

    Raises:
        ValueError: names the field, its value and what is valid.
    """
    problem = check(cell, weights, inputs, readout, targets, pins=pins, carry=carry, cell_path_only=cell_path_only)
    if np.ndim(problem.weights.weight_hh) != 2:
        raise ValueError("weights have one copy a step; the whole gradient needs one that is shared")
    t = check_time(t, len(problem.inputs))
    gradient = _gradient(*working_arrays(problem), t, cell=problem.cell, cell_path_only=bool(cell_path_only))
    return Weights(*map(np.asarray, gradient))


def whole_gradients(
    cell: str | Cell, weights: Weights, inputs: np.ndarray, readout: ArrayLike, targets: np.ndarray, t: int
) -> Weights:
    """`whole_gradient` of the same weights for B sequences at once.

    Args:
        inputs: f[B, T, m].
        targets: f[B, T] or f[B, T, k].
        The others: as in `whole_gradient`.

    Returns:
        `Weights` with a leading axis [B].

    Raises:
        ValueError: as `whole_gradient`, for the first sequence.
    """
    problem = check(cell, weights, inputs[0], readout, targets[0])
    each = np.asarray(inputs, problem.dtype), np.asarray(targets, problem.dtype).reshape(*np.shape(inputs)[:2], -1)
    t = check_time(t, len(problem.inputs))
    return Weights(*map(np.asarray, _gradients(*each, working_arrays(problem), t, cell=problem.cell)))


@jit(static_argnames="cell")
def _gradients(inputs, targets, fixed, t, *, cell):
    weights, _, cost, pins, carry, starts = fixed
    one = lambda x, y: unwrap(_gradient)(
        weights, x, cost._replace(targets=y), pins, carry, starts, t, cell=cell, cell_path_only=False
    )
    return jax.vmap(one)(inputs, targets)


@jit(static_argnames=("cell", "cell_path_only"))
def _gradient(weights, inputs, squared, pins, carry, _, t, *, cell, cell_path_only):
    readout, targets, _ = squared
    known = ~jnp.isnan(targets[t]).any()

    def cost(weights):
        def one(carry, now):  # the product with x step by step: it rounds otherwise than `unroll`, as another run does
            x, pin = now
            carry = step(cell, weights, input_preact(weights, x), carry, pin, cell_path_only)[1]
            return carry, carry[0]

        _, h = lax.scan(one, carry, (inputs, pins))
        return jnp.sum(jnp.where(known, readout @ h[t] - targets[t], 0) ** 2) / 2

    return jax.grad(cost)(weights)
