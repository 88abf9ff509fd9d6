"""Blocks of times t: who computes which, and which are kept.

Blocks are independent. On one device each gets a thread, the longest first; over a mesh each device gets one at a
time. What a block needs is bounded by its size.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from inspect import unwrap
from threading import Lock
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gradflow.caching import COMPILED
from gradflow.engine.forward import ForwardPass
from gradflow.engine.jit import jit
from gradflow.engine.recurrent_product import SMALL_BLOCK

_THREADS = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="gradflow")
_FIRST_CALL = Lock()
ROOM = 2**28  # bytes: blocks that need more are not kept


class BlockCache:
    """The blocks of one map that are computed, so that the next question does not compute them again.

    All blocks are kept, or none where one field's δ norms of all t need more than `ROOM` bytes. Blocks are cut
    backwards from the first horizon asked for, so that nothing beyond it is computed, and from T once that is exceeded.
    """

    def __init__(self, steps: int, delta_rows: int) -> None:
        self._steps, self._ends = steps, list[int]()
        self._results = defaultdict[str, dict[int, Any]](dict) if 8 * steps**2 * delta_rows <= ROOM else None

    def results(self, question: str) -> dict[int, Any] | None:
        """low -> result of the blocks computed for a question; None where nothing is kept."""
        return None if self._results is None else self._results[question]

    @staticmethod
    def fit(block_size: int, bytes_each: int) -> int:
        """The block size, or fewer costs where they need more than `ROOM`."""
        return min(block_size, max(8, ROOM // bytes_each))

    def end(self, steps: int) -> int:
        """Where the last block ends, if times below `steps` are asked for."""
        if self._results is None:
            return steps
        enough = [end for end in self._ends if end >= steps]
        if not enough:
            enough = [self._steps if self._ends else steps]
            self._ends.extend(enough)
        return min(enough)


def blocks(
    fwd: ForwardPass,
    function: Callable,
    steps: int,
    block_size: int,
    *arguments: jax.Array,
    cache: BlockCache,
    question: str,
    mesh: Mesh | None = None,
    **static: Any,
) -> Iterator[tuple[int, Any]]:
    """Yield (low, function(tape, low, *arguments, …)) for every block of times that begins before `steps`.

    A block is low … low + block_size − 1. The last one ends at `cache.end`; the first may begin before time 0, with
    zeros.

    Args:
        fwd: the `ForwardPass`.
        cache: the `BlockCache` that has what need not be computed again, under `question`.
        mesh: the `jax.sharding.Mesh` whose devices compute; None for threads on one device.
    """
    static |= {"cell_path_only": fwd.cell_path_only, "block_size": block_size}
    cached, last = cache.results(question), cache.end(steps) - block_size
    lows = [low for low in range(last, -block_size, -block_size) if low < steps]
    kept = {low: cached[low] for low in lows if cached and low in cached}
    missing = [low for low in lows if low not in kept]
    yield from kept.items()
    compute = _by_threads if mesh is None else partial(_by_devices, mesh)
    for low, result in compute(fwd, function, missing, arguments, static):
        if cached is not None:
            cached[low] = result
        yield low, result


def _tape_of(fwd):
    """(tape, whether JAX needs float64). The cell path, which multiplies no matrices, is swept in that precision."""
    if fwd.cell_path_only:
        return fwd.precise_tape, True
    return fwd.tape, jax.config.jax_enable_x64  # type: ignore[attr-defined]


def _by_threads(fwd, function, lows, arguments, static):
    """Each block gets a thread, which takes over its caller's settings, since JAX keeps them by thread.

    The first call of its kind compiles, alone. A single block stays with its caller, and so do small ones: for them
    to hand over costs more of the processor than it saves time.
    """
    tape, x64 = _tape_of(fwd)
    device = next(iter(fwd.outputs.cost.devices()))
    shapes = [(a.shape, a.dtype) for a in (tape.weights.weight_hh, tape.factors["weight_ih"], tape.jacobians.preact)]
    kind = (function, *static.values(), device, *shapes)

    def run(low):
        with jax.enable_x64(x64), jax.default_device(device):
            return low, jax.block_until_ready(function(tape, low, *arguments, **static))

    first = []
    with _FIRST_CALL:
        if lows and kind not in COMPILED:
            first.append(run(lows.pop()))
            COMPILED.add(kind)
    yield from first
    small = static["block_size"] * tape.jacobians.preact.size <= SMALL_BLOCK
    yield from map(run, lows) if small or len(lows) == 1 else _THREADS.map(run, lows)


def _by_devices(mesh, fwd, function, lows, arguments, static):
    """The devices of a mesh take a block each, then the next; every process that shares the mesh gets all results."""
    tape, x64 = _tape_of(fwd)
    with jax.enable_x64(x64):
        shared = jax.device_put(jax.tree.map(np.asarray, (tape, *arguments)), _everywhere(mesh))
    for i in range(0, len(lows), mesh.size):
        group = lows[i : i + mesh.size]
        padded = np.array(group + [0] * (mesh.size - len(group)))
        with jax.enable_x64(x64):
            results = _one_each(padded, *shared, function=function, mesh=mesh, static=tuple(static.items()))
        for j, low in enumerate(group):
            yield low, jax.tree.map(lambda a, j=j: np.asarray(a)[j], results)


@jit(static_argnames=("function", "mesh", "static"))
def _one_each(lows, *shared, function, mesh, static):
    each = PartitionSpec(mesh.axis_names)

    def one(lows, tape, *arguments):
        return jax.tree.map(lambda a: a[None], unwrap(function)(tape, lows[0], *arguments, **dict(static)))

    in_specs = (each, *(PartitionSpec() for _ in shared))
    results = jax.shard_map(one, mesh=mesh, in_specs=in_specs, out_specs=each, check_vma=False)(lows, *shared)
    return lax.with_sharding_constraint(results, _everywhere(mesh))


def _everywhere(mesh):
    return NamedSharding(mesh, PartitionSpec())
