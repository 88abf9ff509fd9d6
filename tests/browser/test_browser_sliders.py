"""Ranges in a browser: fine where it matters, numbers that are typed, and tracks that end where the data end."""

from itertools import pairwise

import pytest
from playwright.sync_api import expect

from gradflow.app.charts.terms import IMAGE_LAYOUTS, PADDING, RIGHT
from gradflow.app.labels import LABELS
from support.chromium import CANVAS, wait_until_at_rest
from support.page_driver import finger_on, link, measurement, slider, typed, verdict

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def settled(page, field, text):
    page.wait_for_function("pair => location.search.includes(`${pair}&`)", arg=f"{field}={text}")
    expect(verdict(page)).to_have_text(measurement(link(page)).said())


def test_a_mouse_sets_the_gain_to_a_thousandth_near_one(visit):
    page = visit()
    with finger_on(page, "gain") as drag:
        found = set()
        for k in range(101):
            drag(0.2 + 0.5 * k / 100, steps=1)
            found.add(float(typed(page, "gain").input_value()))
        assert min(found) == 0.8 and max(found) == 1.2 and len(found) == 101
        for share, value in ((0, 0), (0.1, 0.4), (0.7, 1.2), (0.85, 6.6), (1, 12)):
            drag(share, steps=1)
            assert float(typed(page, "gain").input_value()) == pytest.approx(value, abs=0.005)
        drag(0.45, steps=1)
    value = float(typed(page, "gain").input_value())
    assert value == pytest.approx(1, abs=0.002)
    box, near = slider(page, "gain").bounding_box(), []
    x, y = box["x"] + 0.45 * box["width"], box["y"] + box["height"] / 2
    page.keyboard.down("Shift")
    page.mouse.move(x, y)
    page.mouse.down()
    for pixel in range(30):
        page.mouse.move(x + pixel, y)
        near.append(round(1000 * float(typed(page, "gain").input_value())))
    page.mouse.up()
    page.keyboard.up("Shift")
    assert near[0] == round(1000 * value) and {b - a for a, b in pairwise(near)} == {0, 1}
    settled(page, "gain", f"{near[-1] / 1000:g}")


@pytest.mark.parametrize(("field", "start", "fine"), [("gain", 1.0, 0.001), ("input_gain", 0.004, 0.002)])
def test_keys_go_by_hundredths_and_with_shift_by_single_steps(visit, field, start, fine):
    page = visit({field: f"{start:g}"})
    page.get_by_text("More", exact=True).click()
    value = start
    for key, by in (
        ("ArrowRight", 0.01),
        ("Shift+ArrowUp", fine),
        ("PageUp", 0.1),
        ("Shift+PageDown", -10 * fine),
        ("ArrowDown", -0.01),
        ("Shift+ArrowLeft", -fine),
    ):
        slider(page, field).press(key)
        value += by
        expect(typed(page, field)).to_have_value(f"{value:.3f}")
        expect(slider(page, field)).to_have_attribute("aria-valuetext", f"{LABELS[field][0]} {value:.3f}")
        assert float(slider(page, field).get_attribute("aria-valuenow")) == pytest.approx(value, abs=1e-9)
    settled(page, field, f"{value:g}")
    slider(page, field).press("Home")
    expect(typed(page, field)).to_have_value("0.000")
    slider(page, field).press("End")
    expect(typed(page, field)).to_have_value(f"{12 if field == 'gain' else 4}.000")


def test_a_sweep_of_the_gain_passes_slowly_by_one_and_ends_where_it_began(visit):
    page = visit({"closer": "true", "gain": "0.505"})  # between two steps of a drag there
    page.get_by_label("What to sweep").select_option("gain")
    page.get_by_label("Speed").select_option("2")
    typed(page, "gain").evaluate("""number => {
      window.seen = [];
      const look = () => { if (seen.at(-1) !== number.value) seen.push(number.value); requestAnimationFrame(look); };
      look();
    }""")
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("seen.length > 9 && seen.at(-1) === '0.505'")
    wait_until_at_rest(page)
    seen = [float(value) for value in page.evaluate("seen")]
    near = [value for value in seen if 0.8 <= value <= 1.2]
    assert max(seen) > 11 and min(seen) < 0.1 and 0.4 < len(near) / len(seen) < 0.6
    assert link(page)["gain"] == "0.505"


def test_a_range_keeps_the_focus_while_others_come_and_go(visit):
    page = visit({"closer": "true", "show": "sums"})
    slider(page, "lag").focus()
    for show, others in (("Terms", 0), ("Sums", 1)):
        page.get_by_role("radio", name=show, exact=True).evaluate("radio => radio.click()")
        expect(slider(page, "row")).to_have_count(others)
        expect(slider(page, "lag")).to_be_focused()


