"""Weights in PyTorch's shapes, and the ways to draw them."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

INITS = ("normal", "orthogonal", "identity")


class Weights(NamedTuple):
    """The four fields of one recurrent layer, gates stacked in the cell's order.

    A leading axis [T, ...] on every field gives each step its own copy (untied).
    """

    weight_ih: np.ndarray  # [G·n, m]
    weight_hh: np.ndarray  # [G·n, n]
    bias_ih: np.ndarray  # [G·n]
    bias_hh: np.ndarray  # [G·n]


def draw(gates, hidden, inputs, *, init="normal", gain=1.0, input_gain=1.0, biases=None, seed=0):
    """Draw the weights of one layer; the draw depends on the seed and sizes alone, the gains only scale it.

        normal      W_hh ~ gain · N(0, 1/n)
        orthogonal  W_hh = gain · Q, QᵀQ = 1, one Q a gate     (Saxe et al. 2014)
        identity    W_hh = gain · 1, one block a gate          (Le et al. 2015)
        always      W_ih ~ input_gain · N(0, 1/m),  b_hh = 0,  b_ih = biases, constant in each gate

    One unit has nothing to draw: its recurrent weight is the gain and its input weight the input gain.

    Args:
        gates: names of the G gates, in the cell's order.
        hidden: n, units.
        inputs: m, inputs a step.
        init: one of `INITS`.
        gain: factor on the recurrent weights.
        input_gain: factor on the input weights.
        biases: gate name -> bias_ih of that gate's rows; a missing gate has 0.
        seed: integer.

    Returns:
        `Weights`, float32.

    Raises:
        ValueError: an unknown `init`.
    """
    if init not in INITS:
        raise ValueError(f"init is {init!r}; it must be one of {', '.join(INITS)}")
    biases = biases or {}
    feeding, recurrent = _drawn(len(gates), hidden, inputs, init, seed)
    bias = np.repeat([float(biases.get(gate, 0.0)) for gate in gates], hidden)
    fields = (input_gain * feeding, gain * recurrent, bias, np.zeros_like(bias))
    return Weights(*(np.asarray(field, np.float32) for field in fields))


@lru_cache(maxsize=8)
def _drawn(gates, n, m, init, seed):
    """(W_ih [G·n, m], W_hh [G·n, n]) of gains 1; a move of another control finds them drawn."""
    rng = np.random.default_rng(seed)
    recurrent = rng.standard_normal((gates, n, n))
    feeding = rng.standard_normal((gates * n, m)) / np.sqrt(m)
    if n == 1:
        recurrent, feeding = np.ones_like(recurrent), np.eye(1, m).repeat(gates, axis=0)
    elif init == "normal":
        recurrent = recurrent / np.sqrt(n)
    elif init == "orthogonal":
        recurrent = np.stack([_orthogonal(block) for block in recurrent])
    else:
        recurrent = np.broadcast_to(np.eye(n), recurrent.shape)
    return feeding, recurrent.reshape(-1, n)


def spectrum(weights, gates):
    """How far the recurrent weights of each gate can stretch a vector, once and in the long run.

        σ₁ = max ‖W v‖ / ‖v‖,   ρ = max |eigenvalue|

    Args:
        weights: `Weights`, tied, with a square block [n, n] for each gate.
        gates: names of the G gates, in the cell's order.

    Returns:
        gate -> (σ₁, ρ).

    Source: Pascanu, Mikolov & Bengio 2013, section 2: γ σ₁ < 1 suffices for terms to vanish, where γ bounds the
    activation's derivative; ρ alone does not tell.
    """
    blocks = np.asarray(weights.weight_hh, float).reshape(len(gates), -1, weights.weight_hh.shape[-1])
    radius = lambda block: float(np.abs(np.linalg.eigvals(block)).max())
    return {gate: (float(np.linalg.norm(block, 2)), radius(block)) for gate, block in zip(gates, blocks, strict=True)}


def _orthogonal(block):
    q, r = np.linalg.qr(block)
    return q * np.sign(np.diag(r))  # the sign makes the draw uniform over rotations and reflections
