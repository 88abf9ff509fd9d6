"""Time and memory of the engine against T and n, and the exponents of their growth.

    python tests/benchmarks/growth.py            # the table, as Markdown; some minutes
    python tests/benchmarks/growth.py --fast     # the smaller sizes alone
    python tests/benchmarks/growth.py --plot     # the README's pictures, light and dark, too

Every size has a process of its own. Time is the median of repeated calls after the one that compiles; memory is the
peak above what the process held before those calls. The work is T²/2 pairs of a time and a lag, each a product by
W_hh: T² n² as soon as that product costs more than all else.
"""

import argparse
import gc
import json
import subprocess
import sys
import time
from pathlib import Path

import altair as alt
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import gradflow as gf  # noqa: E402
from engine import CELL, problem  # noqa: E402
from gradflow.app.memory import resident  # noqa: E402

STEPS = {"n": 64, "T": (128, 256, 512, 1024, 2048, 4096)}  # T grows, n stands
UNITS = {"T": 256, "n": (16, 32, 64, 128, 256, 512, 1024)}
LONG = 16, 10_000  # n, T: more than T² n would fit
FEW = 3  # the largest sizes that the exponents are fitted to


def measure(n, steps):
    """One size in this process: seconds and MB of all term norms, and of them as kept on the host by the result."""
    arrays = problem(n, steps)
    work = lambda: gf.gradient_map(CELL, *arrays).log_terms()
    work()
    gc.collect()
    idle = resident()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    seconds, first = [], time.perf_counter()
    while not seconds or (len(seconds) < 7 and time.perf_counter() - first < 20):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return {"n": n, "T": steps, "seconds": float(np.median(seconds)), "MB": resident(field="VmHWM") - idle}


def in_own_process(n, steps):
    done = subprocess.run([sys.executable, __file__, "--one", str(n), str(steps)], capture_output=True, text=True,
                          check=True)  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def exponent(points, along, what):
    """The slope of log(what) against log(along) over the largest sizes."""
    last = points[-FEW:]
    return float(np.polyfit(np.log([p[along] for p in last]), np.log([p[what] for p in last]), 1)[0])


def growths(by_steps, by_units):
    """(name, points, along, what, the exponent that is due) of every growth."""
    yield "time against T", by_steps, "T", "seconds", 2
    yield "time against n", by_units, "n", "seconds", 2
    yield "memory against T", by_steps, "T", "MB", 2
    yield "memory against n", by_units, "n", "MB", 1


def picture(points, along, what, due, ink):
    """One growth on log axes: the measured points, and the fitted line through the largest."""
    slope, last = exponent(points, along, what), points[-FEW:]
    middle = [np.exp(np.mean(np.log([p[name] for p in last]))) for name in (along, what)]
    line = [{along: p[along], what: middle[1] * (p[along] / middle[0]) ** slope} for p in points]
    rest, value = ("n", STEPS["n"]) if along == "T" else ("T", UNITS["T"])
    x = alt.X(f"{along}:Q", scale=alt.Scale(type="log", base=2, nice=False), title=f"{along}, at {rest} = {value}")
    x.axis = alt.Axis(values=[p[along] for p in points], labelOverlap=True, format="d")
    y = alt.Y(f"{what}:Q", scale=alt.Scale(type="log"), title="time" if what == "seconds" else "memory")
    unit = "datum.value < 1 ? 1000 * datum.value + ' ms' : datum.value + ' s'"
    y.axis = alt.Axis(
        values=(10.0 ** np.arange(-4, 5)).tolist(), labelExpr=unit if what == "seconds" else "datum.value + ' MB'"
    )
    said = f"fitted: {along} to the {slope:.2f}; predicted: {due}"
    show = lambda data: alt.Chart(alt.Data(values=data), title=alt.Title(said, color=ink, fontSize=14))
    fitted = show(line).mark_line(strokeDash=[6, 4], color="#e8710a", strokeWidth=2).encode(x, y)
    measured = show(points).mark_point(filled=True, size=90, color="#3d8bd9", opacity=1).encode(x, y)
    return (fitted + measured).properties(width=300, height=190)


def draw(by_steps, by_units, folder=ROOT / ".github"):
    """The growth of time and of memory, for a light page and for a dark one."""
    for theme, ink in (("light", "#31333f"), ("dark", "#d5d7dc")):
        panels = [picture(*how, ink) for _, *how in growths(by_steps, by_units)]
        colours = dict.fromkeys(("labelColor", "titleColor", "domainColor", "tickColor"), ink)
        for what, pair in (("time", panels[:2]), ("memory", panels[2:])):
            chart = alt.hconcat(*pair, background="transparent").configure_view(stroke=None)
            chart = chart.configure_axis(labelFontSize=12, titleFontSize=13, gridColor="#8a8f9855", **colours)
            chart.save(folder / f"growth-{what}-{theme}.svg")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--plot", action="store_true")
    parser.add_argument("--one", nargs=2, type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        return print(json.dumps(measure(*asked.one)))
    cut = slice(4 if asked.fast else None)
    print("| n | T | seconds | peak memory, MB | of it the result, MB |\n| ---: | ---: | ---: | ---: | ---: |")

    def run(n, steps):
        point = in_own_process(n, steps)
        print(f"| {n} | {steps} | {point['seconds']:.4f} | {point['MB']:.0f} | {steps**2 * 8 / 1e6:.0f} |", flush=True)
        return point

    by_steps = [run(STEPS["n"], steps) for steps in STEPS["T"][cut]]
    by_units = [run(n, UNITS["T"]) for n in UNITS["n"][cut]]
    if not asked.fast:
        run(*LONG)
    print("\n| growth | fitted exponent | predicted |\n| --- | ---: | ---: |")
    for name, points, along, what, due in growths(by_steps, by_units):
        print(f"| {name} | {exponent(points, along, what):.2f} | {due} |")
    if asked.plot:
        draw(by_steps, by_units)


if __name__ == "__main__":
    main()
