"""Your network in a browser: a recording is played, moved, held and let go, and nothing beside the picture moves."""

import json
import re

import numpy as np
import pytest
from playwright.sync_api import expect

import gradflow as gf
from gradflow.app import recorded
from gradflow.reading import number
from support.chromium import wait_until_at_rest, wait_until_drawn
from support.page_driver import button, link, texts, verdict, watch_axes
from support.paths import ROOT
from support.server import PATIENCE, serve

STEPS, UNITS, INPUTS = 40, 8, 3
WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "slept"]
SHIFTS = """() => {  // what the browser counts as moved by itself
  window.shifts = [];
  new PerformanceObserver((list) => shifts.push(...list.getEntries().map(({ value }) => value)))
    .observe({ type: "layout-shift" });
}"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A recording of two LSTM layers, whose steps have names."""
    draw = lambda *shape: (0.4 * np.random.default_rng([*shape]).standard_normal(shape)).astype(np.float32)
    layers = [[gf.Weights(draw(4 * UNITS, m), draw(4 * UNITS, UNITS), draw(4 * UNITS))] for m in (INPUTS, UNITS)]
    named = [[WORDS[s % len(WORDS)] for s in range(STEPS)]]
    made = gf.Recording(gf.Network("lstm", layers), [draw(STEPS, INPUTS)], [draw(STEPS, UNITS)], labels=named)
    path = tmp_path_factory.mktemp("recorded") / "seen.npz"
    made.save(path)
    return path


@pytest.fixture(scope="module")
def server(path):
    """In place of the server of all other tests."""
    with serve(ROOT / "app.py", arguments=[path]) as server:
        yield server


@pytest.fixture
def page(monkeypatch, visit):
    """The page as it opens, and `answers`: (status, what was asked for) of each frame."""
    monkeypatch.delenv("GRADFLOW_WITHOUT_FRAMES", raising=False)
    page = visit()
    page.answers = []
    note = lambda answer: page.answers.append((answer.status, json.loads(answer.request.post_data)))
    page.on("response", lambda answer: answer.url.endswith("/gradflow/frame") and note(answer))
    page.get_by_role("link", name="Your network", exact=True).click()
    wait_for_network(page)
    return page


def wait_for_network(page):
    """Until it is measured, which compiles for the first visitor: for a while."""
    slider(page, "Forget gate, layer 2").wait_for(timeout=4000 * PATIENCE)
    wait_until_drawn(page)


def slider(page, label):
    return page.get_by_role("slider", name=label, exact=True)


def said(path, **changes):
    """The sentence of a link, as the library has it."""
    recording = gf.load(path)
    look, notices = recorded.read_look(recording, changes)
    assert not notices
    return recorded.ask(recording, look).said(recorded.measure_layer(recording, look))


def test_time_is_played_past_the_run_and_nothing_moves_beside_it(page, path):
    play = page.get_by_role("button", name=re.compile("Play|Pause"))
    assert page.get_by_label("What to sweep").input_value() == "time"
    page.evaluate(SHIFTS)
    watch_axes(page)
    play.click()
    page.wait_for_function(
        "Number(document.querySelector('h2') && ink().filter(({ text }) => text === 't = 7').length)"
    )
    assert page.url.endswith("your_network"), "the address waits until it rests"
    play.click()
    page.wait_for_function("location.search.includes('time=')")
    wait_until_at_rest(page)
    assert page.evaluate("shifts") == []
    assert len(page.evaluate("axesSeen")) <= 3, "those before, of the sweep, and at rest"
    assert len(page.answers) > 3 and {status for status, _ in page.answers} == {200}
    expect(verdict(page).first).to_have_text(said(path, **link(page)))
    expect(page.get_by_text(f"The layers beside one another, at t = {link(page)['time']}:")).to_be_visible()


def test_a_gate_is_held_and_left_as_trained(page, path):
    forget, trained = slider(page, "Forget gate, layer 2"), button(page, "Forget gate, layer 2 as trained")
    expect(trained).to_be_hidden()
    before = verdict(page).first.text_content()
    forget.press("End")
    page.wait_for_function("location.search === '?forget=1'")
    wait_until_at_rest(page)
    expect(verdict(page).first).to_have_text(said(path, forget="1"))
    expect(verdict(page).first).to_have_text(re.compile("^With the forget gate of layer 2 held at 1, which is not how"))
    slider(page, "Gain × trained, layer 2").press("Home")
    page.wait_for_function("location.search === '?forget=1&gain=0.25'")
    trained.click()
    button(page, "Gain × trained, layer 2 as trained").click()
    page.wait_for_function("location.search === ''")
    wait_until_at_rest(page)
    expect(verdict(page).first).to_have_text(before)
    expect(trained).to_be_hidden()
    expect(page.get_by_role("textbox", name="Forget gate, layer 2, number")).to_have_value("as trained")
    assert {status for status, _ in page.answers} == {200}


def test_a_sweep_leaves_a_gate_as_trained(page):
    page.get_by_label("What to sweep").select_option("Output gate, layer 2")
    page.get_by_label("Speed").select_option("2×")
    play = page.get_by_role("button", name=re.compile("Play|Pause"))
    before = verdict(page).first.text_content()
    play.click()
    page.wait_for_function("before => document.querySelector('h2').textContent !== before", arg=before)
    expect(play).to_have_text("▶ Play")
    wait_until_at_rest(page)
    expect(verdict(page).first).to_have_text(before)
    assert link(page) == {}


def test_a_click_on_the_map_sets_time_and_lag_and_steps_have_their_names(page, path):
    chart = page.locator(".chart canvas").first
    box = chart.bounding_box()
    chart.click(position={"x": 0.3 * box["width"], "y": box["height"] - 70})
    page.wait_for_function("location.search.includes('lag=')")
    wait_until_at_rest(page)
    now = {name: int(value) for name, value in link(page).items()}
    step = now["time"] - now["lag"]
    gmap = gf.load(path).maps(0)[1][0]
    term = number(gmap.log_terms()[now["time"], now["lag"]])
    there = texts(page)
    assert any(text.startswith(f"lag {now['lag']} (step {step} {WORDS[step % 8]}): term {term}") for text in there)
    assert "the" in there


def test_where_the_route_does_not_answer_the_run_brings_the_picture(monkeypatch, visit, path):
    monkeypatch.setenv("GRADFLOW_WITHOUT_FRAMES", "1")
    visited = visit()
    visited.get_by_role("link", name="Your network", exact=True).click()
    wait_for_network(visited)
    time = slider(visited, "Time t")
    before = verdict(visited).first.text_content()
    for _ in range(12):
        time.press("ArrowLeft")
        visited.wait_for_timeout(60)
    visited.wait_for_function("before => document.querySelector('h2').textContent !== before", arg=before)
    visited.wait_for_function(f"location.search === '?time={STEPS - 13}'")
    wait_until_at_rest(visited)
    expect(verdict(visited).first).to_have_text(said(path, time=str(STEPS - 13)))
