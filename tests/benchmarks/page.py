"""What a move of a control costs from key to picture, in a headless Chromium, beside a floor in the same run.

    python tests/benchmarks/page.py            # the table, as Markdown
    python tests/benchmarks/page.py --fast     # 20 steps instead of 80
    python tests/benchmarks/page.py --app ../other/app.py    # another checkout, to be run in turn with this one

The floor is the least that Streamlit can do: one slider, one text. A step counts from the key's time stamp to the
last frame that is painted before the next key. A redraw is a frame whose picture differs from the one before.
"""

import argparse
import itertools
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.chromium import INK, WITH_WINDOWS, launch
from support.paths import ROOT
from support.server import serve

FLOOR = """
import gc

import streamlit as st


@st.cache_resource
def settle_memory():
    gc.collect()
    gc.freeze()


@st.fragment
def floor():
    st.text(st.slider("Floor", 0, 1000, 500))

floor()
settle_memory()
"""
PICTURE = ".st-key-picture h2, [data-testid=stText], canvas"
STEP = 250  # ms from key to key: shorter than the rest after which a held key counts as let go
REST = 800  # ms until nothing moves any more
SETTLES = 12
HORIZON = 128
LARGE, ITS_NAME = "?hidden=64&horizon=256", "Forget gate, n = 64, T = 256"

# window.stamps: time stamps of keys and releases; frames [time, changed], one for each painted frame before which
# the words or the canvas were touched; changed: whether another text now stands on the canvas. A message that is posted
# in an animation frame comes once that frame is painted, so that draws in frames one after another all count.
STAMPS = """
(() => {
  const stamps = (window.stamps = { keys: [], releases: [], frames: [] });
  const port = new MessageChannel();
  const pen = CanvasRenderingContext2D.prototype;
  const { clearRect } = pen;
  let dirty = false, words = "", shown = "";
  port.port1.onmessage = () => {
    if (!dirty) return;
    const now = ink().map(({ text }) => text).join();
    stamps.frames.push([performance.now(), now !== shown]);
    [dirty, shown] = [false, now];
  };
  const look = () => {
    port.port2.postMessage(0);
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
  const touched = () => (dirty = true);
  pen.clearRect = function () {
    touched();
    return clearRect.apply(this, arguments);
  };
  new MutationObserver(() => {
    const now = [...document.querySelectorAll(".st-key-picture h2, [data-testid=stText]")];
    const text = now.map((element) => element.textContent).join();
    if (text !== words) touched();
    words = text;
  }).observe(document, { subtree: true, childList: true, characterData: true });
  addEventListener("keydown", (event) => stamps.keys.push(event.timeStamp), true);
  addEventListener("pointerup", (event) => stamps.releases.push(event.timeStamp), true);
})();
"""

# A range that takes 60 values a second, each another one, to and fro between 0.55 and 0.95 of its track; ms it took.
FEED = """
(range, seconds) => new Promise((done) => {
  const begin = performance.now(), [low, high, step] = [range.min, range.max, range.step].map(Number);
  let k = 0;
  const feed = () => {
    const way = 1 - 4 * Math.abs(((k++ / 160) % 1) - 0.5);
    range.value = low + step * Math.round(((high - low) * (0.75 + 0.2 * way)) / step);
    range.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
    const passed = performance.now() - begin;
    if (passed < 1000 * seconds) setTimeout(feed, begin + (1000 * k) / 60 - performance.now());
    else done(passed);
  };
  feed();
})
"""


