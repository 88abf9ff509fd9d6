"""The controls: widgets and links to a `Scenario` and a `Look`, and back.

`state` is what all widgets show and the address bar holds; `live` the ranges that report while they are dragged;
`sidebar` sets the scenario; `tools` is what waits behind "Look closer".
"""

from gradflow.controls.labels import LABELS
from gradflow.controls.live import take
from gradflow.controls.sidebar import live_panels, sidebar
from gradflow.controls.state import read_link
from gradflow.controls.tools import bottom, tools, views

__all__ = ["LABELS", "bottom", "live_panels", "read_link", "sidebar", "take", "tools", "views"]
