"""The first view: every term by lag, their running sum, the gates, and the map t × u, as one chart.

The map itself and the gates are images under the canvas (`image`): inside Vega the one is decoded apart and costs a
second drawing of all, and the others cost a quarter of a step.
"""

from typing import Any, NamedTuple

import numpy as np

from gradflow.app.charts import base
from gradflow.app.charts.base import BLUE, GREEN, GREY, NARROW_WIDTH, ORANGE, PURPLE, RED, Domain, Tables, cut
from gradflow.app.charts.heatmap import flushed, map_url, strips_url
from gradflow.app.measurement import SLOPE, Measurement
from gradflow.app.view import View
from gradflow.cells import CELLS
from gradflow.reading import number, per_step_factor

MARKS = {  # a term that is no number on the axis: its mark, colour and words
    "below": ("▼", BLUE, "below the frame"),
    "above": ("▲", BLUE, "above the frame"),
    "zero": ("✕", GREY, "exact zero"),
    "flushed": ("▽", ORANGE, "zero by float range"),
    "lost": ("✕", RED, "0 in float32"),
    "broken": ("!", RED, "inf or NaN in float32"),
}

GATE_FIELDS = ("gate0", "gate1", "gate2")  # a cell with fewer gates leaves strips blank
BASELINES = (0.9, 1.9, 2.9)
CUT = 8  # letters of a word under the strips


class ImageLayout(NamedTuple):
    """Where the images lie under the canvas, px; (top, bottom) in a wide view and in a narrow one."""

    left: float
    foot: float  # from the map to the canvas' lower edge
    strips: tuple
    map: tuple

    def signals(self) -> dict[str, tuple[str, ...]]:
        """The same as signals of the view: name -> (in a wide view, in a narrow one)."""
        return {
            f"{name}_{edge}": tuple(str(place[k]) for place in getattr(self, name))
            for name in ("strips", "map")
            for k, edge in enumerate(("top", "bottom"))
        }

    def target(self, steps: int) -> dict[str, Any]:
        """Where a click on the map sets time and lag; steps: of its lag axis."""
        top, bottom = zip(*self.map, strict=True)
        area = {"left": self.left, "right": RIGHT, "top": top, "bottom": bottom}
        return {"selector": ".st-key-picture canvas", "steps": steps, **area}

    def style(self) -> str:
        """The rules that lay `img.strips` and `img.map` under their panels."""
        narrow = f"@container (max-width: {self.left + NARROW_WIDTH + PADDING}px)"
        across = f"left: {self.left}px; width: calc(100% - {self.left + RIGHT + PADDING}px);"
        wide, stacked = map(self._rules, (0, 1))
        return f".st-key-picture img {{ {across} }} {wide} {narrow} {{ {stacked} }}"

    def _rules(self, width):
        end = self.foot + self.map[width][1]
        places = (("strips", *self.strips[width]), ("map", *self.map[width]))
        return " ".join(
            f".st-key-picture img.{name} {{ bottom: {end - bottom}px; height: {bottom - top}px; }}"
            for name, top, bottom in places
        )


RIGHT, PADDING = 10, 2  # px, room for half a dot: a mark that sticks out would narrow the view; round the view
IMAGE_LAYOUTS = {  # large -> places
    False: ImageLayout(left=52, foot=44, strips=((260, 314), (530, 584)), map=((352, 466), (624, 784))),
    True: ImageLayout(left=64.5, foot=51, strips=((264, 316), (540, 592)), map=((362, 486), (634, 784))),
}
CHAINS = {"state": (GREEN, [8, 4]), "input": (PURPLE, [2, 4])}  # what is taken for these terms: field, colour, dashes

NO_CHAINS: base.Table = {field: [] for field in ("lag", *CHAINS)}
NOTHING_KEPT: base.Table = {field: [] for field in ("lag", "term", "sum", *GATE_FIELDS)}


def domain(measurement: Measurement, view: View) -> Domain:
    """The frame that holds terms and sums at time t, or where there is nothing at t, the terms at other times."""
    at_t = np.concatenate([measurement.log_row, measurement.log_partial, _sizes(measurement.log_row)])
    if not np.isfinite(at_t).any():
        return base.decades(measurement.log_terms)
    return base.decades(at_t, *(measurement.chains.values() if view.chains else ()))


