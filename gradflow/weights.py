"""Weights in PyTorch's shapes, and the ways to draw them."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Self

import numpy as np

CHRONO_STEPS = 256  # the longest memory that chrono spreads its biases for


class _Fields(NamedTuple):
    weight_ih: np.ndarray  # [G·n, m]
    weight_hh: np.ndarray  # [G·n, n]
    bias_ih: np.ndarray | Any = None  # [G·n]; or None
    bias_hh: np.ndarray | Any = None  # [G·n]; or None


class Weights(_Fields):
    """The four fields of one recurrent layer, gates stacked in the cell's order; a missing bias is zero.

    A leading axis [T, ...] on every field gives each step its own copy (untied).

    Raises:
        ValueError: more than four fields, as the parameters of several layers or directions are.
    """

    __slots__ = ()

    def __new__(cls, weight_ih: Any, weight_hh: Any, bias_ih: Any = None, bias_hh: Any = None, *more: Any) -> Self:
        if more:
            raise ValueError(
                f"weights are {4 + len(more)} fields; one layer in one direction has {', '.join(cls._fields)}, or the "
                "first two alone; give those of a single layer, and without a projection (proj_size)"
            )
        return super().__new__(cls, weight_ih, weight_hh, bias_ih, bias_hh)


def draw(
    gates: Sequence[str],
    hidden: int,
    inputs: int,
    *,
    init: str = "normal",
    gain: float = 1.0,
    input_gain: float = 1.0,
    biases: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Weights:
    """Draw the weights of one layer; the draw depends on the seed and sizes alone, the gains only scale it.

        W_ih = input_gain · V,  W_hh = gain · U,  with V and U as `init` draws them, a block U_g for each gate:

        normal      U ~ N(0, 1/n),  V ~ N(0, 1/m)
        orthogonal  U_gᵀ U_g = 1, one draw a gate, V as normal              (Saxe et al. 2014)
        identity    U_g = 1, V as normal                                    (Le et al. 2015)
        pytorch     U, V, b_ih, b_hh ~ U(−1/√n, 1/√n)                       (torch.nn.RNNBase.reset_parameters)
        keras       Uᵀ U = 1 for all G·n rows together, so ‖U_g v‖² is ‖v‖²/G on average,
                    V ~ U(−l, l) with l² = 6/(m + G·n), forget bias 1       (keras LSTMCell, GRUCell, SimpleRNNCell)
        chrono      U, V as normal, forget bias b ~ log U(1, T − 1), input bias −b, T = 256, for memories of 2 to T
                    steps; a GRU's update gate, which keeps, has b          (Tallec & Ollivier 2018)
        shift       a delay line: U_g hands unit k to unit k + 1, V feeds input 0 to unit 0, all else is 0;
                    with several gates, each gate of unit k + 1 sees unit k alone

    Biases that are not named are 0, and no gain scales a bias: pytorch and keras are the frameworks' own at gains of 1.
    The weights of one unit are not drawn: its recurrent weight is the gain and its input weight the input gain.

    Args:
        gates: names of the G gates, in the cell's order.
        hidden: n, units.
        inputs: m, inputs a step.
        init: one of `INITS`.
        gain: factor on the recurrent weights.
        input_gain: factor on the input weights.
        biases: gate name -> bias_ih of that gate's rows, whose bias_hh is then 0; a missing gate has what `init` draws.
        seed: integer.

    Returns:
        `Weights`, float32.

    Raises:
        ValueError: an unknown `init`.

    Source: PyTorch 2.13, torch/nn/modules/rnn.py; Keras 3.12, keras/src/layers/rnn and initializers (kernels of shape
    [m, G·n] and [n, G·n], whose fans and orthogonality are those of the whole, keras issue 9149; GRU with reset_after).
    """
    if init not in INITS:
        raise ValueError(f"init is {init!r}; it must be one of {', '.join(INITS)}")
    feeding, recurrent, drawn = _drawn(tuple(gates), hidden, inputs, init, seed)
    bias = drawn.copy()
    for k, gate in enumerate(gates):
        if biases and gate in biases:
            bias[:, k] = [[biases[gate]], [0.0]]
    stacked = lambda blocks: blocks.reshape(len(gates) * hidden, -1)
    fields = (input_gain * stacked(feeding), gain * stacked(recurrent), *bias.reshape(2, -1))
    return Weights(*(np.asarray(field, np.float32) for field in fields))


@lru_cache(maxsize=8)
def _drawn(gates, n, m, init, seed):
    """(V [G, n, m], U [G, n, n], b_ih and b_hh [2, G, n]); a move of another control finds them drawn."""
    rng, biases = np.random.default_rng(seed), np.zeros((2, len(gates), n))
    recurrent = rng.standard_normal((len(gates), n, n))
    feeding = rng.standard_normal((len(gates), n, m)) / np.sqrt(m)
    feeding, recurrent = INITS[init](rng, gates, feeding, recurrent, biases)
    if n == 1:
        recurrent, feeding = np.ones_like(recurrent), np.eye(1, m)[None].repeat(len(gates), axis=0)
    return feeding, recurrent, biases


# Each takes the generator, the gates and normal numbers [G, n, m] and [G, n, n], fills the biases, and returns V and U.


def _normal(rng, gates, feeding, recurrent, biases):
    return feeding, recurrent / np.sqrt(recurrent.shape[-1])


def _orthogonal(rng, gates, feeding, recurrent, biases):
    return feeding, np.stack([_orthonormal(block) for block in recurrent])


def _identity(rng, gates, feeding, recurrent, biases):
    return feeding, np.broadcast_to(np.eye(recurrent.shape[-1]), recurrent.shape)


def _pytorch(rng, gates, feeding, recurrent, biases):
    bound = 1 / np.sqrt(recurrent.shape[-1])
    biases[:] = rng.uniform(-bound, bound, biases.shape)
    return rng.uniform(-bound, bound, feeding.shape), rng.uniform(-bound, bound, recurrent.shape)


def _keras(rng, gates, feeding, recurrent, biases):
    if "forget" in gates:
        biases[0, gates.index("forget")] = 1
    rows, n = biases[0].size, recurrent.shape[-1]
    limit = np.sqrt(6 / (feeding.shape[-1] + rows))
    return rng.uniform(-limit, limit, feeding.shape), _orthonormal(recurrent.reshape(rows, n)).reshape(recurrent.shape)


def _chrono(rng, gates, feeding, recurrent, biases):
    kept = np.log(rng.uniform(1, CHRONO_STEPS - 1, recurrent.shape[-1]))
    for gate, bias in (("forget", kept), ("input", -kept), ("update", kept)):
        if gate in gates:
            biases[0, gates.index(gate)] = bias
    return _normal(rng, gates, feeding, recurrent, biases)


def _shift(rng, gates, feeding, recurrent, biases):
    feeding, recurrent = np.zeros_like(feeding), np.zeros_like(recurrent)
    feeding[:, 0, 0], recurrent[:] = 1, np.eye(recurrent.shape[-1], k=-1)
    return feeding, recurrent


INITS = {
    "normal": _normal,
    "orthogonal": _orthogonal,
    "identity": _identity,
    "pytorch": _pytorch,
    "keras": _keras,
    "chrono": _chrono,
    "shift": _shift,
}
SET_BIASES = ("pytorch", "keras", "chrono")  # the inits that say what the biases are


def spectrum(weights: Weights, gates: Sequence[str]) -> dict[str, tuple[float, float]]:
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


def _orthonormal(block):
    """Orthonormal columns out of normal numbers."""
    q, r = np.linalg.qr(block)
    return q * np.sign(np.diag(r))  # the sign makes the draw uniform over rotations and reflections
