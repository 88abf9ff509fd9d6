"""Blocks of times t: how many rows go back together, and who computes which block.

Blocks are independent. On one device each gets a thread, the longest first; over a mesh each device gets one at a
time. What a block needs is bounded by its rows, and what becomes of its result is up to who asked.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import ceil, sqrt
from threading import Lock

import jax
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from gradflow.engine.compile_cache import COMPILED

_THREADS = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="gradflow")
_FIRST = Lock()
MOST = 256  # rows of a block: more save no time, and what a block needs grows with them
SMALL = 2**22  # numbers in all δ of a block


def rows_of(n, steps):
    """How many times t make a block, for n units and T steps.

    B blocks take T (B + 1) / 2 steps back, each at the price of A + T / B rows: least at B = √(T / A). A, what a step
    costs for any number of rows, was found by timing (`tests/benchmarks/engine.py --rows`): much where a row is little
    work, least where W is multiplied as it is, more again where making the M_k counts.
    """
    fixed = 64 if n < 64 else 16 if n < 128 else 32  # rows
    blocks = max(1, round(sqrt(steps / fixed)))
    rows = 16 * ceil(steps / blocks / 16) if steps > 16 else steps  # whole vectors
    return min(rows, MOST, max(16, 2**17 // n))  # what a step works on stays in the cache


def each_block(now, function, end, steps, rows, use, *arguments, kept=None, mesh=None, **static):
    """use(low, function(weights, trace, low, *arguments, …)) for every block of times that begins before `steps`.

    A block is low … low+rows−1. The last one ends at `end`; the first may begin before time 0, with rows of zeros.

    Args:
        now: the forward pass, a `Pass`.
        rows: how many times make a block.
        use: called by several threads at a time.
        kept: low -> result: what need not be computed again, and where results stay; None to keep nothing.
        mesh: the `jax.sharding.Mesh` whose devices compute; None for threads on one device.
    """
    static |= {"cell_path_only": now.cell_path_only, "rows": rows}
    lows = [low for low in range(end - rows, -rows, -rows) if low < steps]
    for low in [low for low in lows if kept and low in kept]:
        lows.remove(low)
        use(low, kept[low])

    def done(low, result):
        if kept is not None:
            kept[low] = result
        use(low, result)

    compute = _by_threads if mesh is None else partial(_by_devices, mesh)
    compute(now, function, lows, done, arguments, static)


def _by_threads(now, function, lows, done, arguments, static):
    """Each block gets a thread, which takes over its caller's settings, since JAX keeps them by thread.

    The first call of its kind compiles, alone. Small blocks stay with their caller: for them to hand over costs more
    of the processor than it saves time.
    """
    wide, device = jax.config.jax_enable_x64, next(iter(now.trace.cost.devices()))
    shapes = [(a.shape, a.dtype) for a in (now.weights.weight_hh, now.inputs, now.trace.to_delta)]
    kind = (function, *static.values(), device, *shapes)

    def run(low):
        with jax.enable_x64(wide), jax.default_device(device):
            done(low, jax.block_until_ready(function(now.weights, now.trace, low, *arguments, **static)))

    with _FIRST:
        if lows and kind not in COMPILED:
            run(lows.pop())
            COMPILED.add(kind)
    small = static["rows"] * now.trace.to_delta.size <= SMALL
    list(map(run, lows) if small else _THREADS.map(run, lows))


def _by_devices(mesh, now, function, lows, done, arguments, static):
    """The devices of a mesh take a block each, then the next; every process that shares the mesh gets all results."""
    shared = jax.device_put(jax.tree.map(np.asarray, (now.weights, now.trace, *arguments)), _everywhere(mesh))
    for i in range(0, len(lows), mesh.size):
        group = lows[i : i + mesh.size]
        padded = np.array(group + [0] * (mesh.size - len(group)))
        results = _one_each(padded, *shared, function=function, mesh=mesh, static=tuple(static.items()))
        for j, low in enumerate(group):
            done(low, jax.tree.map(lambda a, j=j: np.asarray(a)[j], results))


@partial(jax.jit, static_argnames=("function", "mesh", "static"))
def _one_each(lows, *shared, function, mesh, static):
    each = PartitionSpec(mesh.axis_names)

    def one(lows, weights, trace, *arguments):
        return jax.tree.map(lambda a: a[None], function(weights, trace, lows[0], *arguments, **dict(static)))

    in_specs = (each, *(PartitionSpec() for _ in shared))
    results = jax.shard_map(one, mesh=mesh, in_specs=in_specs, out_specs=each, check_vma=False)(lows, *shared)
    return lax.with_sharding_constraint(results, _everywhere(mesh))


def _everywhere(mesh):
    return NamedSharding(mesh, PartitionSpec())