class Meter:
    """A page that is opened and measured: its stamps, its traffic, the work of browser and server."""

    def __init__(self, browser, server, link, more=False):
        self.server = server
        self.received = self.answers = 0
        self.page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.add_init_script(INK + STAMPS)
        self.page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: self._count(len(frame))))
        self.page.goto(f"{server.url}/{link}")
        self.page.wait_for_selector(PICTURE, timeout=120_000)
        if more:
            self.page.get_by_text("More", exact=True).click()
        self.devtools = self.page.context.new_cdp_session(self.page)
        self.devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
        self.devtools.send("Network.enable")
        self.devtools.on("Network.responseReceived", self._answered)
        self.devtools.on("Network.loadingFinished", lambda loaded: self._count(loaded["encodedDataLength"]))
        self.page.wait_for_timeout(3000)

    def _count(self, size):
        self.received += size

    def _answered(self, event):
        self.answers += event["response"]["url"].endswith("gradflow/frame")

    def begin(self):
        """Start to count."""
        self.page.evaluate("for (const each of Object.values(stamps)) each.length = 0")
        self.start, self.answers = self.work(), 0

    def work(self):
        """So far: bytes received, ms of the server's processor, ms of the page's main thread."""
        fields = Path(f"/proc/{self.server.pid}/stat").read_text().rpartition(")")[2].split()
        server = 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        metrics = {
            metric["name"]: metric["value"] for metric in self.devtools.send("Performance.getMetrics")["metrics"]
        }
        return np.array([self.received, server, 1000 * metrics["TaskDuration"]])

    def stamps(self):
        return self.page.evaluate("stamps")

    def keys(self, label, steps):
        """Press arrow keys, there and back: ms to the last paint of each step, and the work of one step."""
        slider = self.page.get_by_role("slider", name=label).first
        for _ in range(4):
            slider.press("ArrowRight")
            self.page.wait_for_timeout(STEP)
        self.begin()
        for k in range(steps):
            self.page.keyboard.press("ArrowRight" if 2 * k < steps else "ArrowLeft")
            self.page.wait_for_timeout(STEP)
        work = (self.work() - self.start) / steps
        stamps = self.stamps()
        painted = np.array([time for time, _ in stamps["frames"]])
        keys = np.array([*stamps["keys"], np.inf])
        waits = []
        for key, following in itertools.pairwise(keys):
            mine = painted[(painted > key) & (painted < following)]
            waits.append(mine[-1] - key if mine.size else np.nan)
        return np.array(waits), work

    def drag(self, label, seconds):
        """Hold the thumb and let the range take 60 values a second: redraws, frames and work, all a second.

        The values are offered inside the page: a mouse that is moved from outside gives but 30 to 40 a second.
        """
        self.grip(label)
        self.page.mouse.down()
        self.page.wait_for_timeout(300)
        slider = self.page.get_by_role("slider", name=label).first
        self.begin()
        passed = slider.evaluate(FEED, seconds) / 1000
        changed = sum(changed for _, changed in self.stamps()["frames"])
        work, answers = (self.work() - self.start) / passed, self.answers
        self.page.mouse.up()
        self.page.wait_for_timeout(REST)
        return changed / passed, answers / passed, work

    def held_key(self, label, presses):
        """Hold an arrow key, 30 presses a second: how many of its values were painted."""
        slider = self.page.get_by_role("slider", name=label).first
        slider.press("Home")
        self.page.wait_for_timeout(REST)
        self.begin()
        begin = self.page.evaluate("performance.now()")
        for k in range(presses):
            self.page.keyboard.down("ArrowRight")
            left = begin + 1000 * (k + 1) / 30 - self.page.evaluate("performance.now()")
            self.page.wait_for_timeout(max(0, left))
        self.page.keyboard.up("ArrowRight")
        self.page.wait_for_timeout(REST)
        return sum(changed for _, changed in self.stamps()["frames"])

    def settle(self, label):
        """Drag somewhere and let go: ms from the release to the last frame that still changed, each time."""
        aim, waits = self.grip(label), []
        for goal in np.random.default_rng(0).uniform(0.1, 0.95, SETTLES):
            self.page.mouse.down()
            self.page.mouse.move(*aim(goal), steps=15)
            self.begin()
            self.page.mouse.up()
            self.page.wait_for_timeout(REST)
            stamps = self.stamps()
            (release,) = stamps["releases"]
            waits.append(max([time - release for time, changed in stamps["frames"] if changed], default=0.0))
        return np.array(waits)

    def grip(self, label):
        """Put the mouse on the thumb; returns share of the track -> point."""
        slider = self.page.get_by_role("slider", name=label).first
        box = slider.bounding_box()
        low, high, value = (float(slider.evaluate(f"range => range.{name}")) for name in ("min", "max", "value"))
        aim = lambda share: (box["x"] + 9 + share * (box["width"] - 18), box["y"] + box["height"] / 2)
        self.page.mouse.move(*aim((value - low) / (high - low)))
        return aim


