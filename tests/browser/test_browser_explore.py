"""What a person sees: a real Chromium on a running server."""

import re

import pytest
from playwright.sync_api import expect

from gradflow.app.charts.base import BACKGROUNDS
from gradflow.app.labels import LABELS
from gradflow.app.measurement import measure
from gradflow.app.presets import DEFAULT_PRESET, PRESETS
from gradflow.app.scenario import Scenario
from gradflow.app.url_codec import parse, to_params
from support.chromium import CANVAS, CHART, wait_until_at_rest, wait_until_drawn
from support.page_driver import (
    AXES,
    COLOURS,
    PICTURE,
    axes,
    expected_read_out,
    finger_on,
    hover,
    link,
    lit,
    luminance,
    measurement,
    move,
    picture,
    place,
    places,
    read_out,
    slider,
    texts,
    typed,
    verdict,
)
from support.wording import missing_number


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_first_view_fits_and_can_be_read(visit, width, scheme):
    page = visit(viewport={"width": width, "height": 844}, color_scheme=scheme)
    expect(verdict(page)).to_have_text(measure(PRESETS[DEFAULT_PRESET]).said())
    for element in (CHART, CANVAS):
        assert 0.6 * min(width, 900) < page.locator(element).bounding_box()["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    main = page.get_by_test_id("stMain")
    assert main.evaluate("main => main.scrollWidth - main.clientWidth") <= 0
    assert page.locator(CANVAS).evaluate(COLOURS) > 100, "the picture is blank"
    background = page.get_by_test_id("stApp").evaluate("app => getComputedStyle(app).backgroundColor")
    paper = luminance([int(channel) for channel in re.findall(r"\d+", background)[:3]])
    assert (paper > 0.5) == (scheme == "light")
    assert paper == luminance([int(BACKGROUNDS[scheme == "dark"][k : k + 2], 16) for k in (1, 3, 5)])
    for ink in page.evaluate("ink()"):
        letters = luminance([int(ink["color"][k : k + 2], 16) for k in (1, 3, 5)])
        contrast = (max(letters, paper) + 0.05) / (min(letters, paper) + 0.05)
        assert contrast >= 4.5, f"“{ink['text']}” cannot be read"


def test_dragging_a_gate_moves_everything_before_release(visit):
    page = visit()
    address, frame = page.url, axes(page)
    assert frame
    sentences, pictures = [verdict(page).inner_text()], [picture(page)]
    with finger_on(page, "forget") as drag:
        for share in (0.6, 0.45, 0.3, 0.15, 0.05):
            drag(share)
            expect(verdict(page)).not_to_have_text(sentences[-1])
            page.wait_for_function(f"before => {PICTURE} !== before", arg=pictures[-1])
            sentences.append(verdict(page).inner_text())
            pictures.append(picture(page))
            assert axes(page) == frame, "the axes move under the finger"
        assert page.url == address
    assert len(set(sentences)) == len(set(pictures)) == 6
    page.wait_for_function("location.search.includes('forget=')")
    expect(verdict(page)).to_have_text(measurement(link(page)).said())
    assert float(link(page)["forget"]) == float(slider(page, "forget").input_value()) < 0.1
    page.wait_for_function(f"before => {AXES} !== before", arg=frame)


def test_an_arrow_key_moves_verdict_terms_and_sum(visit):
    page = visit()
    lag = hover(page)
    before = read_out(page)
    assert before == expected_read_out({}, lag)
    slider(page, "gain").press("ArrowRight")
    page.wait_for_function("location.search.includes('gain=1.01')")
    expect(verdict(page)).to_have_text(measurement(link(page)).said())
    page.wait_for_function("text => ink().some((ink) => ink.text === text)", arg=expected_read_out(link(page), lag))
    changed = [a != b for a, b in zip(before.split(","), read_out(page).split(","), strict=True)]
    assert changed == [True, True]


FULL = {
    "preset": "Custom",
    "cell": "gru",
    "gates": "pinned",
    "forget": "0.31",
    "input": "0.9",
    "output": "0.2",
    "reset": "0.7",
    "update": "0.815",
    "gain": "3.21",
    "input_gain": "1.5",
    "init": "orthogonal",
    "hidden": "8",
    "horizon": "61",
    "time": "43",
    "write_every": "5",
    "sequence": "sentence",
    "text": "für <b>Ada</b> & $x$",
    "seed": "7",
    "weight": "all",
    "gate": "new",
    "cell_path_only": "false",
}


def test_a_link_shows_the_same_numbers_and_survives_reload_and_back(visit):
    assert to_params(parse(FULL)[0]) == FULL
    page = visit(FULL)
    first = measurement(FULL).said()
    for _ in range(2):
        expect(verdict(page)).to_have_text(first)
        lag = hover(page)
        assert read_out(page) == expected_read_out(FULL, lag)
        assert link(page) == FULL
        page.reload()
        wait_until_drawn(page)
    slider(page, "gain").press("PageUp")
    page.wait_for_function("!location.search.includes('gain=3.21')")
    second = measurement(link(page)).said()
    assert second != first
    expect(verdict(page)).to_have_text(second)
    page.go_back()
    expect(verdict(page)).to_have_text(first)
    assert link(page) == FULL
    expect(typed(page, "gain")).to_have_value("3.210")
    page.go_forward()
    expect(verdict(page)).to_have_text(second)


def test_a_bad_link_gives_one_notice_and_a_clean_address(visit):
    script = "<script>document.title = 'caught'</script>"
    page = visit({"cell": "transformer", "gain": "1e999", "seed": "\x00", "text": script, "init": script})
    expect(page.get_by_role("alert")).to_have_count(1)
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text(f"init “{script[:40]}…” is not one of normal")
    assert page.title() != "caught"
    assert link(page) == to_params(parse(link(page))[0])
    assert not parse(link(page))[2]
    assert "Traceback" not in page.locator("body").inner_text()
    assert page.title() == "gradflow"


def test_hovering_sends_nothing(visit):
    page = visit()
    sent = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    page.reload()
    wait_until_drawn(page)
    assert sent, "the count does not work"
    page.wait_for_timeout(500)
    sent.clear()
    lags = {hover(page, across, down) for across, down in ((0.1, 0.15), (0.3, 0.2), (0.3, 0.8), (0.8, 0.8))}
    assert len(lags) > 2
    page.wait_for_timeout(500)
    assert not sent


def test_a_finger_on_a_lag_shows_its_numbers(visit):
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True)
    box, at = page.locator(CANVAS).bounding_box(), place(page, 0.5, 0.15)
    page.touchscreen.tap(box["x"] + at["x"], box["y"] + at["y"])
    lag = lit(page)
    assert read_out(page) == expected_read_out({}, lag)


