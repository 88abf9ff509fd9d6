"""What a sweep leaves behind at each step: norms of δ, δ itself, norms of the state's sensitivity."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from gradflow.engine.backward import (
    CotangentBlock,
    cotangent_block,
    delta_of,
    inflow_block,
    sweep,
    total_inflow,
    vjp_step,
)
from gradflow.engine.forward import Tape
from gradflow.engine.jit import jit
from gradflow.engine.recurrent_product import index_step, transposed_product
from gradflow.engine.scaling import ZERO_EXPONENT, normalise, power_of_two


def emit_norms(tape: Tape, block: CotangentBlock) -> Callable:
    """The emit of a `sweep` that gives ‖δ_g(s)‖ as (mantissa, exponent), each [D, B].

    δ is of the size of ct, which is near one, so its squares are mostly numbers. Where the sum of them is not, or is so
    small that some may be lost, δ is made again of Jacobians scaled by gate, and scaled before it is squared.
    """
    by_gate, gate_exponent = tape.jacobians.by_gate, tape.jacobians.gate_exponent
    info, dtype = jnp.finfo(by_gate.dtype), tape.factors["bias_ih"].dtype
    least = info.tiny * 2.0**40
    gate_open = jnp.any(by_gate != 0, axis=(1, 3))  # [T, D]; δ of a closed gate is an exact zero
    enters = jnp.any(block.dC_dh != 0, axis=0)
    first = 0 if tape.starts is None else _latest(tape.starts)[block.times]  # step that each cost goes back to

    def emit(s, delta, state):
        squares = jnp.sum(delta**2, axis=1)
        has_gradient = enters if block.inflow is None else (jnp.stack(state.ct) != 0).any((0, 1))
        nonzero = index_step(gate_open, s)[:, None] & (has_gradient & (block.times >= s) & (first <= s))[None]
        in_range = ((squares > least) & (squares <= info.max)) | ~nonzero
        unscaled = jnp.sqrt(squares), jnp.zeros(squares.shape, jnp.int32)

        def scaled(ct):  # rare; what is in range does not depend on the costs beside it
            mantissa, own = normalise(delta_of(index_step(by_gate, s), ct), axis=1)
            norm = jnp.sqrt(jnp.sum(mantissa**2, axis=1)), own[:, 0] + index_step(gate_exponent, s)[:, None]
            return tuple(jnp.where(in_range, a, b) for a, b in zip(unscaled, norm, strict=True))

        mantissa, own = lax.cond(jnp.all(in_range), lambda ct: unscaled, scaled, state.ct)
        return mantissa.astype(dtype), own + state.exponent[None]

    return emit


def _latest(starts):
    """The latest start up to each step, [T]."""
    return lax.cummax(jnp.where(starts, jnp.arange(len(starts)), 0))


def emit_outflow(tape: Tape, rows: tuple[int, ...]) -> Callable:
    """The emit of a `sweep` that gives what leaves for the layer below: (dC/dx(s) [m, B], its exponent [B]).

        dC(t)/dx(s) = W_ihᵀ δ_x(t,s)        δ_x: these `rows` of δ

    No rows: nothing.
    """
    apply_weight_ih_T = transposed_product(tape.weights.weight_ih, tape.jacobians, rows)

    def emit(s, delta, state):
        dC_dx, own = normalise(apply_weight_ih_T(s, delta, state.ct), axis=0)
        return dC_dx, jnp.where(jnp.any(dC_dx != 0, axis=0), own[0] + state.exponent, ZERO_EXPONENT)

    return emit if rows else lambda s, delta, state: ()


@jit(static_argnames=("cell_path_only", "block_size", "rows"))
def block_norms(
    tape: Tape,
    low: jax.Array,
    *,
    cell_path_only: bool,
    block_size: int,
    block: CotangentBlock | None = None,
    rows: tuple[int, ...] = (),
) -> tuple[jax.Array, ...]:
    """‖δ_g(t, s)‖ of one block, as (mantissa, exponent), each [T(s), D, B]; of a given one and with an outflow too."""
    block = block or cotangent_block(tape, low, block_size)
    norms, outflow = emit_norms(tape, block), emit_outflow(tape, rows)
    emit = lambda *step: (*norms(*step), *outflow(*step))
    return sweep(tape, block, vjp_step(tape, cell_path_only), emit, by_unit=cell_path_only)


@jit()
def norm_over_gates(mantissa: jax.Array, exponent: jax.Array, gate_mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """‖δ(t, s)‖ of one block over the chosen gates, bool[D], as (mantissa, exponent), each [B, T(s)]."""
    mantissa = jnp.where(gate_mask[None, :, None], mantissa, 0)
    top = largest_exponent(mantissa, exponent, axis=1)
    total = jnp.sum((mantissa * power_of_two(exponent - top, mantissa.dtype)) ** 2, axis=1)
    return jnp.sqrt(total).T, top[:, 0].T


def largest_exponent(mantissa: jax.Array, exponent: jax.Array, axis: int) -> jax.Array:
    """The largest exponent of what is not zero along `axis`, which is kept."""
    return jnp.max(jnp.where(mantissa > 0, exponent, ZERO_EXPONENT), axis=axis, keepdims=True)


@jit(static_argnames="cell_path_only")
def deltas(tape: Tape, t: jax.Array, *, cell_path_only: bool) -> list[jax.Array]:
    """δ(t, s) of one t, in the precision of the Jacobians: (mantissa [T, D, n], its norm [T, D], exponent [T, D])."""
    return block_deltas(tape, cotangent_block(tape, t, 1), cell_path_only=cell_path_only)


@jit(static_argnames="cell_path_only")
def total_deltas(tape: Tape, starts: jax.Array, *, cell_path_only: bool) -> list[jax.Array]:
    """Σ_t δ(t, s), as `deltas`: one cost goes back that all others join; no gradient passes `starts`, bool[T]."""
    block = inflow_block(total_inflow(tape.cotangents), jnp.array([len(starts) - 1]))
    return block_deltas(tape._replace(starts=starts), block, cell_path_only=cell_path_only)


def block_deltas(
    tape: Tape, block: CotangentBlock, *, cell_path_only: bool, rows: tuple[int, ...] = ()
) -> list[jax.Array]:
    """δ(t, s) of a block of one, as `deltas`; with an outflow too."""
    outflow, dtype = emit_outflow(tape, rows), tape.factors["bias_ih"].dtype

    def emit(s, delta, state):
        by_gate, gate_exponent = index_step(tape.jacobians.by_gate, s), index_step(tape.jacobians.gate_exponent, s)
        mantissa, own = normalise(delta_of(by_gate, state.ct), axis=1)
        norm = jnp.sqrt(jnp.sum(mantissa**2, axis=1))
        exponent = own[:, 0] + gate_exponent[:, None] + state.exponent[None]
        return mantissa.astype(dtype), norm.astype(dtype), exponent, *outflow(s, delta, state)

    mantissa, norm, exponent, *out = sweep(tape, block, vjp_step(tape, cell_path_only), emit, by_unit=cell_path_only)
    return [mantissa[..., 0], norm[..., 0], exponent[..., 0], *out]


@jit(static_argnames=("cell_path_only", "block_size", "rows"))
def block_state_norms(
    tape: Tape,
    low: jax.Array,
    *,
    cell_path_only: bool,
    block_size: int,
    block: CotangentBlock | None = None,
    rows: tuple[int, ...] = (),
) -> tuple[jax.Array, ...]:
    """‖dC(t)/d carry_k(s)‖ of one block and of the step before, as two (mantissa, exponent), each [T(s), K, B]."""
    block = block or cotangent_block(tape, low, block_size)
    back, outflow, states = vjp_step(tape, cell_path_only), emit_outflow(tape, rows), len(tape.trajectory.before)

    def step_back(s, ct):
        delta, before = back(s, ct)
        return jnp.concatenate([jnp.stack(before), delta]), before

    def norms(ct, exponent):  # [K, n, B]
        mantissa, own = normalise(ct, axis=1)
        return jnp.sqrt(jnp.sum(mantissa**2, axis=1)), own[:, 0] + exponent[None]

    def emit(s, both, state):
        before, delta = both[:states], both[states:]
        now = norms(jnp.stack(state.ct), state.exponent)
        return *now, *norms(before, state.exponent), *outflow(s, delta, state)

    return sweep(tape, block, step_back, emit, by_unit=cell_path_only)


@jit(static_argnames="cell_path_only")
def state_norms(tape: Tape, t: jax.Array, *, cell_path_only: bool) -> tuple[jax.Array, ...]:
    """‖dh_i(t)/d carry(s)‖ of every unit i of one t, all states together, as (mantissa, exponent), each [T(s), n]."""
    dtype, n = tape.cotangents.dC_dh.dtype, tape.cotangents.dC_dh.shape[1]

    def emit(s, delta, state):
        states, own = normalise(jnp.concatenate(state.ct), axis=0)  # [K·n, n]
        return jnp.sqrt(jnp.sum(states**2, axis=0)), own[0] + state.exponent

    units = CotangentBlock(jnp.full(n, t), jnp.eye(n, dtype=dtype), jnp.zeros(n, jnp.int32))
    return sweep(tape, units, vjp_step(tape, cell_path_only), emit)
