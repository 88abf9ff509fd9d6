"""Python in a fresh interpreter, which can import what the tests can."""

import json
import os
import subprocess
import sys

from support.paths import ROOT


def start_python(*arguments, **environment):
    """A running `python ARGUMENTS` in the project's folder, with these variables beside those of this process."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path, "PYTHONUTF8": "1"} | environment,
        encoding="utf-8",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def output_of(process, given=None):
    """(stdout, stderr) of a process that ends well, after it was given a text."""
    out, error = process.communicate(given, timeout=300)
    assert process.returncode == 0, error
    return out, error


def json_of(process):
    """The JSON of the last line that a process prints."""
    return json.loads(output_of(process)[0].splitlines()[-1])


def run_python(code, **environment):
    """The same of a fresh interpreter that runs the code."""
    return json_of(start_python("-c", code, **environment))


def loaded(names, code):
    """Which of these modules a fresh interpreter has loaded after the code."""
    return set(run_python(f"{code}\nimport json, sys\nprint(json.dumps(sorted({set(names)!r} & set(sys.modules))))"))
