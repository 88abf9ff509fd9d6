"""Around a trajectory: the Jacobian of every step, and where the numbers give up.

A cell is elementwise, so its Jacobian is a handful of numbers a unit. They are computed for all steps before the
sweep, which then only multiplies and adds.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradflow.cells import Cell, Pin
from gradflow.engine.scaling import normalise
from gradflow.engine.unroll import Carry, Trajectory, copy_at, state_preact
from gradflow.weights import Weights


class Jacobians(NamedTuple):
    """The derivative of every step, unit by unit; D = G + the split gates, which have rows for a_h and for a_x."""

    preact: jax.Array  # d carry(s) / d (a_h, a_x of the split gates), [T, K, D, n]
    carry: jax.Array  # d carry(s) / d carry(s−1) beside W, [T, K, K, n]
    by_gate: jax.Array  # preact / 2^gate_exponent, near one: those of a gate may all leave the range of float32
    gate_exponent: jax.Array  # [T, D]


class Flags(NamedTuple):
    """Where the forward pass leaves the range of its numbers."""

    nonfinite: jax.Array  # a carry or pre-activation is not finite, bool[T]
    underflowed: jax.Array  # a state became zero by underflow, bool[T]


def step_jacobian(
    cell: Cell, a_x: jax.Array, a_h: jax.Array, carry: Carry, pins: dict[str, Pin]
) -> tuple[jax.Array, jax.Array]:
    """d carry / da [K, D, n] and d carry(s) / d carry(s−1) [K, K, n] of one step: the `vmap`ped vjp of each state."""
    _, vjp = jax.vjp(lambda *differentiable: cell.step(*differentiable, pins), a_x, a_h, carry)
    one = jnp.eye(len(carry), dtype=a_h.dtype)
    by_x, by_h, by_carry = jax.vmap(vjp)(tuple(jnp.outer(row, jnp.ones_like(carry[0])) for row in one))
    if cell.split_bias_gates:
        split = by_x[:, np.array([cell.gates.index(gate) for gate in cell.split_bias_gates])]
        by_h = jnp.concatenate([by_h, split], axis=1)
    return by_h, jnp.stack(by_carry, axis=1)


def numeric_flags(cell: Cell, weights: Weights, trajectory: Trajectory, jacobians: Jacobians) -> Flags:
    """`Flags` of a trajectory and its Jacobians; the second is asked for where a state is tiny at all.

    Is a zero state a closed gate, or did it underflow? A second step, from a carry whose tiny entries are enlarged,
    tells: a closed gate still gives zero. Tiny is below √tiny = 2^(minexp/2), of which products underflow; the factor
    2^(−minexp/2 − 3) takes such an entry to at most 2⁻³, where no activation saturates.
    """
    a_x, a_h, before, pins = trajectory.residuals
    info, steps = jnp.finfo(a_x.dtype), len(a_x)

    def underflowed():
        enlarge = lambda c: jnp.where(jnp.abs(c) < info.tiny**0.5, c * 2.0 ** (-info.minexp // 2 - 3), c)
        enlarged = tuple(map(enlarge, before))
        a_h_enlarged = jax.vmap(lambda s, h: state_preact(copy_at(weights, s), h))(jnp.arange(steps), enlarged[0])
        again = jax.vmap(cell.step)(a_x, a_h_enlarged, enlarged, pins)
        # What the activation shuts, as relu does what is below zero, is zero whatever comes.
        passes = (jacobians.preact != 0).any(2) | (jacobians.carry != 0).any(2)
        passes |= (jnp.abs(a_x + a_h) < info.tiny).all(1)[:, None]
        lost = lambda c, larger: (jnp.abs(c) < info.tiny) & (jnp.abs(larger) >= info.tiny)
        lost_units = jnp.stack(list(map(lost, trajectory.after, again)), axis=1) & passes  # [T, K, n]
        return lost_units.any((1, 2))

    any_tiny = jnp.stack([(jnp.abs(c) < info.tiny).any() for c in trajectory.after]).any()
    sound = [jnp.isfinite(a).reshape(steps, -1).all(1) for a in (a_x, a_h, *before, *trajectory.after)]
    return Flags(~jnp.stack(sound).all(0), lax.cond(any_tiny, underflowed, lambda: jnp.zeros(steps, bool)))


def step_jacobians(cell: Cell, trajectory: Trajectory) -> tuple[jax.Array, jax.Array]:
    """The derivatives by pre-activations and by the carry of all steps, [T, K, D, n] and [T, K, K, n]."""
    preact, carry = jax.vmap(partial(step_jacobian, cell))(*trajectory.residuals)
    return finite(preact), finite(carry)


def scaled_jacobians(preact: jax.Array, carry: jax.Array, dtype: np.dtype) -> Jacobians:
    """`Jacobians` of this precision, from derivatives in float64."""
    by_gate, exponent = normalise(preact, axis=(1, 3))
    preact, carry, by_gate = (finite(a.astype(dtype)) for a in (preact, carry, by_gate))
    return Jacobians(preact, carry, by_gate, exponent[:, 0, :, 0])


def finite(a: jax.Array) -> jax.Array:
    """Zero in place of what is not finite: the costs that meet it are masked."""
    return jnp.where(jnp.isfinite(a), a, 0)
