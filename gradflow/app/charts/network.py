"""The unrolled network at the chosen t: the last dozen steps, their gates, and how much reaches each copy of W."""

import numpy as np
import pyarrow as pa

from gradflow.app.charts import base
from gradflow.app.charts.base import Domain, Tables
from gradflow.app.measurement import Measurement
from gradflow.app.view import View
from gradflow.cells import CELLS
from gradflow.reading import number, share

STEPS = 12
BROAD = 14  # px, the widest arrow
COST, COPY, STATE, INPUT, STEP = 60, 236, 318, 378, 404  # px from the top
BESIDE = {"forget": (-0.5, 0), "update": (-0.5, 0), "input": (0, 1), "reset": (0, 1), "output": (0, -1)}  # of a state


def domain(measurement: Measurement, view: View) -> Domain:
    """The frame of decades that sets the arrows' widths."""
    return base.decades(measurement.log_row[:STEPS])


def data(measurement: Measurement, view: View, kept: Measurement | None, domain: Domain) -> Tables:
    t, row = measurement.t, measurement.log_row
    lag = np.arange(min(STEPS, t + 1))
    x = STEPS - 1 - lag
    wide, grey = _widths(row, lag, domain), _widths(kept.log_row, lag, domain) if kept else 0.0 * lag
    steps = base.steps_back(measurement)
    units = {
        "lag": lag,
        "x": x,
        "before": x - 1.0,
        "copy": np.full(len(lag), COPY),
        "state": np.full(len(lag), STATE),
        "input": np.full(len(lag), INPUT),
        "step": np.full(len(lag), STEP),
        "term": base.numbers(row[lag]),
        "label": [measurement.labels[t - u].strip() or "x" for u in lag],
        "name": [f"{t - u}" for u in lag],
    }
    arrows = {
        "lag": lag,
        "from": np.full(len(lag), STEPS - 1.0),
        "to": x,
        "top": np.full(len(lag), COST),
        "end": np.full(len(lag), COPY - 12),
        "wide": wide,
        "kept": grey,
        "head": np.where(wide > 0, 30 + 14 * wide, 0.0),
    }
    gates = [
        (u, STEPS - 1 - u, STATE, *BESIDE[name], float(gate[t - u]))
        for name, gate in measurement.gates.items()
        for u in lag
    ]
    earlier = share(row)[STEPS] if len(row) > STEPS and np.isfinite(row).any() else 0.0
    frame = {
        "corner": 0,
        "lit": min(view.lag, t) if view.closer else -1,
        "title": f"What C({t}) sends back to each copy of W",
        "legend": f"width: from {number(domain[0] * np.log(10))}, a hair, to {number(domain[1] * np.log(10))}, broad",
        "gates_key": "red, a gate: ring open, bar shut" if measurement.gates else "",
        "earlier": f"{max(len(row) - STEPS, 0)} earlier copies hold {100 * earlier:.2g} % of the terms",
        "kept": base.kept_words(measurement, kept),
        "alarm": base.overflowed(measurement),
    }
    names, label = list(measurement.gates), CELLS[measurement.scenario.cell].label
    said = [
        f"copy of step {steps[u]}, lag {u}: {number(row[u])}"
        + "".join(f", {label(name)} {measurement.gates[name][t - u]:.2f}" for name in names)
        for u in range(t + 1)
    ]
    columns = {
        "lag": np.arange(t + 1, dtype=np.int16),
        "x": pa.array([STEPS - 1 - u if u < STEPS else None for u in range(t + 1)], pa.float32()),
        "words": said,
    }
    return {
        "frame": base.frame_table(**frame),
        "arrows": pa.table(arrows),
        "units": pa.table(units),
        "gates": pa.table(
            {
                name: pa.array([gate[k] for gate in gates], pa.float32())
                for k, name in enumerate(("lag", "x", "y", "dx", "dy", "open"))
            }
        ),
        "columns": pa.table(columns),
    }


def _widths(row, lag, domain):
    """px of each arrow, from a hair at the foot of the frame to `BROAD` at its top; 0 where nothing comes."""
    values = np.full(len(lag), -np.inf)
    here = lag[lag < len(row)]
    values[here] = row[here]
    part = np.clip((values / np.log(10) - domain[0]) / (domain[1] - domain[0]), 0, 1)
    return np.where(np.isfinite(values), 0.75 + (BROAD - 0.75) * np.where(np.isfinite(part), part, 0), 0.0)


def say(measurement: Measurement, view: View) -> str:
    """What the picture shows, in a sentence with numbers."""
    if base.overflowed(measurement):
        return base.overflowed(measurement) + "."
    row = measurement.log_row
    last = min(STEPS, len(row)) - 1
    steps = slice(measurement.t - last, measurement.t + 1)
    label = CELLS[measurement.scenario.cell].label
    gates = ", ".join(f"{label(name)} {gate[steps].mean():.2f}" for name, gate in measurement.gates.items())
    seen = f" The gates of these steps are open by, on average: {gates}." if gates else ""
    return (
        f"The cost at step {measurement.t} sends {number(row[0])} to the copy of W it used last, and "
        f"{number(row[last])} to the one {last} steps before.{seen}"
    )
