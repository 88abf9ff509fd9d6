"""One frame of the live picture: what is drawn and said of a scenario, a view and a page, as one record.

The same record goes to the page in two ways: while a range moves by `frame_route`, at rest by the run of the script.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np

from gradflow.app.charts import CHARTS, Chart, base, terms
from gradflow.app.counterexample import needed
from gradflow.app.lessons import LESSONS
from gradflow.app.measurement import Measurement, measure, measured_kinds
from gradflow.app.ranges import Range
from gradflow.app.scenario import CHOICES, MAX_HORIZON, RANGES, Scenario
from gradflow.app.url_codec import link_params, parse, parse_view
from gradflow.app.view import View

SAMPLES = 7  # of a sweep, for its axes
HIDDEN_TEXT = dict.fromkeys(("factor", "total", *(f"factor{k}" for k in range(len(CHOICES["cell"])))), "")

DIGITS = 5  # of a number in a table, after the point; a thousandth of a decade is less than a pixel


@dataclass(frozen=True)
class Request:
    """What a frame is asked for: of a scenario; of a recording, `recorded.Request`."""

    scenario: Scenario
    view: View
    lesson: int | None = None  # whose picture it is; None: Explore's
    revealed: bool = True  # False: nothing is said of what the numbers mean, for a person who is to say it first
    dark: bool = False
    moving: bool = False  # a finger, a key or a sweep is on a range
    playing: str | None = None  # the range that is swept
    axes: base.Domain | None = None  # that stand; None: those that fit
    overflowed: bool = True  # the picture that stands shows an overflow, or there is none

    @property
    def compiled(self) -> bool:
        """Whether all that it takes is compiled."""
        return {each.kind for each in needed(self.scenario, self.view)} <= measured_kinds()

    @property
    def limits(self) -> Mapping[str, Range]:
        """The ranges that can be swept."""
        return RANGES

    def measured(self, **changes: Any) -> Measurement:
        """The measurement, with other values of what moves."""
        return measure(replace(self.scenario, **changes))

    @property
    def kept(self) -> Measurement | None:
        """What stays in grey."""
        return measure(self.view.kept) if self.view.kept else None

    def said(self, measurement: Measurement) -> str:
        """The sentence over the picture; at rest it is asked whether the network is chaotic."""
        if self.lesson is None:
            return measurement.said(not self.moving)
        return LESSONS[self.lesson - 1].headline(measurement, self.view, not self.moving)

    def params(self, axes: base.Domain, overflowed: bool) -> dict[str, Any]:
        """The same as JSON for `read`, for the next frame in the same axes; what moves comes with that."""
        return {
            "link": {k: text for k, text in link_params(self.scenario, self.view).items() if k != "preset"},
            "lesson": self.lesson,
            "revealed": self.revealed,
            "dark": self.dark,
            "axes": axes,
            "overflowed": overflowed,
        }


def read(given: Mapping[str, Any]) -> Request:
    """What a page asks for while something moves there.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: it is not what a page of ours sends.
    """
    link = {str(name): str(text) for name, text in given["link"].items()}
    if (lesson := given["lesson"]) not in (None, *range(1, len(LESSONS) + 1)):
        raise ValueError(f"lesson is {lesson!r}")
    moving = read_moving(given, "revealed", "dark", "overflowed")
    return Request(parse(link)[0], parse_view(link)[0], lesson, **moving)


def read_moving(given: Mapping[str, Any], *flags: str) -> dict[str, Any]:
    """What every frame is asked for while something moves, for `Request`; raises as `read` does."""
    axes, playing = given["axes"], given.get("playing")
    if axes is not None:
        axes = tuple(axes)
        if len(axes) not in (2, 3) or not all(map(math.isfinite, axes)):
            raise ValueError(f"axes are {axes}; they must be two or three finite numbers")
    if playing not in (None, *RANGES):
        raise ValueError(f"playing is {playing!r}")
    return {"moving": True, "playing": playing, "axes": axes} | {name: bool(given[name]) for name in flags}


def frame(request: Request) -> dict[str, Any]:
    """Measure and draw.

    Returns:
        what a page paints, as JSON: "broken", the step at which a moved network overflows, which is not drawn, or None;
        "sentence", its head and its rest, over the picture; "said", the picture in words, and "unseen", whether they
        are for screen readers alone; "tables", name -> (what tells it from another, column -> values); "images",
        name -> URL; "axes"; "steps" of the lag axis; "overflowed", whether the picture is of an overflow.
    """
    view, chart = request.view, CHARTS[request.view.show]
    kept, measurement = request.kept, request.measured()
    if request.moving and not request.overflowed and measurement.overflow is not None:
        sentence = f"The network overflows at step {measurement.overflow}; this was just before."
        return {"broken": measurement.overflow, "sentence": [sentence if request.revealed else "", ""], "said": ""}
    axes = _axes(request, chart, measurement, kept)
    # a sweep of the horizon draws into its widest frame
    steps = MAX_HORIZON if request.playing == "horizon" else len(measurement.cost)
    fields = {"dark": request.dark, "horizon": steps} | ({} if request.revealed else HIDDEN_TEXT)
    tables = base.framed(chart.data(measurement, view, kept, axes), **fields)
    head, stop, rest = (request.said(measurement) if request.revealed else "").partition(". ")
    return {
        "broken": None,
        "sentence": [head + stop.strip(), rest],
        "said": chart.say(measurement, view) if request.revealed else "",
        "unseen": not view.closer or (view.stage and view.show == "terms"),
        "tables": packed(base.swept(tables) if request.playing else tables),
        "images": terms.images(measurement, view, axes, steps) if view.show == "terms" else {},
        "axes": axes,
        "steps": steps,
        "overflowed": measurement.overflow is not None,
    }


def _axes(request: Request, chart: Chart, measurement: Measurement, kept: Measurement | None) -> base.Domain:
    """The axes that stand; for a sweep that begins, one pair for all of it, bounded."""
    if request.axes is not None:
        return request.axes
    if request.playing:
        limits = request.limits[request.playing]
        values = map(limits.snap, np.linspace(limits.low, limits.high, SAMPLES).tolist())
        sweep = [request.measured(**{request.playing: value}) for value in values]
        return chart.sweep_frame(request.view, measurement, kept, *sweep)
    return chart.frame(request.view, measurement, kept)


def packed(tables: base.Tables) -> dict[str, Any]:
    """Tables as JSON: name -> (checksum, column -> values)."""
    return {name: (_checksum(table), base.as_json(table, DIGITS)) for name, table in tables.items()}


def _checksum(table):
    parts = (column.tobytes() if isinstance(column, np.ndarray) else repr(column).encode() for column in table.values())
    return crc32(b"".join(parts))
