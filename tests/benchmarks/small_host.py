"""The app on a small host: so much memory and so little processor, through every cell, size and lesson.

    python tests/benchmarks/small_host.py             # start at a tenth of a processor, then the walk at a whole one
    python tests/benchmarks/small_host.py --patient   # the walk at a tenth as well: about an hour

It needs root on Linux, for a control group (version 1 or 2) that holds the server: what goes beyond the memory is
killed by the kernel, and what goes beyond the processor waits. Nothing may be swapped.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gradflow.app.first_view import NOTE
from gradflow.app.lessons import LESSONS
from gradflow.app.memory import resident
from gradflow.app.scenario import CHOICES, Scenario
from support.paths import ROOT
from support.server import serve
from support.ws_client import Visitor

MEMORY = 690  # MB
PROCESSOR = 0.1
PERIOD = 100_000  # µs
GROUPS = Path("/sys/fs/cgroup")


class Cage:
    """A control group of its own."""

    def __init__(self):
        self.old = (GROUPS / "memory/memory.limit_in_bytes").exists()
        roots = [GROUPS / "memory", GROUPS / "cpu"] if self.old else [GROUPS]
        self.memory, *others = folders = [root / f"gradflow-{os.getpid()}" for root in roots]
        self.processor, self.folders = others[0] if others else self.memory, folders
        try:
            if not self.old:
                (GROUPS / "cgroup.subtree_control").write_text("+memory +cpu")
            for folder in folders:
                folder.mkdir()
            names = ("memory.limit_in_bytes",) if self.old else ("memory.max", "memory.swap.max")
            for name, value in zip(names, (MEMORY * 10**6, 0), strict=False):
                (self.memory / name).write_text(str(value))
        except OSError as reason:
            sys.exit(f"This needs a control group, and there is none to be had here: {reason}")

    def allow(self, share):
        """Give it so much of one processor."""
        quota = int(share * PERIOD)
        name, value = ("cpu.cfs_quota_us", quota) if self.old else ("cpu.max", f"{quota} {PERIOD}")
        (self.processor / name).write_text(str(value))

    def command(self):
        """A command that runs another one inside."""
        enter = "; ".join(f"echo $$ > {folder}/cgroup.procs" for folder in self.folders)
        return ("sh", "-c", f'{enter}; exec "$@"', "sh")

    def most(self):
        """MB it has held at most, caches of files included."""
        name = "memory.max_usage_in_bytes" if self.old else "memory.peak"
        return int((self.memory / name).read_text()) / 1e6

    def open(self):
        with contextlib.suppress(OSError):
            for folder in self.folders:
                folder.rmdir()


async def visit(server, cage, patient):
    """Open the page, then walk over every cell and size; the rows of the table as they come."""
    first = Visitor(Scenario())
    start = time.perf_counter()
    await first.connect(server.url)
    run = await first.open()
    waits, pictures = (
        [at for at, raw in zip(run.times, run.raw, strict=True) if words in raw]
        for words in (b"Getting ready", NOTE.encode())
    )
    yield "page opened → something to read, s", f"{run.times[0] - start:.1f}", ""
    yield "page opened → “Getting ready …” is shown, s", f"{waits[0] - start:.1f}" if waits else "not shown", ""
    yield "page opened → its picture, measured beforehand, s", f"{pictures[0] - start:.1f}", ""
    yield "page opened → all charts, measured, s", f"{run.finished - start:.0f}", "≤ 30"
    yield "then a move, s", f"{(await first.move(gain=1.1)).seconds:.1f}", ""
    yield "memory by then, MB", f"{resident(server.pid):.0f}", f"≤ {MEMORY}"
    await first.leave()
    if not patient:
        cage.allow(1)
    errors, walked = [], 0
    start = time.perf_counter()
    for hidden in CHOICES["hidden"]:
        for cell in CHOICES["cell"]:
            visitor = Visitor(replace(Scenario(), cell=cell, hidden=hidden, horizon=256))
            await visitor.connect(server.url)
            errors += (await visitor.open()).errors()
            errors += (await visitor.move(gain=0.9)).errors()
            await visitor.leave()
            walked += 1
            print(f"{cell} {hidden}: {resident(server.pid):.0f} MB", file=sys.stderr, flush=True)
    yield f"walk over {walked} cells and sizes, s", f"{time.perf_counter() - start:.0f}", ""
    yield "memory after it, MB", f"{resident(server.pid):.0f}", f"≤ {MEMORY}"
    start = time.perf_counter()
    for number, lesson in enumerate(LESSONS, 1):
        visitor = Visitor(Scenario(), "lessons", lesson=number, answers=f"{number}:{lesson.guess.limits[0]:g}")
        await visitor.connect(server.url)
        errors += (await visitor.open()).errors()
        await visitor.leave()
        print(f"lesson {number}: {resident(server.pid):.0f} MB", file=sys.stderr, flush=True)
    yield f"then {len(LESSONS)} lessons, each with what it measures, s", f"{time.perf_counter() - start:.0f}", ""
    yield "errors", f"{len(errors)}", "0"
    yield "memory after it, MB", f"{resident(server.pid):.0f}", f"≤ {MEMORY}"
    yield "most memory at any time, MB", f"{resident(server.pid, 'VmHWM'):.0f}", f"≤ {MEMORY}"


async def table(server, cage, patient):
    print("| what | measured | goal |\n| --- | ---: | ---: |")
    async for row in visit(server, cage, patient):
        print("|", " | ".join(row), "|", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patient", action="store_true", help="a tenth of a processor all the way")
    patient = parser.parse_args().patient
    cage = Cage()
    cage.allow(PROCESSOR)
    try:
        start = time.perf_counter()
        with serve(ROOT / "app.py", prefix=cage.command(), JAX_ENABLE_COMPILATION_CACHE="false") as server:
            print(f"The server answers after {time.perf_counter() - start:.0f} s.", file=sys.stderr)
            asyncio.run(table(server, cage, patient))
            print(f"\n{MEMORY} MB; the group held at most {cage.most():.0f} MB.")
    finally:
        time.sleep(1)
        cage.open()


if __name__ == "__main__":
    main()
