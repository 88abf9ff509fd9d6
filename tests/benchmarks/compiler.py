"""What `engine.jit.ON_CPU` changes: CPU seconds to compile, and ms to run, with and without it, in turn.

    python tests/benchmarks/compiler.py            # the table, as Markdown
    python tests/benchmarks/compiler.py --rounds 3 # three processes of each instead of five

Each process computes an lstm with an empty cache; medians over the processes, and the ratio of the two.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from engine import CELL, problem

SIZES = ((16, 128), (64, 256), (256, 256))  # n, T
RUNS = 9
ASKED = {  # what is timed: a function of a fresh map
    "forward": lambda gmap: gmap.cost,
    "terms": lambda gmap: gmap.log_terms(),
    "sums": lambda gmap: gmap.log_sums(),
    "one t": lambda gmap: gmap.lags(gmap.cost.size - 1).log_partial_sums(),
}


def measure_here():
    """{"what, n, T": [CPU seconds of the first call, median ms of the others]} of this process."""
    from gradflow.maps import gradient_map

    found = {}
    for n, steps in SIZES:
        arrays = problem(n, steps)
        for name, ask in ASKED.items():
            start = time.process_time()
            ask(gradient_map(CELL, *arrays))
            compiling, waits = time.process_time() - start, []
            for _ in range(RUNS):
                start = time.perf_counter()
                ask(gradient_map(CELL, *arrays))
                waits.append(1000 * (time.perf_counter() - start))
            found[f"{name}, n = {n}, T = {steps}"] = compiling, float(np.median(waits))
    return found


def one_process(options):
    """`measure_here` in a process of its own, with the options or as XLA comes."""
    code = "import json, compiler; from gradflow.engine import jit; "
    code += "" if options else "jit.ON_CPU = None; "
    code += "print(json.dumps(compiler.measure_here()))"
    here = Path(__file__).parent
    run = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    found = {True: [], False: []}
    for k in range(2 * rounds):
        found[k % 2 == 0].append(one_process(k % 2 == 0))
    print("| lstm, with its forward pass | compiling, CPU s: without | with | ratio | ms: without | with | ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in found[True][0]:
        before, now = (np.median([each[name] for each in found[way]], axis=0) for way in (False, True))
        parts = [f"{b:.2f} | {a:.2f} | {a / b:.2f}" for b, a in zip(before, now, strict=True)]
        print(f"| {name} | {' | '.join(parts)} |", flush=True)


if __name__ == "__main__":
    main()
