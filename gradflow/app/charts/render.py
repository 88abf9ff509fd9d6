"""A chart as a file. Streamlit's own menu gives a PNG of the canvas alone: without the map under it, and no SVG."""

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradflow.app.charts.base import Tables

FORMATS = ("png", "svg")
WIDTH = 1000  # px
_CONVERT = """
import json, sys, vl_convert
spec, form = json.load(sys.stdin), sys.argv[1]
drawn = vl_convert.vegalite_to_svg(spec) if form == "svg" else vl_convert.vegalite_to_png(spec, scale=2)
sys.stdout.buffer.write(drawn.encode() if form == "svg" else drawn)
"""


def convert(spec: dict[str, Any], datasets: "Tables", form: str) -> bytes:
    """Draw a chart outside the browser, in a process of its own, whose 115 MB are then given back.

    Args:
        spec: Vega-Lite, without data.
        datasets: name -> table.
        form: one of `FORMATS`.

    Returns:
        the file, as bytes.

    Raises:
        ValueError: an unknown form.
        subprocess.SubprocessError: it could not be drawn, with what was said.
    """
    if form not in FORMATS:
        raise ValueError(f"form is {form!r}; it must be one of {', '.join(FORMATS)}")
    from gradflow.app.charts.base import rows

    whole = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        **spec,
        "datasets": {name: rows(table) for name, table in datasets.items()},
        "width": WIDTH,
        "background": "white",
        "config": {**spec["config"], "font": "DejaVu Sans, sans-serif"},
    }
    command = [sys.executable, "-c", _CONVERT, form]
    return subprocess.run(command, input=json.dumps(whole).encode(), capture_output=True, check=True, timeout=60).stdout
