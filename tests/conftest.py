"""Strict everywhere: no dtype and no rank is promoted in silence. (A warning is an error: pyproject.toml.)"""

import jax
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def float64():
    """JAX in double precision, for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def compilations():
    """A list that grows by the name of every function JAX traces or compiles."""
    seen = []

    def listen(event, duration, *, fun_name="", **_):
        if event in ("/jax/core/compile/jaxpr_trace_duration", "/jax/core/compile/backend_compile_duration"):
            seen.append(fun_name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)
