"""The gradient of one cost by the shared weights, by `jax.grad`: what all its terms must add up to.

Nothing of the sweep is used here, only the cells; plain arithmetic, which underflows and overflows as it always does.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from gradflow.engine.unroll import unroll
from gradflow.problem import check, check_time
from gradflow.weights import Weights


def whole_gradient(cell, weights, inputs, readout, targets, t, *, pins=None, carry=None, cell_path_only=False):
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
    problem = check(cell, weights, inputs, readout, targets, pins, carry, cell_path_only)
    if np.ndim(problem.weights.weight_hh) != 2:
        raise ValueError("weights have one copy a step; the whole gradient needs one that is shared")
    t = check_time(t, len(problem.inputs))
    arrays = jax.tree.map(lambda a: a if a.dtype == bool else a.astype(problem.dtype), problem[1:-1])
    gradient = _gradient(*arrays, t, cell=problem.cell, cell_path_only=bool(cell_path_only))
    return Weights(*map(np.asarray, gradient))


def whole_gradients(cell, weights, inputs, readout, targets, t):
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
    problem = check(cell, weights, inputs[0], readout, targets[0], None, None, False)
    each = np.asarray(inputs, problem.dtype), np.asarray(targets, problem.dtype).reshape(*np.shape(inputs)[:2], -1)
    fixed = jax.tree.map(lambda a: a if a.dtype == bool else a.astype(problem.dtype), problem[1:-1])
    t = check_time(t, len(problem.inputs))
    return Weights(*map(np.asarray, _gradients(*each, fixed, t, cell=problem.cell)))


@partial(jax.jit, static_argnames="cell")
def _gradients(inputs, targets, fixed, t, *, cell):
    weights, _, readout, _, pins, carry = fixed
    one = lambda x, y: _gradient(weights, x, readout, y, pins, carry, t, cell=cell, cell_path_only=False)
    return jax.vmap(one)(inputs, targets)


@partial(jax.jit, static_argnames=("cell", "cell_path_only"))
def _gradient(weights, inputs, readout, targets, pins, carry, t, *, cell, cell_path_only):
    known = ~jnp.isnan(targets[t]).any()

    def cost(weights):
        h = unroll(cell, weights, inputs, pins, carry, cell_path_only).after[0]
        return jnp.sum(jnp.where(known, readout @ h[t] - targets[t], 0) ** 2) / 2

    return jax.grad(cost)(weights)
