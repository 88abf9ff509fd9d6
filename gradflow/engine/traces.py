"""What JAX traced and lowered, kept as StableHLO (`jax.export`), so that the next process need not do it again.

JAX's own cache keeps compiled code alone, and to find it there JAX traces and lowers again: half of a warm start. What
the page's first view needs comes with the package, so that a first start on a slow host does not trace either. A trace
is named after what it depends on: the function, its static arguments, the arrays' shapes, the versions and settings of
JAX, and the source of all that is traced. One whose name is not found is made again.
"""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache, wraps
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from threading import get_ident

import jax
import jaxlib

from gradflow.cells import CELLS, Cell

SHIPPED = Path(__file__).with_name("traced")
SOURCES = ("*.py", "../cells.py", "../activations.py", "../weights.py", "../problem.py")  # of all that is traced
_folder: Path | None = None


def keep_traces(folder: Path | None) -> None:
    """Keep from now on what is traced, in a folder that can be written; None: keep nothing."""
    global _folder
    _folder = folder


def register(*classes: type) -> None:
    """Tell `jax.export` of the named tuples that a jitted function returns."""
    if find_spec("flatbuffers"):
        from jax import export

        for each in classes:
            with suppress(ValueError):  # it is: this module was loaded anew
                export.register_namedtuple_serialization(each, serialized_name=f"gradflow.{each.__name__}")


def kept(function: Callable) -> Callable:
    """The same for `jax.jit`, which calls it to trace it: with the trace that is kept, if there is one."""

    @wraps(function)
    def traced(*arguments, **keywords):
        leaves, tree = jax.tree.flatten((arguments, keywords), is_leaf=lambda each: isinstance(each, Cell))
        arrays = [each for each in leaves if isinstance(each, jax.core.Tracer)]
        name = _name(function, leaves, tree)
        if name is None:
            return function(*arguments, **keywords)
        exported = _read(name)
        if exported is None and _folder is not None:

            def of(*arrays):
                given = iter(arrays)
                filled = [next(given) if isinstance(each, jax.core.Tracer) else each for each in leaves]
                arguments, keywords = jax.tree.unflatten(tree, filled)
                return function(*arguments, **keywords)

            exported = _export(of, arrays, _folder / name)
        return function(*arguments, **keywords) if exported is None else _without_lapack(exported).call(*arrays)

    return traced


def _name(function, leaves, tree):
    """What a trace is called; None where an argument has no name that another process would give it."""
    if not _can_export():
        return None
    settings = jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    code = function.__code__
    said = [_source(), str(settings), function.__module__, f"{code.co_qualname} {code.co_firstlineno}", str(tree)]
    for each in leaves:
        if isinstance(each, jax.core.Tracer):
            said.append(f"{each.aval.str_short()} {_weak(each)}")
        elif isinstance(each, Cell) and CELLS.get(each.name) is each:
            said.append(each.name)
        elif isinstance(each, (bool, int, float, str)):
            said.append(repr(each))
        else:
            return None
    digest = sha256("\n".join(said).encode()).hexdigest()
    return f"{function.__name__.strip('_')}-{digest[:20]}"


def _weak(array):
    return getattr(array.aval, "weak_type", False)


@cache
def _can_export():
    return find_spec("flatbuffers") is not None


@cache
def _source():
    """The versions of JAX and the source of all that is traced."""
    here = Path(__file__).parent
    files = sorted(file for pattern in SOURCES for file in here.glob(pattern))
    return f"{jax.__version__} {jaxlib.__version__} " + sha256(b"".join(map(Path.read_bytes, files))).hexdigest()


def _read(name):
    from jax import export

    for folder in filter(None, (SHIPPED, _folder)):
        try:
            return export.deserialize(bytearray((folder / name).read_bytes()))
        except FileNotFoundError:
            continue
        except Exception as reason:  # whatever a broken file leads to
            logging.getLogger("gradflow").warning("A trace cannot be read: %s: %r", folder / name, reason)
    return None


def _without_lapack(exported):
    """The same trace, for whose call JAX does not load LAPACK, which is a quarter of a second of `scipy.linalg`.

    JAX loads it for each trace that says that it is of a CPU. `jit` asks for traces there alone, so it need not say so.
    """
    from jax import export

    if b"lapack" in exported.mlir_module_serialized:  # the name of whatever is called there begins so
        return exported
    return replace(exported, platforms=(), disabled_safety_checks=(export.DisabledSafetyCheck.platform(),))


def _export(of, arrays, file):
    """The trace, which is also written to a file, where it can be."""
    from jax import export

    shapes = (jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=_weak(a)) for a in arrays)
    exported = export.export(jax.jit(of))(*shapes)
    try:
        data = exported.serialize()
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.{os.getpid()}.{get_ident()}")
        part.write_bytes(data)
        part.replace(file)
    except (OSError, ValueError) as reason:  # it cannot be written; JAX cannot write it
        logging.getLogger("gradflow").warning("A trace is not kept: %s", reason)
    return exported
