"""Whatever breaks, a visitor reads a short notice with a number, and the server's log alone has the reason."""

import importlib
import re
import sys
from urllib.parse import parse_qs, urlsplit

import pytest
import streamlit as st
from playwright.sync_api import expect

from gradflow.app import training
from gradflow.app.scenario import Scenario
from gradflow.app.url_codec import to_params
from support.apptest_page import new_page, press, record, shown, training_of, widget
from support.chromium import INK, wait_until_at_rest, wait_until_drawn
from support.paths import ROOT
from support.server import PATIENCE, serve

SECRET = "secret detail"
SET = to_params(Scenario(gain=3.21))


def broken(*arguments, **named):
    raise RuntimeError(SECRET)


def everything(app):
    """All that a page says, as one text."""
    return " ".join(str(element.proto) for element in (*app.main, *app.sidebar))


def number(app, caplog):
    """The number of the apology, after a look at page and log."""
    assert not app.exception, "the visitor sees a box of Streamlit's"
    (error,) = app.error
    number = re.fullmatch(r"Sorry, this did not work\. The server's log has the reason under (\w{6})\.", error.value)[1]
    assert SECRET not in everything(app) and "Traceback" not in everything(app)
    assert number in caplog.text and SECRET in caplog.text and "Traceback" in caplog.text
    assert '<a href="?">Start again</a>' in [html.proto.body for html in app.get("html")]
    return number


def copied(app):
    """What the scenario to copy holds, name -> text."""
    *_, link = (code.value for code in app.code if "?" in code.value)
    return {name: text for name, (text,) in parse_qs(urlsplit(link).query).items()}


@pytest.mark.parametrize(
    "where",
    [
        "streamlit.navigation",
        "gradflow.app.session.read_link",
        "gradflow.app.sidebar.sidebar",
        "gradflow.app.toolbar.bottom",
        "gradflow.app.live_chart.inject_css",
        "gradflow.app.live_chart.draw_picture",
        "gradflow.app.live_chart.measure",
        "gradflow.app.frame.frame",
        "gradflow.app.components.range_slider.read_reports",
        "gradflow.app.sidebar.live_panels",
        "gradflow.app.url_codec.view_params",
        "gradflow.app.scenario.Scenario.__hash__",
    ],
)
def test_a_broken_page_shows_the_error_notice(where, monkeypatch, caplog):
    monkeypatch.setattr(where, broken)
    app = new_page(**SET).run()
    number(app, caplog)
    assert copied(app) == SET


@pytest.mark.parametrize("embedded, way_back", [(True, "?embed=true"), (False, "?")])
def test_the_way_back_stays_embedded(embedded, way_back, monkeypatch):
    monkeypatch.setattr("gradflow.app.components.range_slider.read_reports", broken)
    app = new_page()
    app.context = {"is_embedded": embedded}
    app.run()
    assert f'<a href="{way_back}">Start again</a>' in [html.proto.body for html in app.get("html")]


@pytest.mark.parametrize("module", ["gradflow.app.live_chart", "gradflow.app.session", "gradflow.app.charts"])
def test_a_page_that_cannot_be_loaded_shows_the_error_notice(module, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, module, None)  # an import of it raises
    parent, _, name = module.rpartition(".")
    monkeypatch.delattr(importlib.import_module(parent), name, raising=False)
    app = new_page(**SET).run()
    assert not app.exception and len(app.error) == 1
    assert "ImportError" in caplog.text or "ModuleNotFoundError" in caplog.text
    assert copied(app) == SET


@pytest.mark.parametrize("where", ["gradflow.app.session.names", "gradflow.app.live_chart.measure"])
def test_a_broken_lesson_shows_the_error_notice(where, monkeypatch, caplog):
    monkeypatch.setattr(where, broken)
    app = new_page("lessons", **SET, lesson="2").run()
    number(app, caplog)
    assert copied(app) == SET | {"lesson": "2"}


def test_a_control_that_breaks_leaves_the_page_as_it_is(monkeypatch, caplog):
    app = new_page(**SET).run()
    monkeypatch.setattr("gradflow.app.state._settled", broken)
    widget(app, "preset").set_value("GRU").run()
    first = number(app, caplog)
    assert shown(app) == Scenario(gain=3.21)
    assert copied(app) == SET, "half of what broke"
    assert record(app)["tables"], "the picture is gone"
    monkeypatch.undo()
    widget(app, "cell").set_value("gru").run()
    assert number(app, caplog) == first, "the apology went before it was closed"
    press(app, "Close")
    assert not app.error and not app.exception
    assert shown(app) == Scenario(gain=3.21, cell="gru")


