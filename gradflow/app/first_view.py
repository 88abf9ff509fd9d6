"""The picture of the page's first view as it was measured beforehand, to be seen while this process compiles.

To be measured anew, by `python -m gradflow.app.first_view`, whenever what is drawn or said changes, or the engine: a
test compares. It also traces anew what that takes, `engine.traces.SHIPPED`.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from gradflow.app.scenario import Scenario
from gradflow.app.view import View

FILE = Path(__file__).with_suffix(".json")
NOTE = "Measured beforehand; it is being measured here."


def stored(scenario: Scenario, view: View, dark: bool) -> dict[str, Any] | None:
    """What `frame.frame` returns; None for any other than the first view."""
    if (scenario, view) != (Scenario(), View()):
        return None
    record = _kept()["record"]
    (_, columns), (head, rest) = record["tables"]["frame"], record["sentence"]
    tables = record["tables"] | {"frame": (-1, columns | {"dark": [dark]})}
    return record | {"tables": tables, "sentence": (head, f"{rest} {NOTE}")}


def style() -> str:
    """The rules for its images."""
    return str(_kept()["style"])


def target() -> dict[str, Any]:
    """Where a click on its map sets time and lag, as `live_chart.target` says it."""
    return dict(_kept()["target"])


@cache
def _kept():
    return json.loads(FILE.read_text("utf-8"))


def measured() -> dict[str, Any]:
    """What the file holds, measured here."""
    from gradflow.app.charts import terms
    from gradflow.app.frame import Request, frame

    record, places = frame(Request(Scenario(), View())), terms.IMAGE_LAYOUTS[False]
    return {"record": record, "style": places.style(), "target": places.target(record["steps"])}


if __name__ == "__main__":
    from gradflow.app.frame_route import to_json
    from gradflow.engine.traces import SHIPPED, keep_traces

    for old in SHIPPED.glob("*"):
        old.unlink()
    keep_traces(SHIPPED)
    FILE.write_text(to_json(measured()) + "\n", "utf-8")
