"""A class at once: sessions over real WebSockets, each moving a control every second, beside one `streamlit run`.

    python tests/benchmarks/load.py                  # 25 sessions, two minutes; the table, as Markdown
    python tests/benchmarks/load.py --sessions 50
    python tests/benchmarks/load.py --seconds 20
    python tests/benchmarks/load.py --drag           # 24 sessions, and a slider in Chromium, dragged and by keys

Each session has its own scenario. What it gets back is compared with the engine, in this process, after the end. A
move counts from its report to the last message of the run that follows, as the socket sees it: waiting for the other
sessions is part of it, and so is what this process takes of the same two cores.
"""

import argparse
import sys
import threading
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.chromium import WITH_WINDOWS, launch
from support.load import load
from support.paths import ROOT
from support.server import serve


def rows(load):
    """The table: what, measured, goal."""
    sessions = len(load.opened)
    spread = lambda runs: "{:.0f} / {:.0f} / {:.0f}".format(
        *np.percentile([1000 * r.seconds for r in runs], (50, 95, 100))
    )
    moves, half = [run for _, run in load.moved], load.memory[len(load.memory) // 2 :]
    yield f"{sessions} sessions: moves answered", f"{len(moves)}", ""
    yield "errors, apologies, lost connections", f"{len(load.errors())}", "0"
    yield "moves with another's numbers", f"{len(load.foreign())}", "0"
    yield "report → last message, ms, median / p95 / worst", spread(moves), "p95 ≤ 60"
    yield "the page opened by all at once, ms, median / p95 / worst", spread(load.opened), ""
    yield "server CPU a move, ms", f"{1000 * load.server / len(moves):.1f}", "≤ 15"
    shares = (f"{100 * seconds / load.passed:.0f}" for seconds in (load.server, load.client, load.rest))
    yield "of one core, %: server, this process, all else on this machine", " / ".join(shares), ""
    yield "server memory, MB: most", f"{load.memory.max():.0f}", "≤ 450" if sessions <= 25 else "≤ 500"
    yield "server memory, MB: range in the second half", f"{half.max() - half.min():.1f}", "≤ 20"


def among(server, seconds, sessions=24):
    """A slider in Chromium while other sessions move: redraws a second, and ms from key to the last chart painted."""
    from page import HORIZON, ITS_NAME, LARGE, Meter, spread, waited
    from playwright.sync_api import sync_playwright

    others = []
    crowd = threading.Thread(target=lambda: others.append(load(server, sessions, 3 * seconds + 10)))
    with sync_playwright() as playwright:
        browser = launch(playwright, WITH_WINDOWS)
        meter = Meter(browser, server, f"?horizon={HORIZON}")
        alone, _ = meter.drag("Forget gate", seconds)
        large = Meter(browser, server, LARGE)
        crowd.start()
        meter.page.wait_for_timeout(5000)
        meter.page.bring_to_front()
        crowded, _ = meter.drag("Forget gate", seconds)
        large.page.bring_to_front()
        waits, _ = large.keys("Forget gate", 4 * seconds)
        browser.close()
    crowd.join()
    yield "a slider dragged alone: redraws a second", f"{alone:.0f}", ""
    yield f"the same while {sessions} others move", f"{crowded:.0f}", "≥ 10"
    yield waited(f"{ITS_NAME}, among them", waits), spread(waits), "p95 ≤ 120"
    yield from rows(others[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=25)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two moves of a session")
    parser.add_argument("--drag", action="store_true", help="a slider in Chromium among 24 sessions")
    chosen = parser.parse_args()
    with serve(ROOT / "app.py") as server:
        table = among(server, 10) if chosen.drag else rows(load(server, chosen.sessions, chosen.seconds, chosen.every))
        print("| what | app | goal |\n| --- | ---: | ---: |")
        for row in table:
            print("|", " | ".join(row), "|", flush=True)
        print(server.log(), file=sys.stderr)


if __name__ == "__main__":
    main()
