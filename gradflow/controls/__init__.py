"""The controls: widgets and links to a `Scenario` and a `Look`, and back.

`state` is what all widgets show and the address bar holds; `live` the ranges that report while they are dragged;
`sidebar` sets the scenario; `tools` is what waits behind "Look closer".
"""

from gradflow.controls.labels import LABELS
from gradflow.controls.live import live_ranges, take
from gradflow.controls.sidebar import live_panels, sidebar
from gradflow.controls.state import go_to, keyed, link, names, read_link, show_lesson
from gradflow.controls.tools import bottom, tools, views

__all__ = [
    "LABELS",
    "bottom",
    "go_to",
    "keyed",
    "link",
    "live_panels",
    "live_ranges",
    "names",
    "read_link",
    "show_lesson",
    "sidebar",
    "take",
    "tools",
    "views",
]
