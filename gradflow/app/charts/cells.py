"""All cells side by side on one scale: the same inputs, the same gain, the same draw, another step."""

import numpy as np
import pyarrow as pa

from gradflow.app.charts import base
from gradflow.app.charts.base import Domain, Tables, cut
from gradflow.app.counterexample import in_every_cell
from gradflow.app.measurement import Measurement
from gradflow.app.view import View
from gradflow.cells import CELLS
from gradflow.reading import number

GATED = tuple(name for name, cell in CELLS.items() if cell.pinnable)
STRIP, OPEN = 15, 12  # px, from one gate's strip to the next, and its height where the gate is open


def domain(measurement: Measurement, view: View) -> Domain:
    return base.decades(*(each.log_row for each in in_every_cell(measurement).values()))


def _factor(measurement, now):
    """What is written into a panel: the pace of δ, or why there is none; of which weight, if it is another than now."""
    weight = measurement.scenario.weight
    of = weight.replace("weight", "W").replace("bias", "b")
    return _pace(measurement) if weight == now else f"{of}: {_pace(measurement)}"


def _pace(measurement):
    reading = measurement.reading
    if reading.regime == "overflow":
        return f"overflow at step {measurement.overflow}"
    said = lambda pace: f"×{number(np.log(pace))}"
    if reading.pace_steady:
        return f"δ {said(reading.pace)} a step"
    if reading.pace_near_steady and reading.pace_far_steady:
        near, far = said(reading.pace_near), said(reading.pace_far)
        return f"δ {near} at both ends" if near == far else f"δ {near} to {far}"
    return "δ: no one pace"


def data(measurement: Measurement, view: View, kept: Measurement | None, domain: Domain) -> Tables:
    each = in_every_cell(measurement)
    lag = np.arange(measurement.t + 1, dtype=np.int16)
    steps = base.steps_back(measurement)
    name = measurement.scenario.cell
    frame = {
        "low": domain[0],
        "high": domain[1],
        "horizon": len(measurement.cost),
        "corner": -0.5,
        "lit": min(view.lag, measurement.t) if view.closer else -1,
        "title": "Each term by lag, cell by cell",
        "subtitle": "same inputs, same scale of weights",
        "kept": base.kept_words(measurement, kept),
        "alarm": base.overflowed(measurement),
        **{f"factor{k}": _factor(one, measurement.scenario.weight) for k, one in enumerate(each.values())},
    }
    corners = [base.free_corner([one.log_row], domain, 0.3) for one in each.values()]
    grey = {f"term{k}": kept.log_row if kept and kept.scenario.cell == cell else None for k, cell in enumerate(CELLS)}
    rows = min(len(kept.log_row), len(measurement.cost)) if kept else 0
    blank = pa.nulls(rows, pa.float32())
    return {
        "frame": base.frame_table(**frame),
        "cells": pa.table(
            {"lag": lag, **{f"term{k}": cut(one.log_row, domain) for k, one in enumerate(each.values())}}
        ),
        "corners": pa.table(
            {
                "cell": np.arange(len(CELLS), dtype=np.int8),
                "right": [right for right, _ in corners],
                "foot": [foot for _, foot in corners],
            }
        ),
        **{name: _gates(each[name]) for name in GATED},
        "kept": pa.table(
            {
                "lag": np.arange(rows, dtype=np.int16),
                **{field: blank if row is None else cut(row[:rows], domain) for field, row in grey.items()},
            }
        ),
        "columns": pa.table(
            {
                "lag": lag,
                "words": [f"lag {u} (step {steps[u]}): {name} {number(measurement.log_row[u])}" for u in lag],
            }
        ),
    }


def _gates(measurement):
    """One row a gate and lag: the foot of the gate's strip, and how far over it the gate is open."""
    gates = np.array([gate[measurement.t :: -1] for gate in measurement.gates.values()])  # [G, t + 1]
    foot, lag = np.indices(gates.shape)
    foot += 1
    opened = np.where(np.isfinite(gates), foot - OPEN / STRIP * gates, np.nan)
    return pa.table(
        {
            "lag": lag.ravel().astype(np.int16),
            "foot": foot.ravel().astype(np.int8),
            "open": pa.array(opened.ravel(), pa.float32(), from_pandas=True),
        }
    )


def say(measurement: Measurement, view: View) -> str:
    """How fast the terms of each cell fall, in a sentence with numbers."""
    if base.overflowed(measurement):
        return base.overflowed(measurement) + "."
    now, weight = measurement.scenario.cell, measurement.scenario.weight
    others = {cell: one for cell, one in in_every_cell(measurement).items() if cell != now}
    told = "; ".join(f"{cell} {_factor(one, weight)}" for cell, one in others.items())
    return f"The {now} has {_pace(measurement)}, beside {told}."
