"""`jax.jit`, with what XLA is told where it compiles for a CPU, and with the traces that are kept.

Without its newer kernels for fused operations, at LLVM's first level of optimisation, and in two parts instead of up
to 32, it compiles in half of the processor's time. What it makes takes 0.7 to 1.7 times as long, a frame of the page
the same: measured by `tests/benchmarks/compiler.py`. The names of these options belong to no public interface, so they
are used with the version of jaxlib alone that they are measured with.
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import jax
import jaxlib

from gradflow.engine.traces import kept

MEASURED = "0.10.2"
ON_CPU = {
    "xla_cpu_use_fusion_emitters": False,
    "xla_backend_optimization_level": 1,
    "xla_cpu_parallel_codegen_split_count": 2,  # parts of a program that are compiled side by side; else up to 32
}


def jit(**options: Any) -> Callable[[Callable], Callable]:
    """A decorator: `jax.jit(function, **options)`, with `ON_CPU` and `traces` where JAX computes on a CPU by default.

    JAX takes such options for what is not called in another jitted function; there, use `inspect.unwrap`.
    """

    def decorate(function):
        @cache  # at the first call, since to ask for the platform starts JAX
        def jitted():
            on_cpu = jaxlib.__version__ == MEASURED and jax.default_backend() == "cpu"
            compiled = kept(function) if on_cpu else function
            return jax.jit(compiled, compiler_options=ON_CPU if on_cpu else None, **options)

        @wraps(function)
        def call(*arguments, **keywords):
            return jitted()(*arguments, **keywords)

        return call

    return decorate
