"""What a person sees: a real Chromium on a running server."""

import contextlib
import os
import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from browser import CANVAS, CHART, INK, PATIENCE, ROOT, executable, launch, serve
from playwright.sync_api import expect, sync_playwright

from gradflow.controls import LABELS
from gradflow.reading import number
from gradflow.scenario import DEFAULT_PRESET, PRESETS, Scenario, parse, to_params

READ_OUT = re.compile(r"lag (\d+) \(step .+?\): term \S+, running sum \S+")
AXES = "ink().filter(({ text }) => text.startsWith('10')).map((label) => Object.values(label).join(' ')).sort().join()"
PICTURE = f"document.querySelector('{CANVAS}').toDataURL()"
COLOURS = """canvas => new Set(new Uint32Array(
  canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"""
NO_NUMBER = re.compile(r"\b(nan|inf|infinity|undefined|null)\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def server():
    with serve(ROOT / "app.py") as server:
        yield server


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        if executable(playwright) is None:
            assert "CI" not in os.environ, "there is no Chromium here, and these tests must run"
            pytest.skip("there is no Chromium: playwright install chromium")
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def visit(server, chromium):
    """visit(params, **context): a page opened by a link; at the end neither browser nor server has complained."""
    contexts, complaints, said = [], [], len(server.log())

    def visit(params=None, **options):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        context.set_default_timeout(1000 * PATIENCE)
        context.add_init_script(INK)
        page = context.new_page()
        page.on("console", lambda message: message.type in ("error", "warning") and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{server.url}/?{urlencode(params or {})}")
        drawn(page)
        return page

    yield visit
    for context in contexts:
        assert not context.pages[0].get_by_test_id("stException").count()
        assert not context.pages[0].get_by_test_id("stAlertContentError").count()
        context.close()
    print(server.log())  # pytest shows it when a test fails
    assert not complaints
    assert not re.search("traceback|error|warning", server.log()[said:], re.IGNORECASE)


def drawn(page):
    """Wait until the picture stands and the server is at rest."""
    page.wait_for_function("ink().some(({ text }) => text.includes('t = ')) && ink.since() > 200")
    at_rest(page)


def at_rest(page):
    page.wait_for_selector('[data-test-script-state="notRunning"]')


def verdict(page):
    return page.get_by_role("heading", level=2)


def texts(page):
    """Every text on the canvas."""
    return [ink["text"] for ink in page.evaluate("ink()")]


def axes(page):
    """Where which power of ten stands: the labels of the logarithmic axes."""
    return page.evaluate(AXES)


def picture(page):
    """The pixels on the canvas, as a data URL."""
    return page.evaluate(PICTURE)


def link(page):
    """The address bar, name -> text."""
    return {name: text for name, (text,) in parse_qs(urlsplit(page.url).query, keep_blank_values=True).items()}


def measurement(params):
    scenario, _, notices = parse(params)
    assert not notices
    return scenario.measure()


def slider(page, field):
    return page.get_by_role("slider", name=LABELS[field][0], exact=True)


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_opens_whole(visit, width, scheme):
    page = visit(viewport={"width": width, "height": 844}, color_scheme=scheme)
    expect(verdict(page)).to_have_text(PRESETS[DEFAULT_PRESET].measure().reading.verdict)
    for element in (CHART, CANVAS):
        assert 0.6 * min(width, 900) < page.locator(element).bounding_box()["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    main = page.get_by_test_id("stMain")
    assert main.evaluate("main => main.scrollWidth - main.clientWidth") <= 0
    assert page.locator(CANVAS).evaluate(COLOURS) > 100, "the picture is blank"
    background = page.get_by_test_id("stApp").evaluate("app => getComputedStyle(app).backgroundColor")
    paper = luminance([int(channel) for channel in re.findall(r"\d+", background)[:3]])
    assert (paper > 0.5) == (scheme == "light")
    for ink in page.evaluate("ink()"):
        letters = luminance([int(ink["color"][k : k + 2], 16) for k in (1, 3, 5)])
        contrast = (max(letters, paper) + 0.05) / (min(letters, paper) + 0.05)
        assert contrast > 3, f"“{ink['text']}” cannot be read"


def luminance(rgb):
    """Relative luminance of an sRGB colour, WCAG 2."""
    linear = [c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


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
    expect(verdict(page)).to_have_text(measurement(link(page)).reading.verdict)
    assert float(link(page)["forget"]) == float(slider(page, "forget").input_value()) < 0.1
    page.wait_for_function(f"before => {AXES} !== before", arg=frame)


def test_an_arrow_key_moves_verdict_terms_and_sum(visit):
    page = visit()
    lag = hover(page)
    before = read_out(page)
    assert before == expected_read_out({}, lag)
    slider(page, "gain").press("ArrowRight")
    page.wait_for_function("location.search.includes('gain=1.01')")
    expect(verdict(page)).to_have_text(measurement(link(page)).reading.verdict)
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
    first = measurement(FULL).reading.verdict
    for _ in range(2):
        expect(verdict(page)).to_have_text(first)
        lag = hover(page)
        assert read_out(page) == expected_read_out(FULL, lag)
        assert link(page) == FULL
        page.reload()
        drawn(page)
    slider(page, "gain").press("PageUp")
    page.wait_for_function("!location.search.includes('gain=3.21')")
    second = measurement(link(page)).reading.verdict
    assert second != first
    expect(verdict(page)).to_have_text(second)
    page.go_back()
    expect(verdict(page)).to_have_text(first)
    assert link(page) == FULL
    expect(slider(page, "gain")).to_have_value("3.21")
    page.go_forward()
    expect(verdict(page)).to_have_text(second)


def test_a_bad_link_gives_one_notice_and_a_clean_address(visit):
    script = "<script>document.title = 'caught'</script>"
    page = visit({"cell": "transformer", "gain": "1e999", "seed": "\x00", "text": script, "init": script})
    expect(page.get_by_test_id("stAlert")).to_have_count(1)
    expect(page.get_by_test_id("stAlert")).to_be_visible()
    assert link(page) == to_params(parse(link(page))[0])
    assert not parse(link(page))[2]
    assert "Traceback" not in page.locator("body").inner_text()
    assert page.title() == "gradflow"


def test_hovering_sends_nothing(visit):
    page = visit()
    sent = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    page.reload()
    drawn(page)
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
        assert not NO_NUMBER.search(text)


def test_dragging_into_an_overflow_keeps_the_last_picture_greyed(visit):
    page = visit({"cell": "rnn-linear", "horizon": "256"})
    chart = page.locator(CHART)
    with finger_on(page, "gain") as drag:
        drag(1, steps=8)
        expect(verdict(page)).to_contain_text("overflows at step")
        expect(chart).to_have_css("opacity", "0.35")
        numbers = [text for text in texts(page) if text.startswith("sum ")]
        assert numbers and not any(map(NO_NUMBER.search, texts(page)))
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
        at_rest(page)
        before = link(page).get(field)
        move(page, field)
        page.wait_for_function(
            "([field, before]) => { const now = new URLSearchParams(location.search).get(field);"
            " return now !== null && now !== before }",
            arg=[field, before],
        )
        expect(verdict(page)).to_have_text(measurement(link(page)).reading.verdict)
        expect(page.get_by_test_id("stAlert")).to_have_count(0)
        moved.add(field)
    assert moved == first_view


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


def test_nothing_jumps_while_a_gate_moves(visit):
    page = visit()
    start = places(page)
    with finger_on(page, "forget") as drag:
        for percent in range(0, 101, 5):
            drag(percent / 100, steps=1)
            page.wait_for_timeout(40)
            assert places(page) == pytest.approx(start, abs=1), verdict(page).inner_text()


def places(page):
    """Where verdict and chart stand, and their sizes, at one moment."""
    return page.evaluate(
        """selectors => selectors.flatMap(selector => {
          const { x, y, width, height } = document.querySelector(selector).getBoundingClientRect();
          return [x, y, width, height];
        })""",
        [".st-key-picture h2", CHART],
    )
