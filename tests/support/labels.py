"""Where the letters of a chart stand: boxes of all texts, drawn outside the browser, and which of them collide.

.venv/bin/python tests/support/labels.py 40    random scenarios in every view; prints each collision
"""

import re
import sys
from functools import cache
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import streamlit
import vl_convert
from PIL import ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gradflow.app import charts
from gradflow.app.charts import CHARTS
from gradflow.app.charts.base import rows
from gradflow.app.measurement import measure
from gradflow.app.scenario import CHOICES, Scenario, gate_names
from gradflow.app.view import View

(PAGE_FONT,) = Path(streamlit.__file__).parent.glob("static/static/media/SourceSansVF-Upright*.woff2")
SVG = "{http://www.w3.org/2000/svg}"
TOUCH = 1  # px by which two boxes may overlap: their edges hold no ink


class Box(NamedTuple):
    """A text and the corners of the rectangle round it, px, f[4, 2]; it may be turned."""

    text: str
    corners: np.ndarray


@cache
def font(bold):
    """The page's font at 100 px."""
    found = ImageFont.truetype(str(PAGE_FONT), 100, layout_engine=ImageFont.Layout.BASIC)
    found.set_variation_by_axes([700 if bold else 400])
    return found


def drawn(spec, datasets, width):
    """A chart as SVG, as wide as on a page; where a text is cut, the converter measures it in a wider font."""
    whole = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        **spec,
        "datasets": {name: rows(table) for name, table in datasets.items()},
        "width": width,
    }
    return vl_convert.vegalite_to_svg(whole)


def boxes(svg):
    """The box of every text that is seen."""
    return [*_boxes(ElementTree.fromstring(svg), np.eye(3))]


def _boxes(element, matrix):
    matrix = matrix @ _transform(element.get("transform", ""))
    if element.tag == f"{SVG}text":
        seen = all(float(element.get(name, 1)) > 0 for name in ("opacity", "fill-opacity"))
        below = 0.0
        for line in (element, *element.findall(f"{SVG}tspan")):
            below += float(line.get("dy", 0))
            if (line.text or "").strip() and seen and element.get("stroke") is None:
                yield _box(element, line.text.strip(), matrix @ _transform(f"translate(0,{below})"))
    for child in element:
        yield from _boxes(child, matrix)


