"""Data flows one way, each library is imported where it belongs, and no test imports another."""

import ast
from importlib import import_module

import pytest

import gradflow
from support.paths import APP, ROOT, SOURCES
from support.subprocesses import loaded

LIBRARY = (
    "caching",
    "weights",
    "sequences",
    "activations",
    "cells",
    "problem",
    "reading",
    "engine.scaling",
    "engine.device",
    "engine.traces",
    "engine.compile_cache",
    "engine.jit",
    "engine.unroll",
    "engine.jacobians",
    "engine.losses",
    "engine.forward",
    "engine.recurrent_product",
    "engine.backward",
    "engine.emitters",
    "engine.contractions",
    "engine.lag_by_lag",
    "engine.stack",
    "engine.unscaled",
    "engine.schedule",
    "engine.reference",
    "lags",
    "maps",
    "network",
    "recording",
    "pytorch",
    "feedforward",
)
APPLICATION = (
    "palette",
    "memory",
    "plot",
    "command_line",
    "ranges",
    "scenario",
    "presets",
    "view",
    "url_codec",
    "state",
    "measurement",
    "training",
    "counterexample",
    "glossary",
    "lessons",
    "export",
    "charts",
    "frame",
    "recorded",
    "frame_route",
    "first_view",
    "errors",
    "labels",
    "session",
    "streamlit_patches",
    "components",
    "sidebar",
    "toolbar",
    "live_chart",
    "navigation",
    "live_training",
    "feedforward_demo",
    "pages",
)
ALLOWED = {  # library -> the modules that may import it
    "streamlit": {
        "app",
        *(f"gradflow.app.{module}" for module in APPLICATION[APPLICATION.index("frame_route") :] if module != "labels"),
    },
    "starlette": {"gradflow.app.frame_route"},
    "altair": {"gradflow.app.charts", "gradflow.app.plot"},
    "optax": {"gradflow.app.training"},
    "jax": {
        "gradflow.activations",
        "gradflow.maps",
        "gradflow.lags",
        "gradflow.feedforward",
        "gradflow.engine",
        "gradflow.app.training",
    },
}
# Each imports what stands before it, and nothing else of ours.
ORDER = [f"gradflow.{module}" for module in (*LIBRARY, *(f"app.{module}" for module in APPLICATION))]
PACKAGES = {"gradflow", "gradflow.engine", "gradflow.app"}  # which import nothing


def name_of(path):
    """The dotted name of a module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def place(module):
    """Where a module stands in `ORDER`, by itself or by its package; None if nowhere."""
    parts = module.split(".")
    names = [".".join(parts[:k]) for k in range(len(parts), 0, -1)]
    return next((ORDER.index(name) for name in names if name in ORDER), None)


def nodes(path):
    """Every node of a file's syntax but those that type checkers alone read."""
    left = [ast.parse(path.read_text(encoding="utf-8"))]
    while left:
        node = left.pop()
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            left += ast.iter_child_nodes(node)


def imported(path, late=True):
    """Every module a file imports when it runs, wherever in the file; or at once, as the file itself is imported."""
    for node in nodes(path):
        if not late and getattr(node, "col_offset", 0):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_each_library_is_imported_only_where_allowed(path):
    here = name_of(path)
    for module in imported(path):
        allowed = ALLOWED.get(module.split(".")[0])
        assert allowed is None or any(f"{here}.".startswith(f"{each}.") for each in allowed), f"{here} imports {module}"


@pytest.mark.parametrize("path", SOURCES[1:], ids=name_of)
def test_no_module_imports_what_comes_after_it(path):
    here = name_of(path)
    if here in PACKAGES:
        assert not any(module.startswith("gradflow") for module in imported(path))
        return
    assert place(here) is not None, f"{here} has no place in ORDER: put it after what it imports"
    for module in imported(path):
        if module.startswith("gradflow.") and module not in PACKAGES:
            assert place(module) is not None and place(module) <= place(here), f"{here} imports {module}"


def public_functions(node):
    """(function, whether it takes its object first): those of a module and of its classes, with their constructors."""
    for child in node.body:
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from public_functions(child)
        elif isinstance(child, ast.FunctionDef) and (
            child.name in ("__init__", "__new__") or not child.name.startswith("_")
        ):
            static = "staticmethod" in map(ast.unparse, child.decorator_list)
            yield child, isinstance(node, ast.ClassDef) and not static


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_public_functions_have_types(path):
    """Every parameter and the result, of functions, methods and properties."""
    for function, of_object in public_functions(ast.parse(path.read_text(encoding="utf-8"))):
        of = function.args
        arguments = (*of.posonlyargs, *of.args, of.vararg, *of.kwonlyargs, of.kwarg)[of_object:]  # without self
        missing = [each.arg for each in arguments if each is not None and each.annotation is None]
        assert not missing and function.returns is not None, f"{function.name}: {missing or 'what it returns'}"


def test_the_package_itself_imports_nothing_heavy():
    assert not {module.split(".")[0] for module in imported(ROOT / "gradflow/__init__.py")} & {"jax", "altair", "numpy"}


def test_editors_know_the_names_that_are_looked_up_late():
    """The imports for type checkers say of each public name what its lookup does, and `dir` lists them all."""
    tree = ast.parse((ROOT / "gradflow/__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname: node.module for node in block.body for alias in node.names if alias.name == alias.asname}
    assert seen == {name: f"gradflow.{home}" for name, home in gradflow._HOMES.items()}
    assert set(gradflow.__all__) <= set(dir(gradflow))
    assert all(getattr(gradflow, name) is getattr(import_module(home), name) for name, home in seen.items())


def test_late_imports_go_through_the_package():
    """Two visitors may import at once: from inside a package and from outside, they would wait for one another."""
    for path in SOURCES:
        folder = path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for node in nodes(path):
            if isinstance(node, ast.ImportFrom) and node.col_offset:
                package = "gradflow.app.charts"
                assert folder == package or not node.module.startswith(f"{package}."), f"{path}: {node.module}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_what_builds_specifications_is_imported_only_where_one_is_built(path):
    """A chart's file is loaded by the page, and Altair takes 100 MB."""
    building = {f"gradflow.app.charts.{module}" for module in ("drawing", "terms_panels", "specs")}
    if name_of(path) not in building:
        assert not set(imported(path, late=False)) & {"altair", *building}


@pytest.mark.slow
def test_a_page_loads_nothing_that_only_builds():
    """Altair has built its specifications before, and no table is pandas'."""
    code = f"""
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(APP)!r}, default_timeout=120)
app.query_params["closer"] = "true"
assert app.run().get("bidi_component") and not app.exception
"""
    assert not loaded({"altair", "pandas"}, code)


TESTS = sorted((ROOT / "tests").rglob("*.py"))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.relative_to(ROOT / "tests").as_posix())
def test_no_test_is_imported(path):
    """What several tests need stands in `tests/support`."""
    tests = {other.stem for other in TESTS if other.name.startswith("test_")} | {"conftest"}
    found = {part for module in imported(path) for part in module.split(".")} & tests
    assert not found, f"{path.name} imports {', '.join(sorted(found))}"


def test_each_test_file_has_a_name_of_its_own():
    names = [path.name for path in TESTS if path.name.startswith("test_")]
    assert len(names) == len(set(names))
