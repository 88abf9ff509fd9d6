"""The engine on an accelerator: right in float32, and how fast beside PyTorch's loop there and this machine's CPU.

    python tests/benchmarks/gpu.py                 # both parts, as Markdown; at most eight minutes
    python tests/benchmarks/gpu.py --seconds 120   # give up what does not fit

Rows that do not fit the time are left out and said. PyTorch's loop takes one `autograd.grad` a t with a copy of W a
step; of its T calls five are timed, evenly spread over t, and their mean is multiplied by T.
"""

import argparse
import sys
import time
from pathlib import Path

import jax
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import gradflow as gf  # noqa: E402

INPUTS = 4
SIZES = [(n, steps) for n in (64, 128, 256, 512, 1024) for steps in (512, 1024, 2048, 4096)]


def problem(cell, hidden, steps, gain=1.0, dtype=np.float32):
    """Weights of standard deviation gain / √n, inputs and targets of one."""
    rng = np.random.default_rng(0)
    rows = len(gf.CELLS[cell].gates) * hidden
    draw = lambda *shape: dtype(rng.normal(size=shape))
    weights = gf.Weights(
        draw(rows, INPUTS) / 2, dtype(gain / np.sqrt(hidden)) * draw(rows, hidden), draw(rows) / 4, draw(rows) / 4
    )
    return weights, draw(steps, INPUTS), draw(hidden) / dtype(np.sqrt(hidden)), draw(steps)


def off(cell, gain, steps=256, hidden=16):
    """The largest difference of all log terms and sums, float32 on the accelerator from float64 on the CPU."""
    arrays = problem(cell, hidden, steps, gain)
    here = gf.gradient_map(cell, *arrays)
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        truth = gf.gradient_map(cell, *jax.tree.map(np.float64, arrays))
        expected = truth.log_terms(), truth.log_sums()
    apart = []
    for found, wanted in zip((here.log_terms(), here.log_sums()), expected, strict=True):
        both = np.isfinite(found) & np.isfinite(wanted)
        assert (np.isneginf(found) == np.isneginf(wanted)).all(), f"{cell}: the exact zeros differ"
        apart.append(float(np.abs(found[both] - wanted[both]).max()))
    return here.device, apart, float(np.nanmin(expected[0][np.isfinite(expected[0])])) / np.log(10)


def both(arrays):
    """Every term and every sum of an lstm."""
    gmap = gf.gradient_map("lstm", *arrays)
    return gmap.log_sums(), gmap.log_terms()


def seconds(work, rounds=3):
    """(first call, with compiling; median of the next ones)."""
    start = time.perf_counter()
    work()
    first, each = time.perf_counter() - start, []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        each.append(time.perf_counter() - start)
        if each[-1] > 10:
            break
    return first, float(np.median(each))


def pytorch_seconds(arrays):
    """PyTorch's loop on the same device, from five of its T calls; None without PyTorch, inf without the memory."""
    try:
        import torch
    except ImportError:
        return None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    (weight_ih, weight_hh, bias_ih, bias_hh), inputs, readout, targets = jax.tree.map(
        lambda a: torch.tensor(a, device=device), arrays
    )
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    try:
        copies = [weight_hh.clone().requires_grad_() for _ in inputs]
        h = c = torch.zeros(1, len(readout), device=device)
        costs = []
        for x, target, copy in zip(inputs, targets, copies, strict=True):
            h, c = torch.lstm_cell(x[None], (h, c), weight_ih, copy, bias_ih, bias_hh)
            costs.append((h[0] @ readout - target) ** 2 / 2)

        def one(t):
            start = time.perf_counter()
            gradient = torch.stack(torch.autograd.grad(costs[t], copies[: t + 1], retain_graph=True))
            torch.linalg.matrix_norm(gradient), torch.linalg.matrix_norm(gradient.sum(0))
            wait()
            return time.perf_counter() - start

        one(len(costs) // 10)  # warm
        return len(costs) * float(np.mean([one(int(len(costs) * part)) for part in (0.1, 0.3, 0.5, 0.7, 0.9)]))
    except torch.OutOfMemoryError:
        return np.inf
    finally:
        if device == "cuda":
            torch.cuda.empty_cache()


def peak(device):
    """GB that the device has held at most so far."""
    stats = device.memory_stats() or {}
    return stats.get("peak_bytes_in_use", 0) / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--cpu", type=float, default=60, help="seconds that the CPU's rows may take in all")
    options = parser.parse_args()
    begun = time.perf_counter()
    left = lambda: options.seconds - (time.perf_counter() - begun)
    accelerator, cpu = jax.devices()[0], jax.devices("cpu")[0]
    print(f"{accelerator.device_kind}, jax {jax.__version__}", flush=True)

    print("\n| cell | gain | smallest term | largest error of a log term, of a log sum |\n| --- | ---: | ---: | ---: |")
    for cell in gf.CELLS:
        for gain in (0.5, 1.0):
            device, (term, total), smallest = off(cell, gain)
            print(f"| {cell} | {gain:g} | 1e{smallest:.0f} | {term:.1e}, {total:.1e} |", flush=True)
    print(f"\nComputed on {device}.\n")

    print("| lstm | first call | every term and sum | GB | PyTorch's loop | this machine's CPU |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    spent_on_cpu = 0.0
    for hidden, steps in sorted(SIZES, key=lambda size: size[0] ** 2 * size[1] ** 2):
        if left() < 30:
            print(f"\nNot in time: n = {hidden}, T = {steps} and larger.")
            break
        arrays = problem("lstm", hidden, steps)
        first, mine = seconds(lambda arrays=arrays: both(arrays))
        gigabytes = peak(accelerator)
        loop = pytorch_seconds(arrays) if steps <= 2048 and left() > 60 else None
        beside = "" if loop is None else "out of memory" if loop == np.inf else f"{loop:.3g} s, {loop / mine:.0f}×"
        slow = ""
        if spent_on_cpu < options.cpu and accelerator != cpu:
            start = time.perf_counter()
            with jax.default_device(cpu):
                _, on_cpu = seconds(lambda arrays=arrays: both(arrays), rounds=1)
            spent_on_cpu += time.perf_counter() - start
            slow = f"{on_cpu:.3g} s, {on_cpu / mine:.1f}×"
        name = f"n = {hidden}, T = {steps}"
        print(f"| {name} | {first:.1f} s | {1e3 * mine:.0f} ms | {gigabytes:.2f} | {beside} | {slow} |", flush=True)
    print(f"\n{time.perf_counter() - begun:.0f} s in all.")


if __name__ == "__main__":
    main()
