"""Around a trajectory: the Jacobian of every step, and where the numbers give up.

A cell is elementwise, so its Jacobian is a handful of numbers a unit. They are computed for all steps before the
sweep, which then only multiplies and adds.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradflow.cells import Cell, Pin
from gradflow.engine.unroll import Carry, Trajectory, copy_at, state_preact
from gradflow.weights import Weights


class Jacobians(NamedTuple):
    """The derivative of every step, unit by unit; D = G + the split gates, which have rows for a_h and for a_x."""

    preact: jax.Array  # d carry(s) / d (a_h, a_x of the split gates), [T, K, D, n]
    carry: jax.Array  # d carry(s) / d carry(s−1) beside W, [T, K, K, n]


class Flags(NamedTuple):
    """Where the forward pass leaves the range of its numbers."""

    nonfinite: jax.Array  # a carry or pre-activation is not finite, bool[T]
    underflowed: jax.Array  # a state became zero by underflow, bool[T]


def step_jacobian(cell: Cell, a_x: jax.Array, a_h: jax.Array, carry: Carry, pins: dict[str, Pin]) -> Jacobians:
    """The Jacobians of one step, [K, D, n] and [K, K, n], as the `vmap`ped vjp of each of its K states."""
    _, vjp = jax.vjp(lambda *differentiable: cell.step(*differentiable, pins), a_x, a_h, carry)
    one = jnp.eye(len(carry), dtype=a_h.dtype)
    by_x, by_h, by_carry = jax.vmap(vjp)(tuple(jnp.outer(row, jnp.ones_like(carry[0])) for row in one))
    if cell.split_bias_gates:
        split = by_x[:, np.array([cell.gates.index(gate) for gate in cell.split_bias_gates])]
        by_h = jnp.concatenate([by_h, split], axis=1)
    return Jacobians(by_h, jnp.stack(by_carry, axis=1))


def numeric_flags(cell: Cell, weights: Weights, trajectory: Trajectory, jacobians: Jacobians) -> Flags:
    """`Flags` of a trajectory and its raw Jacobians.

    Is a zero state a closed gate, or did it underflow? A second step, from a carry whose tiny entries are enlarged,
    tells: a closed gate still gives zero. Tiny is below √tiny = 2^(minexp/2), of which products underflow; the factor
    2^(−minexp/2 − 3) takes such an entry to at most 2⁻³, where no activation saturates.
    """
    a_x, a_h, before, pins = trajectory.residuals
    info, steps = jnp.finfo(a_x.dtype), len(a_x)
    enlarge = lambda c: jnp.where(jnp.abs(c) < info.tiny**0.5, c * 2.0 ** (-info.minexp // 2 - 3), c)
    enlarged = tuple(map(enlarge, before))
    a_h_enlarged = jax.vmap(lambda s, h: state_preact(copy_at(weights, s), h))(jnp.arange(steps), enlarged[0])
    again = jax.vmap(cell.step)(a_x, a_h_enlarged, enlarged, pins)
    # What the activation shuts, as relu does what is below zero, is zero whatever comes.
    passes = (jacobians.preact != 0).any(2) | (jacobians.carry != 0).any(2)
    passes |= (jnp.abs(a_x + a_h) < info.tiny).all(1)[:, None]
    lost = lambda c, larger: (jnp.abs(c) < info.tiny) & (jnp.abs(larger) >= info.tiny)
    underflowed = jnp.stack(list(map(lost, trajectory.after, again)), axis=1) & passes  # [T, K, n]
    sound = [jnp.isfinite(a).reshape(steps, -1).all(1) for a in (a_x, a_h, *before, *trajectory.after)]
    return Flags(~jnp.stack(sound).all(0), underflowed.any((1, 2)))


def step_jacobians(cell: Cell, trajectory: Trajectory) -> Jacobians:
    """`Jacobians` of all steps, raw."""
    return jax.vmap(partial(step_jacobian, cell))(*trajectory.residuals)


def finite(a: jax.Array) -> jax.Array:
    """Zero in place of what is not finite: the costs that meet it are masked."""
    return jnp.where(jnp.isfinite(a), a, 0)
