"""Time and memory of the engine beside what one would write without it; every pair of sides in one run.

    python tests/benchmarks/engine.py            # the table, as Markdown
    python tests/benchmarks/engine.py --fast     # three rounds instead of seven

Sides take turns, each after a warm-up, and the table holds medians. PyTorch is needed for its loop only.
"""

import argparse
import gc
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import gradflow as gf  # noqa: E402

CELL, GATES, INPUTS = "lstm", 4, 4


def problem(hidden, steps):
    rng = np.random.default_rng(0)
    shapes = [(GATES * hidden, INPUTS), (GATES * hidden, hidden), (GATES * hidden,), (GATES * hidden,)]
    weights = gf.Weights(*(np.float32(rng.normal(size=shape) / np.sqrt(hidden)) for shape in shapes))
    return weights, *(np.float32(rng.normal(size=shape)) for shape in ((steps, INPUTS), hidden, steps))


def compete(sides, rounds):
    """Median seconds of each side; the sides take turns."""
    for side in sides.values():
        side()
    seconds = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            gc.collect()
            start = time.perf_counter()
            side()
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(each)) for name, each in seconds.items()}


# the other ways to the same numbers


def jax_step(weights, x, carry):
    """PyTorch's nn.LSTMCell in JAX."""
    h, c = carry
    i, f, g, o = jnp.split(weights.weight_ih @ x + weights.bias_ih + weights.weight_hh @ h + weights.bias_hh, 4)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def jax_costs(copies, weights, inputs, readout, targets):
    """C(t) [T] with a copy of weight_hh for each step."""

    def one(carry, now):
        w, x, target = now
        carry = jax_step(weights._replace(weight_hh=w), x, carry)
        return carry, (readout @ carry[0] - target) ** 2 / 2

    start = jnp.zeros_like(readout), jnp.zeros_like(readout)
    return jax.lax.scan(one, start, (copies, inputs, targets))[1]


def norms(gradient):
    """‖dC/dW(s)‖ for every copy, and ‖Σ_s dC/dW(s)‖, of [T, 4n, n]."""
    return jnp.sqrt(jnp.sum(gradient**2, axis=(1, 2))), jnp.sqrt(jnp.sum(gradient.sum(0) ** 2))


def by_jacrev(weights, *arrays):
    """All of dC(t)/dW(s) at once, then norms: needs T²·4n·n numbers."""
    copies = jnp.broadcast_to(weights.weight_hh, (len(arrays[0]), *weights.weight_hh.shape))
    return jax.lax.map(norms, jax.jacrev(jax_costs)(copies, weights, *arrays))


by_compiled_jacrev = jax.jit(by_jacrev)


@jax.jit
def by_one_pullback_a_time(weights, *arrays):
    """The rows of the same Jacobian one t after the other, and norms at once: needs T·4n·n numbers."""
    copies = jnp.broadcast_to(weights.weight_hh, (len(arrays[0]), *weights.weight_hh.shape))
    cost, pull = jax.vjp(lambda copies: jax_costs(copies, weights, *arrays), copies)
    return jax.lax.map(lambda row: norms(pull(row)[0]), jnp.eye(len(cost), dtype=cost.dtype))


@jax.jit
def by_plain_backprop(weights, inputs, readout, targets):
    """What training computes: the gradient of the total cost for the shared weights, all four fields."""

    def total(weights):
        def one(carry, now):
            x, target = now
            carry = jax_step(weights, x, carry)
            return carry, (readout @ carry[0] - target) ** 2 / 2

        start = jnp.zeros_like(readout), jnp.zeros_like(readout)
        return jax.lax.scan(one, start, (inputs, targets))[1].sum()

    return jax.grad(total)(weights)


def pytorch_loop(weights, inputs, readout, targets):
    """A copy of W a step, one `autograd.grad` a t; norms of the terms and of their sum."""
    import torch

    weight_ih, weight_hh, bias_ih, bias_hh, inputs, readout, targets = map(
        torch.tensor, (*weights, inputs, readout, targets)
    )

    def run():
        copies = [weight_hh.clone().requires_grad_() for _ in inputs]
        h, c = torch.zeros(1, len(readout)), torch.zeros(1, len(readout))
        terms, sums = [], []
        for t, x in enumerate(inputs):
            h, c = torch.lstm_cell(x[None], (h, c), weight_ih, copies[t], bias_ih, bias_hh)
            cost = (h[0] @ readout - targets[t]) ** 2 / 2
            gradient = torch.stack(torch.autograd.grad(cost, copies[: t + 1], retain_graph=True))
            terms.append(torch.linalg.matrix_norm(gradient))
            sums.append(torch.linalg.matrix_norm(gradient.sum(0)))
        return terms, sums

    return run


def pytorch_is_here():
    try:
        import torch
    except ImportError:
        return False
    torch.set_num_threads(os.cpu_count())
    return True


# the rows of the table


