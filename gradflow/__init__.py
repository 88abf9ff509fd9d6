"""gradflow: every dC(t)/dW(t−u), and their sum.

A recurrent network uses one weight many times, so the gradient of the cost at time t is a sum over lags u of one
term for each earlier use. gradflow computes every term for every t, over any range of magnitudes, and to rounding
where the network is not chaotic.

Read in this order: `cells` (what a step is), `maps` and `lags` (what is computed), `engine` (how: all terms in one
backward sweep), `reading` (what the numbers mean), `app` (the page).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what `__getattr__` finds, for editors and type checkers
    from gradflow.app.plot import plot as plot
    from gradflow.cells import CELLS as CELLS
    from gradflow.cells import Cell as Cell
    from gradflow.feedforward import LayerGradients as LayerGradients
    from gradflow.feedforward import layer_gradients as layer_gradients
    from gradflow.lags import LagTerms as LagTerms
    from gradflow.lags import lag_terms as lag_terms
    from gradflow.maps import GradientMap as GradientMap
    from gradflow.maps import gradient_map as gradient_map
    from gradflow.maps import gradient_maps as gradient_maps
    from gradflow.maps import states as states
    from gradflow.network import LayerMap as LayerMap
    from gradflow.network import Network as Network
    from gradflow.network import network_map as network_map
    from gradflow.pytorch import Watch as Watch
    from gradflow.pytorch import watch as watch
    from gradflow.recording import BatchReading as BatchReading
    from gradflow.recording import Recording as Recording
    from gradflow.recording import load as load
    from gradflow.weights import Weights as Weights

_HOMES = {
    "BatchReading": "recording",
    "CELLS": "cells",
    "Cell": "cells",
    "GradientMap": "maps",
    "LagTerms": "lags",
    "LayerGradients": "feedforward",
    "LayerMap": "network",
    "Network": "network",
    "Recording": "recording",
    "Watch": "pytorch",
    "Weights": "weights",
    "gradient_map": "maps",
    "gradient_maps": "maps",
    "lag_terms": "lags",
    "layer_gradients": "feedforward",
    "load": "recording",
    "network_map": "network",
    "plot": "app.plot",  # the one name that needs more than the library: Altair, once it is called
    "states": "maps",
    "watch": "pytorch",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> object:  # a page can be painted before the first name pulls JAX in
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
