"""Strict everywhere: no dtype and no rank is promoted in silence. (A warning is an error: pyproject.toml.)"""

import os
import re
from pathlib import Path
from urllib.parse import urlencode

import jax
import pytest
from playwright.sync_api import expect, sync_playwright

from gradflow.app import measurement
from gradflow.engine.compile_cache import forget_compiled, keep_compiled
from support.chromium import INK, executable, journal, launch, wait_until_drawn
from support.paths import ROOT
from support.server import PATIENCE, serve

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
keep_compiled()  # what one process of tests has traced and compiled the others and the servers need not
measurement.MAX_COMPILED_KINDS = 100  # a server keeps 12 compiled; a process of tests asks for more, file after file
expect.set_options(timeout=1000 * PATIENCE)


MAX_MAPS = 10_000  # memory maps of a process of tests, before what is compiled is forgotten
ONE_RUN_FOR_BOTH = (  # a range and a widget reported in one tick; the run for both is of the whole page, ''
    "Unexpected state: Multiple different fragmentIds detected in a single batch of widget updates. "
    "Proceeding with flushing updates using fragmentId '%s' for this batch. "
)
FIRST = ("browser", "operations", "app", "engine")  # folders, the longest tests first


def pytest_collection_modifyitems(items):
    """Mark what needs a browser or a server, and begin with what takes longest.

    With --dist loadfile each file goes to one process, where what is compiled or trained for it is so once. Each
    process has a server and a browser of its own, from the first test on that asks for one.
    """
    for item in items:
        if "chromium" in item.fixturenames:
            item.add_marker(pytest.mark.browser)
        elif {"server", "fresh"} & {*item.fixturenames}:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: FIRST.index(folder) if (folder := item.path.parent.name) in FIRST else len(FIRST))


@pytest.fixture(autouse=True, scope="module")
def few_memory_maps():
    """Forget what is compiled once a file has run, where it holds too much.

    Each compiled program keeps some tens of memory maps, and Linux ends a process at 65,530 of them (vm.max_map_count).
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and len(maps.read_text().splitlines()) > MAX_MAPS:
        forget_compiled()


@pytest.fixture
def float64():
    """JAX in double precision, for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def compilations():
    """A list that grows by the name of every function JAX traces or compiles."""
    seen = []

    def listen(event, duration, *, fun_name="", **_):
        if event in ("/jax/core/compile/jaxpr_trace_duration", "/jax/core/compile/backend_compile_duration"):
            seen.append(fun_name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.fixture(scope="session")
def server():
    with serve(ROOT / "app.py") as server:
        yield server


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as playwright:
        if executable(playwright) is None:
            assert "CI" not in os.environ, "there is no Chromium here, and these tests must run"
            pytest.skip("there is no Chromium: playwright install chromium")
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def visit(server, chromium):
    """visit(params, **context): a page opened by a link; at the end neither browser nor server has complained."""
    contexts, journals, complaints, said = [], [], [], len(server.log())

    def complain(message):
        refused = "GRADFLOW_WITHOUT_FRAMES" in os.environ and message.location["url"].endswith("/gradflow/frame")
        if message.type in ("error", "warning") and not refused and message.text != ONE_RUN_FOR_BOTH:
            complaints.append(message.text)

    def visit(params=None, **options):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        context.set_default_timeout(1000 * PATIENCE)
        context.add_init_script(INK)
        page = context.new_page()
        if "GRADFLOW_WITHOUT_FRAMES" in os.environ:  # as on a host that has no such route
            page.route("**/gradflow/frame", lambda route: route.fulfill(status=404))
        journals.append(journal(page))
        page.on("console", complain)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{server.url}/?{urlencode(params or {})}")
        wait_until_drawn(page)
        return page

    yield visit
    for context in contexts:
        assert not context.pages[0].get_by_test_id("stException").count()
        assert not context.pages[0].get_by_test_id("stAlertContentError").count()
        context.close()
    print(server.log())  # pytest shows this and what follows when a test fails
    for lines in journals:
        print(*lines[-40:], sep="\n")
    assert not complaints
    assert not re.search("traceback|error|warning", server.log()[said:], re.IGNORECASE)
