"""Frames past the script's run, in a browser: they come while something moves, and where they do not, the run does."""

import http.server
import json
import threading

import pytest
from playwright.sync_api import expect

from gradflow.app.lessons import LESSONS
from support.chromium import CANVAS, INK, wait_until_at_rest, wait_until_drawn
from support.page_driver import button, finger_on, link, measurement, over_the_picture, picture, slider, texts, verdict
from support.paths import ROOT
from support.server import serve

WATCH = """() => {  // how often a script began to run
  window.runs = 0;
  const app = document.querySelector("[data-test-script-state]");
  new MutationObserver(() => app.dataset.testScriptState === "running" && runs++)
    .observe(app, { attributes: true, attributeFilter: ["data-test-script-state"] });
}"""


@pytest.fixture
def frames(monkeypatch):
    """Whatever the other tests do without, here the route answers."""
    monkeypatch.delenv("GRADFLOW_WITHOUT_FRAMES", raising=False)


@pytest.fixture
def page(frames, visit):
    """A page with `answers`: (status, what was asked for) of each frame."""
    page = visit({"closer": "true"})
    page.answers = []
    note = lambda answer: page.answers.append((answer.status, json.loads(answer.request.post_data)))
    page.on("response", lambda answer: answer.url.endswith("/gradflow/frame") and note(answer))
    page.evaluate(WATCH)
    return page


def test_a_drag_takes_its_pictures_past_the_run_and_ends_as_a_link_to_it_begins(page, visit):
    before, address = picture(page), page.url
    with finger_on(page, "forget") as drag:
        for share in (0.6, 0.75, 0.9):
            drag(share)
            page.wait_for_timeout(200)
        assert page.url == address and page.evaluate("runs") == 0, "a run, though nothing was let go"
        assert picture(page) != before
        last = page.answers[-1][1]["link"]["forget"]
        expected = measurement(link(page) | {"forget": f"{last:g}", "preset": "Custom"})
        expect(verdict(page)).to_have_text(expected.said(at_rest=False))
    assert len(page.answers) > 3 and {status for status, _ in page.answers} == {200}
    page.wait_for_function("location.search.includes('forget=')")
    wait_until_at_rest(page)
    assert page.evaluate("runs") < 4
    expect(verdict(page)).to_have_text(measurement(link(page)).said())
    page.mouse.move(0, 0)
    again = visit(link(page))
    assert sorted(texts(again)) == sorted(texts(page))


def test_what_is_moved_in_both_panels_is_in_one_frame(page):
    page.get_by_text("More", exact=True).click()
    slider(page, "input_gain").wait_for()
    wait_until_at_rest(page)
    for field in ("input_gain", "forget"):
        slider(page, field).press("ArrowRight")
        page.wait_for_timeout(60)
    page.wait_for_function("location.search.includes('input_gain=1.01') && location.search.includes('forget=0.735')")
    asked = [answer["link"] for _, answer in page.answers]
    assert any(float(each["input_gain"]) > 1 and float(each["forget"]) > 0.73 for each in asked), asked


def test_where_the_route_does_not_answer_the_run_brings_the_picture(monkeypatch, visit):
    monkeypatch.setenv("GRADFLOW_WITHOUT_FRAMES", "1")
    page = visit({"closer": "true"})
    page.evaluate(WATCH)
    before = picture(page)
    with finger_on(page, "forget") as drag:
        for share in (0.6, 0.7, 0.8, 0.85, 0.9):
            drag(share)
            page.wait_for_timeout(300)
        page.wait_for_function("before => document.querySelector('canvas').toDataURL() !== before", arg=before)
        runs = page.evaluate("runs")
        assert 1 <= runs <= 12, "at most four a second"
    page.wait_for_function("location.search.includes('forget=')")
    wait_until_at_rest(page)
    expect(verdict(page)).to_have_text(measurement(link(page)).said())


def test_a_lesson_tells_nothing_while_it_is_moved_before_it_is_revealed(frames, visit):
    visited = visit()
    visited.get_by_role("link", name="Lessons", exact=True).click()
    button(visited, "4").click()
    expect(visited.get_by_role("heading", name=f"4. {LESSONS[3].title}")).to_be_visible()
    wait_until_drawn(visited)
    seen, control = [], LESSONS[3].controls[0]
    visited.on("response", lambda answer: answer.url.endswith("/gradflow/frame") and seen.append(answer.json()))
    before = picture(visited)
    slider(visited, control).press("ArrowLeft")
    visited.wait_for_function("before => document.querySelector('canvas').toDataURL() !== before", arg=before)
    visited.wait_for_timeout(500)  # what has come is read by now
    assert seen and all(each["sentence"] == ["", ""] and each["said"] == "" for each in seen)
    expect(over_the_picture(visited)).to_have_text("")


@pytest.fixture
def below():
    """A server under a base path, and a page of another origin that has it in a frame."""
    with serve(ROOT / "app.py", base="foo/bar") as server:
        body = f'<iframe src="{server.url}/?embed=true&closer=true" width="1200" height="900"></iframe>'.encode()

        class Host(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        host = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host)
        threading.Thread(target=host.serve_forever, daemon=True).start()
        yield f"http://localhost:{host.server_port}/"
        host.shutdown()
        host.server_close()


def test_under_a_base_path_in_a_frame_of_another_origin(below, chromium):
    context = chromium.new_context(viewport={"width": 1280, "height": 950})
    context.add_init_script(INK)
    page, answers = context.new_page(), []
    page.on("response", lambda answer: "gradflow/frame" in answer.url and answers.append((answer.status, answer.url)))
    page.goto(below)
    inside = page.frame_locator("iframe")
    inside.locator(CANVAS).wait_for(timeout=90_000)
    forget = inside.get_by_role("slider", name="Forget gate", exact=True)
    if not forget.count():
        inside.get_by_test_id("stExpandSidebarButton").click()
    forget.wait_for()
    page.wait_for_timeout(1000)
    for _ in range(4):
        forget.press("ArrowRight")
        page.wait_for_timeout(100)
    assert len(answers) >= 3 and {status for status, _ in answers} == {200}
    assert all("/foo/bar/gradflow/frame" in url for _, url in answers)
    context.close()
