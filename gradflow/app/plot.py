"""Charts for a notebook: the terms of one time with their running sum, and the map of all, layer by layer.

The page's charts are built beforehand and redrawn in the page; these are plain Altair, which is all they need.
"""

import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradflow.app.palette import BLUE, GREY, ORANGE, POWER, RED, VIRIDIS, palette, png_url, ramp
from gradflow.maps import GradientMap
from gradflow.network import LayerMap
from gradflow.problem import check_time
from gradflow.pytorch import Watch
from gradflow.reading import number, per_step_factor
from gradflow.recording import Recording

if TYPE_CHECKING:
    import altair as alt

SPAN = 20  # decades, from the top of an axis; what lies lower is cut off
ROOM = 0.05  # decades, from the ends of an axis, so that no dot lies on them
COLOURS = 250  # of the map, from low to high, before those of the states
BLANK, ZERO, BROKEN = range(COLOURS, COLOURS + 3)
_MAP_PALETTE = palette([*ramp(COLOURS), "#ffffff", "#d5d8dd", RED], [255] * COLOURS + [0, 255, 255])
TERMS, SUM, LINE, NOTHING = "terms", "their running sum", "line through the terms", "exact zero"
DARK = "#575b63"
CURVES = {TERMS: BLUE, SUM: ORANGE, LINE: DARK, NOTHING: GREY}
CELLS = 24  # a side, at most, of the coarse grid that the pointer meets on the map


