"""Time and memory of the engine against T and n, and the exponents of their growth.

    python tests/benchmarks/growth.py            # the table, as Markdown; some minutes
    python tests/benchmarks/growth.py --fast     # the smaller sizes alone
    python tests/benchmarks/growth.py --json     # the raw numbers into growth.json beside it, too

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

import numpy as np
from engine import CELL, problem
from memory import resident

import gradflow as gf

HERE = Path(__file__).parent
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--json", action="store_true")
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
    long = None if asked.fast else run(*LONG)
    print("\n| growth | fitted exponent | predicted |\n| --- | ---: | ---: |")
    for name, points, along, what, due in (
        ("time against T", by_steps, "T", "seconds", 2),
        ("time against n", by_units, "n", "seconds", 2),
        ("memory against T", by_steps, "T", "MB", 2),
        ("memory against n", by_units, "n", "MB", 1),
    ):
        print(f"| {name} | {exponent(points, along, what):.2f} | {due} |")
    if asked.json:
        numbers = {"T": by_steps, "n": by_units, "long": long}
        (HERE / "growth.json").write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
