"""What a person finds behind "Look closer": views, comparing, switches, definitions, files, the stage."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from gradflow.app.charts import CHARTS
from gradflow.app.measurement import measure
from gradflow.app.presets import DEFAULT_PRESET, PRESETS
from gradflow.app.url_codec import parse_view, to_params
from gradflow.app.view import SHOWN, View
from gradflow.reading import number
from support.chromium import CANVAS, wait_until_at_rest, wait_until_drawn
from support.page_driver import button, finger_on, link, measurement, slider, texts, verdict
from support.wording import missing_value

TITLES = {
    "terms": "Each term: ‖dC(t)/dW(t−u)‖",
    "sums": "One weight's gradient, copy by copy",
    "factors": "What a term is made of",
    "unrolled": "What C(99) sends back to each copy of W",
    "growth": "The gradient W gets at each time t",
    "cells": "Each term by lag, cell by cell",
    "shares": "How far back the terms reach",
    "all_costs": "The gradient of all costs, Σ over t of dC(t)/dW",
    "truncation": "What truncation leaves out of the gradient",
}
# the texts on the canvas that stick out of it, by their own font
OUTSIDE = """canvas => {
  const box = canvas.getBoundingClientRect(), scale = canvas.width / box.width;
  return ink().filter(({ x, y }) => x < -1 || x > box.width * scale + 1 || y < 0 || y > canvas.height)
    .map(({ text }) => text).filter((text) => text.trim());
}"""

HIT = """button => {
  const { x, y, width, height } = button.getBoundingClientRect();
  return button.contains(document.elementFromPoint(x + width / 2, y + height / 2));
}"""


def said(page):
    return page.locator(".st-key-picture p").inner_text()


def on_canvas(page, text):
    page.wait_for_function("text => ink().some((ink) => ink.text.includes(text))", arg=text)


@pytest.mark.parametrize("width", [1280, 390])
def test_each_view_says_its_point_and_fits(visit, width):
    page = visit({"closer": "true"}, viewport={"width": width, "height": 900})
    for show, label in (*list(SHOWN.items())[1:], ("terms", "Terms")):
        page.get_by_role("radio", name=label, exact=True).click()
        on_canvas(page, TITLES[show])
        wait_until_at_rest(page)
        assert said(page) == CHARTS[show].say(measurement({}), View(closer=True, show=show))
        assert parse_view(link(page))[0].show == show
        assert page.locator(CANVAS).bounding_box()["width"] > 0.75 * min(width, 900)
        assert page.locator(CANVAS).evaluate(OUTSIDE) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not any(map(missing_value, texts(page)))
        assert not [text for text in texts(page) if text.strip("…") and "…" in text]  # cut short


def test_one_entry_by_row_and_column_or_the_whole_matrix(visit):
    page = visit({"closer": "true", "show": "sums"})
    slider(page, "row").press("PageUp")
    slider(page, "col").press("ArrowRight")
    page.wait_for_function("location.search.includes('row=') && location.search.includes('col=')")
    view, now = parse_view(link(page))[0], measurement(link(page))
    sign, log = now.lags.entry("weight_hh", view.row, view.col)
    total = float(np.sum(sign * np.exp(log)))
    on_canvas(page, f"weight_hh[{view.row}, {view.col}]")
    on_canvas(page, ("−" if total < 0 else "") + number(np.log(abs(total))))
    button(page, "Largest").click()
    row, col = now.lags.largest_entry("weight_hh")
    on_canvas(page, f"weight_hh[{row}, {col}]")
    page.get_by_text("Whole matrix", exact=True).click()
    on_canvas(page, "‖Σ‖")
    on_canvas(page, number(now.reading.log_sum))


def test_a_kept_scenario_stays_in_grey_and_in_the_link(visit):
    page = visit({"closer": "true"})
    slider(page, "gain").press("ArrowRight")
    page.wait_for_function("location.search.includes('gain=1.01&')")
    slider(page, "gain").press("ArrowRight")
    page.wait_for_function("location.search.includes('gain=1.02&')")
    kept = measurement(link(page)).scenario
    button(page, "Keep to compare").click()
    expect(button(page, "Stop comparing")).to_be_visible()
    wait_until_at_rest(page)
    slider(page, "forget").press("End")
    words = ", forget 0.73 → 1.00"
    on_canvas(page, words)
    for label in list(SHOWN.values())[1:]:
        page.get_by_role("radio", name=label, exact=True).click()
        on_canvas(page, words)
    assert parse_view(link(page))[0].kept == kept
    page.reload()
    on_canvas(page, words)
    button(page, "Stop comparing").click()
    page.wait_for_function("!location.search.includes('kept=')")
    page.wait_for_function("!ink().some(({ text }) => text.includes('grey: kept'))")


@pytest.mark.parametrize("preset", ["Vanishing", "LSTM at initialisation", "Exploding"])
def test_the_opposite_undo_and_back(visit, preset):
    page = visit({"preset": preset, "closer": "true"})
    before, vanishes = measurement(link(page)).scenario, measure(PRESETS[preset]).reading.regime == "vanishing"
    assert before == PRESETS[preset]
    button(page, "Show the opposite").click()
    on_canvas(page, "grey: kept")
    now = measurement(link(page))
    expect(verdict(page)).to_have_text(now.said())
    assert (now.reading.regime == "vanishing") != vanishes
    button(page, "Undo").click()
    expect(verdict(page)).to_have_text(measure(before).said())
    wait_until_at_rest(page)
    assert measurement(link(page)).scenario == before
    slider(page, "gain").press("ArrowRight")
    expect(verdict(page)).not_to_have_text(measure(before).said())
    page.wait_for_function("location.search.includes('preset=Custom')")
    page.reload()  # which forgets where it began
    wait_until_drawn(page)
    button(page, "Back to preset").click()
    expect(verdict(page)).to_have_text(measure(before).said())


def test_the_switches(visit):
    params = {"closer": "true", "forget": "0.3", "horizon": "256"}
    page = visit(params)
    full = verdict(page).inner_text()
    button(page, "Switches").click()
    page.get_by_text("As float32 sees it", exact=True).click()
    on_canvas(page, "0 in float32")
    wait_until_at_rest(page)
    now = measurement(link(page))
    lost = int(np.sum(np.isneginf(now.float32.log_row) & np.isfinite(now.log_row)))
    assert lost > 50 and f"reports 0 for {lost} of" in said(page)
    page.get_by_text("Other chains", exact=True).click()
    on_canvas(page, "‖dh(t)/d(h,c)(t−u)‖")
    on_canvas(page, "‖dC(t)/dx(t−u)‖")
    wait_until_at_rest(page)
    page.get_by_text("Cell path only", exact=True).click()
    page.wait_for_function("location.search.includes('cell_path_only=true')")
    expect(verdict(page)).not_to_have_text(full)
    assert measurement(link(page)).scenario.cell_path_only
    expect(verdict(page)).to_have_text(measurement(link(page)).said())


def test_the_factors_without_the_error(visit):
    page = visit({"closer": "true", "show": "factors"})
    page.get_by_text("Divide by ‖dC/dh‖", exact=True).click()
    on_canvas(page, "‖δ(t,s)‖ / ‖dC/dh‖ times ‖h(s−1)‖")


def test_the_definitions_hold_the_present_numbers_and_follow(visit):
    page = visit()
    button(page, "How these are defined").click()
    words = page.get_by_test_id("stPopoverBody")
    expect(words).to_contain_text(number(measure(PRESETS[DEFAULT_PRESET]).reading.log_sum))
    expect(words.locator("table")).to_contain_text("forget")
    assert words.bounding_box()["height"] > 300
    slider(page, "forget").evaluate("""input => {
      input.value = 0.9; input.dispatchEvent(new Event("input")); input.onblur() }""")
    page.wait_for_function("location.search.includes('forget=0.9')")
    expect(words).to_contain_text(f"is {number(measurement(link(page)).reading.log_sum)}")


def test_letting_go_beside_an_open_popover(visit):
    page = visit({"closer": "true"})
    button(page, "Take away").click()
    expect(page.get_by_test_id("stCode")).to_have_count(3)  # link, frame, Python
    slider(page, "forget").press("ArrowRight")
    page.wait_for_function("location.search.includes('forget=0.735')")
    expect(page.get_by_test_id("stCode").first).to_contain_text("forget=0.735")
    with finger_on(page, "forget") as drag:
        drag(0.9)
        page.wait_for_timeout(600)  # the hand rests, and letting go closes the popover
    page.wait_for_function("location.search.includes('forget=0.9')")
    expect(page.get_by_test_id("stCode")).to_have_count(0)


def taken(page, label):
    """The bytes behind a button of "Take away"."""
    with page.expect_download() as waiting:
        button(page, label).click()
    return Path(waiting.value.path()).read_bytes()


def test_exported_files_can_be_read_and_imported(visit, tmp_path):
    page = visit({"closer": "true", "cell": "gru", "gain": "1.5"})
    button(page, "Take away").click()
    body = page.get_by_test_id("stPopoverBody").filter(has_text="A link to this screen")
    for said in ("cell=gru", "gain=1.5"):  # until it is there: the body draws it more than once while it opens
        expect(body.get_by_test_id("stCode").first).to_contain_text(said)
    expect(body.get_by_test_id("stCode").last).to_contain_text("gf.lag_terms('gru'")
    now = measurement(link(page))
    assert Image.open(io.BytesIO(taken(page, "Chart, PNG"))).width > 1000
    svg = taken(page, "Chart, SVG").decode()
    assert svg.startswith("<svg") and "Running sum" in svg and "<image" in svg
    with np.load(io.BytesIO(taken(page, "Numbers, NPZ"))) as numbers:
        np.testing.assert_array_equal(numbers["log_terms"], now.log_terms)
    saved = tmp_path / "scenario.json"
    saved.write_bytes(taken(page, "Scenario, JSON"))
    broken = tmp_path / "broken.json"
    broken.write_text('{"gradflow": "scenario", "version": 9, "scenario": {}}')
    page.keyboard.press("Escape")
    slider(page, "gain").press("PageUp")
    page.wait_for_function("location.search.includes('gain=1.6&')")
    wait_until_at_rest(page)
    changed = link(page)
    button(page, "Take away").click()
    files = body.locator("input[type=file]")
    files.set_input_files(broken)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("version is 9")
    assert link(page) == changed
    files.set_input_files(saved)
    page.wait_for_function("location.search.includes('gain=1.5&')")
    wait_until_at_rest(page)
    assert measurement(link(page)).scenario == now.scenario
    expect(alert).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_stage(visit, scheme):
    page = visit({"closer": "true"}, viewport={"width": 1280, "height": 720}, color_scheme=scheme)
    small = page.locator("h2").evaluate("h2 => getComputedStyle(h2).fontSize")
    page.get_by_text("On stage", exact=True).click()
    page.wait_for_function("location.search.includes('stage=true')")
    expect(page.get_by_test_id("stSidebar")).to_have_attribute("data-collapsed", "true")
    wait_until_drawn(page)
    expect(verdict(page)).to_be_in_viewport(ratio=1)
    assert float(page.locator("h2").evaluate("h2 => getComputedStyle(h2).fontSize")[:-2]) > 1.2 * float(small[:-2])
    box = page.locator(CANVAS).bounding_box()
    assert box["y"] + box["height"] <= 720, "the picture does not fit the stage"
    assert page.get_by_test_id("stMain").evaluate("main => main.scrollHeight - main.clientHeight") <= 0
    for over in page.locator(".st-key-views button").locator("visible=true").all():
        assert over.evaluate(HIT), f"something lies over “{over.inner_text()}”"
    order = list(PRESETS)
    for keys, place in ((["PageDown"], 1), (["PageDown"], 2), (["PageUp", "PageDown"], 2), (["PageUp"], 1)):
        for key in keys:  # two at once
            page.keyboard.press(key)
        expect(verdict(page)).to_have_text(measure(PRESETS[order[place]]).said())
        wait_until_at_rest(page)
    assert to_params(measurement(link(page)).scenario)["preset"] == order[1]


def test_embedded_the_tools_stay_clean(visit):
    page = visit({"embed": "true", "closer": "true"})
    for part in ("stToolbar", "stMainMenu", "stAlert"):
        assert page.get_by_test_id(part).locator("visible=true").count() == 0, part
    page.get_by_role("radio", name="Unrolled", exact=True).click()
    on_canvas(page, TITLES["unrolled"])
    assert "embed=true" in page.url


def test_by_keyboard_alone(visit):
    page = visit()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('.st-key-closer') !== null"):
            break
    page.keyboard.press("Space")
    expect(page.get_by_role("radio", name="Unrolled", exact=True)).to_be_visible()
    page.get_by_role("radio", name="Terms", exact=True).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    on_canvas(page, TITLES["sums"])
    page.get_by_role("radio", name="Terms", exact=True).click()
    slider(page, "lag").press("ArrowRight")
    on_canvas(page, "lag 1 (step 98)")