def data(measurement: Measurement, view: View, kept: Measurement | None, domain: Domain, image: bool = False) -> Tables:
    """The numbers of the picture.

    Args:
        measurement: what `measure` returns.
        view: the `View`.
        kept: the measurement that stays in grey, or None.
        domain: (low, high) in log10; what lies beyond it is marked at the edge.
        image: with map and gates, for a file.

    Returns:
        one table per dataset. "frame": one row for the whole view; "sums": one per lag 0…t, "columns" likewise
        what is there to touch; "terms": one per term inside the domain; "odd": one per term that is no number
        there; "letters": one per label; "kept", "front": the grey one by lag, and along its map; "chains": the two
        other chains by lag.
    """
    true, measurement = measurement, measurement.float32 if view.float32 else measurement
    t, overflow, log_row = measurement.t, measurement.overflow, measurement.log_row
    norms = _sizes(log_row)
    norms = np.where(norms <= domain[1] * np.log(10), norms, np.nan)  # else it would seem to come to rest at the edge
    lag = np.arange(t + 1)
    states = _states(true, measurement, domain)
    plain = states == ""
    letters, room = _letters(measurement.labels, t, len(measurement.cost))
    seen = [f"{mark} {words}" for state, (mark, _, words) in MARKS.items() if state in states]
    if measurement.scenario.weight == "weight_hh" and states[t] == "zero" and (states == "zero").sum() == 1:
        why = "no state before the first step"
        rows = true.scenario.rows | {"weight": "weight_ih"}
        if len(seen) == 1 and true.lags.log_terms(**rows)[t] > -np.inf:
            why = "no state yet; weight_ih has a term"
        seen = [f"{each}: {why}" if each.endswith("exact zero") else each for each in seen]
    frame = {
        "low": domain[0],
        "high": domain[1],
        "horizon": len(measurement.cost),
        "t": t,
        "lit": min(view.lag, t) if view.closer else -1,
        "corner": -0.5,
        "room": room,
        "time": f"t = {t}",
        "broken": "" if overflow is None else f"overflow from step {overflow}",
        "note": "   ".join(seen),
        "few_costs": bool(2 * np.isneginf(true.log_residual).sum() > len(true.cost)),
        "alarm": base.overflowed(true),
        **(images(true, view, domain) if image else {}),
        "strips_title": "Gates at step t−u: how open" if measurement.gates else "Activation at step t−u: mean slope",
        **_names(measurement.scenario.cell, measurement.strips),
        **_fit(true, domain),
        **_ending(measurement.log_partial[-1], domain),
        **_chain_words(measurement, view, domain),
        **_kept_words(measurement, kept, domain),
    }
    frame["kept_front"] = base.in_two_lines(frame["kept_front"])
    return {
        "frame": base.frame_table(**frame),
        "terms": {"lag": lag[plain], "term": log_row[plain] / np.log(10)},
        "sums": {
            "lag": lag,
            "sum": cut(measurement.log_partial, domain),
            "norms": cut(norms, domain),
            "term": base.numbers(log_row),
            "total": base.numbers(measurement.log_partial),
        },
        "columns": base.column_table(measurement),
        "odd": _odd(states, domain),
        "letters": letters,
        "kept": _kept(measurement, kept, domain),
        "front": _front(measurement, kept, domain),
        "chains": _chains(measurement, view, domain),
    }


def _sizes(log_row):
    """log Σ_{u'≤u} ‖term(u')‖ by lag."""
    with np.errstate(invalid="ignore"):
        return np.logaddexp.accumulate(log_row)


def images(measurement: Measurement, view: View, domain: Domain, steps: int | None = None) -> dict[str, str]:
    """What lies under the canvas: "strips" and "map" -> data URL; over so many steps, or else the horizon."""
    steps = steps or len(measurement.cost)
    shown = measurement.float32 if view.float32 else measurement
    return {
        "strips": strips_url(measurement.strips, measurement.t, steps, len(BASELINES)),
        "map": map_url(shown, domain, steps),
    }


def _states(true, shown, domain):
    """What each term is: "" for a number inside the frame, a key of `MARKS`, or "none" after an overflow."""
    row, t = shown.log_row / np.log(10), shown.t
    zero, lost = row == -np.inf, shown is not true
    odd = {
        "none": np.isnan(true.log_row),
        "broken": np.isnan(row),
        "lost": zero & np.isfinite(true.log_row) & lost,
        "flushed": zero & flushed(t - np.arange(t + 1), shown.underflow),
        "zero": zero,
        "below": row < domain[0],
        "above": row > domain[1],
    }
    return np.select(list(odd.values()), list(odd), "")


