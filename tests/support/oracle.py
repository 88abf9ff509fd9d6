"""A second, slow implementation of what the engine computes, written from the cells' equations alone.

Every step gets its own copy of every weight, and all of C(t) is differentiated by every copy, in float64. The
steps run in NumPy (for finite differences) or in JAX (for `jax.jacrev`); nothing is shared with the engine.
"""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np

import gradflow as gf

SIGMOID_GATES = {"lstm": ("input", "forget", "output"), "gru": ("reset", "update"), "mingru": ("update",)}


def step(xp, cell, a_x, a_h, carry, pins):
    """One step as PyTorch writes it: nn.RNNCell, nn.LSTMCell, nn.GRUCell; a pin of NaN leaves the gate free."""

    def sigmoid(z):
        return 1 / (1 + xp.exp(-z))

    def gate(name, z):
        return xp.where(xp.isnan(pins[name]), sigmoid(z), pins[name])

    if cell == "lstm":
        i, f, g, o = xp.split(a_x + a_h, 4)
        c = gate("forget", f) * carry[1] + gate("input", i) * xp.tanh(g)
        return gate("output", o) * xp.tanh(c), c
    if cell == "gru":
        (x_r, x_z, x_n), (h_r, h_z, h_n) = xp.split(a_x, 3), xp.split(a_h, 3)
        new = xp.tanh(x_n + gate("reset", x_r + h_r) * h_n)
        z = gate("update", x_z + h_z)
        return ((1 - z) * new + z * carry[0],)
    if cell == "mingru":  # a GRU whose W_hh, b_hh and so W_hh h + b_hh are zero
        x_z, x_n = xp.split(a_x, 2)
        z = gate("update", x_z)
        return ((1 - z) * xp.tanh(x_n) + z * carry[0],)
    z = a_x + a_h
    return (
        {
            "rnn-tanh": xp.tanh,
            "rnn-sigmoid": sigmoid,
            "rnn-linear": lambda z: z,
            "rnn-relu": lambda z: xp.where(z > 0, z, 0.0),
        }[cell](z),
    )


def costs(xp, cell, truncate, weights, inputs, readout, targets, pins, carry):
    """C(t) = ½ ‖readout · h(t) − target(t)‖², 0 where a target is NaN; a copy of W a step -> [T]."""

    def one(carry, now):
        w, x, target, pins = now
        h = jax.lax.stop_gradient(carry[0]) if truncate else carry[0]
        carry = step(xp, cell, w.weight_ih @ x + w.bias_ih, w.weight_hh @ h + w.bias_hh, carry, pins)
        known = ~xp.isnan(target).any()
        miss = xp.where(known, readout @ carry[0] - xp.where(known, target, 0.0), 0.0)
        return carry, xp.sum(miss**2) / 2

    steps = (weights, inputs, targets, pins)
    if xp is jnp:
        return jax.lax.scan(one, carry, steps)[1]
    result = []
    for s in range(len(inputs)):
        carry, cost = one(carry, jax.tree.map(lambda leaf, s=s: leaf[s], steps))
        result.append(cost)
    return np.stack(result)


@cache
def derivatives(cell, truncate):
    return jax.jit(jax.jacrev(partial(costs, jnp, cell, truncate)))


def plain(cell, weights, inputs, readout, targets, *, pins=None, carry=None):
    """The problem as float64 arrays: a copy of the weights a step, a pin a step (NaN where free), a carry."""
    steps, n = len(inputs), np.shape(weights.weight_hh)[-1]
    weights = gf.Weights(*(np.asarray(field, np.float64) for field in weights))
    if weights.bias_hh.ndim == 1:
        weights = gf.Weights(*(np.broadcast_to(field, (steps, *field.shape)) for field in weights))
    carry = carry if carry is not None else [np.zeros(n) for _ in gf.CELLS[cell].carry]
    pins = dict.fromkeys(SIGMOID_GATES.get(cell, ()), np.nan) | (pins or {})
    pins = {name: np.broadcast_to(np.asarray(pin, np.float64), steps) for name, pin in pins.items()}
    arrays = (np.asarray(array, np.float64) for array in (inputs, readout, targets))
    return (weights, *arrays, pins, tuple(np.asarray(state, np.float64) for state in carry))


class Answer:
    """All dC(t)/dW(t−u) as explicit arrays, by lag."""

    def __init__(self, cell, weights, *arrays, cell_path_only=False, **options):
        problem = plain(cell, weights, *arrays, **options)
        self.gates = gf.CELLS[cell].gates
        self.cost = costs(np, cell, False, *problem)
        by_step = derivatives(cell, cell_path_only)(*problem)
        steps = len(self.cost)
        t, u = np.arange(steps)[:, None], np.arange(steps)
        self.by_lag = {}  # field -> [t, u, ...]
        for field, matrices in by_step._asdict().items():
            matrices = np.asarray(matrices)
            past = (u <= t).reshape(steps, steps, *[1] * (matrices.ndim - 2))
            self.by_lag[field] = np.where(past, matrices[t, t - u], 0)

    def terms(self, weight, gate=None):
        """Every parameter asked for, flat: [t, u, p]."""
        if weight == "all":
            return np.concatenate([self.terms(field, gate) for field in self.by_lag], axis=-1)
        matrices = self.by_lag[weight]
        if gate is not None:
            matrices = np.split(matrices, len(self.gates), axis=2)[self.gates.index(gate)]
        return matrices.reshape(*matrices.shape[:2], -1)

    def log_terms(self, weight, gate=None):
        return log_norm(self.terms(weight, gate))

    def log_sums(self, weight, gate=None):
        return log_norm(self.terms(weight, gate).sum(1))

    def log_partial_sums(self, t, weight, gate=None):
        return log_norm(self.terms(weight, gate)[t, : t + 1].cumsum(0))


def log_norm(vectors):
    """Natural log of the norm over the last axis, −inf for zero; scaled first, since a norm squares."""
    largest = np.abs(vectors).max(-1)
    with np.errstate(divide="ignore"):
        scaled = vectors / np.where(largest > 0, largest, 1)[..., None]
        return np.log(largest) + np.log(np.maximum(np.linalg.norm(scaled, axis=-1), 1))


def draw(cell, steps=9, hidden=3, inputs=2, outputs=None, copies=None, seed=0):
    """A random problem (weights, inputs, readout, targets), lively enough that no gate saturates."""
    rng = np.random.default_rng(seed)
    rows, lead = hidden * len(gf.CELLS[cell].gates), () if copies is None else (copies,)
    shapes = [(rows, inputs), (rows, hidden), (rows,), (rows,)]
    weights = gf.Weights(*(rng.normal(size=lead + shape) * 0.6 for shape in shapes))
    outputs = () if outputs is None else (outputs,)
    return (
        weights,
        rng.normal(size=(steps, inputs)),
        rng.normal(size=(*outputs, hidden)),
        rng.normal(size=(steps, *outputs)),
    )


def draw_carry(cell, hidden=3, seed=7):
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=hidden) for _ in gf.CELLS[cell].carry)
