"""From opening the page to its picture, and from starting the process: warm, with a compilation cache, and without.

    python tests/benchmarks/start.py            # the table, as Markdown
    python tests/benchmarks/start.py --fast     # one round instead of five

The shell is there when the first control in the sidebar is, the charts when a canvas has text and the map is loaded,
and they are measured here when no sentence says that they were so beforehand. A fresh browser profile each time, so
nothing is in its cache; the browser runs already. The floor is the least that Streamlit can do: one control, one chart.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gradflow.app.first_view import NOTE
from support.chromium import INK, WITH_WINDOWS, launch
from support.paths import ROOT
from support.server import serve

FLOOR = """
import streamlit as st

st.sidebar.selectbox("Floor", ["one", "other"])
axis = {"field": "x", "type": "quantitative"}
spec = {"mark": "point", "data": {"values": [{"x": 1}]}, "encoding": {"x": axis}}
st.vega_lite_chart(spec=spec | {"usermeta": {"embedOptions": {"renderer": "canvas"}}})
"""
SHELL = "[data-testid=stSidebar] [data-testid=stSelectbox]"
PICTURE = "ink().length && [...document.querySelectorAll('.st-key-picture img')].every((image) => image.complete)"
MEASURED = f"{PICTURE} && !document.querySelector('.st-key-picture h2')?.textContent.includes('{NOTE}')"
GOALS = {  # s, of (shell, charts, measured)
    "a server that is warm": (1.0, 1.5, None),
    "the same, the floor": (None, None, None),
    "process start, with a compilation cache": (None, None, 2.5),
    "process start, nothing compiled": (None, None, 4.0),
}


def opened(browser, url, start):
    """Seconds from `start` to the shell, to the charts of a first visit, and to those that were measured here."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(INK)
    page.goto(url, wait_until="commit")
    page.wait_for_selector(SHELL, timeout=120_000)
    shell = time.perf_counter() - start
    page.wait_for_function(PICTURE, timeout=120_000)
    charts = time.perf_counter() - start
    page.wait_for_function(MEASURED, timeout=120_000)
    measured = time.perf_counter() - start
    context.close()
    return shell, charts, measured


def rounds(browser, count):
    """name of a case -> [(shell, charts, measured)]."""
    found = {case: [] for case in GOALS}
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "compiled"
        floor = Path(folder) / "floor.py"
        floor.write_text(FLOOR)
        for _ in range(count):
            shutil.rmtree(cache, ignore_errors=True)
            for case in list(GOALS)[::-1]:  # each leaves compiled code to the one above
                start = time.perf_counter()
                script = floor if case.endswith("floor") else ROOT / "app.py"
                with serve(script, JAX_COMPILATION_CACHE_DIR=str(cache)) as server:
                    if not case.startswith("process"):
                        opened(browser, server.url, start)
                        start = time.perf_counter()
                    found[case].append(opened(browser, server.url, start))
    return found


def table(found):
    lines = ["| from | shell | all charts | measured here | goal |", "| --- | ---: | ---: | ---: | ---: |"]
    for case, times in found.items():
        shell, charts, measured = np.median(times, axis=0)
        goals = " / ".join(f"{goal:g} s" for goal in GOALS[case] if goal)
        lines.append(f"| {case} | {shell:.2f} s | {charts:.2f} s | {measured:.2f} s | {goals} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="one round")
    count = 1 if parser.parse_args().fast else 5
    with sync_playwright() as playwright:
        browser = launch(playwright, WITH_WINDOWS)
        print(table(rounds(browser, count)))
        browser.close()


if __name__ == "__main__":
    main()
