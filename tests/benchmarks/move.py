"""What one move of a gate costs the server's processor, part by part: lstm, n = 16, T = 128.

    python tests/benchmarks/move.py            # the table, as Markdown

The parts are timed one by one in this process, the whole at a server that is asked for the same frames; the rest is
what the link, the route and the server take. Medians; of the whole, the mean.
"""

import asyncio
import logging
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gradflow.app.charts import terms
from gradflow.app.frame import packed
from gradflow.app.frame_route import to_json
from gradflow.app.measurement import measure
from gradflow.app.scenario import MAX_HORIZON, Scenario
from gradflow.app.view import View
from gradflow.engine.compile_cache import keep_compiled
from gradflow.maps import gradient_map
from gradflow.reading import read
from support.load import seconds_of
from support.paths import ROOT
from support.server import serve
from support.ws_client import Visitor, wait_for

BETWEEN = 0.03  # s from an answer to the next move
GATED = Scenario(gates="pinned", horizon=128)
MOVES = [replace(GATED, forget=round(0.3 + 0.005 * k, 3)) for k in range(120)]
WARM = 20  # moves before those that count


def parts():
    """name -> median ms of this process's processor."""
    spent = {}

    def timed(name, work, *given, **named):
        start = time.process_time()
        result = work(*given, **named)
        spent.setdefault(name, []).append(1000 * (time.process_time() - start))
        return result

    view, t = View(), GATED.horizon - 1
    of = GATED.rows | {"horizon": GATED.horizon}
    for scenario in MOVES:
        core = replace(scenario, horizon=MAX_HORIZON, time=MAX_HORIZON - 1)
        problem = timed("engine: weights and pins", core.problem)
        gmap = timed("engine: checks, forward pass", gradient_map, **problem)
        sums = timed("engine: the sweep, with all sums", gmap.log_sums, **of)
        timed("engine: all terms, as logarithms by lag", gmap.log_terms, **of)
        lags = timed("engine: one t, δ", gmap.lags, t)
        row = timed("engine: one t, its terms", lags.log_terms, **GATED.rows)
        running = timed("engine: one t, their running sum", lags.log_partial_sums, **GATED.rows)
        delta = timed("engine: one t, ‖δ‖", lags.log_delta, **GATED.rows)
        timed("reading", read, row, delta, running, sums, gmap.log_residual[: GATED.horizon], None, None, t)
        measurement = measure(scenario)
        domain = terms.domain(measurement, view)
        datasets = timed("chart: its numbers", terms.data, measurement, view, None, domain)
        timed("chart: map and strips as images", terms.images, measurement, view, domain)
        timed("chart: as JSON", lambda tables=datasets: to_json(packed(tables)))
    return {name: float(np.median(each)) for name, each in spent.items()}


async def whole(server):
    """Mean ms of the server's processor a move."""
    visitor = Visitor(GATED)
    await visitor.connect(server.url)
    await visitor.open()
    for k, scenario in enumerate(MOVES[:WARM] + MOVES):
        if k == WARM:
            start = seconds_of(server.pid)
        await visitor.move(held="forget", forget=scenario.forget)
        await asyncio.sleep(BETWEEN)
    used = seconds_of(server.pid) - start
    await visitor.leave()
    return 1000 * used / len(MOVES)


def main():
    logging.disable(logging.WARNING)  # Streamlit's, that there is no page here
    keep_compiled()
    measure(GATED)
    each = parts()
    with serve(ROOT / "app.py") as server:
        move = wait_for(whole(server))
    print("| part | ms of the processor |\n| --- | ---: |")
    for name, spent in each.items():
        print(f"| {name} | {spent:.1f} |")
    print(f"| link, route, server: the rest | {move - sum(each.values()):.1f} |")
    print(f"| one frame, at the server (goal 13) | {move:.1f} |")


if __name__ == "__main__":
    main()
