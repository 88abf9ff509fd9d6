"""The forward pass of one sequence: the only place where a cell meets its weights."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradflow.cells import Cell, Pin
from gradflow.engine.scaling import dot
from gradflow.weights import Weights

Carry = tuple[jax.Array, ...]  # K states, h first


class Trajectory(NamedTuple):
    """Every step of a forward pass."""

    a_x: jax.Array  # W_ih x(s) + b_ih, [T, G, n]
    a_h: jax.Array  # W_hh h(s−1) + b_hh, [T, G, n]
    before: Carry  # the carry before each step, K states of [T, n], h first
    after: Carry  # the carry after it
    pins: dict[str, Pin]  # gate -> Pin of [T]

    @property
    def residuals(self) -> tuple[jax.Array, jax.Array, Carry, dict[str, Pin]]:
        """The arguments of `cell.step` at every step: what its vjp depends on."""
        return self.a_x, self.a_h, self.before, self.pins


def copy_at(weights: Weights, s: int | jax.Array) -> Weights:
    """The copy of the weights that step s uses."""
    return weights if weights.weight_hh.ndim == 2 else Weights(*(field[s] for field in weights))


def input_preact(weights: Weights, x: jax.Array) -> jax.Array:
    """a_x = W_ih x + b_ih, [G, n]."""
    return (dot(weights.weight_ih, x) + weights.bias_ih).reshape(-1, weights.weight_hh.shape[-1])


def state_preact(weights: Weights, h: jax.Array) -> jax.Array:
    """a_h = W_hh h + b_hh, [G, n]."""
    return (dot(weights.weight_hh, h) + weights.bias_hh).reshape(-1, len(h))


def step(
    cell: Cell, weights: Weights, a_x: jax.Array, carry: Carry, pins: dict[str, Pin], cell_path_only: bool = False
) -> tuple[jax.Array, Carry]:
    """One step of one example: (a_h, the next carry). With `cell_path_only` no gradient goes through a_h."""
    a_h = state_preact(weights, lax.stop_gradient(carry[0]) if cell_path_only else carry[0])
    return a_h, cell.step(a_x, a_h, carry, pins)


def unroll(
    cell: Cell, weights: Weights, inputs: jax.Array, pins: dict[str, Pin], carry: Carry, starts: jax.Array | None = None
) -> Trajectory:
    """Run a cell over inputs [T, m] from an initial carry, afresh at `starts`. All a_x are one matrix product.

    The weights become as precise as the inputs; where each step has a copy of its own, one copy after the other.
    """
    precise = lambda weights: Weights(*(field.astype(inputs.dtype) for field in weights))
    weights = precise(weights) if weights.weight_hh.ndim == 2 else weights
    at = lambda s: precise(copy_at(weights, s))
    steps = jnp.arange(len(inputs))
    a_x = jax.vmap(lambda s, x: input_preact(at(s), x))(steps, inputs)

    fresh = lambda start, first, state: jnp.where(start, first, state)

    def one(state, inputs):
        s, a_x, pin, start = inputs
        if start is not None:
            state = tuple(fresh(start, *states) for states in zip(carry, state, strict=True))
        a_h, after = step(cell, at(s), a_x, state, pin)
        return after, (a_h, after)

    _, (a_h, after) = lax.scan(one, carry, (steps, a_x, pins, starts))
    before = tuple(jnp.concatenate([first[None], states[:-1]]) for first, states in zip(carry, after, strict=True))
    if starts is not None:
        before = tuple(fresh(starts[:, None], *states) for states in zip(carry, before, strict=True))
    return Trajectory(a_x, a_h, before, after, pins)
