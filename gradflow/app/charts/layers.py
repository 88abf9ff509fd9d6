"""A feed-forward net, layer by layer from the top down: what is sent back, what it meets, and their product."""

from typing import TYPE_CHECKING, Any

import numpy as np

from gradflow.app.charts import base, line
from gradflow.app.charts.base import BLUE, ORANGE, PURPLE, Tables
from gradflow.reading import number

if TYPE_CHECKING:
    from gradflow.feedforward import LayerGradients

FADES = np.log(0.95)  # a layer


def data(net: "LayerGradients") -> Tables:
    """The numbers of the chart, of `LayerGradients`."""
    depth = len(net.log_terms)
    delta, met, terms = (log[::-1] for log in (net.log_delta, net.log_input, net.log_terms))
    drawn = [
        ("‖h‖ of the layer below, read going up", met, PURPLE, "dashed"),
        ("‖δ‖, sent down", delta, BLUE, "solid"),
        ("‖dC/dW‖, their product: what a layer gets", terms, ORANGE, "dotted"),
    ]
    words = [
        f"{k} below the top: ‖δ‖ {number(delta[k])}, ‖h‖ {number(met[k])}, ‖dC/dW‖ {number(terms[k])}"
        for k in range(depth)
    ]
    return line.tables(
        None,
        drawn,
        base.decades(delta, met, terms),
        length=depth,
        title="What each layer gets",
        subtitle="each has its own weights: nothing is summed",
        lit=-1,
        words=words,
        alarm=say(net) if gone(net) else "",
    )


def gone(net: "LayerGradients") -> bool:
    """Whether there is nothing to draw: the net has blown up, or a layer lets nothing through."""
    return not np.isfinite(net.log_terms).any()


def say(net: "LayerGradients") -> str:
    """What the bottom layer gets beside the top one, in a sentence with numbers."""
    if net.overflow is not None:
        return f"The values overflow in layer {net.overflow + 1}."
    if gone(net):
        return "In one layer every unit is shut, so nothing passes it: each gradient is an exact zero."
    delta, terms = net.log_delta, net.log_terms
    steps = len(terms) - 1
    each = [(log[0] - log[-1]) / steps for log in (delta, terms)]
    flat = each[0] < FADES and abs(each[1]) < 0.2 * abs(each[0])
    why = " It is flat because ‖h‖ fades going up as ‖δ‖ does going down." if flat else ""
    return (
        f"The bottom layer's gradient is {number(terms[0])}, {number(terms[0] - terms[-1])} of the top one's. A layer "
        f"down multiplies ‖δ‖ by {number(each[0])} and ‖dC/dW‖ by {number(each[1])}.{why}"
    )


def specification() -> dict[str, Any]:
    """The constant Vega-Lite specification."""
    return line.specification("layers below the top", "The gradient of each layer of a net; the text under it says it.")
