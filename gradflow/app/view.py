"""How a measurement is looked at: which chart, which entry, which lag, and what it is compared with.

None of it changes what is measured. The first view of the page is `View()`; a link carries what differs from it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradflow.app.ranges import Range
from gradflow.app.scenario import MAX_HORIZON, Scenario

if TYPE_CHECKING:
    from gradflow.app.measurement import Measurement

CHARTS = ("terms", "sums", "factors", "unrolled", "growth", "cells", "shares", "all_costs", "truncation")
SHOWN = {name: name.replace("_", " ").capitalize() for name in CHARTS}  # chart -> what its choice is called
CHOICES = {"show": CHARTS}
FORMER = {"network": "unrolled", "entry": "sums", "totals": "all_costs"}  # names of charts in older links -> today's
RANGES = {"lag": Range(0, MAX_HORIZON - 1, 1), "row": Range(0, 255, 1), "col": Range(0, 63, 1)}


@dataclass(frozen=True)
class View:
    """What a link carries beside the scenario; `parse_view` makes valid ones out of anything."""

    closer: bool = False  # the tools are open
    show: str = "terms"
    whole: bool = False  # "sums": norms of the whole matrix instead of one signed entry
    row: int = 0
    col: int = 0
    lag: int = 0  # the lag that is lit
    relative: bool = False  # divide by ‖dC/dh‖
    float32: bool = False  # what plain float32 would report
    chains: bool = False  # the state's and the input's sensitivity beside the terms
    stage: bool = False
    kept: Scenario | None = None  # what stays in grey to compare with


def place(measurement: "Measurement", view: View) -> tuple[str, int, int | None]:
    """The entry as (field, row, col), inside the weight; col is None for a bias."""
    field = measurement.field["weight"]
    shape = getattr(measurement.scenario.weights(), field).shape
    row = min(view.row, shape[0] - 1)
    return field, row, (min(view.col, shape[1] - 1) if len(shape) == 2 else None)
