"""Gates as initialised, in a browser: their ranges say so until they are moved, by hand or by a sweep."""

import pytest
from playwright.sync_api import expect

from gradflow.app.labels import LABELS
from gradflow.app.url_codec import parse
from support.page_driver import link, measurement, slider, typed, verdict

WORDS = "as initialised"


@pytest.mark.parametrize("init", ["keras", "chrono", "pytorch"])
def test_a_range_says_as_initialised_until_it_is_moved(visit, init):
    page = visit({"init": init, "closer": "true"})
    rest = parse(link(page))[0]
    for field in ("forget", "input", "output"):
        expect(typed(page, field)).to_have_value(WORDS)
        expect(slider(page, field)).to_have_attribute("aria-valuetext", f"{LABELS[field][0]} {WORDS}")
        assert float(slider(page, field).input_value()) == pytest.approx(rest.at_rest(field), abs=0.0026)
    start = float(slider(page, "forget").input_value())
    slider(page, "forget").press("ArrowLeft")
    expect(typed(page, "forget")).to_have_value(f"{start - 0.005:.3f}")
    page.wait_for_function("location.search.includes('forget=0')")
    assert float(link(page)["forget"]) == pytest.approx(start - 0.005)
    assert link(page)["input"] == "initial"
    expect(typed(page, "input")).to_have_value(WORDS)
    expect(verdict(page)).to_have_text(measurement(link(page)).said())
    undo = page.get_by_role("button", name="Undo")
    place = undo.bounding_box()
    page.get_by_role("button", name="Keep to compare").click()
    expect(page.get_by_role("button", name="Stop comparing")).to_be_visible()
    assert undo.bounding_box() == place, "it moved away under the mouse"
    undo.click()
    expect(typed(page, "forget")).to_have_value(WORDS)
    expect(slider(page, "forget")).to_have_value(f"{start:g}")


def test_a_sweep_starts_where_the_thumb_stands(visit):
    page = visit({"init": "keras", "closer": "true"})
    start = float(slider(page, "forget").input_value())
    page.get_by_label("What to sweep").select_option("forget")
    page.get_by_label("Speed").select_option("0.5")
    typed(page, "forget").evaluate("""number => {
      window.texts = [];
      const look = () => {
        if (!["as initialised", texts.at(-1)].includes(number.value)) texts.push(number.value);
        requestAnimationFrame(look);
      };
      look();
    }""")
    button = page.get_by_role("button", name="Play")
    button.click()
    page.wait_for_function("texts.length > 8")
    page.get_by_role("button", name="Pause").click()
    values = [float(text) for text in page.evaluate("texts")]
    assert start <= values[0] <= start + 0.01 and values == sorted(values)
    page.wait_for_function("location.search.includes('forget=0')")
    assert link(page)["input"] == "initial"
