"""A real Chromium, what is drawn on its canvases, and waiting until it is."""

import shutil
import time
from pathlib import Path

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

CHART = ".chart"
CANVAS = f"{CHART} canvas"
WITH_WINDOWS = ("chromium", "chromium-browser")  # what people have: its windows' own buttons are pages too
BROWSERS = ("chromium-headless-shell", *WITH_WINDOWS)  # first what Playwright itself runs headless: a page costs half
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--font-render-hinting=none",  # letters as wide as with windows
)

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


def executable(playwright, browsers=BROWSERS):
    """The path of a Chromium, the system's own or Playwright's; None where there is none."""
    own = Path(playwright.chromium.executable_path)
    return next(filter(None, map(shutil.which, browsers)), str(own) if own.exists() else None)


def launch(playwright, browsers=BROWSERS):
    """A headless Chromium; see `executable`."""
    return playwright.chromium.launch(executable_path=executable(playwright, browsers), args=FLAGS)


def wait_until_drawn(page):
    """Wait until the picture stands and the server is at rest."""
    page.wait_for_function("ink().length > 9 && ink.since() > 200")
    wait_until_at_rest(page)


def wait_until_at_rest(page):
    """Wait until no script runs."""
    page.wait_for_selector('[data-test-script-state="notRunning"]')


def journal(page):
    """A list, as it happens: what the page asks Streamlit for, when its runs begin and end, what the console says."""
    lines, begin = [], time.monotonic()

    def note(text):
        lines.append(f"{time.monotonic() - begin:.2f} {text}")

    def asked(payload):
        message = BackMsg.FromString(payload)
        if message.WhichOneof("type") == "rerun_script":
            run = message.rerun_script
            values = (" ".join(str(each).split())[42:160] for each in run.widget_states.widgets)  # from its key on
            note(f"→ page {run.page_script_hash[:4]}, fragment {run.fragment_id[:4]}: {' | '.join(values)}")

    def told(payload):
        message = ForwardMsg.FromString(payload)
        match message.WhichOneof("type"):
            case "new_session":
                note(f"← begins: page {message.new_session.page_script_hash[:4]}")
            case "session_status_changed":
                note(f"← running: {message.session_status_changed.script_is_running}")
            case "script_finished":
                note(f"← ends: {message.script_finished}")

    def watch(socket):
        socket.on("framesent", asked)
        socket.on("framereceived", told)

    page.on("websocket", watch)
    page.on("console", lambda message: note(f"! {message.type}: {message.text}"))
    return lines
