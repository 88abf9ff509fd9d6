"""The README keeps its promises, and so do the pages it leads to."""

import os
import re

import numpy as np
import pytest

from support.documents import blocks
from support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    "README.md",
    ".github/CONTRIBUTING.md",
    ".streamlit/README.md",
    "gradflow/FRAMEWORKS.md",
    "gradflow/app/lessons/QUESTIONS.md",
    "gradflow/app/lessons/TEACHING.md",
    "gradflow/engine/README.md",
    "tests/benchmarks/README.md",
    "tests/operations/README.md",
]


def test_the_example_runs_and_prints_numbers(capsys):
    example, *_ = blocks("python", README)
    exec(compile(example, "README.md", "exec"), {})
    *printed, verdict = capsys.readouterr().out.strip().splitlines()
    numbers = np.array(re.findall(r"-?\d+\.\d+", " ".join(printed)), float)
    assert len(numbers) == 6
    assert np.isfinite(numbers).all()
    assert verdict.startswith("Each step back multiplies the error δ by 0.9")


def test_the_example_with_pytorch_goes_on_from_there():
    if os.environ.get("CI") != "true":
        pytest.importorskip("torch")
    names = {}
    exec(compile("\n".join(blocks("python", README)), "README.md", "exec"), names)
    assert len(names["layer"]._flat_weights) == 4


def test_running_and_testing_are_one_command_each():
    for heading in ("Run it", "Test it"):
        section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
        (command,) = blocks("sh", section)
        assert len(command.strip().splitlines()) == 1


def test_it_fits_two_screens_and_leads_to_every_other_page():
    assert len(README.splitlines()) <= 110
    assert set(re.findall(r"\]\((\S+\.md)\)", README)) == {*PAGES} - {"README.md"}


@pytest.mark.parametrize("page", PAGES)
def test_what_it_points_to_is_there(page):
    """Links and images count from the page's folder, and files that are named from the root."""
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!http)(.+?)\)", text) + re.findall(r'src(?:set)?="(.+?)"', text)
    named = re.findall(r"((?:tests|gradflow)/[\w./-]*\w)", text)
    paths = [(ROOT / page).parent / link for link in links] + [ROOT / name for name in named]
    assert [path for path in paths if not path.exists()] == []


def test_each_figure_has_the_command_behind_it():
    performance, reliability = (
        (ROOT / "tests" / topic / "README.md").read_text(encoding="utf-8") for topic in ("benchmarks", "operations")
    )
    for script in (ROOT / "tests/benchmarks").glob("*.py"):
        assert f"tests/benchmarks/{script.name}" in performance + reliability
    _, _, *rows = [line for line in reliability.splitlines() if line.startswith("| ")]
    assert len(rows) > 10
    for row in rows:
        assert re.search(r"`(?:GRADFLOW_WHOLE=1 )?(?:pytest )?tests/\w\S*\.py[^`]*`[^|`]* \|$", row), row
