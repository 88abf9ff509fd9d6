"""The engine: every dC(t)/dW(t−u) of one recurrent layer.

Every term is an outer product, dC(t)/dW_hh(s) = δ_h(t,s) h(s−1)ᵀ and dC(t)/dW_ih(s) = δ_x(t,s) x(s)ᵀ, so its norm is
a product of two norms and no matrix of derivatives is ever built. No term underflows or overflows, and everything
leaves here as a logarithm.

Read in this order: `powers` (of two, and logarithms), `forward` (the forward pass and its Jacobians), `sweep` (all δ,
backwards), `plain` (the same without rescaling), `lags` (one t), `blocks` (of t, and who computes them), `maps` (all
t), `whole` (their sum by `jax.grad`), `layers` (a feed-forward net), `device`, `compiled` (what outlives the
process).
"""

from gradflow.flow.compiled import forget_compiled, keep_compiled
from gradflow.flow.device import select_device
from gradflow.flow.lags import LagTerms, lag_terms
from gradflow.flow.layers import LayerGradients, layer_gradients, scale_gradients
from gradflow.flow.maps import GradientMap, gradient_map, gradient_maps
from gradflow.flow.whole import whole_gradient, whole_gradients

__all__ = [
    "GradientMap",
    "LagTerms",
    "LayerGradients",
    "forget_compiled",
    "gradient_map",
    "gradient_maps",
    "keep_compiled",
    "lag_terms",
    "layer_gradients",
    "scale_gradients",
    "select_device",
    "whole_gradient",
    "whole_gradients",
]
