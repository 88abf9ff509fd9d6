"""What moves by itself or fast: a sweep, a click on the map, a hasty finger, a held key."""

import re

import pytest
from playwright.sync_api import expect

from gradflow.app.charts.terms import IMAGE_LAYOUTS, PADDING, RIGHT
from gradflow.app.scenario import Scenario
from gradflow.app.url_codec import parse_view, to_params
from gradflow.reading import number
from support.chromium import CANVAS, wait_until_at_rest
from support.page_driver import AXES, finger_on, link, measurement, picture, slider, texts, typed, verdict, watch_axes

HASTY = """input => new Promise(done => {
  let k = 0;
  const hurry = setInterval(() => {
    input.value = 0.3 + 0.005 * (k % 120);
    input.dispatchEvent(new Event("input", { bubbles: true }));
    if (++k === 240) done(clearInterval(hurry));
  }, 10);
})"""


def sweep_of(page, label, speed="2×"):
    page.get_by_label("What to sweep").select_option(label)
    page.get_by_label("Speed").select_option(speed)
    return page.get_by_role("button", name=re.compile("Play|Pause"))


def moves_on(page, before):
    page.wait_for_function("before => document.querySelector('h2').textContent !== before", arg=before)
    return verdict(page).text_content()


@pytest.mark.parametrize(("label", "field"), [("Forget gate", "forget"), ("Horizon", "horizon")])
def test_a_sweep_goes_there_and_back_on_axes_that_hold(visit, label, field):
    page = visit({"closer": "true"})
    before = link(page)
    button = sweep_of(page, label)
    watch_axes(page)
    assert not told(page)
    button.click()
    expect(button).to_have_text(re.compile("Pause"))
    said = moves_on(page, verdict(page).text_content())
    frame = decades(page)
    values = []
    while "Pause" in button.inner_text():
        values.append(float(slider(page, field).input_value()))
        said = moves_on(page, said) if len(values) < 6 else said
        if "Pause" in button.inner_text():
            assert decades(page) == frame, "the axes move in the sweep"
            assert told(page)
        page.wait_for_timeout(100)
    low, high = (float(slider(page, field).get_attribute(end)) for end in ("min", "max"))
    assert max(values) > low + 0.9 * (high - low) and min(values) < low + 0.1 * (high - low)
    expect(slider(page, field)).to_have_value(f"{getattr(measurement(before).scenario, field):g}")
    wait_until_at_rest(page)
    assert measurement(link(page)).scenario == measurement(before).scenario
    page.wait_for_function("axesSeen.length > 2")
    first, held, last = page.evaluate("axesSeen")
    assert first == last != held, "it jumps once as it begins and once as it ends"
    assert not told(page)


def total(measurement):
    """The text at the end of the running sum."""
    return f"sum {number(measurement.reading.log_sum)}"


def told(page):
    """Whether the chart says that its axis stands for the sweep."""
    return any(text.startswith("axis fixed for this sweep") for text in texts(page))


def decades(page):
    """The powers of ten on the axes of the terms; where they stand moves with nothing."""
    return [place for place in page.evaluate(AXES).split(",") if place]


def test_a_sweep_pauses_where_it_is_and_goes_on_from_there(visit):
    page = visit({"closer": "true"})
    button = sweep_of(page, "Recurrent gain")
    button.click()
    moves_on(page, verdict(page).text_content())
    button.click()
    expect(button).to_have_text(re.compile("Play"))
    paused = float(typed(page, "gain").input_value())
    page.wait_for_function("value => location.search.includes(`gain=${value}&`)", arg=paused)
    page.wait_for_timeout(300)
    assert float(typed(page, "gain").input_value()) == paused == float(link(page)["gain"])
    expect(verdict(page)).to_have_text(measurement(link(page)).said())
    button.click()
    moves_on(page, verdict(page).text_content())
    slider(page, "gain").press("ArrowLeft")  # a hand on a range ends the sweep
    expect(button).to_have_text(re.compile("Play"))


def test_a_sweep_leaves_alone_what_is_changed_beside_it(visit):
    page = visit({"closer": "true", "gates": "pinned", "forget": "0.31"})
    button = sweep_of(page, "Recurrent gain", speed="½×")
    button.click()
    moves_on(page, verdict(page).text_content())
    page.get_by_role("button", name="Back to preset").click(delay=80)  # ms, as by hand
    expect(slider(page, "forget")).to_have_value(f"{Scenario.forget:g}")
    page.wait_for_timeout(500)
    if "Pause" in button.inner_text():  # Streamlit may drop the panel for a moment, and the sweep with it
        button.click()
    expect(button).to_have_text(re.compile("Play"))
    page.wait_for_timeout(500)  # the last report
    wait_until_at_rest(page)
    now = link(page)
    expect(typed(page, "gain")).to_have_value(f"{float(now['gain']):.3f}")
    assert now == to_params(Scenario(gain=float(now["gain"]))) | {"closer": "true"}


