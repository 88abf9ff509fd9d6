"""What axe-core finds on the pages, at WCAG 2.2 AA, in both themes: nothing."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from gradflow.app.lessons import LESSONS
from support.chromium import wait_until_drawn
from support.page_driver import button, reveal

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


def found(page):
    page.mouse.move(0, 0)
    expect(page.locator("[class*=st-key-status]")).to_have_count(0)  # it greys the picture
    wait_until_drawn(page)
    page.wait_for_timeout(500)  # what fades in is there
    violations = Axe().run(page, options=RULES).response["violations"]
    return [(each["id"], node["html"][:120]) for each in violations for node in each["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_found_on_either_page(visit, scheme):
    page = visit({"closer": "true"}, color_scheme=scheme)
    page.get_by_text("More", exact=True).click()
    assert found(page) == []
    page.get_by_role("radio", name="Cells").click()
    page.wait_for_function("ink().some(({ text }) => text === 'Each term by lag, cell by cell')")
    assert found(page) == []
    page.get_by_role("link", name="Lessons", exact=True).click()
    button(page, "2").click()
    expect(page.get_by_role("heading", name=f"2. {LESSONS[1].title}")).to_be_visible()
    assert found(page) == []
    reveal(page)
    assert found(page) == []


def test_too_little_contrast_would_be_found(visit):
    page = visit()
    page.evaluate("document.querySelector('.st-key-introduction p').style.color = '#aaaaaa'")
    assert [rule for rule, _ in found(page)] == ["color-contrast"]