def _transform(text):
    """The matrix of "translate(3,4) rotate(-90)"."""
    matrix = np.eye(3)
    for name, arguments in re.findall(r"(\w+)\(([^)]*)\)", text):
        values = [float(value) for value in re.split(r"[ ,]+", arguments)]
        step = np.eye(3)
        if name == "translate":
            step[:2, 2] = values
        elif name == "rotate":
            angle = np.radians(values[0])
            step[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        else:
            raise ValueError(f"no such transform is known: {name}")
        matrix = matrix @ step
    return matrix


def _box(element, text, matrix):
    size = float(element.get("font-size").removesuffix("px"))
    width = font(element.get("font-weight") == "bold").getlength(text) * size / 100
    left = {"start": 0, "middle": -width / 2, "end": -width}[element.get("text-anchor", "start")]
    top, bottom, right = -0.72 * size, 0.2 * size, left + width
    corners = np.array([[left, top, 1], [right, top, 1], [right, bottom, 1], [left, bottom, 1]])
    return Box(text, (corners @ matrix.T)[:, :2])


def overlap(one, other):
    """px by which two rectangles reach into one another; negative where there is space between them."""
    sides = np.concatenate([np.diff(corners[:3], axis=0) for corners in (one, other)])
    ways = sides / np.linalg.norm(sides, axis=1, keepdims=True)
    a, b = one @ ways.T, other @ ways.T
    return np.min(np.minimum(a.max(0), b.max(0)) - np.maximum(a.min(0), b.min(0)))


def collisions(found, width, height):
    """What is wrong with these boxes, in sentences: two that overlap, one that leaves the view."""
    for one, other in combinations(found, 2):
        if len(one.text) == len(other.text) == 1:
            continue  # marks of terms, which stand as close as the terms
        deep = overlap(one.corners, other.corners)
        if deep > TOUCH:
            x, y = one.corners[0]
            yield f"“{one.text}” and “{other.text}” overlap by {deep:.0f} px at {x:.0f}, {y:.0f}"
    for text, corners in found:
        (left, top), (right, bottom) = corners.min(0), corners.max(0)
        if left < -TOUCH or right > width + TOUCH or top < -TOUCH or bottom > height + TOUCH:
            yield f"“{text}” leaves the view: {left:.0f} to {right:.0f}, {top:.0f} to {bottom:.0f}"


def size(svg):
    root = ElementTree.fromstring(svg)
    return float(root.get("width")), float(root.get("height"))


def scenarios(seed, hidden=4):
    """Random scenarios without end, from anywhere in the ranges."""
    rng = np.random.default_rng(seed)
    pick = lambda options: options[rng.integers(len(options))]
    while True:
        cell = pick(CHOICES["cell"])
        near = rng.random() < 0.5
        yield Scenario(
            cell=cell,
            gates=pick(CHOICES["gates"]),
            **{gate: round(rng.random(), 3) for gate in ("forget", "input", "output", "reset", "update")},
            gain=round(rng.uniform(0.3, 1.6) if near else rng.uniform(0, 12), 2),
            input_gain=round(rng.uniform(0, 4), 2),
            init=pick(CHOICES["init"]),
            hidden=hidden,
            horizon=int(pick((2, 5, 20, 60, 100, 128, 200, 256))),
            time=int(pick((255, 255, 255, rng.integers(256)))),
            write_every=int(pick((1, 1, 5, 12))),
            sequence=pick(CHOICES["sequence"]),
            seed=int(rng.integers(1000)),
            weight=pick(CHOICES["weight"]),
            gate=pick(("all", *gate_names(cell))),
            cell_path_only=bool(cell == "lstm" and rng.random() < 0.2),
        )


def looks(rng):
    """Random ways to look."""
    flip = lambda share=0.5: bool(rng.random() < share)
    return {
        "closer": flip(0.8),
        "whole": flip(),
        "row": int(rng.integers(64)),
        "col": int(rng.integers(16)),
        "lag": int(rng.integers(256)),
        "relative": flip(),
        "float32": flip(0.3),
        "chains": flip(0.3),
    }


WIDTHS = {"page": (1000, False), "beside the sidebar": (800, False), "phone": (358, False), "stage": (1200, True)}


def wrong(name, scenario, view, kept, width, stage):
    """What is wrong with the letters of a chart; see `collisions`."""
    chart, measurement = CHARTS[name], measure(scenario)
    kept = kept and measure(kept)
    datasets = chart.data(measurement, view, kept, chart.frame(view, measurement, kept))
    return faults(charts.specification(name, stage), datasets, width)


def faults(spec, datasets, width):
    """The same of a specification with its data."""
    svg = drawn(spec, datasets, width)
    return [*collisions(boxes(svg), *size(svg))]


def random_cases(seed):
    """(scenario, look without a chart, what is kept) without end."""
    draw, rng = scenarios(seed), np.random.default_rng(seed)
    while True:
        yield next(draw), looks(rng), next(draw)


def main(count, seed=0):
    total = 0
    for k, (scenario, ways, other) in zip(range(count), random_cases(seed), strict=False):
        for name, kept, (where, (width, stage)) in product(CHARTS, (None, other), WIDTHS.items()):
            for fault in wrong(name, scenario, View(show=name, **ways), kept, width, stage):
                total += 1
                print(f"{k} {name}, {where}{', kept' if kept else ''}: {fault}", flush=True)
    print(f"{total} faults in {count} scenarios")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