def terms_and_sums(rounds):
    """lstm, n = 32, T = 200: all terms of weight_hh and all their sums."""
    arrays = problem(32, 200)

    def gradflow():
        gmap = gf.gradient_map(CELL, *arrays)
        return gmap.log_terms(), gmap.log_sums()

    sides = {
        "gradflow": gradflow,
        "a compiled pullback a t": lambda: jax.block_until_ready(by_one_pullback_a_time(*arrays)),
    }
    memory = 200 * 200 * GATES * 32 * 32 * 4
    if memory < 0.3 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES"):
        sides["jax.jacrev"] = lambda: jax.block_until_ready(by_jacrev(*arrays))
        sides["jax.jacrev inside jax.jit"] = lambda: jax.block_until_ready(by_compiled_jacrev(*arrays))
    if pytorch_is_here():
        sides["PyTorch loop"] = pytorch_loop(*arrays)
    check(arrays)
    seconds = compete(sides, rounds)
    mine = seconds["gradflow"]
    goals = {"jax.jacrev": "≥ 40×", "PyTorch loop": "≥ 40×"}
    return [
        (
            f"n = 32, T = 200, terms and sums: {name}",
            f"{1e3 * each:.1f} ms",
            f"{each / mine:.1f}×",
            goals.get(name, ""),
        )
        for name, each in seconds.items()
    ]


def check(arrays):
    """All sides compute the same thing, or the table means nothing."""
    gmap = gf.gradient_map(CELL, *arrays)
    terms, sums = map(np.asarray, by_one_pullback_a_time(*arrays))
    np.testing.assert_allclose(gmap.log_sums()[1:], np.log(sums[1:]), atol=1e-3)
    last = terms[-1, ::-1]
    seen = last > 1e-13  # below, entries squared in float32 are lost
    np.testing.assert_allclose(gmap.log_terms()[-1, seen], np.log(last[seen]), atol=1e-3)


def term_norms(rounds):
    """lstm, n = 64, T = 256: all 32,896 term norms, in plain backprops."""
    arrays = problem(64, 256)
    shared = jax.device_put(arrays)
    seconds = compete(
        {
            "gradflow": lambda: gf.gradient_map(CELL, *arrays).log_terms(),
            "one plain jax.grad": lambda: jax.block_until_ready(by_plain_backprop(*shared)),
        },
        3 * rounds,
    )
    mine, plain = seconds["gradflow"], seconds["one plain jax.grad"]
    return [
        ("n = 64, T = 256, one plain jax.grad", f"{1e3 * plain:.2f} ms", "1 backprop", ""),
        (
            "n = 64, T = 256, all term norms: gradflow",
            f"{1e3 * mine:.1f} ms",
            f"{mine / plain:.1f} backprops",
            "≤ 10",
        ),
    ]


def arithmetic(rounds):
    """lstm, n = 512, T = 512: the (4n × n) products of pairs u ≤ t, against the best matrix product here."""
    hidden = steps = 512
    arrays = problem(hidden, steps)
    sides = {"gradflow": lambda: gf.gradient_map(CELL, *arrays).log_terms("bias_hh")}
    products = {}
    for size in (512, 1024, 2048):
        for name, work in (("jnp", jax.jit(jnp.dot)), ("numpy", np.dot)):
            left = (jnp if name == "jnp" else np).ones((size, size), "float32")
            key = f"{name} {size}"
            sides[key] = lambda work=work, left=left: jax.block_until_ready(work(left, left))
            products[key] = 2 * size**3
    seconds = compete(sides, rounds)
    peak, best = max((products[key] / seconds[key] / 1e9, key) for key in products)
    useful = steps * (steps + 1) // 2 * 2 * GATES * hidden**2 / seconds["gradflow"] / 1e9
    return [
        (f"float32 matrix product, best ({best})", f"{peak:.0f} GFLOP/s", "100 %", ""),
        (
            f"n = 512, T = 512, gradflow ({1e3 * seconds['gradflow']:.0f} ms)",
            f"{useful:.0f} GFLOP/s",
            f"{100 * useful / peak:.0f} %",
            "≥ 60 %",
        ),
    ]


def memory():
    """Peak resident memory above idle at n = 64, T = 256, in a fresh process."""
    done = subprocess.run([sys.executable, __file__, "--memory"], capture_output=True, text=True, check=True)
    warm, first = map(float, done.stdout.split())
    return [
        (
            "n = 64, T = 256, terms and sums, peak memory above idle, compiled",
            f"{warm:.0f} MB",
            "",
            "< 100 MB",
        ),
        ("the same with the compilation", f"{first:.0f} MB", "", ""),
    ]


def measure_memory():
    """Print the peak above idle in MB: of a second call, then of the first, which compiles."""
    arrays = problem(64, 256)
    gf.gradient_map(CELL, *problem(2, 3)).log_sums()  # what any first call brings in
    idle = resident("VmRSS")

    def work():
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
        gmap = gf.gradient_map(CELL, *arrays)
        gmap.log_terms(), gmap.log_sums()
        return resident("VmHWM") - idle

    first = work()
    gc.collect()
    idle = resident("VmRSS")
    print(work(), first)


def resident(field):
    """A memory field of this process, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.memory:
        return measure_memory()
    rounds = 3 if asked.fast else 7
    print("| what | measured | ratio | goal |\n| --- | ---: | ---: | ---: |")
    for part in (
        partial(terms_and_sums, rounds),
        partial(term_norms, rounds),
        partial(arithmetic, rounds),
        memory,
    ):
        for row in part():
            print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main()
