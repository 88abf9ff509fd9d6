"""What was traced is kept, gives the same numbers, and is made again where it is missing, broken or of other source."""

import os

import jax
import numpy as np
import pytest

import gradflow as gf
from gradflow.cells import CELLS
from gradflow.engine import traces
from gradflow.engine.jit import jit
from gradflow.engine.traces import SHIPPED
from support.problems import problem
from support.subprocesses import run_python

FIRST_VIEW = """
import json, os, sys
from pathlib import Path
from gradflow.app.first_view import measured
from gradflow.engine import traces

asked, read = [], traces._read
traces._read = lambda name: (asked.append(name), read(name))[1]
traces.keep_traces(Path(os.environ["KEPT"]))
measured()
print(json.dumps({"asked": asked, "loaded": list(sys.modules)}))
"""
CHOLESKY = """
import os
from pathlib import Path
import jax.numpy as jnp
import numpy as np
from gradflow.engine import traces
from gradflow.engine.jit import jit

def factor(square):
    return jnp.linalg.cholesky(square)

traces.keep_traces(Path(os.environ["KEPT"]))
print(jit()(factor)(np.float32([[4, 2], [2, 10]])).tolist())
"""
ALL_CELLS = """
import os
from pathlib import Path
import numpy as np
import gradflow as gf
from gradflow.engine import traces
from support.problems import problem

if os.environ["KEPT"]:
    traces.keep_traces(Path(os.environ["KEPT"]))
found = {}
for cell in gf.CELLS:
    arrays, options = problem(cell, "all at once")
    gmap = gf.gradient_map(cell, *arrays, **options)
    lags = gmap.lags(5)
    found |= {f"{cell} sums": gmap.log_sums(), f"{cell} terms": gmap.log_terms(), f"{cell} delta": lags.log_delta()}
    found |= {f"{cell} partial": lags.log_partial_sums(), f"{cell} all": gmap.log_total_by_lag()}
np.savez(os.environ["FOUND"], **found)
print("[]")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where this process keeps its traces."""
    monkeypatch.setattr(traces, "_folder", tmp_path / "traced")
    return tmp_path / "traced"


def once_more(x, *, times):
    return times * x + x.sum()


ONE_TWO = np.float32([1, 2])


def called(x=ONE_TWO, times=3):
    """A new jitted function each time, so that JAX traces it."""
    return np.asarray(jit(static_argnames="times")(once_more)(x, times=times))


def test_what_the_first_view_needs_comes_with_the_package_and_no_more(tmp_path):
    """Else: python -m gradflow.app.first_view."""
    found = run_python(FIRST_VIEW, KEPT=str(tmp_path))
    assert sorted(found["asked"]) == sorted(file.name for file in SHIPPED.iterdir())
    assert not os.listdir(tmp_path), "something was traced anew"
    assert "jax" in found["loaded"] and "scipy.linalg" not in found["loaded"], "JAX loaded LAPACK, which takes long"


@pytest.mark.slow
def test_every_cell_has_the_same_numbers_traced_kept_and_read(tmp_path):
    found = {}
    for case, kept in (("traced", ""), ("kept", tmp_path / "kept"), ("read", tmp_path / "kept")):
        run_python(ALL_CELLS, KEPT=str(kept), FOUND=str(tmp_path / f"{case}.npz"))
        found[case] = np.load(tmp_path / f"{case}.npz")
    assert len(os.listdir(tmp_path / "kept")) > 2 * len(CELLS)
    for case in ("kept", "read"):
        assert found[case].files == found["traced"].files
        for name in found["traced"].files:
            np.testing.assert_allclose(found[case][name], found["traced"][name], rtol=2e-6, atol=2e-6, err_msg=name)


def test_a_trace_is_kept_and_read_again(folder, monkeypatch):
    np.testing.assert_array_equal(called(), [6, 9])
    (file,) = folder.iterdir()
    assert file.name.startswith("once_more-")
    exports = []
    monkeypatch.setattr(traces, "_export", lambda *given: exports.append(given))
    np.testing.assert_array_equal(called(), [6, 9])
    np.testing.assert_array_equal(called(x=np.float32([0, 4])), [4, 16])
    assert not exports
    called(times=4), called(x=np.float32([1, 2, 3])), called(x=np.int32([1, 2]))
    assert len(exports) == 3, "another static argument, another shape and another type are other traces"


def test_what_calls_lapack_has_it(folder):
    """Traced, then read again, each in a process of its own, where nothing else has loaded it."""
    for _ in range(2):
        factor = run_python(CHOLESKY, KEPT=str(folder))
        np.testing.assert_allclose(factor, [[2, 0], [1, 3]], rtol=1e-6)
    assert [file.name.partition("-")[0] for file in folder.iterdir()] == ["factor"]


def test_functions_of_one_name_are_not_mixed_up(folder):
    twice = jit()(lambda x: x + x)
    square = jit()(lambda x: x * x)
    assert (twice(np.float32(3)), square(np.float32(3))) == (6, 9) and len([*folder.iterdir()]) == 2


def test_another_setting_of_jax_is_another_trace(folder):
    called()
    with jax.default_matmul_precision("highest"):
        called()
    assert len([*folder.iterdir()]) == 2


def test_another_source_is_another_trace(folder, monkeypatch):
    called()
    monkeypatch.setattr(traces, "_source", lambda: "of another version")
    called()
    assert len([*folder.iterdir()]) == 2


@pytest.mark.parametrize("content", [b"", b"broken", None])
def test_a_broken_trace_is_told_and_made_again(folder, caplog, content):
    called()
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content is None else content)
    np.testing.assert_array_equal(called(), [6, 9])
    assert "A trace cannot be read" in caplog.text and len(file.read_bytes()) == len(whole)


def test_where_it_cannot_be_written_nothing_is_kept(folder, caplog):
    folder.write_text("not a folder")
    np.testing.assert_array_equal(called(), [6, 9])
    assert "A trace is not kept" in caplog.text


def test_without_flatbuffers_nothing_is_kept(folder, monkeypatch):
    monkeypatch.setattr(traces, "_can_export", lambda: False)
    np.testing.assert_array_equal(called(), [6, 9])
    assert not folder.exists()


def test_what_another_process_cannot_name_is_not_kept(folder):
    apply = lambda function, x: function(x)
    jitted = jit(static_argnums=0)(apply)
    assert jitted(lambda x: x + 1, np.float32(1)) == 2
    own = CELLS["lstm"]._replace(title="another")
    assert jit(static_argnums=0)(lambda cell, x: x + len(cell.gates))(own, np.float32(1)) == 5
    assert not folder.exists()


def test_the_named_tuples_of_the_engine_come_back(folder):
    """The forward pass returns them; what is read is used by everything behind it."""
    arrays, options = problem("gru", "two outputs")
    jax.clear_caches()
    first = gf.gradient_map("gru", *arrays, **options).log_terms()
    assert any(file.name.startswith("linearise-") for file in folder.iterdir())
    jax.clear_caches()
    np.testing.assert_array_equal(gf.gradient_map("gru", *arrays, **options).log_terms(), first)
