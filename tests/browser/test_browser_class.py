"""Lessons before a class: on one screen, on paper, and as a code to scan."""

import io
import re
from itertools import accumulate

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import expect
from pypdf import PdfReader

from gradflow.app.lessons import LESSONS, TEACHING
from support.chromium import CANVAS, wait_until_at_rest, wait_until_drawn
from support.page_driver import button, picture, reveal, slider

REVEAL = "Show what is measured"
PAPER = re.compile(r"\s+")


def open_lesson(visit, number):
    page = visit(viewport={"width": 1280, "height": 720})
    page.get_by_role("link", name="Lessons", exact=True).click()
    page.get_by_test_id("stButton").get_by_role("button", name=str(number), exact=True).click()
    expect(page.get_by_role("heading", name=f"{number}. {LESSONS[number - 1].title}")).to_be_visible()
    wait_until_drawn(page)
    return page


def ends(box):
    return box["y"], box["y"] + box["height"]


def scanned(png):
    return [found.text for found in zxingcpp.read_barcodes(Image.open(io.BytesIO(png)))]


@pytest.mark.parametrize("number", range(1, len(LESSONS) + 1))
def test_question_and_picture_are_on_one_screen_and_the_picture_is_first_on_a_phone(visit, number):
    page = open_lesson(visit, number)
    assert ends(button(page, REVEAL).bounding_box())[1] <= 720
    top, bottom = ends(page.locator(CANVAS).first.bounding_box())
    assert 0 < top < bottom <= 720
    page.set_viewport_size({"width": 390, "height": 844})
    wait_until_drawn(page)
    question = page.get_by_text("Your prediction.").locator("visible=true").first
    assert page.locator(CANVAS).first.bounding_box()["y"] < question.bounding_box()["y"]
    question.scroll_into_view_if_needed()
    page.mouse.move(200, 700)
    page.mouse.wheel(0, 400)
    page.wait_for_timeout(300)
    column = page.locator(".stColumn", has=page.locator(CANVAS)).first
    assert ends(column.bounding_box())[0] >= 0, "the picture has left the screen"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_lesson_on_stage_has_large_letters_and_all_on_one_screen(visit):
    page = open_lesson(visit, 2)
    size = "label => parseFloat(getComputedStyle(label).fontSize)"
    question = page.get_by_text("Your prediction.").locator("visible=true").first
    before = question.evaluate(size)
    page.get_by_text("On stage", exact=True).click()
    page.wait_for_function("location.search.includes('stage=true')")
    page.get_by_test_id("stButton").get_by_role("button", name="3", exact=True).click()
    expect(page.get_by_role("heading", name=f"3. {LESSONS[2].title}")).to_be_visible()
    wait_until_at_rest(page)
    assert "stage=true" in page.url, "the next lesson is on stage as well"
    assert question.evaluate(size) > 1.3 * before
    assert ends(button(page, REVEAL).bounding_box())[1] <= 720
    assert ends(page.locator(CANVAS).first.bounding_box())[1] <= 724
    expect(page.get_by_text("Let ρ be the", exact=False)).to_be_hidden()
    button(page, "The text").click()
    expect(page.get_by_test_id("stPopoverBody").get_by_text("what one step back multiplies")).to_be_visible()


def test_a_lesson_is_printed_on_one_page_with_a_code_of_itself(visit):
    page = open_lesson(visit, 8)
    reveal(page)
    expect(page.get_by_role("heading", name="How the claim fares")).to_be_visible()
    (sheet,) = PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True))).pages
    text = PAPER.sub("", sheet.extract_text())
    for said in (LESSONS[7].title, LESSONS[7].claim, LESSONS[7].guess.question, LESSONS[7].try_this):
        assert PAPER.sub("", said) in text
    assert "Howtheclaimfares" not in text and "Judgeagain" not in text
    page.emulate_media(media="print")
    code = page.locator(".handout img")
    expect(code).to_be_visible()
    (address,) = scanned(code.screenshot())
    assert address == page.url.split("?")[0] + "?lesson=8"
    page.emulate_media(media="screen")
    expect(code).to_be_hidden()


def test_what_a_teacher_takes_along(visit):
    page = open_lesson(visit, 7)
    button(page, "For class").click()
    code = page.get_by_alt_text("The code of this lesson").locator("visible=true")
    expect(code).to_be_visible()
    address = page.url.split("?")[0] + "?lesson=7"
    assert scanned(code.screenshot()) == [address]
    expect(page.get_by_text(f'<iframe src="{address}&amp;embed=true"')).to_be_visible()
    for bold in ("Show", "Expect", "Then", "Say"):
        expect(page.get_by_test_id("stPopoverBody").get_by_text(bold, exact=True)).to_be_visible()


def test_time_can_be_played_in_a_lesson(visit):
    page = open_lesson(visit, 7)
    reveal(page)
    wait_until_at_rest(page)
    before = picture(page)
    page.get_by_label("What to sweep").select_option(label="Time t")
    button(page, "▶ Play").click()
    page.wait_for_function("before => document.querySelector('canvas').toDataURL() !== before", arg=before)
    button(page, "❚❚ Pause").click()
    page.wait_for_function("!location.search.includes('time=95')")
    assert float(slider(page, "time").input_value()) < 95


def test_the_notes_have_a_plan_that_adds_up_and_a_part_for_each_lesson():
    text = TEACHING.read_text("utf-8")
    short = re.search(r"\| short \| (.*?) \| 45 min \|", text)[1]
    long = re.search(r"\| long \| the short one, then (.*?) \| 90 min \|", text)[1]
    full = re.search(r"\| in full \| the long one, then (.*?) \| 110 min \|", text)[1]
    minutes = [{int(k): int(m) for k, m in re.findall(r"(\d+) \((\d+)\)", path)} for path in (short, long, full)]
    assert [*accumulate(sum(each.values()) for each in minutes)] == [45, 90, 110]
    assert sorted(number for each in minutes for number in each) == [*range(1, len(LESSONS) + 1)]
    for number in range(1, len(LESSONS) + 1):
        part = text.partition(f"## Lesson {number}\n")[2].partition("\n## ")[0]
        assert re.findall(r"- \*\*(\w+)\*\*", part) == ["Show", "Expect", "Then", "Say"]