class Row(NamedTuple):
    """What is drawn of one layer and direction, natural logs."""

    title: str
    words: list[str]
    terms: np.ndarray  # of one t, by lag; by step where it is not causal
    sums: np.ndarray | None  # of the same terms, as they are added lag by lag
    every: np.ndarray  # the terms of all t, [t, u] or [t, s]

    @property
    def causal(self) -> bool:
        """Whether the terms go by lag."""
        return self.sums is not None

    @property
    def zeros(self) -> np.ndarray:
        """The lags whose terms are exact zeros."""
        return np.flatnonzero(np.isneginf(self.terms)) if self.causal else np.zeros(0, int)

    @property
    def line(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The lags from and to which one line describes the terms, and its height there."""
        fit = per_step_factor(self.terms)
        ends = np.array([fit.first, fit.last])
        return (ends, fit.intercept + fit.slope * ends) if self.causal and fit.steady else None

    @property
    def mapped(self) -> bool:
        """Whether a gradient enters at more than one time."""
        return np.any(self.every > -np.inf, axis=1).sum() > 1


def plot(
    maps: "GradientMap | Sequence[Sequence[LayerMap]] | Recording | Watch",
    t: int | None = None,
    weight: str = "weight_hh",
    gate: str | None = None,
) -> "alt.VConcatChart":
    """Draw the terms of one time by lag, their running sum, and the map of all terms, as an Altair chart.

    A row for each layer and direction, the top one first, all on one scale: log10 on a linear axis, of at most 20
    decades. The lowest is called layer 1. Where a cost reaches later steps too, which have no lag, terms stand by step.
    There is a map where a gradient enters at more than one time.

    Args:
        maps: a `GradientMap`, [layer][direction] as `network_map` gives, or a `Recording` or a `Watch`, of which the
            first sequence is drawn.
        t: the time; the last at which a gradient enters, if None.
        weight, gate: as in `GradientMap.log_terms`.

    Returns:
        `altair.VConcatChart`: a notebook shows it, and its `save` writes HTML, JSON, PNG or SVG.

    Raises:
        ImportError: Altair is not installed.
        ValueError: maps of another kind; an unknown weight or gate, or a t outside [0, T−1].
    """
    try:
        import altair as alt
    except ImportError as error:
        raise ImportError("gf.plot draws with Altair, which is not installed here: pip install altair") from error
    layers = _layers(maps)
    t = _last(layers[0][0]) if t is None else check_time(t, len(layers[0][0].cost))
    rows = list(_rows(layers, t, weight, gate))
    frame = _frame([each for row in rows for each in (row.terms, row.sums) if each is not None])
    shades = _frame([row.every for row in rows])
    of = weight if gate is None else f"{weight}, {gate} gate"
    words = f"Every term of dC({t})/dW ({of})" + (" and of all other times" if any(row.mapped for row in rows) else "")
    words += f", cut {SPAN} decades below the top" if frame[1] - frame[0] == SPAN else ""
    alone = rows[0].words if len(rows) == 1 else []
    title = alt.TitleParams(words, subtitle=alone, anchor="start", fontSize=15, subtitleFontSize=12, offset=12)
    there = {TERMS: True, SUM: any(row.causal for row in rows), LINE: any(row.line for row in rows)}
    there[NOTHING] = any(row.zeros.size for row in rows)
    shown = [name for name in CURVES if there[name]]
    scale = alt.Scale(domain=shown, range=[CURVES[name] for name in shown])
    stroke = alt.Stroke("curve:N", scale=scale, legend=alt.Legend(title=None, orient="bottom", symbolType="stroke"))
    drawn = [_drawn(alt, row, t, stroke, frame, shades, small=len(rows) > 1) for row in rows]
    return (
        alt.vconcat(*drawn, title=title, spacing=24)
        .resolve_scale(stroke="shared", fill="shared")
        .configure_view(stroke=None)
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", gridColor="#e6eaf1")
        .configure_legend(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", symbolStrokeWidth=3)
    )


def _layers(maps):
    """[layer][direction], whatever was given."""
    if isinstance(maps, GradientMap):
        return [[maps]]
    if isinstance(maps, (Recording, Watch)):
        return maps.maps()
    listed = lambda each: isinstance(each, (list, tuple)) and len(each) > 0
    are_maps = lambda layer: listed(layer) and all(isinstance(each, LayerMap) for each in layer)
    if not listed(maps) or not all(map(are_maps, maps)):
        raise ValueError(
            f"maps is {type(maps).__name__}; it must be a GradientMap, or the [layer][direction] of a network's, as "
            "network_map gives, and maps() of a recording or of what watch saw"
        )
    return maps


def _last(gmap):
    """The last time at which a gradient enters; the last of all where none does."""
    entered = np.flatnonzero(np.isfinite(gmap.log_residual))
    return int(entered[-1]) if len(entered) else len(gmap.cost) - 1


def _rows(layers: Sequence[Sequence[GradientMap]], t: int, weight: str, gate: str | None) -> Iterator[Row]:
    """From the top layer down."""
    for k, layer in reversed(list(enumerate(layers))):
        for d, gmap in enumerate(layer):
            broken = gmap.overflow is not None
            end = [f"red: no terms, since the forward pass overflows from step {gmap.overflow} on"] if broken else []
            place = f"layer {k + 1} of {len(layers)}" + (", the top" if k == len(layers) - 1 else "")
            place += f", {('forward', 'backward')[d]}" if len(layer) > 1 else ""
            place = place if len(layers) * len(layer) > 1 else ""
            if not getattr(gmap, "causal", True):
                every = gmap.log_terms_by_copy(weight, gate)
                log_sum = number(gmap.log_sums(weight, gate)[t])
                words = [f"a cost reaches later steps too, so terms stand by step; the gradient is {log_sum}"]
                yield Row(place, words + end, every[t], None, every)
                continue
            reading, lags = gmap.read(t, weight, gate), gmap.lags(t)
            words, sums = textwrap.wrap(reading.verdict, 115) + end, lags.log_partial_sums(weight, gate)
            yield Row(place, words, lags.log_terms(weight, gate), sums, gmap.log_terms(weight, gate))


def _frame(logs):
    """(low, high) in log10, whole decades that hold all that is finite among natural logs, or the `SPAN` highest."""
    values = np.concatenate([np.ravel(each) for each in logs])
    values = values[np.isfinite(values)] / np.log(10)
    if not values.size:
        return -1, 0
    high, low = math.ceil(values.max() + ROOM), math.floor(values.min() - ROOM)
    return max(low, high - SPAN), high


def _powers(low, high, most):
    """At most so many whole powers of ten for an axis, evenly spaced, the highest among them."""
    return list(range(high, low - 1, -math.ceil((high - low) / (most - 1))))


def _drawn(alt, row, t, stroke, frame, shades, small):
    """One row: the terms of one time, and beside them the map of all where a gradient enters at more than one."""
    height, width = (150, 430) if small else (240, 460)
    parts = [_curves(alt, row, t, stroke, *frame).properties(width=width, height=height)]
    if row.mapped:
        parts.append(_map(alt, row, t, shades, height).properties(width=height, height=height))
    both = alt.hconcat(*parts)
    how: dict[str, Any] = {"anchor": "start", "fontSize": 13, "subtitleFontSize": 12, "offset": 8}
    return both.properties(title=alt.TitleParams(row.title, subtitle=row.words, **how)) if small else both


def _curves(alt, row, t, stroke, low, high):
    """Terms and running sum of one time, over lag or step."""
    x = alt.X("at:Q", title="lag u (steps back)" if row.causal else "step s")
    x = x.scale(domain=[-0.5, len(row.terms) - 0.5], nice=False).axis(tickMinStep=1, grid=False, tickCount=8)
    y = alt.Y("y:Q", title=None).scale(domain=[low, high], nice=False)
    y = y.axis(labelExpr=POWER, values=_powers(low, high, 7))

    def drawn(curve, places, values, mark, **more):
        """A mark over (place, natural log) of what is finite."""
        values = np.asarray(values, float) / np.log(10)
        records = [
            {"at": int(at), "y": float(value), "curve": curve} | {name: told[k] for name, told in more.items()}
            for k, (at, value) in enumerate(zip(places, values, strict=True))
            if math.isfinite(value)
        ]
        tooltip = [alt.Tooltip("at:Q", title="lag u" if row.causal else "step s")] if more else []
        tooltip += [alt.Tooltip(f"{name}:N") for name in more]
        of = getattr(alt.Chart(alt.InlineData(values=records)), f"mark_{mark.pop('kind')}")(clip=True, **mark)
        return of.encode(x, y, stroke, tooltip=tooltip or alt.value(None))

    at = np.arange(len(row.terms))
    told = {"term": list(map(number, row.terms))}
    told |= {"sum": list(map(number, row.sums))} if row.causal else {}
    dots: dict[str, Any] = {"kind": "point", "size": 16, "strokeWidth": 1.5, "opacity": 1}
    layers = [drawn(TERMS, at, row.terms, {**dots}, **told)]
    if not row.causal:
        here = alt.Chart(alt.InlineData(values=[{"at": t, "words": f"t = {t}"}]))
        words = here.mark_text(color=ORANGE, y=-8, fontSize=12).encode(x="at:Q", text="words:N")
        return alt.layer(*layers, here.mark_rule(stroke=ORANGE, strokeWidth=1).encode(x="at:Q"), words)
    layers.insert(0, drawn(SUM, at, row.sums, {"kind": "line", "strokeWidth": 2.5}))
    if row.line:
        ends, height = row.line
        layers.append(drawn(LINE, ends, height, {"kind": "line", "strokeWidth": 2, "strokeDash": [6, 4]}))
    place = np.full(len(row.zeros), (low + 0.03 * (high - low)) * np.log(10))
    layers.append(drawn(NOTHING, row.zeros, place, {**dots, "shape": "cross"}, term=["0"] * len(place)))
    return alt.layer(*layers)


def _map(alt, row, t, shades, height):
    """All terms as an image, time downwards, under a coarse grid that the pointer meets."""
    (low, high), log10 = shades, row.every / np.log(10)
    steps = len(log10)
    shade = np.clip((log10 - low) / (high - low), 0, 1) * (COLOURS - 1)
    pixels = np.where(np.isfinite(log10), shade, ZERO).round().astype(np.uint8)
    pixels[np.isnan(log10)] = BROKEN
    if row.causal:
        pixels[np.triu_indices(steps, 1)] = BLANK
    side, ticks = max(1, math.ceil(steps / CELLS)), round(height / 50)
    x = alt.X("left:Q", title="lag u" if row.causal else "step s")
    x = x.scale(domain=[-0.5, steps - 0.5], nice=False).axis(tickMinStep=1, grid=False, tickCount=ticks)
    y = alt.Y("top:Q", title="time t").scale(domain=[-0.5, steps - 0.5], nice=False, reverse=True)
    y = y.axis(tickMinStep=1, grid=False, tickCount=ticks)
    url, end = png_url(pixels, _MAP_PALETTE, level=9), steps - 0.5
    whole = alt.InlineData(values=[{"url": url, "left": -0.5, "right": end, "top": -0.5, "end": end}])
    image = alt.Chart(whole).mark_image(aspect=False, smooth=False, align="left", baseline="top")
    image = image.encode(x, y, x2="right:Q", y2="end:Q", url="url:N")
    scale = alt.Scale(domain=np.linspace(low, high, len(VIRIDIS)).tolist(), range=[*VIRIDIS], clamp=True)
    legend = alt.Legend(
        title="size of a term", labelExpr=POWER, gradientOpacity=1, gradientLength=120, values=_powers(low, high, 4)
    )
    cells = alt.Chart(alt.InlineData(values=_cells(log10, side, row.causal))).mark_rect(fillOpacity=0)
    tooltip = [alt.Tooltip(f"{name}:N") for name in ("time", "lag" if row.causal else "step", "largest")]
    grid = cells.encode(
        x, y, x2="right:Q", y2="end:Q", fill=alt.Fill("y:Q", scale=scale, legend=legend), tooltip=tooltip
    )
    here = alt.Chart(alt.InlineData(values=[{"top": t}])).mark_point(shape="triangle-left", color=ORANGE, filled=True)
    return alt.layer(image, grid, here.encode(y="top:Q", x=alt.value(height + 6)))


def _cells(log10, side, causal):
    """One record for each square of `side` times and as many lags: where it is, and its largest term."""
    steps = len(log10)
    records = []
    for t in range(0, steps, side):
        for u in range(0, min(t + side, steps) if causal else steps, side):
            block = log10[t : t + side, u : u + side]
            values = block[~np.isnan(block)]
            top = float(values.max()) if values.size else math.nan
            span = lambda first: f"{first}" if side == 1 else f"{first}–{min(first + side, steps) - 1}"
            records.append(
                {
                    "left": u - 0.5,
                    "right": min(u + side, steps) - 0.5,
                    "top": t - 0.5,
                    "end": min(t + side, steps) - 0.5,
                    "y": top if math.isfinite(top) else None,
                    "time": span(t),
                    "lag" if causal else "step": span(u),
                    "largest": number(top * math.log(10)),
                }
            )
    return records
