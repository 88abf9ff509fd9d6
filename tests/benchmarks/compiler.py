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

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gradflow.weights import draw

SIZES = ((16, 128), (64, 256), (256, 256))  # n, T
RUNS = 9
ASKED = {  # what is timed: a function of a fresh map
    "forward": lambda gmap: gmap.cost,
    "terms": lambda gmap: gmap.log_terms(),
    "sums": lambda gmap: gmap.log_sums(),
    "one t": lambda gmap: gmap.lags(gmap.cost.size - 1).log_partial_sums(),
}


def problem(n, steps):
    rng = np.random.default_rng(0)
    weights = draw(("input", "forget", "cell", "output"), n, 8, seed=0)
    inputs, readout = rng.standard_normal((steps, 8)), rng.standard_normal((1, n)) / np.sqrt(n)
    return "lstm", weights, inputs.astype(np.float32), readout.astype(np.float32), np.zeros((steps, 1), np.float32)


def measure_here():
    """{"what, n, T": [CPU seconds of the first call, median ms of the others]} of this process."""
    from gradflow.maps import gradient_map

    found = {}
    for n, steps in SIZES:
        given = problem(n, steps)
        for name, ask in ASKED.items():
            start = time.process_time()
            ask(gradient_map(*given))
            compiling, waits = time.process_time() - start, []
            for _ in range(RUNS):
                start = time.perf_counter()
                ask(gradient_map(*given))
                waits.append(1000 * (time.perf_counter() - start))
            found[f"{name}, n = {n}, T = {steps}"] = compiling, float(np.median(waits))
    return found


def one_process(options):
    """`measure_here` in a process of its own, with the options or as XLA comes."""
    code = "from gradflow.engine import jit; jit.ON_CPU = jit.ON_CPU if " + repr(options) + " else None; "
    code += "import json, compiler; print(json.dumps(compiler.measure_here()))"
    path = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {code}"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
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
