"""The lessons in a browser: from first to last by keyboard, links that carry everything, a training that is seen."""

import re

import pytest
from playwright.sync_api import expect

from gradflow.app.charts import layers as net
from gradflow.app.lessons import LESSONS
from gradflow.app.measurement import measure
from gradflow.app.url_codec import parse, parse_view
from gradflow.feedforward import layer_gradients
from support.chromium import CANVAS, wait_until_at_rest, wait_until_drawn
from support.page_driver import FARES, button, link, over_the_picture, reveal, slider, texts, verdict
from support.wording import missing_value


def lessons(visit, **how):
    page = visit(**how)
    page.get_by_role("link", name="Lessons").click()
    expect(page.get_by_role("heading", name=LESSONS[0].title)).to_be_visible()
    return page


def test_from_first_to_last_by_keyboard(visit):
    page = lessons(visit)
    for number, lesson in enumerate(LESSONS, 1):
        expect(page.get_by_role("heading", name=f"{number}. {lesson.title}")).to_be_visible()
        wait_until_drawn(page)
        assert parse(link(page))[0] == lesson.scenario and parse_view(link(page))[0] == lesson.view
        expect(over_the_picture(page)).to_have_text("")
        if lesson.guess.options:
            options = page.locator(f".st-key-guess_{number}").get_by_role("radio")
            expect(options).to_have_count(len(lesson.guess.options))
            options.first.focus()  # by its place, since its name may hold a formula
            page.keyboard.press("Space")
        else:
            page.get_by_test_id("stSlider").get_by_role("slider").press("ArrowRight")
        expect(button(page, "Show what is measured")).to_be_enabled()
        wait_until_at_rest(page)
        button(page, "Show what is measured").press("Enter")
        expect(over_the_picture(page)).to_have_text(
            lesson.headline(measure(lesson.scenario), lesson.view), timeout=90_000
        )
        expect(page.get_by_role("heading", name=FARES)).to_be_visible()
        wait_until_at_rest(page)
        assert page.locator(CANVAS).first.bounding_box()["width"] > 600
        assert not any(map(missing_value, texts(page)))
        page.keyboard.press("PageDown")
    assert [part.split(":")[0] for part in link(page)["answers"].split(",")] == [
        str(number) for number in range(1, len(LESSONS) + 1)
    ]


def test_a_lesson_answers_to_its_controls_and_opens_in_explore(visit):
    page = lessons(visit)
    page.get_by_test_id("stButton").get_by_role("button", name="4", exact=True).click()
    page.get_by_role("heading", name=LESSONS[3].title).wait_for()
    wait_until_drawn(page)
    expect(over_the_picture(page)).to_have_text("")  # else it gives the answer away
    slider(page, "forget").press("Home")
    page.wait_for_function("location.search.includes('forget=0.0&') || location.search.includes('forget=0&')")
    wait_until_at_rest(page)
    carried = link(page)
    page.get_by_role("link", name="Open in Explore").click()
    expect(page.get_by_test_id("stSidebar")).to_be_visible()
    wait_until_drawn(page)
    assert parse(link(page))[0] == parse(carried)[0]
    assert parse(carried)[0].forget == 0
    expect(verdict(page)).to_have_text(measure(parse(carried)[0]).said())


def test_progress_is_in_the_link(visit):
    page = lessons(visit)
    reveal(page)
    assert link(page)["answers"] == "1:0"
    expect(button(page, "1 ✓")).to_be_visible()


@pytest.mark.parametrize("number, press, said", [(8, "Train", "forget bias log k"), (9, "Train again", "gain 4")])
def test_the_training_is_seen_and_ends(visit, number, press, said):
    page = lessons(visit)
    button(page, str(number)).click()
    expect(page.get_by_role("heading", name=LESSONS[number - 1].title)).to_be_visible()
    reveal(page)
    button(page, press).click()
    expect(button(page, "Stop")).to_be_visible()
    expect(button(page, "Train again")).to_be_visible(timeout=90_000)
    expect(page.get_by_text(re.compile(f"{said}.*learned by step"))).to_be_visible()


def test_the_net_follows_its_controls(visit):
    page = lessons(visit)
    button(page, "5").click()
    expect(page.get_by_role("heading", name=LESSONS[4].title)).to_be_visible()
    reveal(page)
    for radio in ("relu", "64"):
        page.get_by_role("radio", name=radio).click()
    page.get_by_role("slider", name="Depth: layers").press("Home")
    expect(page.get_by_text(net.say(layer_gradients("relu", 2, 64)))).to_be_visible(timeout=90_000)
    wait_until_at_rest(page)
    assert (link(page)["activation"], link(page)["width"], link(page)["depth"]) == ("relu", "64", "2")
    assert not any(map(missing_value, texts(page)))


def test_an_example_is_seen_without_scrolling_back(visit):
    page = lessons(visit)
    button(page, "2").click()
    expect(page.get_by_role("heading", name=LESSONS[1].title)).to_be_visible()
    button(page, "Show what is measured").click()
    expect(page.get_by_role("heading", name=FARES)).to_be_visible(timeout=90_000)
    for example in LESSONS[1].examples:
        button(page, example.label).click()
        said = LESSONS[1].headline(measure(example.scenario), example.view or LESSONS[1].view)
        expect(over_the_picture(page)).to_have_text(said)
        expect(page.locator(CANVAS).first).to_be_in_viewport(ratio=0.5)
        wait_until_at_rest(page)


def test_on_a_phone_nothing_is_wider_than_the_screen(visit):
    page = visit(viewport={"width": 390, "height": 844})
    page.get_by_role("link", name="Lessons").click()
    for number in (1, 7):
        button(page, str(number)).click()
        expect(page.get_by_role("heading", name=LESSONS[number - 1].title)).to_be_visible()
        wait_until_drawn(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
