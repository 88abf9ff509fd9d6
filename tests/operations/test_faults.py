"""What may break on stage: the server, the line, the device, the disk, a visitor who leaves. The rest goes on."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections import Counter

import jax
import pytest
from playwright.sync_api import expect
from streamlit.proto.BackMsg_pb2 import BackMsg

from gradflow.app.measurement import measure
from gradflow.app.scenario import Scenario
from gradflow.app.url_codec import to_params
from support.chromium import INK, wait_until_at_rest, wait_until_drawn
from support.page_driver import finger_on, link, measurement, slider, verdict
from support.paths import APP
from support.server import PATIENCE, free_port, serve
from support.subprocesses import run_python
from support.ws_client import Visitor, foreign, wait_for

pytestmark = pytest.mark.slow

DROPS = 15
RUNS = """() => {  // window.ran: whether a script has begun to run since
  const app = document.querySelector("[data-test-script-state]");
  const look = () => (window.ran ||= app.dataset.testScriptState === "running");
  new MutationObserver(look).observe(app, { attributes: true });
}"""


@pytest.fixture
def open_page(chromium):
    """open_page(url): a page in a browser of its own."""
    contexts = []

    def open_page(url):
        contexts.append(chromium.new_context(viewport={"width": 1280, "height": 900}))
        contexts[-1].set_default_timeout(1000 * PATIENCE)
        contexts[-1].add_init_script(INK)
        page = contexts[-1].new_page()
        page.goto(url)
        wait_until_drawn(page)
        return page

    yield open_page
    for context in contexts:
        context.close()


# the server and the line


def test_a_killed_server_comes_back_with_the_same_screen(open_page):
    port = free_port()
    with serve(APP, port) as server:
        page = open_page(f"{server.url}/?closer=true")
        with finger_on(page, "gain") as drag:
            drag(0.5)
        page.wait_for_function("location.search.includes('gain=')")
        slider(page, "forget").press("Home")
        page.wait_for_function("location.search.includes('forget=0&')")
        page.get_by_role("combobox", name="Preset").click()  # which takes both back
        page.get_by_role("option", name="GRU", exact=True).click()
        page.wait_for_function("location.search.includes('cell=gru')")
        wait_until_drawn(page)
        before, said = link(page), verdict(page).text_content()
        page.evaluate("window.same = true")
        os.kill(server.pid, signal.SIGKILL)
    page.wait_for_selector('[data-test-connection-state]:not([data-test-connection-state="CONNECTED"])')
    page.evaluate(RUNS)
    with serve(APP, port) as server:
        page.wait_for_function("window.ran")
        wait_until_drawn(page)
        assert link(page) == before
        assert page.evaluate("window.same"), "the page was loaded anew"
        assert verdict(page).text_content() == said == measurement(before).said()
        page.get_by_role("radiogroup", name="Gates").get_by_role("radio", checked=False).first.click()
        page.wait_for_function("location.search.includes('gates=pinned')")
        wait_until_at_rest(page)
        assert link(page) == before | {"gates": "pinned", "preset": "Custom"}, "an old report was taken for a new one"
        assert "Traceback" not in server.log()


class Line:
    """A TCP line to a server that can be cut."""

    def __init__(self, port):
        self.goal, self.ends = ("127.0.0.1", port), []
        self.door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.door.getsockname()[1]}"
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self):
        with contextlib.suppress(OSError):  # the door is shut
            while True:
                here, _ = self.door.accept()
                there = socket.create_connection(self.goal)
                self.ends += [here, there]
                for ends in ((here, there), (there, here)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    @staticmethod
    def _pass_on(source, sink):
        with contextlib.suppress(OSError):  # cut
            while data := source.recv(65536):
                sink.sendall(data)
        sink.close()

    def cut(self):
        """Cut every connection; new ones are answered."""
        ends, self.ends = self.ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def test_a_line_that_drops_again_and_again_loses_nothing(server, open_page):
    line, sockets = Line(int(server.url.rpartition(":")[2])), []
    page = open_page(f"{line.url}/?closer=true&horizon=20")
    page.get_by_text("More", exact=True).click()
    expect(page.get_by_role("spinbutton", name="Seed")).to_be_visible()  # Streamlit never asks again for code it lost
    page.on("websocket", lambda socket: sockets.append(socket))
    horizon_is = lambda value: page.wait_for_function(f"location.search.includes('horizon={value}&')")
    for k in range(1, DROPS + 1):
        line.cut()
        while len(sockets) < k:
            page.wait_for_event("websocket")
        wait_until_at_rest(page)
        slider(page, "horizon").press("ArrowRight")
        horizon_is(20 + k)
    expect(verdict(page)).to_have_text(measurement(link(page)).said())
    expect(page.get_by_role("combobox", name="Initialisation")).to_be_visible()  # "More" is still open
    for k in reversed(range(DROPS)):  # the server still knows what was done before: it is the same session
        page.get_by_role("button", name="Undo").click()
        horizon_is(20 + k)
        wait_until_at_rest(page)
    line.door.close()


# visitors


async def visits(url, *scenarios):
    """Visitors who open their links at the same moment, and what each got."""
    visitors = [Visitor(scenario) for scenario in scenarios]
    for visitor in visitors:
        await visitor.connect(url)
    runs = await asyncio.gather(*(visitor.open() for visitor in visitors))
    for visitor in visitors:
        await visitor.leave()
    return runs


@pytest.fixture
def fresh():
    """A server that has compiled nothing yet."""
    with serve(APP) as server:
        yield server


def test_a_visitor_who_leaves_in_mid_computation_disturbs_no_one(fresh):
    scenario = Scenario(cell="lstm", hidden=2, cell_path_only=True, horizon=64)

    async def leave():
        visitor = Visitor(scenario)
        await visitor.connect(fresh.url)
        message = BackMsg()
        message.rerun_script.query_string = "&".join(f"{k}={v}" for k, v in to_params(scenario).items() if k != "text")
        await visitor.socket.send(message.SerializeToString())
        while b"Getting ready" not in await visitor.socket.recv():
            pass
        visitor.socket.transport.abort()

    wait_for(leave())
    (run,) = wait_for(visits(fresh.url, scenario))
    assert not run.errors() and not foreign(run, scenario)
    assert "Traceback" not in fresh.log()


def test_two_visitors_at_the_same_first_compilation_are_both_served(fresh):
    scenarios = Scenario(hidden=8, seed=1), Scenario(hidden=8, seed=2, horizon=50)
    for run, scenario in zip(wait_for(visits(fresh.url, *scenarios)), scenarios, strict=True):
        assert any(b"Getting ready" in data for data in run.raw), "it was compiled before"
        assert not run.errors() and not foreign(run, scenario)


def test_two_threads_at_the_same_first_compilation_compile_once():
    compiled, start = [], threading.Barrier(2)

    def listen(event, duration, *, fun_name="", **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(fun_name)

    def measured(seed):
        start.wait()
        measure(Scenario(cell="gru", hidden=2, seed=seed))

    jax.clear_caches()
    jax.monitoring.register_event_duration_secs_listener(listen)
    threads = [threading.Thread(target=measured, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    jax.monitoring.unregister_event_duration_listener(listen)
    assert compiled and set(Counter(compiled).values()) == {1}


# device and disk


@pytest.mark.parametrize("platform", ["tpu", "cuda", "nonsense"])
def test_a_device_that_is_not_there_is_a_notice(platform):
    scenario = Scenario(cell="rnn-tanh", horizon=40)
    with serve(APP, JAX_PLATFORMS=platform) as server:
        (run,) = wait_for(visits(server.url, scenario))
        assert not run.errors() and not foreign(run, scenario)
        captions = [markdown.body for _, markdown in run.elements("markdown")]
        assert f"There is no {platform} device here: gradflow computes on the CPU." in captions
        assert "Traceback" not in server.log(), server.log()


def test_without_a_place_to_keep_compiled_code_the_app_runs(tmp_path):
    (tmp_path / ".cache").write_text("no folder")  # where even root cannot write
    scenario = Scenario(cell="rnn-tanh", horizon=40)
    with serve(APP, HOME=str(tmp_path), XDG_CACHE_HOME="") as server:
        (run,) = wait_for(visits(server.url, scenario))
        assert not run.errors() and not foreign(run, scenario)
        assert server.log().count("Compiled code is not kept") == 1
        assert "Traceback" not in server.log()


def keeping(folder, limit_before="unlimited", limit_after="unlimited"):
    """What a fresh process says that keeps compiled code there and may write files of so many bytes only."""
    code = f"""
