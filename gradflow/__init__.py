"""gradflow: every dC(t)/dW(t−u), and their sum.

A recurrent network uses one weight many times, so the gradient of the cost at time t is a sum over lags u of one
term for each earlier use. gradflow computes every term for every t, over any range of magnitudes, and to rounding
where the network is not chaotic.

Read in this order: `cells` (what a step is), `maps` and `lags` (what is computed), `engine` (how: all terms in one
backward sweep), `reading` (what the numbers mean), `app` (the page).
"""

from importlib import import_module

_HOMES = {
    "CELLS": "cells",
    "Cell": "cells",
    "GradientMap": "maps",
    "LagTerms": "lags",
    "LayerGradients": "feedforward",
    "Weights": "weights",
    "gradient_map": "maps",
    "gradient_maps": "maps",
    "lag_terms": "lags",
    "layer_gradients": "feedforward",
}
__all__ = list(_HOMES)


def __getattr__(name):  # a page can be painted before the first name pulls JAX in
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
