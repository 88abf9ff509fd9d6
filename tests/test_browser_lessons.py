"""The lessons in a browser: from first to last by keyboard, links that carry everything, a training that is seen."""

import re

from browser import CANVAS, at_rest, drawn
from explore import NO_NUMBER, link, slider, texts, verdict
from playwright.sync_api import expect

from gradflow.lessons import LESSONS
from gradflow.look import parse_look
from gradflow.scenario import parse


def lessons(visit, **how):
    page = visit(**how)
    page.get_by_role("link", name="Lessons").click()
    expect(page.get_by_role("heading", name=LESSONS[0].title)).to_be_visible()
    return page


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def test_from_first_to_last_by_keyboard(visit):
    page = lessons(visit)
    for number, lesson in enumerate(LESSONS, 1):
        expect(page.get_by_role("heading", name=f"{number}. {lesson.title}")).to_be_visible()
        drawn(page)
        assert parse(link(page))[0] == lesson.scenario and parse_look(link(page))[0] == lesson.look
        expect(page.get_by_text("Measured now.")).to_have_count(0)
        if lesson.guess.options:
            page.get_by_role("radio", name=lesson.guess.options[0]).focus()
            page.keyboard.press("Space")
        else:
            page.get_by_test_id("stSlider").get_by_role("slider").press("ArrowRight")
        expect(button(page, "Show what is measured")).to_be_enabled()
        at_rest(page)
        button(page, "Show what is measured").press("Enter")
        expect(page.get_by_text("Measured now.")).to_be_visible(timeout=30_000)
        expect(page.get_by_role("heading", name="How the claim fares")).to_be_visible()
        at_rest(page)
        assert page.locator(CANVAS).first.bounding_box()["width"] > 600
        assert not any(map(NO_NUMBER.search, texts(page)))
        page.keyboard.press("PageDown")
    assert [part.split(":")[0] for part in link(page)["answers"].split(",")] == [*"12345678"]


def test_a_lesson_answers_to_its_controls_and_opens_in_explore(visit):
    page = lessons(visit)
    page.get_by_test_id("stButton").get_by_role("button", name="4", exact=True).click()
    page.get_by_role("heading", name=LESSONS[3].title).wait_for()
    drawn(page)
    assert verdict(page).count() == 0 or not verdict(page).first.inner_text().startswith("Each"), (
        "it gives the answer away"
    )
    slider(page, "forget").press("Home")
    page.wait_for_function("location.search.includes('forget=0.0&') || location.search.includes('forget=0&')")
    at_rest(page)
    carried = link(page)
    button(page, "Open in Explore").click()
    expect(page.get_by_test_id("stSidebar")).to_be_visible()
    drawn(page)
    assert parse(link(page))[0] == parse(carried)[0]
    assert parse(carried)[0].forget == 0
    expect(verdict(page)).to_have_text(parse(carried)[0].measure().reading.verdict)


def test_progress_is_in_the_link(visit):
    page = lessons(visit)
    page.get_by_role("radio", name=LESSONS[0].guess.options[1]).check(force=True)
    button(page, "Show what is measured").click()
    expect(page.get_by_text("Measured now.")).to_be_visible(timeout=30_000)
    at_rest(page)
    assert link(page)["answers"] == "1:1"
    expect(button(page, "1 ✓")).to_be_visible()


def test_the_training_is_seen_and_ends(visit):
    page = lessons(visit)
    button(page, "8").click()
    page.get_by_role("radio", name=LESSONS[7].guess.options[2]).check(force=True)
    button(page, "Show what is measured").click()
    expect(page.get_by_role("heading", name="Learning for real")).to_be_visible(timeout=30_000)
    at_rest(page)
    button(page, "Train").click()
    expect(button(page, "Stop")).to_be_visible()
    expect(button(page, "Train again")).to_be_visible(timeout=60_000)
    said = page.get_by_text(re.compile("forget bias log k.*learned by step"))
    expect(said).to_be_visible()


def test_on_a_phone_nothing_is_wider_than_the_screen(visit):
    page = visit(viewport={"width": 390, "height": 844})
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_role("link", name="Lessons").click()
    for number in (1, 7):
        button(page, str(number)).click()
        expect(page.get_by_role("heading", name=LESSONS[number - 1].title)).to_be_visible()
        drawn(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
