"""What a page says may have left it before the server's last change arrived there: both are kept, neither undone."""

import re

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.runtime.state.query_params_proxy import QueryParamsProxy
from streamlit.testing.v1 import AppTest

from gradflow.app.lessons import LESSONS
from gradflow.app.live_chart import patch_process
from gradflow.app.presets import PRESETS
from support.apptest_page import button, checked, drag, link, notices, open_explore, press, shown, widget
from support.paths import SOURCES

NAMES = list(PRESETS)


class Page:
    """What a browser shows and has in its address bar, which it sends along whatever the server has done since."""

    def __init__(self, at):
        self.at, self.link, self.tree = at, dict(at.query_params), at._tree
        self.states = at._tree.get_widget_states()

    def send(self, pressed=None, **moved):
        """Press a button, move widgets, and get the answer."""
        buttons = {each.proto.id: each.label == pressed for each in self.tree.get("button")}
        states = WidgetStates(widgets=[state for state in self.states.widgets if buttons.get(state.id, True)])
        by_id = {state.id: state for state in states.widgets}
        for pressable in buttons.keys() & by_id.keys():
            by_id[pressable].trigger_value = True
        for field, text in moved.items():
            by_id[widget(self.tree, field).proto.id].string_value = text
        self.at.query_params = dict(self.link)
        return checked(self.at._run(states))


@pytest.fixture
def at():
    return open_explore(closer="true", stage="true")


def test_the_simulated_page_presses_moves_and_reports(at):
    assert shown(Page(at).send(pressed="▶")) == PRESETS[NAMES[1]]
    assert shown(Page(at).send(preset="GRU")) == PRESETS["GRU"]
    assert shown(Page(at).send()) == PRESETS["GRU"]


@pytest.mark.parametrize("keys, place", [("▶▶", 2), ("▶◀", 0), ("◀◀", -2), ("▶▶▶▶", 4)])
def test_preset_keys_faster_than_the_page_draws(at, keys, place):
    page = Page(at)
    for key in keys:
        page.send(pressed=key)
    assert shown(at) == PRESETS[NAMES[place]]
    assert widget(at, "preset").value == NAMES[place] == link(at)["preset"]


def test_a_widget_moved_before_another_change_arrived(at):
    page = Page(at)
    page.send(pressed="▶")
    page.send(weight="bias_hh")
    expected = vars(PRESETS[NAMES[1]]) | {"weight": "bias_hh"}
    assert vars(shown(at)) == expected
    assert widget(at, "weight").value == link(at)["weight"] == "bias_hh"


def test_a_choice_of_a_removed_widget_is_ignored():
    at = open_explore(preset="Vanishing", closer="true", stage="true")
    page = Page(at)
    page.send(pressed="◀")
    page.send(cell="rnn-relu")
    assert shown(at) == PRESETS["minGRU"] and widget(at, "cell").value == "mingru"


def test_a_report_without_changes_undoes_nothing(at):
    page = Page(at)
    page.send(pressed="▶")
    page.send()
    assert shown(at) == PRESETS[NAMES[1]] and link(at)["preset"] == NAMES[1] and not notices(at)


def test_a_late_report_leaves_one_step_to_undo(at):
    drag(at, gain=3.0)
    page = Page(at)
    page.send(pressed="▶")
    page.send()
    checked(press(at, "Undo"))
    assert shown(at).gain == 3.0
    checked(press(at, "Undo"))
    assert shown(at) == PRESETS[NAMES[0]] and button(at, "Undo").disabled


def test_only_script_runs_write_the_address():
    """A callback that sends may be broken off there; `gradflow.app.session` says how."""
    writes = re.compile(r"query_params(\[.*\] =|\.(from_dict|update|clear|pop|setdefault))")
    found = {path.name for path in SOURCES if writes.search(path.read_text("utf-8"))}
    assert found == {"session.py"}
    senders = {path.name for path in SOURCES if "send_address()" in path.read_text("utf-8")}
    assert senders == {"session.py", "__init__.py", "feedforward_demo.py", "your_network.py"}  # each in a run
    assert {path.name for path in SOURCES if "st.session_state" in path.read_text("utf-8")} == {"session.py"}


def test_an_address_in_flight_is_followed_by_the_final_one(at, monkeypatch):
    """The page still has the first when it is the first again; but the second will reach it yet."""
    sent, send = [], QueryParamsProxy.from_dict
    monkeypatch.setattr(QueryParamsProxy, "from_dict", lambda self, params: send(self, sent.append(params) or params))
    page = Page(at)
    page.send(pressed="▶")
    page.send(pressed="◀")
    assert [params["preset"] for params in sent] == [NAMES[1], NAMES[0]]


def test_a_link_from_outside_is_followed(at):
    page = Page(at)
    page.send(pressed="▶")
    page.link |= {"gain": "7", "preset": "Custom"}
    page.send()
    assert shown(at).gain == 7


def test_widgets_get_their_values_as_defaults_only(at):
    """A page to which an answer was lost with the line would never hear of it."""
    for key in "▶▶▶":
        checked(press(at, key))
        for field in ("preset", "cell", "init", "weight", "gate"):
            chosen = widget(at, field)
            assert chosen.options[chosen.proto.default] == str(chosen.value)
            assert not chosen.proto.set_value
        for switch in (switch for switch in at.toggle if not switch.disabled):
            assert switch.proto.default == switch.value and not switch.proto.set_value
        assert widget(at, "seed").proto.default == widget(at, "seed").value


def test_a_lesson_opened_faster_than_it_is_drawn():
    at = open_explore(more=False)
    at.switch_page("gradflow/app/pages/lessons.py").run()
    page = Page(at)
    for _ in range(3):
        page.send(pressed="▶")
    assert link(at)["lesson"] == "4" and shown(at) == LESSONS[3].scenario


def test_a_held_value_survives_a_full_run(at):
    drag(at, held="gain", gain=3.0)
    assert link(at).get("gain") != "3"
    checked(widget(at, "weight").set_value("bias_hh").run())
    assert (shown(at).gain, shown(at).weight) == (3.0, "bias_hh")


def test_a_click_during_a_callback_does_not_cut_it_off():
    def script():
        import streamlit as st
        from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx

        def change():
            get_script_run_ctx().script_requests.request_rerun(RerunData())  # as the next click does
            st.session_state.first = True
            st.session_state.second = True

        st.button("Change", on_click=change)

    patch_process()
    at = AppTest.from_function(script).run()
    at.button[0].click().run()
    assert at.session_state["first"] and at.session_state["second"]
