"""Layers above one another, in one direction or in both: what each sends down to the one below.

    I_top(t, s) = dC(t)/dh(t) where s = t, else 0
    for l = top … 0, in each direction:   ct_h += I_l(t, s)   at every step s of its sweep
                                          I_{l−1}(t, s) = Σ_directions W_ih,lᵀ δ_x,l(t, s)

Layer by layer, a block of costs at a time. A backward direction is a layer that reads the sequence from its end. Each
layer has an exponent for every cost of its own: one may remember where another forgets.
"""

from collections.abc import Callable
from functools import partial
from inspect import unwrap
from typing import Any

import jax
import jax.numpy as jnp

from gradflow.engine.backward import Inflow, inflow_block, total_inflow
from gradflow.engine.contractions import block_sums
from gradflow.engine.emitters import block_deltas
from gradflow.engine.forward import Tape
from gradflow.engine.jit import jit
from gradflow.engine.losses import Cotangents
from gradflow.engine.scaling import ZERO_EXPONENT, power_of_two

Tapes = tuple[tuple[Tape, ...], ...]  # [layer][direction]


def stack_block(
    tape: Tape,
    low: jax.Array,
    tapes: Tapes,
    cotangents: Cotangents,
    *,
    of_block: Callable,
    field: str,
    rows: tuple[int, ...],
    block_size: int,
    cell_path_only: bool = False,
) -> list[list[tuple[jax.Array, ...]]]:
    """A block of every layer and direction, [layer][direction], each in its own order of steps.

    Args:
        tape: is not read: `schedule.blocks` gives one.
        tapes, cotangents: the network, and dC(t)/dh(t) of its top layer's directions beside one another.
        of_block: `block_norms`, `block_sums` or `block_state_norms`.
        field: of `Weights`, where they are sums.
        rows: of δ that are δ_x.
    """
    times = low + jnp.arange(block_size)
    options = {"of_block": of_block, "field": field, "block_size": block_size}
    return _from_the_top(tapes, _inflow(cotangents, times), times, rows, partial(_of_block, low=low, **options))


@jit(static_argnames="rows")
def stack_deltas(tapes: Tapes, cotangents: Cotangents, t: jax.Array, *, rows: tuple[int, ...]) -> list[list[list]]:
    """δ(t, s) of one t, as `deltas`, [layer][direction], each in its own order of steps."""
    times = t + jnp.arange(1)
    return _from_the_top(tapes, _inflow(cotangents, times), times, rows, _of_one)


@jit(static_argnames="rows")
def stack_totals(tapes: Tapes, cotangents: Cotangents, starts: jax.Array, *, rows: tuple[int, ...]) -> list[list[list]]:
    """Σ_t δ(t, s), as `total_deltas`, [layer][direction], each in its own order of steps."""
    tapes = tuple(tuple(tape._replace(starts=starts) for tape in layer) for layer in tapes)
    times = jnp.array([len(cotangents.exponent) - 1])
    return _from_the_top(tapes, total_inflow(cotangents), times, rows, _of_one)


@jax.jit
def _inflow(cotangents, times):
    """Each cost at its own t and nowhere else."""
    dC_dh, exponent, _ = cotangents
    own = jnp.arange(len(dC_dh))[:, None] == times[None]  # [T, B]
    there = own & jnp.any(dC_dh != 0, axis=1)[:, None]
    return Inflow(jnp.where(own[:, None], dC_dh[..., None], 0), jnp.where(there, exponent[:, None], ZERO_EXPONENT))


def _from_the_top(tapes, inflow, times, rows, of_layer):
    """of_layer(tape, block, rows) -> (result, Inflow of the layer below), for every layer and direction."""
    if len(tapes[0]) > 1:
        times = jnp.full_like(times, len(inflow.exponent) - 1)  # what comes back reaches later steps too
    results: list[Any] = []
    for layer in reversed(range(len(tapes))):
        below = rows if layer else ()
        each = [
            of_layer(tape, _in_direction(inflow, d, len(tapes[layer])), times, rows=below)
            for d, tape in enumerate(tapes[layer])
        ]
        results.insert(0, [result for result, _ in each])
        inflow = _added([outflow for _, outflow in each]) if layer else inflow
    return results


@partial(jax.jit, static_argnums=(1, 2))
def _in_direction(inflow, d, directions):
    """The part of h(s) that is one direction's, in its order of steps."""
    dC_dh = jnp.split(inflow.dC_dh, directions, axis=1)[d]
    exponent = jnp.where(jnp.any(dC_dh != 0, axis=1), inflow.exponent, ZERO_EXPONENT)
    return _in_order(Inflow(dC_dh, exponent), d)


def _in_order(inflow, d):
    return Inflow(*(a[::-1] for a in inflow)) if d else inflow


@jax.jit
def _added(outflows):
    """What both directions send down, in the order of time."""
    if len(outflows) == 1:
        return outflows[0]
    ordered = [_in_order(outflow, d) for d, outflow in enumerate(outflows)]
    top = jnp.maximum(*(each.exponent for each in ordered))
    scaled = lambda each: each.dC_dh * power_of_two(each.exponent - top, each.dC_dh.dtype)[:, None]
    return Inflow(sum(map(scaled, ordered)), top)


def _of_block(tape, inflow, times, *, low, of_block, field, block_size, rows):
    z = (tape.factors[field],) if of_block is block_sums else ()
    result = _jitted(tape, low, *z, inflow, times, of_block=of_block, block_size=block_size, rows=rows)
    return _parted(result, rows)


@jit(static_argnames=("of_block", "block_size", "rows"))
def _jitted(tape, low, *arguments, of_block, block_size, rows):
    *z, inflow, times = arguments
    options = {"cell_path_only": False, "block_size": block_size, "rows": rows}
    result = unwrap(of_block)(tape, low, *z, block=inflow_block(inflow, times), **options)
    return result[2:] if of_block is block_sums else result  # without the norms


def _of_one(tape, inflow, times, *, rows):
    return _parted(block_deltas(tape, inflow_block(inflow, times), cell_path_only=False, rows=rows), rows)


def _parted(result, rows):
    return (result[:-2], Inflow(*result[-2:])) if rows else (result, None)
