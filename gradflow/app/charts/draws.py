"""Draws of weights as dots: a row for each case, a dot for each draw, its colour and shape for what became of it.

Where draws do one of two things, one median tells of neither: here each kind of draw has its own.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from gradflow.app.charts import base
from gradflow.app.charts.base import BLUE, GREEN, GREY, ORANGE, PURPLE, Tables
from gradflow.reading import number

STYLES = ((BLUE, "circle"), (ORANGE, "triangle-up"), (GREEN, "square"), (PURPLE, "diamond"))  # of the kinds, in order
DOT = 10 / 340  # the width of a dot, as a share of the narrowest axis; nearer dots are stacked
STACKED, LANE = 7, 13  # px, between the middles of stacked dots, and from the middle of a row to its outermost dot
LEVELS = [0, *(sign * level for level in range(1, 200) for sign in (-1, 1))]  # of a stack, from its middle
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MARGIN, APART = 0.04, 0.14  # of the axis, left and right of what it holds, and from there to what is no number


class Draws(NamedTuple):
    """Draws of one case that did the same; groups with one label share a row."""

    label: str
    kind: str  # "reflection", "explodes"; empty where all draws are of one kind
    values: tuple[float, ...]  # plain numbers; natural logs for a chart with `log`


def data(
    groups: list[Draws],
    *,
    title: str,
    axis: str,
    log: bool = True,
    reference: float | None = None,
    beyond: str = "overflow",
) -> Tables:
    """The numbers of the chart.

    Args:
        groups: of at most six labels and four kinds, each with a value or more.
        title: what is drawn.
        axis: what the values are, with their unit.
        log: the values are natural logs, and the axis is logarithmic. −inf, an exact zero, stands at its left end.
        reference: a plain number where a line is drawn, or None.
        beyond: what an infinite or missing value is called.

    Returns:
        one table per dataset: "frame", one row; "dots", one a draw; "medians", one a group; "labels", "kinds"
        and "ticks". An infinite or missing value stands at the right end, as ▲ does in the other charts.

    Raises:
        ValueError: there are more kinds than styles.
    """
    kinds = list(dict.fromkeys(group.kind for group in groups))
    if len(kinds) > len(STYLES):
        raise ValueError(f"kinds are {', '.join(kinds)}; at most {len(STYLES)} can be told apart")
    labels = list(dict.fromkeys(group.label for group in groups))
    line = [] if reference is None else [math.log(reference) if log else reference]
    low, high, ticks = _axis(np.array([*(value for group in groups for value in group.values), *line]), log, beyond)

    def place(value):
        return 1.0 if math.isnan(value) else min(max((value - low) / (high - low), 0.0), 1.0)

    dots, medians = [], []
    for row, label in enumerate(labels):
        here = [(group.kind, value) for group in groups if group.label == label for value in group.values]
        across = [place(value) for _, value in here]
        for (kind, value), x, offset in zip(here, across, _stacked(across), strict=True):
            colour, shape = STYLES[kinds.index(kind)]
            words = ", ".join(filter(None, (f"{label}: {_text(value, log, beyond)}", kind)))
            dots.append({"row": row, "x": x, "offset": offset, "color": colour, "shape": shape, "words": words})
        medians += [
            {"row": row, "x": place(_median(group.values, log)), "color": STYLES[kinds.index(group.kind)][0]}
            for group in groups
            if group.label == label
        ]
    named = [kind for kind in kinds if kind]
    frame = {
        "title": title,
        "axis": axis,
        "rows": len(labels),
        "kinds": max(len(named), 1),
        "reference": place(line[0]) if line else None,
    }
    return {
        "frame": base.frame_table(**frame),
        "dots": {"draw": np.arange(len(dots)), **base.columns(dots, *dots[0])},
        "medians": base.columns(medians, *medians[0]),
        "labels": {"row": np.arange(len(labels)), "label": labels},
        "kinds": {
            "k": np.arange(len(named)),
            "kind": named,
            "color": [STYLES[k][0] for k, _ in enumerate(named)],
            "shape": [STYLES[k][1] for k, _ in enumerate(named)],
        },
        "ticks": {"x": [place(tick) for tick, _ in ticks], "words": [words for _, words in ticks]},
    }


def say(groups: list[Draws], *, log: bool = True, beyond: str = "overflow") -> str:
    """How many draws of each case did what, and their medians, in a sentence."""
    said = []
    for label in dict.fromkeys(group.label for group in groups):
        here = [group for group in groups if group.label == label]
        whole = sum(len(group.values) for group in here)
        told = []
        for group in here:
            count = f"{group.kind} in {len(group.values)} of {whole} draws" if group.kind else f"{whole} draws"
            median = f", median {_text(_median(group.values, log), log, beyond)}"
            told.append(count + median * any(map(math.isfinite, group.values)))
        said.append(f"{label}: {'; '.join(told)}.")
    return " ".join(said)


def _median(values, log):
    """The median, where an infinite or missing value counts as larger than all others; of logs, that of the numbers."""
    ordered = sorted(math.inf if math.isnan(value) else float(value) for value in values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    if low == high:
        return low
    return float(np.logaddexp(low, high)) - math.log(2) if log else (low + high) / 2


def _axis(values, log, beyond):
    """(low, high, [(tick, words)]) of an axis that holds all finite values, with a margin; in the values' own unit.

    Where there is an exact zero, or an overflow, its end of the axis is set apart and bears that name.
    """
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    least = 0.1 if log else 0.1 * abs(low) or 1.0  # the shortest axis
    spare = max(0.0, least - (high - low)) / 2
    length = high - low + 2 * spare
    zero, over = (values == -np.inf).any(), (np.isnan(values) | (values == np.inf)).any()
    first, last = low - spare - MARGIN * length, high + spare + MARGIN * length
    ticks = [(tick, _tick(tick, log)) for tick in _ticks(first, last, log)]
    low, high = (first - APART * length if zero else first), (last + APART * length if over else last)
    if over:
        ticks = [(tick, words) for tick, words in ticks if tick < high - 0.22 * (high - low)]
    return low, high, [*([(low, "0")] if zero else []), *ticks, *([(high, beyond)] if over else [])]


def _ticks(low, high, log):
    if not log:
        return _steps(low, high)
    decades = np.array([low, high]) / np.log(10)
    if decades[1] - decades[0] > 2:
        return [tick * math.log(10) for tick in _steps(decades[0], decades[1], whole=True)]
    if decades[1] - decades[0] > 0.7:
        powers = range(math.floor(decades[0]), math.ceil(decades[1]) + 1)
        ticks = [math.log(times) + power * math.log(10) for power in powers for times in (1, 2, 5)]
        return [tick for tick in ticks if low <= tick <= high]
    return [math.log(tick) for tick in _steps(math.exp(low), math.exp(high))]


def _steps(low, high, whole=False):
    """At most six round numbers from low to high, at equal distances."""
    unit = 10.0 ** math.floor(math.log10((high - low) / 6))
    step = next(unit * times for times in (1, 2, 5, 10) if (high - low) / (unit * times) < 6)
    step = max(1.0, step) if whole else step
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _tick(value, log):
    """A tick as text: "0.5", "10⁻⁸"."""
    power = value / math.log(10)
    if log and abs(power) > 2.5 and abs(power - round(power)) < 1e-9:
        return "10" + str(round(power)).translate(SUPERSCRIPT)
    return f"{math.exp(value) if log else value:.6g}".replace("-", "−")


def _text(value, log, beyond):
    if math.isnan(value) or value == math.inf:
        return beyond
    return number(value) if log else f"{value:#.3g}".rstrip(".").replace("-", "−")


def _stacked(across):
    """px from the middle of the row, by which each dot keeps clear of those that stand at about its place."""
    offsets = np.zeros(len(across))
    taken: list[tuple[float, int]] = []
    order = np.argsort(across, kind="stable")
    for k in order:
        near = {level for x, level in taken if across[k] - x < DOT}
        level = next(level for level in LEVELS if level not in near)
        taken.append((across[k], level))
        offsets[k] = level * STACKED
    return offsets * min(1.0, LANE / max(np.abs(offsets).max(initial=0), 1.0))


# ---------------------------------------------------------------------------------------------- specification

TOP, ROW = 44, 54  # px, over the first row, and of each row
LAYOUT = {
    "rows": "data('frame')[0].rows",
    "height": f"{TOP} + rows * {ROW} + 66",  # in place of the constant one
    "left": "10",
    "right": "width - 12",
    "bottom": f"{TOP} + rows * {ROW} + 4",
    "beside": "min(220, right / data('frame')[0].kinds)",  # px, from one kind's name to the next
    "shown": "isValid(hover.draw) && hover.draw[0] < length(data('dots')) ? hover.draw[0] : -1",
    "lit_words": "shown < 0 ? '' : data('dots')[shown].words",
    "lit_size": ("15", "13"),
}


def specification() -> dict[str, Any]:
    """The constant specification; its data come from `charts.draws`."""
    import altair as alt

    from gradflow.app.charts import drawing
    from gradflow.app.charts.drawing import FRAME, at, text_colour, words

    dot, median, label, kind, tick = drawing.marks("dots", "medians", "labels", "kinds", "ticks")
    across = alt.X(
        "x:Q",
        axis=None,
        scale=alt.Scale(domain=[0, 1], range=[alt.expr("left"), alt.expr("right")], nice=False, padding=0),
    )
    middle = f"{TOP} + {ROW} * datum.row + 34"
    colour, shape = alt.Color("color:N", scale=None), alt.Shape("shape:N", scale=None)
    hover = alt.selection_point(
        name="hover", fields=["draw"], nearest=True, on="pointerover, touchstart", clear="pointerout"
    )
    layers = (
        tick.mark_rule(color=GREY, opacity=0.25).encode(across, y=at(f"{TOP}"), y2=at("bottom")),
        tick.mark_text(
            fontSize=13, baseline="top", color=text_colour(GREY), align=alt.expr("datum.x == 1 ? 'right' : 'center'")
        ).encode(across, y=at("bottom + 7"), text="words:N"),
        FRAME.mark_rule(color=GREY, strokeWidth=2, strokeDash=[6, 4]).encode(
            alt.X("reference:Q", axis=None), y=at(f"{TOP}"), y2=at("bottom")
        ),
        median.mark_rule(strokeWidth=3, color=GREY).encode(
            across, y=at(f"{middle} - 17"), y2=at(f"{middle} + 17"), color=colour
        ),
        dot.mark_point(
            filled=True, opacity=0.75, tooltip=alt.expr("''"), size=alt.expr("datum.draw == shown ? 170 : 85")
        )
        .encode(across, y=at(f"{middle} + datum.offset"), color=colour, shape=shape)
        .add_params(hover),
        *(
            label.mark_text(fontSize=14, fontWeight="bold", align="left", limit=alt.expr("right"), **how).encode(
                x=at("0"), y=at(f"{TOP} + {ROW} * datum.row + 8"), text="label:N"
            )
            for how in (drawing.HALO, {"color": text_colour(GREY)})
        ),
        words("0", at("8"), "title", align="left", limit=alt.expr("right")),
        kind.mark_point(filled=True, opacity=1, size=85).encode(
            x=at("6 + beside * datum.k"), y=at("29"), color=colour, shape=shape
        ),
        kind.mark_text(fontSize=13, fontWeight="bold", align="left", color=text_colour("datum.color")).encode(
            x=at("16 + beside * datum.k"), y=at("29"), text="kind:N"
        ),
        words("(left + right) / 2", at("bottom + 34"), "axis", size=14, limit=alt.expr("right")),
        drawing.read_out("bottom + 54"),
    )
    said = "Draws of weights as dots, a row for each case, with the median of each kind; the text beside it says it."
    return drawing.specification((layers,), LAYOUT, TOP + 6 * ROW + 66, said)
