"""The example notebook runs from top to bottom in a Jupyter kernel, and what its prose says comes out.

By nbclient, which is what Jupyter itself executes notebooks with: display hooks and renderers are those of a notebook,
and it is quiet where warnings are errors. `jupyter execute --inplace tests/examples/own_network.ipynb` writes it anew.
"""

import base64
import os
import re
from pathlib import Path

import pytest

from support.paths import ROOT

pytestmark = pytest.mark.slow
NOTEBOOK = Path(__file__).with_name("own_network.ipynb")


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook as it is kept, and as it comes out of a kernel in a folder of its own."""
    for package in ("nbclient", "ipykernel", "torch"):
        if os.environ.get("CI") != "true":
            pytest.importorskip(package)
    import nbformat
    from nbclient import NotebookClient

    kept, again = (nbformat.read(NOTEBOOK, as_version=4) for _ in range(2))
    nbformat.validate(kept)
    folder = tmp_path_factory.mktemp("notebook")
    client = NotebookClient(again, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute(env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert [path.name for path in folder.iterdir()] == ["seen.npz"]
    return kept, again


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def text(notebook):
    return "".join(output.get("text", output.get("data", {}).get("text/plain", "")) for output in outputs(notebook))


def number(pattern, words):
    return float(re.search(pattern, words).group(1))


def test_its_prose_comes_true(executed):
    for notebook in executed:
        words = text(notebook)
        before, opened = (float(each) for each in re.findall(r"lag 40: 10\^(-?[\d.]+)", words))
        assert before < -7 and opened > -1
        assert number(r"multiplies the error δ by ([\d.]+)", words) == pytest.approx(0.64, abs=0.02)
        mean = number(r"always the mean: ([\d.]+)", words)
        plain, opened = re.findall(r"'learned': ([\d.]+), 'later': ([\d.]+)", words)
        assert float(plain[0]) < 0.1 and float(plain[1]) > mean
        assert float(opened[0]) < 0.1 and float(opened[1]) < 0.15 * mean
        assert number(r"'far_share': ([\d.]+)", words) > 0.7


def test_it_shows_its_charts(executed):
    for notebook in executed:
        images = [output.data["image/png"] for output in outputs(notebook) if "image/png" in output.get("data", {})]
        assert len(images) == 4
        assert all(base64.b64decode(image).startswith(b"\x89PNG") for image in images)
        assert not [output for output in outputs(notebook) if output.output_type == "error"]


def test_what_is_kept_was_executed(executed):
    """Cell by cell the same kinds of outputs."""
    kinds = lambda notebook: [{output.output_type for output in cell.get("outputs", [])} for cell in notebook.cells]
    kept, again = executed
    assert kinds(kept) == kinds(again)
    assert [cell.source for cell in kept.cells] == [cell.source for cell in again.cells]
