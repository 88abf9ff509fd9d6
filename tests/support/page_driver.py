"""Explore in a browser: what a person finds there, sees there and does there. The page has `INK` of `browser`."""

import contextlib
import re
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import expect

from gradflow.app.labels import LABELS
from gradflow.app.measurement import measure
from gradflow.app.url_codec import parse
from gradflow.reading import number
from support.chromium import CANVAS, CHART, wait_until_at_rest

READ_OUT = re.compile(r"lag (\d+) \(step .+?\): term \S+, running sum \S+")
AXES = "ink().filter(({ text }) => text.startsWith('10')).map((label) => Object.values(label).join(' ')).sort().join()"
PICTURE = f"document.querySelector('{CANVAS}').toDataURL()"
COLOURS = """canvas => new Set(new Uint32Array(
  canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"""
FARES = re.compile("How the (statement|claim) fares")


def verdict(page):
    return page.get_by_role("heading", level=2)


def texts(page):
    """Every text on the canvas."""
    return [ink["text"] for ink in page.evaluate("ink()")]


def axes(page):
    """Where which power of ten stands: the labels of the logarithmic axes."""
    return page.evaluate(AXES)


def watch_axes(page):
    """Let the page keep every different state of its axes, one after the other, in `axesSeen`."""
    page.evaluate(f"""() => {{
      window.axesSeen = [];
      const look = () => {{
        const now = {AXES};
        if (now !== axesSeen.at(-1)) axesSeen.push(now);
        requestAnimationFrame(look);
      }};
      look();
    }}""")


def picture(page):
    """The pixels on the canvas, as a data URL."""
    return page.evaluate(PICTURE)


def link(page):
    """The address bar, name -> text."""
    return {name: text for name, (text,) in parse_qs(urlsplit(page.url).query, keep_blank_values=True).items()}


def measurement(params):
    scenario, _, notices = parse(params)
    assert not notices
    return measure(scenario)


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def slider(page, field):
    return page.get_by_role("slider", name=LABELS[field][0], exact=True)


def typed(page, field):
    """The number beside a range, which can be typed."""
    return page.get_by_role("textbox", name=f"{LABELS[field][0]}, number", exact=True)


def hover(page, across=0.2, down=0.15):
    """Put the pointer on a lag of the upper left panel; which one."""
    before = read_out(page)
    page.locator(CHART).hover(position=place(page, across, down))
    return lit(page, before)


def lit(page, before=""):
    """Wait for another read-out than before; its lag."""
    page.wait_for_function(
        "before => ink().some(({ text }) => text !== before && text.startsWith('lag ') && text.includes('sum'))",
        arg=before,
    )
    return int(READ_OUT.fullmatch(read_out(page))[1])


def place(page, across, down):
    box = page.locator(CANVAS).bounding_box()
    return {"x": across * box["width"], "y": down * box["height"]}


def read_out(page):
    """The numbers of the lag under the pointer, as they stand on the canvas."""
    return next(filter(READ_OUT.fullmatch, texts(page)), "")


def expected_read_out(params, lag):
    now = measurement(params)
    step = f"{now.t - lag} {now.labels[now.t - lag]}".strip()
    term, partial = number(now.log_row[lag]), number(now.log_partial[lag])
    return f"lag {lag} (step {step}): term {term}, running sum {partial}"


@contextlib.contextmanager
def finger_on(page, field):
    """Hold the thumb of a range; yields drag(share), which takes it to a share of the track."""
    box = slider(page, field).bounding_box()
    thumb = 18.4  # its centre cannot leave the track by half of this
    middle = box["y"] + box["height"] / 2

    def drag(share, steps=4):
        page.mouse.move(box["x"] + thumb / 2 + share * (box["width"] - thumb), middle, steps=steps)

    low, high, value = (
        float(slider(page, field).evaluate(f"range => range.{name}")) for name in ("min", "max", "value")
    )
    drag((value - low) / (high - low))
    page.mouse.down()
    yield drag
    page.mouse.up()


def luminance(rgb):
    """Relative luminance of an sRGB colour, WCAG 2."""
    linear = [c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def move(page, field):
    """Change a control as a person does, whatever it is."""
    label = LABELS[field][0]
    if field == "gates":
        page.get_by_role("radiogroup", name=label).get_by_role("radio", checked=False).first.click()
    elif field == "text":
        page.get_by_role("textbox", name=label).fill("abracadabra")
        page.keyboard.press("Enter")
    elif field == "seed":
        page.get_by_role("spinbutton", name=label).press("ArrowUp")
        page.keyboard.press("Enter")
    elif slider(page, field).count():
        slider(page, field).press("PageUp" if field == "write_every" else "PageDown")
    else:
        box = page.get_by_role("combobox", name=label, exact=True)
        box.scroll_into_view_if_needed()  # the list closes when the sidebar scrolls under it
        expect(box).to_be_in_viewport(ratio=1)
        box.click()
        other = {"cell": "gru", "hidden": "8"}.get(field, re.compile(f"^(?!{re.escape(box.input_value())}$)"))
        page.get_by_role("option").filter(has_text=other).first.click()


def places(page):
    """Where verdict and chart stand, and their sizes, at one moment."""
    return page.evaluate(
        """selectors => selectors.flatMap(selector => {
          const { x, y, width, height } = document.querySelector(selector).getBoundingClientRect();
          return [x, y, width, height];
        })""",
        [".st-key-picture h2", CHART],
    )


# the lessons


def over_the_picture(page):
    """The sentence of a lesson's picture."""
    return page.locator(".st-key-picture h2")


def reveal(page):
    """Answer with the first option, if there are any, and see what is measured."""
    wait_until_at_rest(page)
    guess = page.locator("[class*=st-key-guess_]")
    expect(guess).to_have_count(1)  # that of the lesson before is gone
    radios = guess.get_by_role("radio")  # the page opened before may still be there, and has radios too
    radios.or_(guess.get_by_role("slider")).first.wait_for()  # its code is loaded when the first of its kind is shown
    if radios.count():
        first = radios.first
        first.press("Space")  # a click may miss it while the page still moves
        expect(first).to_be_checked()
    button(page, "Show what is measured").click()
    expect(page.get_by_role("heading", name=FARES)).to_be_visible(timeout=90_000)
    wait_until_at_rest(page)
