"""The ways between Explore and the lessons: each page is found again as it was left, by every way."""

import pytest
from playwright.sync_api import expect

from gradflow.app.lessons import LESSONS
from gradflow.app.measurement import measure
from gradflow.app.scenario import Scenario
from gradflow.app.url_codec import parse
from support.apptest_page import notices, open_lessons, shown
from support.chromium import CANVAS, wait_until_at_rest, wait_until_drawn
from support.page_driver import button, link, measurement, over_the_picture, reveal, slider, typed, verdict


def goes(page, name):
    """Follow a link, to the page it leads to."""
    page.get_by_role("link", name=name, exact=True).click()
    stands(page, on_lessons="esson" in name)


def stands(page, on_lessons):
    page.wait_for_url(lambda url: ("/lessons" in url) is on_lessons)
    expect(page.locator("[aria-current=page]")).to_have_text(["Lessons" if on_lessons else "Explore"])  # and no other
    expect(page.get_by_test_id("stSidebar")).to_be_visible(visible=not on_lessons)
    wait_until_drawn(page)


def on_explore(page, scenario):
    expect(verdict(page)).to_have_text(measure(scenario).said(True))
    assert parse(link(page))[0] == scenario
    assert not link(page).keys() & {"lesson", "answers"}


def on_lesson(page, number, gain, answers):
    expect(page.get_by_role("heading", name=f"{number}. {LESSONS[number - 1].title}")).to_be_visible()
    expect(typed(page, "gain")).to_have_value(f"{gain:.3f}")
    assert (link(page)["lesson"], link(page)["answers"], parse(link(page))[0].gain) == (str(number), answers, gain)
    for answer in answers.split(","):
        expect(button(page, f"{answer[0]} ✓")).to_be_visible()


def moved(page, key, text):
    slider(page, "gain").press(key)
    page.wait_for_function("text => location.search.includes(`gain=${text}&`)", arg=text)


@pytest.fixture
def way(visit):
    """Explore with another gain, left for the second lesson with another gain and the first one answered."""
    page = visit()
    moved(page, "ArrowRight", "1.01")
    goes(page, "Lessons")
    reveal(page)
    button(page, "2").click()
    expect(page.get_by_role("heading", name=LESSONS[1].title)).to_be_visible()
    wait_until_drawn(page)
    moved(page, "ArrowLeft", "0.79")
    wait_until_at_rest(page)
    return page


EXPLORED = Scenario(gain=1.01)


def test_by_the_links_at_the_top(way):
    for _ in range(2):
        goes(way, "Explore")
        on_explore(way, EXPLORED)
        goes(way, "Lessons")
        on_lesson(way, 2, 0.79, "1:0")


def test_by_open_in_explore_and_undo(way):
    carried = parse(link(way))[0]
    goes(way, "Open in Explore")
    on_explore(way, carried)
    goes(way, "Lessons")
    on_lesson(way, 2, 0.79, "1:0")
    goes(way, "Open in Explore")
    way.get_by_text("Look closer", exact=True).click()
    expect(button(way, "Undo")).to_be_enabled()
    button(way, "Undo").click()
    expect(verdict(way)).to_have_text(measure(EXPLORED).said(True))
    wait_until_at_rest(way)
    assert measurement(link(way)).scenario == EXPLORED


def test_a_link_carries_what_was_moved_last(way):
    moved(way, "ArrowLeft", "0.78")
    wait_until_at_rest(way)
    goes(way, "Open in Explore")
    assert parse(link(way))[0].gain == 0.78


def test_by_back_and_forward(way):
    goes(way, "Explore")
    way.go_back()
    stands(way, True)
    on_lesson(way, 2, 0.79, "1:0")
    way.go_forward()
    stands(way, False)
    on_explore(way, EXPLORED)
    goes(way, "Lessons")
    on_lesson(way, 2, 0.79, "1:0")
    goes(way, "Open in Explore")
    way.go_back()  # one step, and nothing was lost on the way
    stands(way, True)
    on_lesson(way, 2, 0.79, "1:0")


def test_back_through_a_lesson_to_explore_and_on_by_the_links(way):
    for heading, answers in ((LESSONS[1], "1:0"), (LESSONS[0], "1:0"), (LESSONS[0], None)):  # gain, lesson, answer
        way.go_back()
        expect(way.get_by_role("heading", name=heading.title)).to_be_visible()
        expect(button(way, "1 ✓")).to_have_count(1 if answers else 0)
        stands(way, True)
        assert link(way).get("answers") == answers
    way.go_back()
    stands(way, False)
    on_explore(way, EXPLORED)
    way.go_forward()
    stands(way, True)
    assert "answers" not in link(way)
    expect(over_the_picture(way)).to_have_text("")


def test_starting_again_keeps_the_answers(way):
    goes(way, "Explore")
    goes(way, "New here? Start with lesson 1")
    expect(page_title(way, 1)).to_be_visible()
    assert link(way)["answers"] == "1:0" and parse(link(way))[0] == LESSONS[0].scenario
    expect(button(way, "1 ✓")).to_be_visible()


def page_title(page, number):
    return page.get_by_role("heading", name=f"{number}. {LESSONS[number - 1].title}")


def test_a_link_is_whole(way):
    """Whoever is sent it sees the same."""
    at = open_lessons(**link(way))
    assert shown(at) == parse(link(way))[0] and not notices(at)
    assert (at.query_params["lesson"], at.query_params["answers"]) == ("2", "1:0")
    assert "1 ✓" in [each.label for each in at.button]


INTRODUCED = ("Explore", "Lessons", "New here? Start with lesson 1")


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (390, 844)])
def test_the_first_screen_says_what_it_is_and_fits(visit, width, height):
    page = visit(viewport={"width": width, "height": height})
    said = page.locator(".st-key-introduction")
    for name in ("C(t)", "δ", "W(t−u)", "dC(t)/dW(t−u)"):
        expect(said.locator("b", has_text=name).first).to_be_in_viewport(ratio=1)
    for name in INTRODUCED[1:]:
        expect(page.get_by_role("link", name=name, exact=True)).to_be_in_viewport(ratio=1)
    expect(verdict(page)).to_be_in_viewport(ratio=1)
    large, small = (float(each.evaluate("e => getComputedStyle(e).fontSize")[:-2]) for each in (verdict(page), said))
    assert large > small
    assert page.get_by_text("Computed on").count() == 0
    main = page.get_by_test_id("stMain")
    assert main.evaluate("main => main.scrollWidth - main.clientWidth") <= 0
    if width == 1280:
        expect(page.locator(CANVAS)).to_be_in_viewport(ratio=1)
        expect(page.get_by_text("Look closer", exact=True)).to_be_in_viewport(ratio=1)
    page.get_by_role("button", name="How these are defined").click()
    expect(page.get_by_text("Computed on")).to_have_count(1)


@pytest.mark.parametrize("params", [{"embed": "true"}, {"closer": "true", "stage": "true"}])
def test_embedded_and_on_stage_there_is_no_introduction(visit, params):
    page = visit(params)
    expect(verdict(page)).to_be_visible()
    expect(page.locator(".st-key-introduction")).to_have_count(0)
    for name in INTRODUCED:
        assert page.get_by_text(name, exact=True).locator("visible=true").count() == 0