import json, resource, sys
from gradflow.engine.compile_cache import keep_compiled
from gradflow.app.measurement import measure
from gradflow.app.scenario import Scenario
def limit(size):
    if size != "unlimited":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), resource.RLIM_INFINITY))
limit({limit_before!r})
kept = keep_compiled()
limit({limit_after!r})
print(json.dumps([str(kept), measure(Scenario(cell="rnn-tanh")).said()]))
"""
    kept, said = run_python(code, XDG_CACHE_HOME=str(folder))
    assert said == measure(Scenario(cell="rnn-tanh")).said()
    return kept


def test_a_full_disk_keeps_nothing_and_all_works(tmp_path):
    assert keeping(tmp_path, limit_before=4096) == "None"
    assert not list((tmp_path / "gradflow").iterdir())


def test_a_disk_that_fills_up_meanwhile_spoils_nothing(tmp_path):
    folder = str(tmp_path / "gradflow")
    assert keeping(tmp_path, limit_after=2000) == folder
    assert keeping(tmp_path) == folder  # in spite of what was half written


def test_compiled_code_is_kept(tmp_path):
    assert keeping(tmp_path) == str(tmp_path / "gradflow")
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "gradflow").iterdir()}
    assert kept
    keeping(tmp_path)
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "gradflow").iterdir()} == kept
