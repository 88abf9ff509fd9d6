"""What plain arithmetic would report: backpropagation in the working precision, with nothing rescaled.

It really runs in that arithmetic, through the derivative of the cell's step itself: where numbers leave its range
there are zeros, inf and NaN. A norm squares first, so that in float32 a term is lost below about 1e-19 and infinite
above 1e+19.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from gradflow.engine.backward import Rows, at, cut, sweep
from gradflow.engine.scaling import dot, no_shift, normalise, power_of_two
from gradflow.weights import Weights


def _sweep(cell, cell_path_only, weights, trace, low, rows, emit):
    """Take the costs of t = low … low+rows−1 back to s = 0; see `sweep`."""
    transposed = jnp.swapaxes(weights.weight_hh, -1, -2)  # [n, G·n]
    tied = transposed.ndim == 2
    apart = [cell.gates.index(gate) for gate in cell.separate]

    def pull(s, ct):
        *now, pins = jax.tree.map(lambda a: a[s], trace.met)
        _, pullback = jax.vjp(lambda *now: cell.step(*now, pins), *now)
        by_x, by_h, (h, *others) = jax.vmap(pullback, in_axes=-1, out_axes=-1)(ct)
        delta = jnp.concatenate([by_h, *(by_x[gate : gate + 1] for gate in apart)])
        if not cell_path_only:
            h = h + dot(transposed if tied else at(transposed, s), by_h.reshape(-1, by_h.shape[2]))
        return delta, (h, *others)

    seeds = cut(trace.plain_seed, low, rows).T
    return sweep(trace, Rows(low + jnp.arange(rows), seeds, jnp.zeros(rows, jnp.int32)), pull, emit, no_shift)


@partial(jax.jit, static_argnames=("cell", "cell_path_only", "rows"))
def block_squares(weights, trace, low, *, cell, cell_path_only, rows):
    """‖δ_g(t, s) z(s)ᵀ‖² of one block and the four fields, [T(s), 4, D, rows].

    A row of a term is δ_i z(s)ᵀ, of norm |δ_i| ‖z(s)‖, so that its sum of squares needs no matrix.
    """
    squares = _squares(trace)
    return _sweep(cell, cell_path_only, weights, trace, low, rows, lambda s, delta, going: (squares(s, delta),))[0]


@partial(jax.jit, static_argnames=("cell", "cell_path_only"))
def plain_deltas(weights, trace, t, *, cell, cell_path_only):
    """The same ‖δ_g(t, s) z(s)ᵀ‖² of one t, [T, 4, D], and δ(t, s) itself, [T, D, n]."""
    squares = _squares(trace)
    emit = lambda s, delta, going: (squares(s, delta), delta)
    return [a[..., 0] for a in _sweep(cell, cell_path_only, weights, trace, t, 1, emit)]


def _squares(trace):
    """(s, δ [D, n, rows]) -> Σ_i (δ_i ‖z(s)‖)² of the four fields, [4, D, rows]."""
    z = jnp.stack([_norms(trace.factors[name]) for name in Weights._fields], axis=1)  # [T, 4]
    return lambda s, delta: jnp.sum((delta[None] * z[s][:, None, None, None]) ** 2, axis=2)


def _norms(z):
    """‖z(s)‖, itself a number wherever z is."""
    mantissa, exponent = normalise(z, axis=1)
    return jnp.sqrt(jnp.sum(mantissa**2, axis=1)) * power_of_two(exponent, z.dtype)[:, 0]


@jax.jit
def partial_squares(delta, z, t):
    """‖Σ_{u'≤u} δ_g(t, t−u') z(t−u')ᵀ‖² for every u, [T, D], the lags u > t last."""

    def add(total, u):  # [D, n, c]
        s = t - u
        total = total + jnp.where(s >= 0, delta[s][:, :, None] * z[s][None, None], 0)
        return total, jnp.sum(total**2, axis=(1, 2))

    empty = jnp.zeros((*delta.shape[1:], z.shape[1]), z.dtype)
    return lax.scan(add, empty, jnp.arange(len(z)))[1]
