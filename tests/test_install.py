"""It installs as a package, whole, and runs from anywhere."""

import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from packaging.requirements import Requirement

from support.paths import ROOT

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The built wheel; nothing is downloaded, since the builder is one of the tests' own requirements."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel):
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "gradflow").rglob("*") if path.is_file()}
    sources = {path for path in sources if "__pycache__" not in path}
    assert {Path(path).suffix for path in sources} >= {".py", ".css", ".js", ".json", ".csv", ".typed"}
    assert {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name} == sources


@pytest.mark.slow
def test_the_example_runs_where_it_is_installed(wheel, tmp_path):
    """A fresh environment, which finds NumPy and JAX in this one, and a folder without the sources."""
    venv.create(tmp_path / "env", with_pip=False)
    places = sysconfig.get_paths(sysconfig.get_preferred_scheme("prefix"), {"base": tmp_path / "env"})
    packages, python = Path(places["purelib"]), Path(places["scripts"]) / Path(sys.executable).name
    (packages / "shared.pth").write_text(str(Path(np.__file__).parents[1]))
    subprocess.run([*PIP, "--python", python, "install", "--no-deps", "--no-index", wheel], check=True)
    (tmp_path / "elsewhere").mkdir()
    example, *_ = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    run = [python, "-c", f"{example}\nprint(gf.__file__)"]
    done = subprocess.run(run, cwd=tmp_path / "elsewhere", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *_, verdict, place = done.stdout.splitlines()
    assert verdict.startswith("Each step back multiplies the error")
    assert Path(place).is_relative_to(packages)


def test_what_hosts_install_is_within_the_ranges():
    extras = PROJECT["optional-dependencies"]
    ranges = {each.name: each.specifier for each in map(Requirement, (*PROJECT["dependencies"], *extras["app"]))}
    ranges |= {each.name: each.specifier for each in map(Requirement, (*extras["dev"], *extras["torch"]))}
    for file in ("requirements.txt", "tests/requirements.txt"):
        for line in (ROOT / file).read_text("utf-8").splitlines():
            pinned = Requirement(line)
            (pin,) = pinned.specifier
            assert pin.operator == "==" and pin.version in ranges[pinned.name], line
