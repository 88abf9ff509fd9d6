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
import asyncio
import os
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from browser import ROOT, launch, serve
from memory import resident
from visitor import Visitor, foreign, wait_for

from gradflow.app.scenario import CHOICES, RANGES, Scenario

RELEASE = 4  # each fourth move is let go: it goes to the address bar


class Load(NamedTuple):
    """What happened."""

    opened: list  # the `Run` that opened the page, by session
    moved: list  # (scenario, `Run`) of every move of all sessions
    lost: list  # what broke a session off
    memory: np.ndarray  # MB resident of the server, each second
    server: float  # seconds of its processor, from the first move on
    client: float  # the same of this process
    rest: float  # the same of all others on this machine
    passed: float  # seconds

    def errors(self):
        return [*self.lost, *(error for run in self.runs() for error in run.errors())]

    def runs(self):
        return [*self.opened, *(run for _, run in self.moved)]

    def foreign(self):
        """The moves that brought another's numbers."""
        return [(scenario, wrong) for scenario, run in self.moved if (wrong := foreign(run, scenario))]


def scenario_of(k):
    """The scenario of session k: another seed, and by turns another cell and horizon."""
    return Scenario(cell=CHOICES["cell"][(k + 4) % 6], seed=k, horizon=80 + k, gain=1.01)


def load(server, sessions, seconds, every=1.0):
    """Let so many sessions move for so long.

    Args:
        server: a `Server`.
        sessions, seconds: how many, how long.
        every: seconds from one move of a session to the next.

    Returns:
        `Load`.
    """
    return wait_for(_load(server, sessions, seconds, every))


async def _load(server, sessions, seconds, every):
    visitors = [Visitor(scenario_of(k)) for k in range(sessions)]
    moved, lost, memory = [], [], []
    await asyncio.gather(*(visitor.connect(server.url) for visitor in visitors))
    opened = await asyncio.gather(*(visitor.open() for visitor in visitors), return_exceptions=True)
    lost += [repr(run) for run in opened if isinstance(run, Exception)]
    begin, then = time.perf_counter(), spent(server)

    async def moving(k):
        rng = np.random.default_rng(k)
        await asyncio.sleep(every * (k + rng.uniform()) / sessions)
        try:
            for turn in range(int(seconds / every)):
                due = begin + every * (turn + 1 + rng.uniform(-0.5, 0.5))
                await asyncio.sleep(max(0, due - time.perf_counter()))
                held = None if turn % RELEASE == RELEASE - 1 else "gain"
                run = await visitors[k].move(held=held, gain=RANGES["gain"].snap(rng.uniform(0.2, 1.6)))
                moved.append((visitors[k].scenario, run))
        except Exception as error:
            lost.append(f"session {k}: {error!r}")

    async def watching():
        while True:
            memory.append(resident(server.pid))
            await asyncio.sleep(1)

    watch = asyncio.create_task(watching())
    opened = {k: run for k, run in enumerate(opened) if not isinstance(run, Exception)}
    await asyncio.gather(*map(moving, opened))
    watch.cancel()
    work, passed = spent(server) - then, time.perf_counter() - begin
    await asyncio.gather(*(visitor.leave() for visitor in visitors))
    return Load([*opened.values()], moved, lost, np.array(memory), *work, passed)


def spent(server):
    """Processor seconds so far: of the server, of this process, of all else."""
    own = np.array([seconds_of(server.pid), seconds_of("self")])
    return np.append(own, machine() - own.sum())


def seconds_of(pid):
    """Processor time of a process, so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def machine():
    """Processor seconds of everything on this machine, so far."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


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
        browser = launch(playwright)
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
    parser.add_argument("--drag", action="store_true", help="a slider in Chromium among 24 sessions")
    chosen = parser.parse_args()
    with serve(ROOT / "app.py") as server:
        table = among(server, 10) if chosen.drag else rows(load(server, chosen.sessions, chosen.seconds))
        print("| what | app | goal |\n| --- | ---: | ---: |")
        for row in table:
            print("|", " | ".join(row), "|", flush=True)
        print(server.log(), file=sys.stderr)


if __name__ == "__main__":
    main()
