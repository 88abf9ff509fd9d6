"""W_hhᵀ δ_h, the only product of the sweep, in three layouts; and all numbers of the engine that were found by timing.

Timed on two cores: `tests/benchmarks/engine.py --rows`. Sizes are in numbers, not bytes.
"""

from collections.abc import Callable
from functools import reduce
from math import ceil, inf, sqrt
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradflow.engine.jacobians import Jacobians
from gradflow.engine.scaling import dot
from gradflow.engine.unroll import Carry
from gradflow.weights import Weights


def index_step(a: jax.Array, s: jax.Array) -> jax.Array:
    """a[s], of an s that is known to lie within."""
    return lax.dynamic_index_in_dim(a, s, keepdims=False)


def matmul_all_gates(W: jax.Array, W_T: jax.Array, jac_preact: jax.Array, delta: jax.Array, ct: Carry) -> jax.Array:
    """Σ_g W_gᵀ δ_g as it stands: one product with all G·n rows of δ_h."""
    delta = delta.reshape(-1, delta.shape[2])[: len(W)]
    return dot(delta[:, 0], W)[:, None] if delta.shape[1] == 1 else dot(W_T, delta)


def matmul_folded(W: jax.Array, W_T: jax.Array, jac_preact: jax.Array, delta: jax.Array, ct: Carry) -> jax.Array:
    """Σ_k M_k ct_k with all M_kᵀ below one another: one product for all states."""
    n, c = len(ct[0]), W.shape[1]
    M_T = _fold(W.reshape(-1, n, c), lambda g: jac_preact[:, g, :, None])  # [K, n, c]
    return dot(M_T.reshape(-1, c).T, jnp.concatenate(ct))


def matmul_per_state(W: jax.Array, W_T: jax.Array, jac_preact: jax.Array, delta: jax.Array, ct: Carry) -> jax.Array:
    """Σ_k M_k ct_k, a product a state."""
    gates = jnp.split(W_T, len(W) // len(ct[0]), axis=-1)
    return reduce(add, map(dot, _fold(gates, lambda g: jac_preact[:, g, None, :]), ct))


def _fold(gates, jacobian):
    return sum(W_g[None] * jacobian(g) for g, W_g in enumerate(gates))


TUNED = (  # n below, the layout of the product, what a step costs in any case: as much as so many costs more
    (32, matmul_all_gates, 64),
    (128, matmul_folded, 16),
    (256, matmul_per_state, 32),
    (512, matmul_per_state, 20),
    (inf, matmul_per_state, 32),
)
MIN_FOLDED = 16  # costs: fewer do not pay for making the M_k
VECTOR = 16  # a block is a multiple of so many costs
MAX_BLOCK = 256  # costs: more save no time, and what a block needs grows with them
CACHE_BLOCK = 2**17  # n × costs, of one state: stays in the cache
CACHE_UNITS = 2**12  # units × costs of a contraction that go together
SUM_STEPS = 64  # steps of a contraction that go together
FILL_STEPS = 16  # of these, steps whose δ are made again together
SUM_COLUMNS = 64  # columns of z that go together, at most
SMALL_BLOCK = 2**21  # numbers in all δ of a block: up to here a thread costs more than it saves


def _tuned(n):
    return next(row for row in TUNED if n < row[0])


def recurrent_product(weights: Weights, jacobians: Jacobians) -> Callable:
    """(s, δ [D, n, B], ct) -> W_hhᵀ δ_h [n, B], in the layout that is fastest for n units and B costs.

        W_hhᵀ δ_h = Σ_g W_gᵀ Σ_k (∂carry_k/∂a_g ⊙ ct_k) = Σ_k M_k ct_k        M_k = Σ_g W_gᵀ diag(∂carry_k/∂a_g)

    On the right the product for all costs has K blocks of n × n, not G; it pays for making the M_k where there are
    enough units and costs.
    """
    return transposed_product(weights.weight_hh, jacobians)


def transposed_product(W: Any, jacobians: Jacobians, rows: tuple[int, ...] = ()) -> Callable:
    """The same of any W [G·n, c], (s, δ, ct) -> Wᵀ δ [c, B], of these `rows` of δ; of its first ones if empty.

    W becomes as precise as the Jacobians; where each step has a copy of its own, one copy after the other.
    """
    precise = lambda a: a.astype(jacobians.preact.dtype)
    W = precise(W) if W.ndim == 2 else W
    W_T, n = jnp.swapaxes(W, -1, -2), jacobians.preact.shape[-1]
    ordered = rows == tuple(range(len(rows)))
    chosen = lambda a, axis: (
        a if ordered else jnp.concatenate([jnp.split(a, a.shape[axis], axis)[g] for g in rows], axis)
    )

    def times(s, delta, ct):
        B, K, G = ct[0].shape[1], len(ct), W.shape[-2] // n
        layout = matmul_all_gates if B < MIN_FOLDED or K == G else _tuned(n)[1]
        copy = lambda a: a if a.ndim == 2 else precise(index_step(a, s))
        jac_preact = index_step(jacobians.preact, s)
        return layout(copy(W), copy(W_T), chosen(jac_preact, 1), chosen(delta, 0), ct)

    return times


def choose_block_size(n: int, steps: int) -> int:
    """How many times t make a block, for n units and T steps.

    B blocks take T (B + 1) / 2 steps back, each at the price of A + T / B costs: least at B = √(T / A), where A is what
    a step costs for any number of them.
    """
    blocks = max(1, round(sqrt(steps / _tuned(n)[2])))
    size = VECTOR * ceil(steps / blocks / VECTOR) if steps > VECTOR else steps
    return min(size, MAX_BLOCK, max(VECTOR, CACHE_BLOCK // n))
