"""A plain feed-forward net to try, on a page: choose its depth, width and activation, see what every layer gets."""

import streamlit as st

from gradflow.app import session
from gradflow.app.errors import error_boundary
from gradflow.app.live_chart import draw_chart
from gradflow.app.ranges import Range

FIELDS = {  # name in the address bar -> (default, what is allowed, label)
    "activation": ("sigmoid", ("sigmoid", "tanh", "relu", "linear"), "Activation"),
    "depth": (20, Range(2, 64, 1), "Depth: layers"),
    "width": (16, (4, 16, 64), "Width: units a layer"),
    "scale": (1.0, Range(0.1, 4.0, 0.1), "Scale of the weights"),
    "net_seed": (0, Range(0, 99, 1), "Draw of the weights"),
}


@st.fragment
def layers() -> None:
    """The net of the address bar, its controls and its chart."""
    from gradflow.app.charts import layers as chart

    with error_boundary(session.link):
        session.receive_address()
        st.subheader("A plain feed-forward net")
        st.markdown(
            "No time and no sharing: one input goes up through layers that each have random weights of their own, the "
            "error $\\delta$ comes down. Each layer's gradient, $dC/dW = \\delta\\,h^\\top$, is all that it gets."
        )
        controls, picture = st.columns([1, 2], gap="medium")
        with controls:
            chosen = {name: _control(name) for name in FIELDS}
        session.send_address()
        with picture:
            net = _measured(**chosen)
            draw_chart("layers", chart.data(net))
            st.markdown(chart.say(net))


def _control(name):
    """The widget of a field; its value, which the address bar holds where it is not the default."""
    default, allowed, label = FIELDS[name]
    value, keyed = session.page_field(name, default, allowed)
    how = {"label": label, **keyed}
    if isinstance(allowed, Range):
        return st.slider(value=value, min_value=allowed.low, max_value=allowed.high, step=allowed.step, **how)
    return st.segmented_control(options=allowed, default=value, required=True, **how)


def _measured(activation, depth, width, scale, net_seed):
    from gradflow.feedforward import layer_gradients

    with st.spinner("Getting ready for this activation and width. This happens once.", show_time=False):
        return layer_gradients(activation, depth, width, gain=scale, seed=net_seed)
