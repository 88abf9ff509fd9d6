"""A real browser on a real server: what the browser tests and the page benchmark share."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CHART = "[data-testid=stVegaLiteChart]"
CANVAS = f"{CHART} canvas"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 40  # seconds: a first compile on a busy machine

# window.ink(): every text that stands on a canvas, [{ text, x, y, color }], in device pixels;
# ink.since(): milliseconds since a canvas was last cleared. Vega clears what it redraws: all, or inside a clip.
INK = """
(() => {
  const pen = CanvasRenderingContext2D.prototype;
  const { save, rect, clip, clearRect, fillText } = pen;
  const sheets = new Map();  // canvas -> place -> text
  const sheet = (canvas) => sheets.get(canvas) ?? sheets.set(canvas, new Map()).get(canvas);
  const device = (context, x, y) => context.getTransform().transformPoint({ x, y });
  const corners = (context, x, y, width, height) => [device(context, x, y), device(context, x + width, y + height)];
  let outlined, clipped, cleared = 0;
  pen.save = function () {
    clipped = null;
    return save.apply(this, arguments);
  };
  pen.rect = function () {
    outlined = corners(this, ...arguments);
    return rect.apply(this, arguments);
  };
  pen.clip = function () {
    clipped = outlined;
    return clip.apply(this, arguments);
  };
  pen.clearRect = function () {
    cleared = performance.now();
    const [from, to] = clipped ?? corners(this, ...arguments), here = sheet(this.canvas);
    for (const [place, text] of here)
      if (text.x >= from.x && text.x <= to.x && text.y >= from.y && text.y <= to.y) here.delete(place);
    return clearRect.apply(this, arguments);
  };
  pen.fillText = function (text, x, y) {
    const at = device(this, x, y);
    sheet(this.canvas).set(`${at.x} ${at.y}`, { text, x: at.x, y: at.y, color: this.fillStyle });
    return fillText.apply(this, arguments);
  };
  window.ink = () => [...sheets].flatMap(([canvas, here]) => (canvas.isConnected ? [...here.values()] : []));
  ink.since = () => performance.now() - cleared;
})();
"""


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
def serve(script, port=None, prefix=(), **environment):
    """Run a Streamlit script on a free port, as `streamlit run` does, until the end of the block.

    Args:
        script: its path.
        port: that one instead.
        prefix: a command that runs it, and its arguments.
        environment: variables that the server has beside those of this process.

    Raises:
        RuntimeError: it does not answer in time; with its log.
    """
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    options = {"headless": "true", "address": "127.0.0.1", "port": str(port), "fileWatcherType": "none"}
    command = [*prefix, sys.executable, "-m", "streamlit", "run", str(script)]
    for name, value in options.items():
        command += [f"--server.{name}", value]
    with tempfile.TemporaryDirectory() as folder:
        log_file = Path(folder) / "log"
        run = {"cwd": ROOT, "env": os.environ | environment}
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


def executable(playwright):
    """The path of a Chromium, the system's own or Playwright's; None where there is none."""
    own = Path(playwright.chromium.executable_path)
    return shutil.which("chromium") or shutil.which("chromium-browser") or (str(own) if own.exists() else None)


def launch(playwright):
    """A headless Chromium; see `executable`."""
    return playwright.chromium.launch(executable_path=executable(playwright), args=FLAGS)


def drawn(page):
    """Wait until the picture stands and the server is at rest."""
    page.wait_for_function("ink().length > 9 && ink.since() > 200")
    at_rest(page)


def at_rest(page):
    page.wait_for_selector('[data-test-script-state="notRunning"]')
