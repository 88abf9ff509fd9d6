"""How the sums of one linear unit that keeps all of its state grow with the steps, weight by weight."""

from typing import Any

import numpy as np

from gradflow.app.charts import base, line
from gradflow.app.charts.base import BLUE, ORANGE, PURPLE, Tables
from gradflow.reading import number

NAMES = {  # weight -> what its curve is called, colour, style
    "weight_ih": ("input weight, like √T", ORANGE, "dotted"),
    "bias_hh": ("bias, like T", BLUE, "solid"),
    "weight_hh": ("recurrent weight, like T√T", PURPLE, "dashed"),
}


def data(sums: dict[str, np.ndarray]) -> Tables:
    """The numbers of the chart; sums: weight -> natural logs of ‖Σ‖ / ‖dC/dh‖, root mean squares over draws, f64[T]."""
    steps = len(sums["bias_hh"])
    said = [
        f"after {t + 1} steps: "
        + ", ".join(f"{NAMES[weight][0].split(',')[0]} {number(logs[t])}" for weight, logs in sums.items())
        for t in range(steps)
    ]
    return line.tables(
        None,
        [(name, sums[weight], colour, style) for weight, (name, colour, style) in NAMES.items()],
        base.decades(*sums.values()),
        length=steps,
        title="The sums at ρ = 1, by the steps T",
        subtitle="divided by the error; root mean squares, 48 draws",
        lit=-1,
        words=said,
    )


def say(sums: dict[str, np.ndarray]) -> str:
    """What the curves show, in a sentence with numbers."""
    half, whole = len(sums["bias_hh"]) // 2, len(sums["bias_hh"])
    told = ", ".join(
        f"that of the {NAMES[weight][0].split(',')[0]} by ×{number(logs[whole - 1] - logs[half - 1])}"
        for weight, logs in sums.items()
    )
    return f"From {half} to {whole} steps the sums grow: {told}."


def specification() -> dict[str, Any]:
    """The constant Vega-Lite specification."""
    return line.specification("step", "Three sums that grow by three laws; the text below says it.")
