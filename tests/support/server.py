"""`streamlit run` on a free port, for the length of a block."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

from support.paths import ROOT

PATIENCE = 40  # seconds: a first compile on a busy machine


class Server(NamedTuple):
    """A running Streamlit app."""

    url: str
    pid: int
    log_file: Path

    def log(self):
        """Everything it has printed."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def serve(script, port=None, prefix=(), folder=ROOT, base="", arguments=(), **environment):
    """Run a Streamlit script on a free port, as `streamlit run` does, until the end of the block.

    Args:
        script: its path.
        port: that one instead.
        folder: where it runs, from which it has its configuration.
        prefix: a command that runs it, and its arguments.
        base: the path under which it serves.
        arguments: of the script, after `--`.
        environment: variables that the server has beside those of this process.

    Raises:
        RuntimeError: it does not answer in time; with its log.
    """
    port = port or free_port()
    address = f"http://127.0.0.1:{port}/{base}".rstrip("/")
    options = {"baseUrlPath": base} if base else {}
    options |= {"headless": "true", "address": "127.0.0.1", "port": str(port), "fileWatcherType": "none"}
    command = [*prefix, sys.executable, "-m", "streamlit", "run", str(script)]
    for name, value in options.items():
        command += [f"--server.{name}", value]
    command += ["--", *map(str, arguments)] if arguments else []
    with tempfile.TemporaryDirectory() as folder:
        log_file = Path(folder) / "log"
        run = {"cwd": folder, "env": os.environ | environment}
        with log_file.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out, **run) as process:
            server = Server(address, process.pid, log_file)
            try:
                _wait_until_healthy(server, process)
                yield server
            finally:
                process.kill()


def _wait_until_healthy(server, process):
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{server.url}/_stcore/health", timeout=1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"the server does not answer:\n{server.log()}")
