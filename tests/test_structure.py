"""Data flows one way, and each library has its rooms."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "app.py", *sorted((ROOT / "gradflow").rglob("*.py"))]
ROOMS = {
    "streamlit": {
        "app.py",
        *(f"gradflow/{room}" for room in ("address.py", "messages.py", "process.py", "controls", "pages")),
    },
    "altair": {"gradflow/charts/specs"},
    "jax": {
        "gradflow/cells.py",
        "gradflow/weights.py",
        "gradflow/sequences.py",
        "gradflow/flow",
        "gradflow/training.py",
    },
}
ORDER = [
    "once",
    "weights",
    "sequences",
    "cells",
    "problem",
    "reading",
    "flow",
    "training",
    "fields",
    "scenario",
    "look",
    "compare",
    "definitions",
    "lessons",
    "takeaway",
    "charts",
    "address",
    "messages",
    "controls",
    "process",
    "pages",
]


def imported(path):
    """Every module a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_each_library_stays_in_its_rooms(path):
    here = path.relative_to(ROOT)
    for module in imported(path):
        rooms = ROOMS.get(module.split(".")[0])
        assert rooms is None or {here.as_posix(), here.parent.as_posix()} & rooms, f"{here} imports {module}"


@pytest.mark.parametrize("path", SOURCES[1:], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_imports_what_comes_after_it(path):
    here = path.relative_to(ROOT).parts[1].removesuffix(".py")
    if here not in ORDER:
        return  # the package's front door
    for module in imported(path):
        parts = module.split(".")
        if parts[0] == "gradflow" and len(parts) > 1 and parts[1] in ORDER:
            assert ORDER.index(parts[1]) <= ORDER.index(here), f"{here} imports {module}"


def test_the_front_door_pulls_nothing_heavy_in():
    assert not {module.split(".")[0] for module in imported(ROOT / "gradflow/__init__.py")} & {"jax", "altair", "numpy"}


def test_what_is_imported_late_is_a_package_first():
    """Two visitors may import at once: from inside a package and from outside, they would wait for one another."""
    for path in SOURCES:
        room = path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.col_offset:
                package = next((p for p in ("gradflow.charts", "gradflow.flow") if node.module.startswith(f"{p}.")), "")
                assert not package or package == room, f"{path}: {node.module}"


def test_a_page_loads_nothing_that_only_builds():
    """Altair has built its specifications before, and no table is pandas'."""
    code = (
        "import sys; from streamlit.testing.v1 import AppTest\n"
        f"app = AppTest.from_file({str(ROOT / 'app.py')!r}, default_timeout=120)\n"
        "app.query_params['closer'] = 'true'\n"
        "assert app.run().get('vega_lite_chart') and not app.exception\n"
        "sys.exit(' '.join({'altair', 'pandas'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
