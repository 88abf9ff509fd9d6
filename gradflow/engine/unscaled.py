"""What plain arithmetic would report: backpropagation in the working precision, with nothing rescaled.

It really runs in that arithmetic, through the derivative of the cell's step itself: where numbers leave its range
there are zeros, inf and NaN. A norm squares first, so that in float32 a term is lost below about 1e-19 and infinite
above 1e+19.
"""

import jax
import jax.numpy as jnp
from jax import lax

from gradflow.cells import Cell
from gradflow.engine.backward import CotangentBlock, cut, slice_times, sweep
from gradflow.engine.forward import Tape
from gradflow.engine.jit import jit
from gradflow.engine.recurrent_product import index_step
from gradflow.engine.scaling import dot, no_shift, normalise, power_of_two
from gradflow.weights import Weights


def _sweep(cell, cell_path_only, tape, low, block_size, emit):
    """Take the costs of t = low … low + block_size − 1 back to s = 0; see `sweep`."""
    weight_hh_T = jnp.swapaxes(tape.weights.weight_hh, -1, -2)  # [n, G·n]
    tied = weight_hh_T.ndim == 2
    split = [cell.gates.index(gate) for gate in cell.split_bias_gates]

    def vjp_step(s, ct):
        *residuals, pins = jax.tree.map(lambda a: a[s], tape.trajectory.residuals)
        _, vjp = jax.vjp(lambda *residuals: cell.step(*residuals, pins), *residuals)
        by_x, by_h, (ct_h, *ct_others) = jax.vmap(vjp, in_axes=-1, out_axes=-1)(ct)
        delta = jnp.concatenate([by_h, *(by_x[gate : gate + 1] for gate in split)])
        if not cell_path_only:
            ct_h = ct_h + dot(weight_hh_T if tied else index_step(weight_hh_T, s), by_h.reshape(-1, by_h.shape[2]))
        return delta, cut(tape, s, (ct_h, *ct_others))

    dC_dh = slice_times(tape.cotangents.unscaled, low, block_size).T
    block = CotangentBlock(low + jnp.arange(block_size), dC_dh, jnp.zeros(block_size, jnp.int32))
    return sweep(tape, block, vjp_step, emit, no_shift)


@jit(static_argnames=("cell", "cell_path_only", "block_size"))
def block_squares(tape: Tape, low: jax.Array, *, cell: Cell, cell_path_only: bool, block_size: int) -> jax.Array:
    """‖δ_g(t, s) z(s)ᵀ‖² of one block and the four fields, [T(s), 4, D, B].

    A row of a term is δ_i z(s)ᵀ, of norm |δ_i| ‖z(s)‖, so that its sum of squares needs no matrix.
    """
    squares = _squares(tape.factors)
    return _sweep(cell, cell_path_only, tape, low, block_size, lambda s, delta, state: (squares(s, delta),))[0]


@jit(static_argnames=("cell", "cell_path_only"))
def unscaled_deltas(tape: Tape, t: jax.Array, *, cell: Cell, cell_path_only: bool) -> list[jax.Array]:
    """The same ‖δ_g(t, s) z(s)ᵀ‖² of one t, [T, 4, D], and δ(t, s) itself, [T, D, n]."""
    squares = _squares(tape.factors)
    emit = lambda s, delta, state: (squares(s, delta), delta)
    return [a[..., 0] for a in _sweep(cell, cell_path_only, tape, t, 1, emit)]


def _squares(factors):
    """(s, δ [D, n, B]) -> Σ_i (δ_i ‖z(s)‖)² of the four fields, [4, D, B]."""
    z = jnp.stack([_norms(factors[name]) for name in Weights._fields], axis=1)  # [T, 4]
    return lambda s, delta: jnp.sum((delta[None] * z[s][:, None, None, None]) ** 2, axis=2)


def _norms(z):
    """‖z(s)‖, itself a number wherever z is."""
    mantissa, exponent = normalise(z, axis=1)
    return jnp.sqrt(jnp.sum(mantissa**2, axis=1)) * power_of_two(exponent, z.dtype)[:, 0]


@jit()
def partial_squares(delta: jax.Array, z: jax.Array, t: jax.Array) -> jax.Array:
    """‖Σ_{u'≤u} δ_g(t, t−u') z(t−u')ᵀ‖² for every u, [T, D], the lags u > t last."""

    def add(total, u):  # [D, n, c]
        s = t - u
        total = total + jnp.where(s >= 0, delta[s][:, :, None] * z[s][None, None], 0)
        return total, jnp.sum(total**2, axis=(1, 2))

    empty = jnp.zeros((*delta.shape[1:], z.shape[1]), z.dtype)
    return lax.scan(add, empty, jnp.arange(len(z)))[1]