@pytest.mark.slow
def test_a_lesson_s_button_that_breaks_leaves_the_page_as_it_is(monkeypatch, caplog):
    app = new_page("lessons", lesson="2", answers="2:0").run()
    monkeypatch.setattr("gradflow.app.state._settled", broken)
    press(app, "Show where it stops")
    number(app, caplog)
    assert app.header[0].value.startswith("2. ")


@pytest.mark.slow
@pytest.mark.parametrize("where", ["begin", "credit", "advance", "chunk_means"])
def test_a_training_that_breaks_is_given_up_once(where, monkeypatch, caplog):
    app = new_page("lessons", lesson="8", answers="8:0").run()
    monkeypatch.setattr(training, where, broken)
    press(app, "Train")
    number(app, caplog)
    assert training_of(app) is None
    assert caplog.text.count(SECRET) == 1, "it breaks again and again"
    app.run()
    assert caplog.text.count(SECRET) == 1
    assert [button.label for button in app.button].count("Train") == 1


def test_a_training_that_cannot_start_does_not_rerun_forever(monkeypatch, caplog):
    monkeypatch.setattr("gradflow.app.live_training._train", broken)
    app = new_page("lessons", lesson="8", answers="8:0").run()
    number(app, caplog)
    app.session_state["visit"]["trainee"] = "who trained before"
    number(app.run(), caplog)
    assert caplog.text.count(SECRET) == 2


def test_an_error_outside_the_boundary_shows_no_details(monkeypatch):
    st.set_option("client.showErrorDetails", "false")  # as a public host has it: the traceback, without its message
    monkeypatch.setattr("gradflow.app.sidebar.sidebar", broken)
    monkeypatch.setattr("gradflow.app.errors.show_errors", broken)
    app = new_page().run()
    assert len(app.exception) == 1
    shown = everything(app)
    assert SECRET not in shown and "Traceback" not in shown and "test_error_boundary.py" not in shown


FAULTY = f"""
import importlib, sys
sys.path.insert(0, {str(ROOT)!r})
import streamlit as st

def broken(*arguments):
    raise RuntimeError({SECRET!r})

importlib.import_module("gradflow.app.export").to_json = broken
importlib.import_module("gradflow.app.export").from_json = broken
importlib.import_module("gradflow.app.toolbar")._oppose = broken
ways = importlib.import_module("gradflow.app.navigation")
pages = ("explore", "lessons", "your_network")
ways.EXPLORE, ways.LESSONS, ways.NETWORK = ({str(ROOT)!r} + f"/gradflow/app/pages/{{page}}.py" for page in pages)
exec(open({str(ROOT / "app.py")!r}).read())
"""


def test_in_the_browser_a_download_a_file_and_a_button_that_break(chromium, tmp_path):
    (tmp_path / "faulty.py").write_text(FAULTY)
    file = tmp_path / "scenario.json"
    file.write_text("{}")
    with serve(tmp_path / "faulty.py") as server, chromium.new_context() as context:
        context.set_default_timeout(1000 * PATIENCE)
        page = context.new_page()
        page.add_init_script(INK)
        page.goto(f"{server.url}/?closer=true&gain=3.21")
        wait_until_drawn(page)
        sorry = page.get_by_test_id("stAlertContentError")
        page.get_by_role("button", name="Take away").click()
        page.get_by_role("button", name="Scenario, JSON").click()
        expect(page.get_by_text("Failed to generate file for download")).to_be_visible()
        page.locator("input[type=file]").set_input_files(file)
        expect(sorry).to_contain_text(re.compile(r"under \w{6}, \w{6}\.$"))
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Show the opposite").click()
        expect(sorry).to_contain_text(re.compile(r"under \w{6}, \w{6}, \w{6}\.$"))
        assert "gain=3.21" in page.url and page.locator("canvas").count()
        numbers = re.findall(r"\b[0-9a-f]{6}\b", sorry.inner_text())
        wait_until_at_rest(page)
        assert SECRET not in page.content() and "RuntimeError" not in page.content()
        for each in numbers:
            assert f"error {each}\nTraceback" in server.log()
        assert server.log().count(SECRET) >= 3
        page.get_by_text("Start again").click()
        page.wait_for_function("!location.search.includes('gain=3.21')")
        expect(sorry).to_have_count(0)
