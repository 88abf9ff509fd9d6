"""A plain feed-forward net: the gradient of every layer, where nothing is summed.

The net is the engine's own layer, untied: copy l of W_hh is layer l, the initial carry is the input, and no other
input comes. Every net runs all `MAX_DEPTH` layers, of which the engine reads the cost after the chosen one.
"""

from functools import partial
from numbers import Integral, Real
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradflow.cells import CELLS
from gradflow.lags import lag_terms
from gradflow.weights import Weights

ACTIVATIONS = ("sigmoid", "tanh", "relu", "linear")
MAX_DEPTH = 64  # layers a net runs; a deeper one runs a whole multiple, and compiles anew
DEEPEST = 4 * MAX_DEPTH
WIDEST = 512


class Net(NamedTuple):
    """What a seed draws, in float64."""

    input: np.ndarray  # h_0, [width]
    weights: np.ndarray  # [depth, width, width]
    readout: np.ndarray  # [width]
    target: float


class LayerGradients(NamedTuple):
    """dC/dW_l of every layer, as natural logarithms, the bottom layer first; see `layer_gradients`."""

    log_terms: np.ndarray  # log ‖dC/dW_l‖_F = log_delta + log_input, f64[depth]
    log_delta: np.ndarray  # log ‖δ_l‖, δ_l = dC/d(W_l h_{l−1})
    log_input: np.ndarray  # log ‖h_{l−1}‖
    overflow: int | None  # index of the first layer that is not finite (all logarithms are then NaN), else None


def layer_gradients(activation: str, depth: int, width: int, gain: float = 1.0, seed: int = 0) -> LayerGradients:
    """Draw a net and compute the gradient of every layer's own weights.

        h_0 ~ N(0, 1)        h_l = φ(W_l h_{l−1})        W_l ~ N(0, gain²/width),  l = 1 … depth
        C = ½ (readout · h_depth − target)²        dC/dW_l = δ_l h_{l−1}ᵀ
        readout ~ N(0, 1/width),  target ~ N(0, 1)

    The draw depends on the seed and the width alone: the gain scales it, and a deeper net has the layers of a
    shallower one and more on top. Depth up to `MAX_DEPTH`, gain and seed never recompile.

    Args:
        activation: φ, one of `ACTIVATIONS`.
        depth: layers, in [1, 256].
        width: units a layer, in [1, 512].
        gain: factor on the weights, above 0.
        seed: whole number in [0, 2³²).

    Returns:
        `LayerGradients`; −inf at an exact zero: one relu layer with all units shut leaves no δ anywhere. δ has any
        magnitude; h that of the precision, double where JAX has it enabled: −inf where float32 loses it below 1e-38.

    Raises:
        ValueError: names the argument, its value and what is valid.

    Source: Hochreiter 1991; Glorot & Bengio 2010 (δ and h, layer by layer).
    """
    _check(activation, depth, width, gain, seed)
    layers = -(-depth // MAX_DEPTH) * MAX_DEPTH
    net = draw_net(layers, width, gain, seed)
    nothing = np.zeros((layers, width))
    untied = Weights(nothing[..., None], net.weights, nothing, nothing)
    cost = net.readout, np.full(layers, net.target)
    lags = lag_terms(f"rnn-{activation}", untied, np.zeros((layers, 1)), *cost, depth - 1, carry=(net.input,))
    log_delta, log_input = (factor[::-1] for factor in lags.log_factors("weight_hh"))  # lag 0 is the top
    overflow = lags.overflow if np.isnan(log_delta).any() else None
    return LayerGradients(log_delta + log_input, log_delta, log_input, overflow)


def scale_gradients(activation: str, depth: int, width: int, gain: float = 1.0, seed: int = 0) -> np.ndarray:
    """What the cost changes by as one layer's weights are scaled: ⟨W_l, dC/dW_l⟩ of each layer, the bottom one first.

        ⟨W_l, dC/dW_l⟩ = dC(W_1, …, (1 + ε) W_l, …)/dε at ε = 0

    For an activation with φ(c a) = c φ(a), c > 0 (relu, linear), it is the same number in every layer, C'(y) y with y
    the output: scaling any one layer scales y alike (Euler's theorem on homogeneous functions).

    Args and Raises: as `layer_gradients`, whose net this is.

    Returns:
        f[depth].

    Source: Du, Hu & Lee 2018, section 2.
    """
    _check(activation, depth, width, gain, seed)
    return np.asarray(_scale_gradients(draw_net(depth, width, gain, seed), activation=activation), float)


@partial(jax.jit, static_argnames="activation")
def _scale_gradients(net, *, activation):
    cell = CELLS[f"rnn-{activation}"]

    def cost(scales):
        def layer(h, own):
            scale, weight = own
            a = scale * (weight @ h)
            (h,) = cell.step(jnp.zeros_like(a)[None], a[None], (h,), {})
            return h, None

        h, _ = lax.scan(layer, net.input, (scales, net.weights))
        return (net.readout @ h - net.target) ** 2 / 2

    return jax.grad(cost)(jnp.ones_like(net.weights[:, 0, 0]))


def draw_net(depth: int, width: int, gain: float, seed: int) -> Net:
    """Draw the `Net` of `layer_gradients`."""
    rng = np.random.default_rng(seed)
    h, readout, target = rng.standard_normal(width), rng.standard_normal(width), rng.standard_normal()
    weights = rng.standard_normal((depth, width, width))
    return Net(h, gain / np.sqrt(width) * weights, readout / np.sqrt(width), target)


def _check(activation: str, depth: int, width: int, gain: float, seed: int) -> None:
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation is {activation!r}; it must be one of {', '.join(ACTIVATIONS)}")
    for name, value, low, high in (
        ("depth", depth, 1, DEEPEST),
        ("width", width, 1, WIDEST),
        ("seed", seed, 0, 2**32 - 1),
    ):
        if not isinstance(value, Integral) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"{name} is {value!r}; it must be a whole number between {low} and {high}")
    if not isinstance(gain, Real) or isinstance(gain, bool) or not 0 < gain < np.inf:
        raise ValueError(f"gain is {gain!r}; it must be a finite number above 0")
