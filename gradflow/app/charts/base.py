"""What the charts share: colours, the frame of decades, tables.

A specification is constant; numbers travel only as data, so a new scenario redraws a view and never rebuilds it.
Magnitudes are log10 on a linear axis, over decades that the page chooses (`decades`) and can hold still.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gradflow.app.counterexample import difference
from gradflow.app.measurement import Measurement
from gradflow.app.palette import BLUE, GREEN, GREY, ORANGE, PURPLE, RED
from gradflow.reading import number

Table = dict[str, list | np.ndarray]  # column -> its values; NaN or None where there is nothing to draw
Tables = dict[str, Table]  # name of a dataset -> its rows
Domain = tuple[float, ...]  # the frame: (low, high) in log10; of `sums` (unit, floor, ceiling)

LOWS = (-2, -5, -10, -20, -40, -80, -160, -320)
HIGHS = (1, 2, 5, 10, 20, 40, 80, 160, 320)

SPAN, ABOVE = 20, 10  # decades: of a frame that a sweep keeps, and over what does not explode in it
SWEPT = "axis fixed for this sweep"

TEXT_COLOURS = {  # of letters in a colour, AA: (on a light page, on a dark one), on the lit column too
    BLUE: ("#1e5c9a", "#77ade4"),
    ORANGE: ("#904606", "#f68e34"),
    GREY: ("#575b63", "#a5a9b0"),
    RED: ("#b11d35", "#ec8d9c"),
    GREEN: ("#1f6740", "#39bf77"),
    PURPLE: ("#8233b3", "#c598e2"),
}
BACKGROUNDS = ("#ffffff", "#171614")  # what letters stand on, a light page and a dark one
GRIDS = "#e6eaf1", "#31333f"  # lines of a grid, likewise
HIGHLIGHT_OPACITY = 0.32  # opacity of the orange column that lies under letters
NARROW_WIDTH = 620  # px: a narrower view stacks its panels
LIGHT = {  # signals of every chart with a lag axis: the lag under the pointer, or else the chosen one
    "lit": "isValid(hover.lag) && hover.lag[0] < length(data('columns')) ? hover.lag[0] : data('frame')[0].lit",
    "lit_size": ("15", "12"),
}


class Panel(NamedTuple):
    """A rectangle inside the view; its edges are signals or expressions in px."""

    title: str
    left: str
    right: str
    top: str
    bottom: str
    head: int = 8  # px, from its title to its upper edge


WHOLE = Panel("", "zero", "right", "top", "bottom")  # one panel that fills the view
WHOLE_LAYOUT = {
    "zero": "0",
    "right": "width - 10",
    "top": ("48", "66"),
    "bottom": ("378", "362"),
    "narrow": ("false", "true"),
}
WHOLE_HEIGHT = 430  # px


def widest(*domains: Domain) -> Domain:
    """The frame that holds these frames."""
    lows, highs = zip(*domains, strict=True)
    return min(lows), max(highs)


def bounded(*domains: Domain) -> Domain:
    """A frame of at most `SPAN` decades for these frames, the lowest top of which is at most `ABOVE` below its own."""
    low, high = widest(*domains)
    high = min(high, min(top for _, top in domains) + ABOVE)
    return max(low, high - SPAN), high


def decades(*logs: np.ndarray) -> Domain:
    """The frame (low, high) in log10, out of `LOWS` and `HIGHS`, that holds all finite values of natural logs."""
    values = np.concatenate([np.ravel(each) for each in logs]) / np.log(10)
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if values.size else (LOWS[0], HIGHS[0])
    return next((d for d in LOWS if d <= low), LOWS[-1]), next((d for d in HIGHS if d >= high), HIGHS[-1])


def cut(logs: ArrayLike, domain: Domain) -> np.ndarray:
    """Natural logs as log10 cut to the frame; NaN where there is nothing to draw."""
    values = np.asarray(logs, float) / np.log(10)
    return np.where(np.isfinite(values), np.clip(values, domain[0], domain[1]), np.nan)


def free_corner(
    lines: Sequence[np.ndarray], domain: Domain, share: float, ways: Sequence[bool] = (False, True)
) -> tuple[bool, bool]:
    """The corner of a panel where fewest points of the lines are.

    Args:
        lines: natural logs by step.
        domain: (low, high) in log10.
        share: of the panel's height that is needed.
        ways: the sides that are in question, False for the left one, True for the right one.

    Returns:
        (at the right?, at the bottom?)
    """
    low, high = domain
    tall = share * (high - low)

    def met(corner):
        right, bottom = corner
        halves = [log[len(log) // 2 :] if right else log[: len(log) // 2] for log in lines]
        y = np.concatenate(halves) / np.log(10)
        return np.sum(np.isfinite(y) & (y < low + tall if bottom else y > high - tall))

    return min(((right, bottom) for bottom in (True, False) for right in ways), key=met)


def frame_table(**fields: Any) -> Table:
    """The one row of the frame."""
    return {name: [value] for name, value in ({"dark": False} | fields).items()}


def framed(datasets: Tables, **fields: Any) -> Tables:
    """The same data in another frame: with these fields, where the chart has them."""
    frame = datasets["frame"]
    return datasets | {"frame": frame | {name: [value] for name, value in fields.items() if name in frame}}


def swept(datasets: Tables) -> Tables:
    """The same data with the words that their frame stands for a whole sweep."""
    frame = datasets["frame"]
    if "note" in frame:
        return framed(datasets, note="   ".join(filter(None, (SWEPT, *frame["note"]))))
    if "legend" in frame:
        return framed(datasets, legend=f"{frame['legend'][0]}; {SWEPT}")
    return framed(datasets, subtitle=f"{SWEPT}, cut at its ends")


def overflowed(measurement: Measurement) -> str:
    """The sentence where the forward pass broke at t or before, else nothing."""
    broken = np.isnan(measurement.log_row).any()
    return f"The forward pass overflowed at step {measurement.overflow}" if broken else ""


def kept_words(measurement: Measurement | None, kept: Measurement | None) -> str:
    """What stays in grey, by what differs; nothing if nothing does."""
    if kept is None or measurement is None:
        return ""
    return f"grey: {kept.called}" if kept.called else f"grey: kept, {difference(kept.scenario, measurement.scenario)}"


def in_two_lines(words: str) -> str:
    """The same with a line break for its middle space, which a view uses where it is narrow."""
    spaces = [k for k, letter in enumerate(words) if letter == " "]
    if not spaces:
        return words
    k = min(spaces, key=lambda k: abs(2 * k - len(words)))
    return f"{words[:k]}\n{words[k + 1 :]}"


def steps_back(measurement: Measurement) -> list[str]:
    """What is read at each lag: "99", or with its label "99 h"."""
    t = measurement.t
    return [f"{t - u} {measurement.labels[t - u].strip()}".strip() for u in range(t + 1)]


def column_table(measurement: Measurement) -> Table:
    """One row a lag, for the pointer, with the step it stands for."""
    return {"lag": np.arange(measurement.t + 1), "step": steps_back(measurement)}


def as_json(table: Table, digits: int = 15) -> dict[str, list]:
    """The same as JSON, None where there is no number; digits: of a number, after the point."""
    return {name: _plain(column, digits) for name, column in table.items()}


def _plain(column, digits):
    if not isinstance(column, np.ndarray):
        return [_number(value, digits) if isinstance(value, (float, np.generic)) else value for value in column]
    if column.dtype.kind != "f":
        return column.tolist()
    rounded = np.round(column, digits).tolist()
    return rounded if np.isfinite(column).all() else [x if math.isfinite(x) else None for x in rounded]


def _number(value, digits):
    value = value.item() if isinstance(value, np.generic) else value
    return value if not isinstance(value, float) else round(value, digits) if math.isfinite(value) else None


def rows(table: Table) -> list[dict[str, Any]]:
    """The same row by row."""
    columns = as_json(table)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def columns(rows: Sequence[dict[str, Any]], *names: str) -> Table:
    """The same by column."""
    return {name: [row[name] for row in rows] for name in names}


def joined(tables: Sequence[Table]) -> Table:
    """The rows of all these tables, of the same columns, one after the other."""
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def numbers(logs: np.ndarray) -> list[str]:
    """Natural logs as texts."""
    return [number(value) for value in logs]
