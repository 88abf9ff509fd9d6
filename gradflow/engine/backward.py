"""The backward sweep: the recursion that gives every δ(t, s), the derivative dC(t)/da(s) by a step's pre-activations.

Its equations, and what the letters of the shapes are, stand in the README beside it.

The costs of a block of times t go back through the network together, one matrix product a step. A block begins at its
own last t, so little is computed beyond t, and blocks are independent. After each step every cost is divided by a
power of two near its largest entry, counted in an integer. On the cell path alone units never mix, and one that is
lost beneath the largest of its cost may be all that is left later: there every unit of a cost is divided by its own.
"""

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradflow.engine.forward import Tape
from gradflow.engine.losses import Cotangents
from gradflow.engine.recurrent_product import index_step, recurrent_product
from gradflow.engine.scaling import ZERO_EXPONENT, power_of_two, shift_of
from gradflow.engine.unroll import Carry


class Inflow(NamedTuple):
    """What comes in at every step s from outside the layer, d/dh(s), one column a cost."""

    dC_dh: jax.Array  # / 2^exponent, [T, n, B]
    exponent: jax.Array  # [T, B]; `ZERO_EXPONENT` where nothing comes


class CotangentBlock(NamedTuple):
    """What goes back together, one column each: the costs of B times t, or the B units of h(t) at one."""

    times: jax.Array  # t, where each enters, ascending, [B]
    dC_dh: jax.Array  # its derivative by h(t), / 2^exponent, [n, B]
    exponent: jax.Array  # [B]
    inflow: Inflow | None = None  # and what joins it at every step


class SweepState(NamedTuple):
    """How far a sweep has come: the cotangents d/d carry(s) = ct · 2^exponent."""

    ct: Carry  # of each of the K states [n, B], one column per cost
    exponent: jax.Array  # [B]; by unit [n, B]


def vjp_step(tape: Tape, cell_path_only: bool) -> Callable:
    """The `step_back` of a `sweep`: (s, ct) -> (δ, ct one step earlier), by the Jacobians of the tape.

        δ = Σ_k (∂carry_k/∂a) ct_k        ct'_j = Σ_k (∂carry_k/∂carry_j) ct_k + (j = h) W_hhᵀ δ_h

    Costs lie along the last axis: sums over units then run down columns. K is one or two, so its sums are written out.
    """
    apply_weight_hh_T = recurrent_product(tape.weights, tape.jacobians)  # gives W_hhᵀ δ_h

    def step_back(s, ct):
        jac_preact, jac_carry = (index_step(a, s) for a in tape.jacobians[:2])
        states = range(len(ct))
        ct_h, *ct_others = (sum(jac_carry[k, j, :, None] * ct[k] for k in states) for j in states)
        delta = delta_of(jac_preact, ct)
        if not cell_path_only:
            ct_h = ct_h + apply_weight_hh_T(s, delta, ct)
        return delta, cut(tape, s, (ct_h, *ct_others))

    return step_back


def cut(tape: Tape, s: jax.Array, ct: Carry) -> Carry:
    """d/d carry(s−1): zero where step s begins afresh."""
    if tape.starts is None:
        return ct
    start = index_step(tape.starts, s)
    return tuple(jnp.where(start, 0, c) for c in ct)


def delta_of(jac_preact: jax.Array, ct: Carry) -> jax.Array:
    """Σ_k (∂carry_k/∂a) ct_k, [D, n, B]."""
    return reduce(add, (jac_preact[k, :, :, None] * ct[k][None] for k in range(len(ct))))


def join_exponents(delta: jax.Array, state: SweepState) -> tuple[jax.Array, SweepState]:
    """δ and the state of a sweep by unit, with one exponent a cost."""
    nonzero = reduce(jnp.logical_or, (c != 0 for c in state.ct))
    top = jnp.max(jnp.where(nonzero, state.exponent, ZERO_EXPONENT), axis=0, keepdims=True)
    scale = power_of_two(state.exponent - top, delta.dtype)  # [n, B]
    return delta * scale[None], SweepState(tuple(c * scale for c in state.ct), top[0])


