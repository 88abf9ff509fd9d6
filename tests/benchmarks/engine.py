"""Time and memory of the engine beside what one would write without it; every pair of sides in one run.

    python tests/benchmarks/engine.py            # the table, as Markdown
    python tests/benchmarks/engine.py --fast     # three rounds instead of seven
    python tests/benchmarks/engine.py --rows     # instead, how many times make a block: the fastest, and the rule's

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
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import gradflow as gf  # noqa: E402
from gradflow import maps  # noqa: E402
from gradflow.app.memory import resident  # noqa: E402
from gradflow.engine.backward import cotangent_block, sweep, vjp_step  # noqa: E402
from gradflow.engine.emitters import emit_norms  # noqa: E402
from gradflow.engine.forward import forward  # noqa: E402
from gradflow.engine.recurrent_product import choose_block_size  # noqa: E402

CELL, INPUTS = "lstm", 4
ACTIVATIONS = {"rnn-tanh": jnp.tanh, "rnn-relu": jax.nn.relu, "rnn-sigmoid": jax.nn.sigmoid, "rnn-linear": lambda z: z}
IN_JAX = ("lstm", "gru", *ACTIVATIONS)  # the cells of `jax_step`
IN_PYTORCH = {"lstm": "lstm_cell", "gru": "gru_cell", "rnn-tanh": "rnn_tanh_cell", "rnn-relu": "rnn_relu_cell"}


def problem(hidden, steps, cell=CELL):
    rng = np.random.default_rng(0)
    rows = len(gf.CELLS[cell].gates) * hidden
    shapes = [(rows, INPUTS), (rows, hidden), (rows,), (rows,)]
    weights = gf.Weights(*(np.float32(rng.normal(size=shape) / np.sqrt(hidden)) for shape in shapes))
    return weights, *(np.float32(rng.normal(size=shape)) for shape in ((steps, INPUTS), hidden, steps))


def compete(sides, rounds, clock=time.perf_counter):
    """Median seconds of each side; the sides take turns."""
    for side in sides.values():
        side()
    seconds = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            gc.collect()
            start = clock()
            side()
            seconds[name].append(clock() - start)
    return {name: float(np.median(each)) for name, each in seconds.items()}


# the other ways to the same numbers


def jax_step(weights, x, carry, cell=CELL):
    """PyTorch's cells in JAX."""
    h = carry[0]
    a_x, a_h = weights.weight_ih @ x + weights.bias_ih, weights.weight_hh @ h + weights.bias_hh
    if cell == "lstm":
        i, f, g, o = jnp.split(a_x + a_h, 4)
        c = jax.nn.sigmoid(f) * carry[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c
    if cell == "gru":
        (x_r, x_z, x_n), (h_r, h_z, h_n) = jnp.split(a_x, 3), jnp.split(a_h, 3)
        z = jax.nn.sigmoid(x_z + h_z)
        return ((1 - z) * jnp.tanh(x_n + jax.nn.sigmoid(x_r + h_r) * h_n) + z * h,)
    return (ACTIVATIONS[cell](a_x + a_h),)


def jax_costs(copies, cell, weights, inputs, readout, targets):
    """C(t) [T] with a copy of weight_hh for each step."""

    def one(carry, now):
        w, x, target = now
        carry = jax_step(weights._replace(weight_hh=w), x, carry, cell)
        return carry, (readout @ carry[0] - target) ** 2 / 2

    start = tuple(jnp.zeros_like(readout) for _ in gf.CELLS[cell].carry)
    return jax.lax.scan(one, start, (copies, inputs, targets))[1]


def norms(gradient):
    """‖dC/dW(s)‖ for every copy, and ‖Σ_s dC/dW(s)‖, of [T, 4n, n]."""
    return jnp.sqrt(jnp.sum(gradient**2, axis=(1, 2))), jnp.sqrt(jnp.sum(gradient.sum(0) ** 2))


def by_jacrev(weights, *arrays, cell=CELL):
    """All of dC(t)/dW(s) at once, then norms: needs T²·4n·n numbers."""
    copies = jnp.broadcast_to(weights.weight_hh, (len(arrays[0]), *weights.weight_hh.shape))
    return jax.lax.map(norms, jax.jacrev(jax_costs)(copies, cell, weights, *arrays))


by_compiled_jacrev = jax.jit(by_jacrev)


@jax.jit
def by_one_pullback_a_time(weights, *arrays):
    """The rows of the same Jacobian one t after the other, and norms at once: needs T·4n·n numbers."""
    copies = jnp.broadcast_to(weights.weight_hh, (len(arrays[0]), *weights.weight_hh.shape))
    cost, pull = jax.vjp(lambda copies: jax_costs(copies, CELL, weights, *arrays), copies)
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


def pytorch_loop(weights, inputs, readout, targets, cell=CELL, each=1):
    """A copy of W a step, one `autograd.grad` a t, or at one t in `each`; norms of the terms and of their sum."""
    import torch

    weight_ih, weight_hh, bias_ih, bias_hh, inputs, readout, targets = map(
        torch.tensor, (*weights, inputs, readout, targets)
    )

    step = getattr(torch, IN_PYTORCH[cell])

    def run():
        copies = [weight_hh.clone().requires_grad_() for _ in inputs]
        h, c = torch.zeros(1, len(readout)), torch.zeros(1, len(readout))
        terms, sums = [], []
        for t, x in enumerate(inputs):
            if cell == "lstm":
                h, c = step(x[None], (h, c), weight_ih, copies[t], bias_ih, bias_hh)
            else:
                h = step(x[None], h, weight_ih, copies[t], bias_ih, bias_hh)
            if t % each != each // 2:
                continue
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


def both(cell, arrays):
    """All terms and all sums; asked for in this order, one sweep gives both."""
    gmap = gf.gradient_map(cell, *arrays)
    return gmap.log_sums(), gmap.log_terms()


def terms_and_sums(rounds):
    """lstm, n = 32, T = 200: all terms of weight_hh and all their sums."""
    arrays = problem(32, 200)

    sides = {
        "gradflow": lambda: both(CELL, arrays),
        "a compiled pullback a t": lambda: jax.block_until_ready(by_one_pullback_a_time(*arrays)),
    }
    if fits(200 * 200 * 4 * 32 * 32):
        sides["jax.jacrev"] = lambda: jax.block_until_ready(by_jacrev(*arrays))
        sides["jax.jacrev inside jax.jit"] = lambda: jax.block_until_ready(by_compiled_jacrev(*arrays))
    if pytorch_is_here():
        sides["PyTorch loop"] = pytorch_loop(*arrays)
    check(arrays)
    seconds = compete(sides, rounds)
    mine = seconds["gradflow"]
    goals = {"jax.jacrev": "≥ 70×", "PyTorch loop": "≥ 70×"}
    return [
        (f"n = 32, T = 200, terms and sums: {name}", f"{1e3 * each:.1f} ms", f"{each / mine:.1f}×", goals.get(name, ""))
        for name, each in seconds.items()
    ]


def many_units(rounds):
    """lstm, n = 256, T = 256 and 512: terms, then terms and sums, beside the PyTorch loop.

    The loop takes minutes: it is timed without a gradient and with those of 8 t spread over T, which stand for T.
    """
    rows = []
    for steps, goal in ((256, "≤ 0.35 s"), (512, "≤ 1.5 s")):
        arrays = problem(256, steps)
        sides = {
            "terms": lambda arrays=arrays: gf.gradient_map(CELL, *arrays).log_terms(),
            "terms and sums": lambda arrays=arrays: both(CELL, arrays),
        }
        if pytorch_is_here():
            sides |= {
                "forward": pytorch_loop(*arrays, each=2 * steps),
                "8 of T": pytorch_loop(*arrays, each=steps // 8),
            }
        seconds = compete(sides, rounds)
        mine, beside = seconds["terms and sums"], ""
        if "forward" in seconds:
            loop = seconds["forward"] + steps / 8 * (seconds["8 of T"] - seconds["forward"])
            beside = f"{loop / mine:.0f}× PyTorch loop, {loop:.0f} s by 8 of its t"
        size = f"n = 256, T = {steps}"
        rows.append((f"{size}, terms", f"{1e3 * seconds['terms']:.0f} ms", "", ""))
        rows.append((f"{size}, terms and sums", f"{1e3 * mine:.0f} ms", beside, goal))
    return rows


def fits(numbers):
    """Whether so many float32 leave room for what JAX does with them."""
    return 4 * numbers < 0.3 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def every_cell(rounds):
    """n = 8 … 64, T = 200: terms and sums beside jax.jacrev and the PyTorch loop, of the cells that they have.

    They are those of weight_hh, so a cell that does not use it is left out.
    """
    rows = []
    for cell in (name for name, cell in gf.CELLS.items() if "weight_hh" not in cell.unused):
        for hidden in (8, 16, 32, 64):
            arrays = problem(hidden, 200, cell)
            sides = {"gradflow": lambda cell=cell, arrays=arrays: both(cell, arrays)}
            if cell in IN_JAX and fits(200 * 200 * arrays[0].weight_hh.size):
                jacrev = partial(by_jacrev, *arrays, cell=cell)
                sides["jax.jacrev"] = lambda jacrev=jacrev: jax.block_until_ready(jacrev())
            if cell in IN_PYTORCH and pytorch_is_here():
                sides["PyTorch loop"] = pytorch_loop(*arrays, cell=cell)
            seconds = compete(sides, min(rounds, 3))
            mine = seconds.pop("gradflow")
            ratios = ", ".join(f"{each / mine:.0f}× {name}" for name, each in seconds.items())
            rows.append((f"{cell}, n = {hidden}, T = 200, terms and sums", f"{1e3 * mine:.1f} ms", ratios, ""))
    return rows


def check(arrays):
    """All sides compute the same thing, or the table means nothing."""
    gmap = gf.gradient_map(CELL, *arrays)
    terms, sums = map(np.asarray, by_one_pullback_a_time(*arrays))
    np.testing.assert_allclose(gmap.log_sums()[1:], np.log(sums[1:]), atol=1e-3)
    last = terms[-1, ::-1]
    seen = last > 1e-13  # below, entries squared in float32 are lost
    np.testing.assert_allclose(gmap.log_terms()[-1, seen], np.log(last[seen]), atol=1e-3)


def term_norms(rounds):
    """lstm, n = 16, 32, 64, T = 256: all 32,896 term norms, in plain backprops."""
    rows = []
    for hidden in (16, 32, 64):
        arrays = problem(hidden, 256)
        shared = jax.device_put(arrays)
        sides = {
            "gradflow": lambda arrays=arrays: gf.gradient_map(CELL, *arrays).log_terms(),
            "one plain jax.grad": lambda shared=shared: jax.block_until_ready(by_plain_backprop(*shared)),
        }
        seconds = compete(sides, 3 * rounds)
        mine, plain = seconds["gradflow"], seconds["one plain jax.grad"]
        size = f"n = {hidden}, T = 256"
        rows.append((f"{size}, one plain jax.grad", f"{1e3 * plain:.2f} ms", "1 backprop", ""))
        rows.append((f"{size}, all term norms", f"{1e3 * mine:.1f} ms", f"{mine / plain:.1f} backprops", "≤ 8"))
    return rows


@partial(jax.jit, static_argnames=("block_size", "part"))
def one_block(tape, low, *, block_size, part):
    """The sweep of one block with parts removed: "all", "elementwise" (no product), "loop" (nothing but the loop)."""
    block = cotangent_block(tape, low, block_size)
    step, norms = vjp_step(tape, part != "all"), emit_norms(tape, block)
    if part == "elementwise":  # without its product the state is another, so that no norm is scaled first here
        norms = lambda s, delta, state: (jnp.sqrt(jnp.sum(delta**2, axis=1)), delta[:, 0].astype(jnp.int32))
    if part == "loop":
        step = lambda s, ct: (tape.jacobians.preact[s, 0, :, :1, None] * ct[0][None, :1], ct)
        norms = lambda s, delta, state: (delta[:, 0], delta[:, 0].astype(jnp.int32))
    return sweep(tape, block, step, norms)


def profile(rounds):
    """lstm, n = 16 and 64, T = 256: where the time of all term norms goes, as processor time of both cores."""
    rows = []
    for hidden in (16, 64):
        steps, arrays = 256, problem(hidden, 256)
        tape = forward(CELL, *arrays).tape
        block_size = choose_block_size(hidden, steps)

        def blocks(part, tape=tape, size=block_size, steps=steps):
            for low in range(0, steps, size):
                jax.block_until_ready(one_block(tape, low, block_size=size, part=part))

        sides = {part: partial(blocks, part) for part in ("all", "elementwise", "loop")}
        sides["forward"] = lambda arrays=arrays: gf.gradient_map(CELL, *arrays)
        sides["call"] = lambda arrays=arrays: gf.gradient_map(CELL, *arrays).log_terms()
        took = compete(sides, 3 * rounds, time.process_time)
        parts = {
            "forward pass and checks": took["forward"],
            "loops, threads": took["loop"],
            "elementwise": took["elementwise"] - took["loop"],
            "products": took["all"] - took["elementwise"],
            "logarithms, by lag, handing over": took["call"] - took["forward"] - took["all"],
        }
        for name, part in parts.items():
            share = f"{100 * part / took['call']:.0f} %"
            rows.append((f"n = {hidden}, T = 256, all term norms: {name}", f"{1e3 * part:.1f} ms", share, ""))
    return rows


def arithmetic(rounds):
    """lstm: the (4n × n) products of pairs u ≤ t, against the best matrix product here.

    The engine makes do with two states' worth of n × n instead of four gates' where n is large, so that 100 % is no
    bound.
    """
    sides, products, useful = {}, {}, {}
    for hidden, steps in ((128, 512), (512, 512)):
        key = f"n = {hidden}, T = {steps}"
        arrays = problem(hidden, steps)
        sides[key] = lambda arrays=arrays: gf.gradient_map(CELL, *arrays).log_terms("bias_hh")
        useful[key] = steps * (steps + 1) // 2 * 2 * 4 * hidden**2
    for size in (512, 1024, 2048):
        for name, work in (("jnp", jax.jit(jnp.dot)), ("numpy", np.dot)):
            left = (jnp if name == "jnp" else np).ones((size, size), "float32")
            key = f"{name} {size}"
            sides[key] = lambda work=work, left=left: jax.block_until_ready(work(left, left))
            products[key] = 2 * size**3
    seconds = compete(sides, rounds)
    peak, best = max((products[key] / seconds[key] / 1e9, key) for key in products)
    rows = [(f"float32 matrix product, best ({best})", f"{peak:.0f} GFLOP/s", "100 %", "")]
    for (key, work), goal in zip(useful.items(), ("≥ 45 %", "≥ 70 %"), strict=True):
        rate = work / seconds[key] / 1e9
        name = f"{key}, all term norms ({1e3 * seconds[key]:.0f} ms)"
        rows.append((name, f"{rate:.0f} GFLOP/s", f"{100 * rate / peak:.0f} %", goal))
    return rows


def batch(rounds):
    """lstm, n = 16, T = 128: 64 recurrent gains in one call, and in as many."""
    weights, *arrays = problem(16, 128)
    names = ("cell", "weights", "inputs", "readout", "targets")
    scaled = lambda gain: weights._replace(weight_hh=np.float32(gain) * weights.weight_hh)
    problems = [dict(zip(names, (CELL, scaled(gain), *arrays), strict=True)) for gain in np.linspace(0, 4, 64)]
    sides = {
        "one call": lambda: [gmap.log_terms() for gmap in gf.gradient_maps(problems)],
        "64 calls": lambda: [gf.gradient_map(**each).log_terms() for each in problems],
    }
    seconds = compete(sides, rounds)
    return [
        (f"n = 16, T = 128, 64 gains, all term norms: {name}", f"{1e3 * each:.0f} ms",
         f"{each / seconds['64 calls']:.2f}", "≤ 1" if name == "one call" else "")
        for name, each in seconds.items()
    ]  # fmt: skip


def block_rows(rounds):
    """lstm: all term norms with blocks of 16 to 256 times, beside what `choose_block_size` makes of n and T."""
    rows, rule = [], maps.choose_block_size
    for hidden in (16, 32, 64, 128, 256, 512):
        for steps in (128, 256, 512):
            arrays, chosen = problem(hidden, steps), rule(hidden, steps)

            def side(size, arrays=arrays):
                maps.choose_block_size = lambda n, steps: size
                gf.gradient_map(CELL, *arrays).log_terms()

            sizes = sorted({16, 32, 48, 64, 96, 128, 192, 256, chosen} & {*range(steps + 1)})
            seconds = compete({size: partial(side, size) for size in sizes}, rounds)
            best = min(seconds, key=seconds.get)
            rows.append(
                (
                    f"n = {hidden}, T = {steps}, all term norms: {best} rows a block, the rule's {chosen}",
                    f"{1e3 * seconds[best]:.1f}, {1e3 * seconds[chosen]:.1f} ms",
                    f"{seconds[chosen] / seconds[best]:.2f}",
                    "",
                )
            )
    maps.choose_block_size = rule
    return rows


def memory():
    """Peak resident memory above idle at n = 64 and 256, each in a fresh process."""
    rows = []
    for hidden, steps, goal in ((64, 256, 100), (256, 256, 500), (256, 512, 500)):
        command = [sys.executable, __file__, "--memory", str(hidden), str(steps)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        warm, first = map(float, done.stdout.split())
        name = f"n = {hidden}, T = {steps}, terms and sums, peak memory above idle, compiled"
        rows += [
            (name, f"{warm:.0f} MB", "", f"< {goal} MB"),
            ("the same with the compilation", f"{first:.0f} MB", "", ""),
        ]
    return rows


def measure_memory(hidden, steps):
    """Print the peak above idle in MB: of a second call, then of the first, which compiles."""
    arrays = problem(hidden, steps)
    gf.gradient_map(CELL, *problem(2, 3)).log_sums()  # what any first call brings in
    idle = resident()

    def work():
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
        both(CELL, arrays)
        return resident(field="VmHWM") - idle

    first = work()
    gc.collect()
    idle = resident()
    print(work(), first)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--rows", action="store_true", help="how many times make a block")
    parser.add_argument("--memory", type=int, nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.memory:
        return measure_memory(*asked.memory)
    rounds = 3 if asked.fast else 7
    print("| what | measured | ratio | goal |\n| --- | ---: | ---: | ---: |")
    parts = (
        partial(terms_and_sums, rounds),
        partial(term_norms, rounds),
        partial(profile, rounds),
        partial(arithmetic, rounds),
        partial(batch, rounds),
        partial(every_cell, rounds),
        partial(many_units, min(rounds, 5)),
        memory,
    )
    for part in (partial(block_rows, rounds),) if asked.rows else parts:
        for row in part():
            print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main()