@pytest.mark.parametrize(("width", "stage"), [(1280, "false"), (1280, "true"), (390, "false")])
def test_a_click_on_the_map_sets_time_and_lag(visit, width, stage):
    page = visit({"closer": "true", "stage": stage}, viewport={"width": width, "height": 900})
    area, box = IMAGE_LAYOUTS[stage == "true"], page.locator(CANVAS).bounding_box()
    top, bottom = area.map[width == 390]
    across = box["width"] - area.left - RIGHT - PADDING
    horizon, time, lag = 100, 70, 31
    page.locator(CANVAS).click(
        position={
            "x": area.left + (lag + 0.5) / horizon * across,
            "y": PADDING + top + (time + 0.5) / horizon * (bottom - top),
        }
    )
    page.wait_for_function("location.search.includes('lag=')")
    wait_until_at_rest(page)
    assert abs(int(link(page)["time"]) - time) <= 1 and abs(int(link(page)["lag"]) - lag) <= 1
    time, lag = int(link(page)["time"]), int(link(page)["lag"])
    expect(verdict(page)).to_have_text(measurement(link(page)).said())
    page.wait_for_function(
        "([time, lag]) => ink().some(({text}) => text === `t = ${time}`)"
        " && ink().some(({text}) => text.startsWith(`lag ${lag} (step ${time - lag}`))",
        arg=[time, lag],
    )
    if width > 640 and stage == "false":
        expect(slider(page, "time")).to_have_value(str(time))
        slider(page, "lag").press("ArrowRight")
        page.wait_for_function("lag => location.search.includes(`lag=${lag}`)", arg=lag + 1)


def test_a_click_beside_the_map_or_above_its_diagonal_is_harmless(visit):
    page = visit({"closer": "true"})
    box, (top, bottom) = page.locator(CANVAS).bounding_box(), IMAGE_LAYOUTS[False].map[0]
    page.locator(CANVAS).click(position={"x": 0.6 * box["width"], "y": top - 60})
    page.wait_for_timeout(300)
    assert "lag" not in link(page)
    page.locator(CANVAS).click(position={"x": box["width"] - 40, "y": top + 0.4 * (bottom - top)})
    page.wait_for_function("location.search.includes('lag=')")
    view, _ = parse_view(link(page))
    assert view.lag <= int(link(page)["time"]), "no lag before the first step"


def test_fast_input_rebuilds_neither_range_nor_chart(visit):
    page = visit()
    thumb, canvas = slider(page, "forget").element_handle(), page.locator(CANVAS).element_handle()
    thumb.evaluate("input => input.dispatchEvent(new PointerEvent('pointerdown'))")
    thumb.evaluate(HASTY)
    thumb.evaluate("input => input.dispatchEvent(new PointerEvent('pointerup'))")
    page.wait_for_function("location.search.includes('forget=')")
    wait_until_at_rest(page)
    assert thumb.evaluate("input => input.isConnected"), "the range was taken off the page under the finger"
    assert canvas.evaluate("canvas => canvas.isConnected"), "the chart was rebuilt"
    expect(verdict(page)).to_have_text(measurement(link(page)).said())
    assert float(link(page)["forget"]) == float(thumb.evaluate("input => input.value"))


def test_a_held_key_ends_where_the_page_says(visit):
    page = visit()
    slider(page, "forget").focus()
    seen = set()
    for k in range(40):
        page.keyboard.down("ArrowRight")
        page.wait_for_timeout(30)
        if k % 8 == 7:
            seen.add(picture(page))
    page.keyboard.up("ArrowRight")
    page.wait_for_function("location.search.includes('forget=0.93')")
    expect(verdict(page)).to_have_text(measurement(link(page)).said())
    assert len(seen) > 1, "nothing was drawn while the key was held"


def test_the_last_report_wins_when_another_is_on_its_way(visit):
    page = visit()
    with finger_on(page, "gain") as drag:
        for share in (0.9, 0.1, 0.9, 0.2, 0.05):
            drag(share, steps=1)
    wait_until_at_rest(page)
    page.wait_for_function("location.search.includes('gain=')")
    value = typed(page, "gain").input_value()
    page.wait_for_function("value => location.search.includes(`gain=${value}`)", arg=f"{float(value):g}")
    expect(verdict(page)).to_have_text(measurement(link(page)).said())
    page.wait_for_function("text => ink().some((ink) => ink.text === text)", arg=total(measurement(link(page))))