def join(state: SweepState, dC_dh: jax.Array, exponent: jax.Array) -> SweepState:
    """The state of a sweep with what comes in, [n, B] / 2^exponent [B], both scaled to the larger exponent."""
    nonzero = reduce(jnp.logical_or, (c != 0 for c in state.ct))
    by_unit = state.exponent.ndim == 2
    own = jnp.where(nonzero if by_unit else nonzero.any(0, keepdims=True), state.exponent, ZERO_EXPONENT)  # [n or 1, B]
    exponent = jnp.where(dC_dh != 0, exponent[None], ZERO_EXPONENT) if by_unit else exponent[None]
    top = jnp.maximum(own, exponent)
    ct_h, *ct_others = (c * power_of_two(own - top, c.dtype) for c in state.ct)
    ct_h = ct_h + dC_dh * power_of_two(exponent - top, dC_dh.dtype)
    return SweepState((ct_h, *ct_others), top if by_unit else top[0])


def sweep(
    tape: Tape,
    block: CotangentBlock,
    step_back: Callable,
    emit: Callable,
    shift_of: Callable = shift_of,
    padding: int = 0,
    by_unit: bool = False,
) -> tuple[jax.Array, ...]:
    """Take a `CotangentBlock` from its times back to s = 0, each cost rescaled after each step by its `shift_of`.

    `step_back(s, ct)` goes one step back, d/d carry(s) -> δ(s) [D, n, B] and d/d carry(s−1). Where it mixes no units,
    each can be rescaled `by_unit`. Returns what `emit(s, δ, state)` gives at every s, with zeros beyond a cost's time
    and in `padding` more steps, for a caller who goes on by whole chunks of them: a tuple of arrays
    [T + padding, …, B]. There δ and ct are without their 2^exponent.
    """
    steps, state_count = tape.jacobians.preact.shape[:2]
    last = block.times[-1]

    def one_step(i, loop_state):
        state, out = loop_state
        s = last - i
        if block.inflow is not None:
            state = join(state, *(index_step(a, s) for a in block.inflow))
        entered = block.times >= s  # until then a cost waits
        where_entered = lambda new, old: jnp.where(jnp.broadcast_to(entered, new.shape), new, old)
        delta, ct = step_back(s, state.ct)
        emitted = [where_entered(a, 0) for a in emit(s, *(join_exponents(delta, state) if by_unit else (delta, state)))]
        out = tuple(lax.dynamic_update_index_in_dim(a, b, s, 0) for a, b in zip(out, emitted, strict=True))
        shift = shift_of(reduce(jnp.maximum, map(jnp.abs, ct)), axis=() if by_unit else 0)  # [n or 1, B]
        scaled = (a * power_of_two(-shift, a.dtype) for a in ct)
        ct = tuple(map(where_entered, scaled, state.ct))
        exponent = state.exponent + (shift if by_unit else shift[0])
        return SweepState(ct, where_entered(exponent, state.exponent)), out

    others = (jnp.zeros_like(block.dC_dh) for _ in range(state_count - 1))
    state = SweepState((block.dC_dh, *others), block.exponent)
    out_shapes = jax.eval_shape(lambda: emit(0, step_back(0, state.ct)[0], state))
    if by_unit:
        state = state._replace(exponent=jnp.broadcast_to(state.exponent, block.dC_dh.shape))
    out = tuple(jnp.zeros((steps + padding, *a.shape), a.dtype) for a in out_shapes)
    return lax.fori_loop(0, last + 1, one_step, (state, out))[1]


def cotangent_block(tape: Tape, low: jax.Array, block_size: int) -> CotangentBlock:
    """The costs of t = low … low + block_size − 1, as precise as the Jacobians."""
    dC_dh, exponent = (slice_times(a, low, block_size) for a in tape.cotangents[:2])
    return CotangentBlock(low + jnp.arange(block_size), dC_dh.T.astype(tape.jacobians.preact.dtype), exponent)


def inflow_block(inflow: Inflow, times: jax.Array) -> CotangentBlock:
    """What comes in by and by, and nothing before."""
    nothing = jnp.zeros(inflow.dC_dh.shape[1:], inflow.dC_dh.dtype)
    return CotangentBlock(times, nothing, jnp.full(len(times), ZERO_EXPONENT, jnp.int32), inflow)


def total_inflow(cotangents: Cotangents) -> Inflow:
    """The gradients of all costs, as one cost's, [T, n, 1]."""
    dC_dh, exponent, _ = cotangents
    return Inflow(dC_dh[..., None], jnp.where(jnp.any(dC_dh != 0, axis=1), exponent, ZERO_EXPONENT)[:, None])


def slice_times(a: jax.Array, low: jax.Array, block_size: int) -> jax.Array:
    """a[low : low + block_size]; blocks are cut from the last time on, so the first may begin before 0, with zeros."""
    padding = [(block_size, 0)] + [(0, 0)] * (a.ndim - 1)
    return lax.dynamic_slice_in_dim(jnp.pad(a, padding), low + block_size, block_size)