@pytest.mark.parametrize("leave", ["Enter", "Tab", "click"])
def test_a_number_is_taken_when_it_is_typed_and_not_before(visit, leave):
    page, sent = visit(), []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    page.reload()
    page.wait_for_function("ink().length > 9 && ink.since() > 200")
    wait_until_at_rest(page)
    page.wait_for_timeout(500)
    assert sent, "the count does not work"
    sent.clear()
    number = typed(page, "gain")
    number.click()
    page.keyboard.type("0,9874")  # replaces what was there; r and c would be the page's keys, and the comma is a point
    page.wait_for_timeout(300)
    expect(number).to_have_value("0,9874")
    assert not sent
    page.get_by_text("Forget gate").click() if leave == "click" else page.keyboard.press(leave)
    expect(number).to_have_value("0.987")
    settled(page, "gain", "0.987")
    assert len(sent) == 1


def test_an_invalid_number_has_a_notice_and_the_old_value_stays(visit):
    page = visit({"init": "keras"})
    before = link(page)
    for field, text, says in (
        ("gain", "13", "Recurrent gain goes from 0 to 12, and stays 1.000."),
        ("gain", "-0.001", "Recurrent gain goes from 0 to 12, and stays 1.000."),
        ("horizon", "", "Horizon goes from 2 to 256, and stays 100."),
        ("forget", "rc", "Forget gate goes from 0 to 1, and stays as initialised."),
    ):
        typed(page, field).fill(text)
        typed(page, field).press("Enter")
        expect(page.get_by_role("alert")).to_have_text(says)
        expect(typed(page, field)).to_have_attribute("aria-invalid", "true")
        typed(page, field).fill("0.5")
        expect(page.get_by_role("alert")).to_have_count(0)
        typed(page, field).press("Escape")
        expect(typed(page, field)).to_have_value(says.split("stays ")[1][:-1])
    typed(page, "forget").press("Tab")
    page.wait_for_timeout(300)
    assert link(page) == before
    typed(page, "forget").fill("0.8")
    typed(page, "forget").press("Enter")
    settled(page, "forget", "0.8")
    assert link(page)["input"] == "initial"


def test_a_track_ends_where_the_data_end_and_a_larger_value_is_kept(visit):
    params = {"closer": "true", "show": "sums", "horizon": "50", "time": "200", "lag": "120", "row": "99", "col": "63"}
    page = visit(params)
    for field, last in (("time", 49), ("lag", 49), ("row", 63), ("col", 15)):
        expect(slider(page, field)).to_have_attribute("max", str(last))
        expect(slider(page, field)).to_have_value(str(last))
        expect(typed(page, field)).to_have_value(str(last))
        slider(page, field).press("ArrowRight")
    slider(page, "horizon").press("End")
    settled(page, "horizon", "256")
    assert {name: link(page)[name] for name in params} == params | {"horizon": "256"}
    for field, value in (("time", 200), ("lag", 120)):
        expect(typed(page, field)).to_have_value(str(value))
    typed(page, "row").fill("64")
    typed(page, "row").press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Row goes from 0 to 63, and stays 63.")
    slider(page, "row").press("ArrowLeft")
    settled(page, "row", "62")
    assert link(page)["col"] == "63"


@pytest.mark.parametrize("options", [{}, PHONE], ids=["wide", "phone"])
def test_on_the_first_view_too_a_click_on_the_map_sets_the_time(visit, options):
    page = visit(**options)
    box, area = page.locator(CANVAS).bounding_box(), IMAGE_LAYOUTS[False]
    top, bottom = area.map[bool(options)]
    down = PADDING + top + (70 + 0.5) / 100 * (bottom - top)
    across = area.left + 0.315 * (box["width"] - area.left - RIGHT - PADDING)
    page.locator(CANVAS).click(position={"x": across, "y": down})
    page.wait_for_function("location.search.includes('lag=')")
    wait_until_at_rest(page)
    time, lag = (int(link(page)[name]) for name in ("time", "lag"))
    assert abs(time - 70) <= 1 and abs(lag - 31) <= 1
    page.wait_for_function("text => ink().some((ink) => ink.text === text)", arg=f"t = {time}")
    expect(verdict(page)).to_have_text(measurement(link(page)).said())
    assert "closer" not in link(page)


def test_a_phone_shows_its_keyboard_of_numbers(visit):
    page = visit(**PHONE)
    page.get_by_test_id("stExpandSidebarButton").tap()
    number = typed(page, "horizon")
    expect(number).to_have_attribute("inputmode", "numeric")
    expect(typed(page, "gain")).to_have_attribute("inputmode", "decimal")
    number.tap()
    page.keyboard.type("80")
    page.keyboard.press("Enter")
    settled(page, "horizon", "80")
    expect(number).not_to_be_focused()