def test_an_overflow_is_a_sentence(visit):
    page = visit({"cell": "rnn-linear", "gain": "12", "horizon": "256"})
    expect(verdict(page)).to_contain_text("overflows at step")
    for text in (page.locator("body").inner_text(), *texts(page)):
        assert not missing_number(text)


def test_dragging_into_an_overflow_keeps_the_last_picture_greyed(visit):
    page = visit({"cell": "rnn-linear", "horizon": "256"})
    chart = page.locator(CHART)
    with finger_on(page, "gain") as drag:
        drag(1, steps=8)
        expect(verdict(page)).to_contain_text("overflows at step")
        expect(chart).to_have_css("opacity", "0.35")
        numbers = [text for text in texts(page) if text.startswith("sum ")]
        assert numbers and not any(map(missing_number, texts(page)))
        kept = picture(page)
        drag(0.98)
        page.wait_for_timeout(300)
        assert picture(page) == kept
    expect(chart).to_have_css("opacity", "1")
    page.wait_for_function(f"kept => {PICTURE} !== kept", arg=kept)


def test_embedded_it_is_clean_and_stays_embedded(visit):
    page = visit({"embed": "true"})
    expect(verdict(page)).to_be_visible()
    for part in ("stToolbar", "stMainMenu", "stAlert", "stDecoration"):
        assert page.get_by_test_id(part).locator("visible=true").count() == 0, part
    slider(page, "forget").press("PageDown")
    page.wait_for_function("location.search.includes('forget=')")
    assert "embed=true" in page.url


def test_every_control_moves_the_page(visit):
    page = visit({"sequence": "sentence"})
    page.get_by_text("More", exact=True).click()
    expect(page.get_by_role("combobox", name="Initialisation")).to_be_visible()
    moved = set()
    first_view = to_params(Scenario()).keys() - {"cell_path_only"}
    fields = [field for field in LABELS if field in first_view - {"preset", "cell", "sequence", "reset", "update"}]
    for field in (*fields, "cell", "reset", "update", "sequence", "preset"):
        wait_until_at_rest(page)
        before = link(page).get(field)
        move(page, field)
        page.wait_for_function(
            "([field, before]) => { const now = new URLSearchParams(location.search).get(field);"
            " return now !== null && now !== before }",
            arg=[field, before],
        )
        expect(verdict(page)).to_have_text(measurement(link(page)).said())
        expect(page.get_by_role("alert")).to_have_count(0)
        moved.add(field)
    assert moved == first_view


def test_nothing_jumps_while_a_gate_moves(visit):
    page = visit()
    start = places(page)
    with finger_on(page, "forget") as drag:
        for percent in range(0, 101, 5):
            drag(percent / 100, steps=1)
            page.wait_for_timeout(40)
            assert places(page) == pytest.approx(start, abs=1), verdict(page).inner_text()