def spread(waits):
    return f"{np.nanmedian(waits):.0f} / {np.nanpercentile(waits, 95):.0f}"


def waited(name, waits):
    """What `spread` says of the waits after a key, with the steps that were never seen."""
    missed = np.isnan(waits).sum()
    note = f" ({missed} of {len(waits)} steps unseen)" if missed else ""
    return f"{name}: key → last chart painted, median / p95, ms{note}"


def keyboard_rows(name, goal, floor, mine):
    (waits, work), (floor_waits, floor_work) = mine, floor
    yield waited(name, waits), spread(floor_waits), spread(waits), goal
    for k, (what, unit, limit) in enumerate(
        (
            ("received a step", "kB", "≤ 55"),
            ("server CPU a step", "ms", "≤ 15"),
            ("browser main thread a step", "ms", ""),
        )
    ):
        scale = 1000 if unit == "kB" else 1
        yield f"{name}: {what}, {unit}", f"{floor_work[k] / scale:.1f}", f"{work[k] / scale:.1f}", limit


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--app", default=ROOT / "app.py", type=Path, help="what is measured")
    options = parser.parse_args()
    steps, seconds = (20, 3) if options.fast else (80, 6)
    print("| what | floor | app | goal |\n| --- | ---: | ---: | ---: |", flush=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        script = Path(folder) / "floor.py"
        script.write_text(FLOOR)
        browser = launch(playwright, WITH_WINDOWS)
        with serve(script) as server:
            floor = Meter(browser, server, "").keys("Floor", steps)
        app = options.app.resolve()
        with serve(app, folder=app.parent) as server:
            for name, link, more, goal in (
                ("Forget gate", f"?horizon={HORIZON}", False, "≤ 60 / 65"),
                ("Horizon", f"?horizon={HORIZON}", False, "≤ 60 / 65"),
                ("Time t", f"?horizon={HORIZON}&time=10", True, "≤ 60 / 65"),
                (ITS_NAME, LARGE, False, "≤ 70 / 100"),
            ):
                meter = Meter(browser, server, link, more)
                label = name.partition(",")[0]
                for row in keyboard_rows(name, goal, floor, meter.keys(label, steps)):
                    print("|", " | ".join(row), "|", flush=True)
                meter.page.close()
            meter = Meter(browser, server, f"?horizon={HORIZON}")
            redraws, answers, work = meter.drag("Forget gate", seconds)
            print(f"| Forget gate, dragged: redraws a second | on release | {redraws:.1f} | ≥ 36 |")
            print(f"| Forget gate, dragged: received a redraw, kB | | {work[0] / redraws / 1000:.1f} | ≤ 55 |")
            print(f"| Forget gate, dragged: frames by POST a second | | {answers:.1f} | |")
            if answers:
                print(f"| Forget gate, dragged: server CPU a frame, ms | | {work[1] / answers:.1f} | ≤ 13 |")
            print(f"| Forget gate, dragged: server CPU a redraw, ms | | {work[1] / redraws:.1f} | |")
            print(f"| Forget gate, dragged: browser main thread a redraw, ms | | {work[2] / redraws:.1f} | |")
            presses = 50 if steps < 80 else 150
            shown = meter.held_key("Forget gate", presses)
            print(f"| Forget gate, key held: values shown of {presses} | | {shown} | ≥ {140 * presses // 150} |")
            waits = meter.settle("Forget gate")
            print(
                "| Forget gate: release → settled, median / worst, ms |"
                f" | {np.median(waits):.0f} / {waits.max():.0f} | ≤ 100 |"
            )
        browser.close()


if __name__ == "__main__":
    main()
