"""What XLA is told: on a CPU, by the version of jaxlib that it was measured with, and nothing elsewhere."""

import re
from inspect import unwrap

import jax
import jaxlib
import numpy as np
import pytest

from gradflow.engine import jit, traces
from support.paths import ROOT


def twice(x):
    return x + x


@pytest.fixture
def given(monkeypatch):
    """The options that each `jax.jit` was given."""
    monkeypatch.setattr(traces, "_folder", None)  # to keep a trace takes another
    seen, real = [], jax.jit

    def record(function, **options):
        seen.append(options)
        return real(function, **options)

    monkeypatch.setattr(jax, "jit", record)
    return seen


def test_what_is_pinned_is_what_was_measured():
    """Another version: measure again, tests/benchmarks/compiler.py, and see whether it still knows the options."""
    (pinned,) = re.findall(r"^jax==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert jit.MEASURED == pinned == jaxlib.__version__


def test_on_a_cpu_it_has_options_that_xla_knows(given):
    np.testing.assert_array_equal(jit.jit()(twice)(np.arange(3.0, dtype=np.float32)), [0, 2, 4])
    assert given == [{"compiler_options": jit.ON_CPU}]


@pytest.mark.parametrize(("platform", "version"), [("gpu", jit.MEASURED), ("tpu", jit.MEASURED), ("cpu", "0.10.3")])
def test_elsewhere_it_is_plain(given, monkeypatch, platform, version):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    monkeypatch.setattr(jaxlib, "__version__", version)
    jit.jit(static_argnums=0)(twice)(1)
    assert given == [{"compiler_options": None, "static_argnums": 0}]


def test_it_is_made_once_and_not_before_it_is_called(given):
    jitted = jit.jit()(twice)
    assert not given and jitted.__doc__ == twice.__doc__ and unwrap(jitted) is twice
    jitted(np.float32(1)), jitted(np.float32(2))
    assert len(given) == 1


def test_an_option_that_xla_does_not_know_would_be_told(monkeypatch):
    monkeypatch.setattr(jit, "ON_CPU", {"xla_cpu_no_such_option": True})
    with pytest.raises(Exception, match="xla_cpu_no_such_option"):
        jit.jit()(twice)(np.float32(1))
