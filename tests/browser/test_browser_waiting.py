"""What a person sees while cells are compiled that nobody has asked for before."""

import re
import time

from playwright.sync_api import expect

from gradflow.app import first_view
from gradflow.app.lessons import LESSONS
from support.chromium import CANVAS, wait_until_at_rest
from support.page_driver import texts, verdict
from support.paths import ROOT
from support.server import PATIENCE, serve

TITLE = "Each term by lag, cell by cell"
WATCH = """() => {  // of every frame of the screen: the message, whether the picture is greyed, and which chart it is
  window.seen = [];
  const look = () => {
    const chart = document.querySelector(".st-key-picture .picture");
    const message = document.querySelector(".st-key-status")?.innerText ?? null;
    const old = !ink().some(({ text }) => text === "%s");
    const lit = document.querySelector("[data-testid=stMain] button[aria-checked=true]")?.innerText;
    seen.push({ message, old, lit, greyed: !chart || getComputedStyle(chart).opacity < 0.5 });
    requestAnimationFrame(look);
  };
  look();
}"""


def slowly(route):
    """Like a host that is far away: the message is gone before the new chart's specification is there."""
    time.sleep(0.5)
    route.continue_()


def test_the_first_press_of_cells_shows_what_is_done_and_greys_the_old_chart(visit):
    page = visit({"closer": "true", "hidden": "2"})
    page.route("**/cells.json*", slowly)
    page.evaluate(WATCH % TITLE)
    page.get_by_role("radio", name="Cells").click()
    page.wait_for_function("title => ink().some(({ text }) => text === title)", arg=TITLE)
    wait_until_at_rest(page)
    seen = page.evaluate("seen")
    waiting = [frame for frame in seen if frame["message"] is not None]
    assert waiting, "there was nothing to wait for"
    # how many are to be compiled, and how many of these are seen, is chance
    said = r"Getting ready for [\w-]+, \d of \d cells\. This happens once\.|Drawing\.|"
    assert all(re.fullmatch(said, frame["message"].strip()) for frame in waiting)
    begun = seen.index(waiting[0])
    assert all(frame["greyed"] for frame in seen[begun:] if frame["old"]), "the old chart stands under the lit tab"
    assert seen[-1]["message"] is None and not seen[-1]["greyed"] and not seen[-1]["old"]
    assert TITLE in texts(page)


def test_a_lesson_pressed_while_the_first_view_compiles_is_opened(chromium, tmp_path):
    with serve(ROOT / "app.py", XDG_CACHE_HOME=str(tmp_path)) as server, chromium.new_context() as context:
        page = context.new_page()
        page.goto(server.url)
        page.locator(CANVAS).wait_for()
        assert first_view.NOTE in verdict(page).inner_text(), "nothing is compiled any more"
        page.get_by_role("link", name="Start with lesson 1").click()
        expect(page.get_by_role("heading", name=LESSONS[0].title)).to_be_visible(timeout=1000 * PATIENCE)
        wait_until_at_rest(page)
        assert "/lessons?" in page.url