def _odd(states, domain):
    """The terms that are no number on the axis, just inside the frame."""
    lags = [u for u, state in enumerate(states) if state in MARKS]
    low, high = domain
    inset = 0.05 * (high - low)
    marks = [MARKS[states[u]] for u in lags]
    return {
        "lag": lags,
        "y": [high - inset if states[u] == "above" else low + inset for u in lags],
        "mark": [mark for mark, _, _ in marks],
        "color": [colour for _, colour, _ in marks],
    }


def _names(cell, gates):
    """For each strip its name and the top of its track; nothing where there is no gate."""
    names = [gate if gate == SLOPE else CELLS[cell].label(gate) for gate in gates] + len(BASELINES) * [""]
    strips = list(zip(GATE_FIELDS, BASELINES, names, strict=False))
    tops = {field: base - 0.8 if name else None for field, base, name in strips}
    return {f"name{k}": name for k, (_, _, name) in enumerate(strips)} | tops


def _letters(labels, t, horizon):
    """What stands under the strips, and the pixels that it needs: every letter, round years only, or of longer words
    those of every step, every second, fourth … step, whichever has room; "every": that many steps."""
    shown = [(t - s, s, labels[s].strip()) for s in range(t, -1, -1) if labels[s].strip()]
    room, every = 6, lambda s: 1
    if all(label.isdecimal() and len(label) == 4 for _, _, label in shown):
        years = next(years for years in (1, 2, 5, 10, 20, 50) if years >= 0.12 * horizon)
        room, shown = 0, [each for each in shown if int(each[2]) % years == 0]
    elif (longest := max(len(label) for _, _, label in shown)) > 1:
        shown = [(u, s, label if len(label) <= CUT else f"{label[: CUT - 1]}…") for u, s, label in shown]
        room, every = 8 * min(longest, CUT) + 4, lambda s: s & -s or 2**14
    lags, words = [u for u, _, _ in shown], [label for _, _, label in shown]
    return {"lag": lags, "label": words, "every": [every(s) for _, s, _ in shown]}, room


