"""Many sessions over real WebSockets, each moving a control again and again: what each got, and what it cost."""

import asyncio
import os
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gradflow.app.memory import resident
from gradflow.app.scenario import CHOICES, RANGES, Scenario
from support.ws_client import Visitor, foreign, wait_for

RELEASE = 4  # each fourth move is let go: it goes to the address bar; not all let go at once


class Load(NamedTuple):
    """What happened."""

    opened: list  # the `Run` that opened the page, by session
    moved: list  # (scenario, `Frame` or `Run`) of every move of all sessions
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
    return Scenario(cell=CHOICES["cell"][(k + 4) % len(CHOICES["cell"])], seed=k, horizon=80 + k, gain=1.01)


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
                held = None if (turn + k) % RELEASE == RELEASE - 1 else "gain"
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
