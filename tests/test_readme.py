"""The README keeps its promises."""

import os
import re

import numpy as np
import pytest

from support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_example_runs_and_prints_numbers(capsys):
    example, _ = blocks("python")
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
    exec(compile("\n".join(blocks("python")), "README.md", "exec"), names)
    assert len(names["layer"]._flat_weights) == 4


def test_running_and_testing_are_one_command_each():
    for heading in ("Run it", "Test it"):
        section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
        (command,) = blocks("sh", section)
        assert len(command.strip().splitlines()) == 1


def test_every_path_in_it_exists():
    for path in re.findall(r"\]\((?!http)(.+?)\)", README) + re.findall(r"(tests/\S+?\.(?:py|txt))", README):
        assert (ROOT / path).exists(), path
