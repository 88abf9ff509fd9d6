"""A chart with what is said over it: one Vega view, which takes new tables without being built anew."""

from itertools import count
from typing import Any

from gradflow.app.components import component, url
from gradflow.app.streamlit_patches import vega_module

_RUNS = count()
_picture = component("picture", '<div class="picture"></div>', isolated=False)


def picture(key: str, spec: str, record: dict[str, Any], request: dict[str, Any] | None = None) -> None:
    """Draw a chart where it stands.

    Args:
        key: of the element.
        spec: the name of its specification, a file of `charts.built`.
        record: what `frame.frame` returns; "tables" alone is enough.
        request: what `frame.read` reads, for the frames that come past the run while a range moves; None: none do.
    """
    data: dict[str, Any] = {"spec": url("specs", f"{spec}.json"), "vega": vega_module()}
    data |= {"record": record, "request": request}
    if request is not None:
        data["run"] = next(_RUNS)  # else what is as it was before the frames would not be drawn again after them
    # In a list: in a dict Streamlit would look for data frames, and load pandas for it.
    _picture(key=key, data=[data])


def style(spec: str) -> str:
    """The rule that greys a live picture of another specification until this one is drawn."""
    return f".st-key-picture .picture[data-drawn]:not([data-drawn*='/{spec}.json']) {{ opacity: 0.15 }}"