def _fit(measurement, domain):
    """The line through the terms, log ‖term‖ = intercept + slope·u, cut to the frame; nothing where none fits."""
    low, high = domain
    if not measurement.reading.term_pace_steady:
        return {"fit_x": None, "fit_x2": None, "fit_y": None, "fit_y2": None, "factor": "", "factor_y": high}
    fit = per_step_factor(measurement.log_row)
    slope, intercept = fit.slope / np.log(10), fit.intercept / np.log(10)
    ends = np.array([fit.first, fit.last], float)
    if abs(slope) > 1e-9:
        ends = np.clip(np.sort((np.array(domain) - intercept) / slope), *ends)
    start, stop = np.clip(intercept + slope * ends, low, high)
    places = low + np.array([0.25, 0.92] if slope > 0 else [0.92, 0.25]) * (high - low)
    far = measurement.log_row[len(measurement.log_row) // 2 :] / np.log(10)  # the words stand at the right
    return {
        "fit_x": ends[0],
        "fit_x2": ends[1],
        "fit_y": start,
        "fit_y2": stop,
        "factor": f"terms ×{number(fit.slope)} a step",
        "factor_y": min(places, key=lambda y: np.sum(np.abs(far - y) < 0.08 * (high - low))),
    }


def _ending(log_sum, domain):
    """The end of the running sum, and its number clear of the line."""
    low, high = domain
    if np.isnan(log_sum):
        return {"end": None, "total": "", "total_y": high, "kept_total_y": low + 0.07 * (high - low)}
    end, space = np.clip(log_sum / np.log(10), low, high), 0.22 * (high - low)
    total_y = end + space if end - space < low else end - space
    low_down = total_y < low + 0.25 * (high - low)
    return {
        "end": end if np.isfinite(log_sum) else None,
        "total": f"sum {number(log_sum)}",
        "total_y": total_y,
        "kept_total_y": low + (0.93 if low_down else 0.07) * (high - low),
    }


def _chains(measurement, view, domain):
    """The two other chains by lag, if they are wanted; no rows if not."""
    if not view.chains:
        return NO_CHAINS
    lines, lag = measurement.chains.values(), np.arange(measurement.t + 1)
    return {"lag": lag, **{field: cut(log, domain) for field, log in zip(CHAINS, lines, strict=True)}}


def _chain_words(measurement, view, domain):
    """The names of the chains, and whether the lower corner is free for them."""
    if not view.chains:
        return {**dict.fromkeys(CHAINS, ""), "chain_low": True}
    lines = [measurement.log_row, *measurement.chains.values()]
    _, low = base.free_corner(lines, domain, 0.4, ways=(False,))
    return {**dict(zip(CHAINS, measurement.chains, strict=True)), "chain_low": low}


def _kept(measurement, kept, domain):
    """Terms, running sum and gates of what stays in grey, by lag; null where there is none."""
    if kept is None:
        return NOTHING_KEPT
    lag = np.arange(min(kept.t + 1, len(measurement.cost)))
    alike = kept.strips.keys() == measurement.strips.keys()
    gates = [gate[kept.t :: -1] for gate in kept.strips.values()] if alike else []
    gates += [np.full(len(lag), np.nan)] * len(BASELINES)
    return {
        "lag": lag,
        "term": cut(kept.log_row[: len(lag)], domain),
        "sum": cut(kept.log_partial[: len(lag)], domain),
        **{
            field: bottom - 0.8 * gate[: len(lag)]
            for field, bottom, gate in zip(GATE_FIELDS, BASELINES, gates, strict=False)
        },
    }


def _front(measurement, kept, domain):
    """Along the kept map: how far back terms above the middle of the frame have reached, up to each t."""
    if not _has_front(measurement, kept):
        return {"t": [], "lag": []}
    steps = min(len(kept.cost), len(measurement.cost))
    above = kept.log_terms[:steps, :steps] >= np.mean(domain) * np.log(10)
    last = np.where(above.any(1), steps - 1 - above[:, ::-1].argmax(1), 0)
    return {"t": np.arange(steps), "lag": np.maximum.accumulate(last)}


def _has_front(measurement, kept):
    """Whether terms are kept at more times than one, along which a front can go."""
    steps = min(len(kept.cost), len(measurement.cost)) if kept else 0
    return steps > 0 and np.isfinite(kept.log_terms[:steps, :steps]).any(1).sum() > 1


def _kept_words(measurement, kept, domain):
    if kept is None:
        return {"kept": "", "kept_total": "", "kept_front": ""}
    other = "grey" if kept.called else "kept"  # not everything in grey was kept by hand
    front = f"dashed: how far back {other} terms above 1e{np.mean(domain):+.0f} reach"
    return {
        "kept": base.kept_words(measurement, kept),
        "kept_total": f"{other} sum {number(kept.log_partial[-1])}",
        "kept_front": front if _has_front(measurement, kept) else "",
    }


def specification(image: bool = False, large: bool = False) -> dict[str, Any]:
    """The constant Vega-Lite specification; see `terms_panels`."""
    from gradflow.app.charts import terms_panels

    return terms_panels.specification(image, large)


def say(measurement: Measurement, view: View) -> str:
    """What the picture shows, in a sentence or two with numbers."""
    row, t = measurement.log_row, measurement.t
    here = np.flatnonzero(np.isfinite(row))
    if base.overflowed(measurement):
        return f"{base.overflowed(measurement)}: at t = {t} there are no terms."
    if not here.size:
        return f"At t = {t} there is no term that is not zero."
    first, last = here[0], here[-1]
    if first == last:
        return f"At t = {t} one term is not zero, {number(row[first])} at lag {first}."
    said = [
        f"At t = {t} the terms go from {number(row[first])} at lag {first} to {number(row[last])} at lag {last}; "
        f"their sum is {number(measurement.log_partial[-1])}."
    ]
    if view.float32:
        plain = measurement.float32
        zeros = int(np.sum(np.isneginf(plain.log_row) & np.isfinite(row)))
        broken = int(np.isnan(plain.log_row).sum())
        total = plain.log_partial[-1]
        said.append(
            f"Plain float32 reports 0 for {zeros} of these {here.size} terms, inf or NaN for {broken}, "
            f"and for the sum {'inf or NaN' if np.isnan(total) else number(total)}."
        )
    if view.chains:
        ends = [f"{name} at lag {last} is {number(log[last])}" for name, log in measurement.chains.items()]
        said.append(f"Of the other chains, {', and '.join(ends)}.")
    return " ".join(said)
