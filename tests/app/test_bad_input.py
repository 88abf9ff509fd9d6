"""Whatever comes in: no exception, no silent change, and everything a person can type is shown as it is.

A run tries a part; with GRADFLOW_WHOLE in the environment 100,000 links go to the parser and 2,000 to the page.
"""

import math
import re
from contextlib import suppress
from functools import partial
from html import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gradflow.app.components import range_slider
from gradflow.app.export import from_json
from gradflow.app.lessons import LESSONS
from gradflow.app.measurement import measure
from gradflow.app.presets import PRESETS
from gradflow.app.scenario import GATE_FIELDS, TEXT_LENGTH, Scenario
from gradflow.app.url_codec import INITIAL, parse, parse_view, short, to_params, view_params, write
from gradflow.app.view import View
from gradflow.cells import CELLS
from gradflow.weights import SET_BIASES
from support.apptest_page import (
    checked,
    link,
    new_page,
    notices,
    open_explore,
    open_lessons,
    shown,
    verdict,
    view_of,
    widget,
)
from support.strategies import CHOICES, NAMES, NASTY, RANGES, examples, links, reports, texts
from support.wording import missing_number

HIDDEN = "HIDDEN"


def taken(name, raw, value):
    """Whether the value of a field is what its text says."""
    if name in GATE_FIELDS and raw == INITIAL:
        return value is None
    if name in RANGES and value is None:
        return False  # a bad number in a link whose init sets the biases
    if name in RANGES:
        with suppress(ValueError):
            number = float(raw)
            return RANGES[name].low <= number <= RANGES[name].high and math.isclose(number, value, abs_tol=1e-9)
        return False
    return write(value) == raw


@given(links())
@examples(300, 100_000)
def test_every_change_to_a_link_has_a_notice(params):
    scenario, preset, notices = parse(params)
    view, more = parse_view(params)
    said = [*notices, *more]
    clean = to_params(scenario) | view_params(view)
    now = vars(scenario) | vars(view)
    whole = params.get("preset") in PRESETS and not params.keys() & vars(Scenario()).keys()
    for name in params.keys() & {*NAMES}:
        if name == "kept":
            same = view.kept is not None
        elif name == "preset":
            same = params[name] in (preset, "Custom")
        else:
            same = taken(name, params[name], now[name])
        own = [sentence for sentence in said if sentence.startswith(f"{name} ")]
        assert len(own) == (not same), (name, params[name], said)
    assert len(said) == len({sentence.split()[0] for sentence in said})
    usual = vars(View()) | vars(Scenario()) | (dict.fromkeys(GATE_FIELDS) if scenario.init in SET_BIASES else {})
    usual["weight"] = CELLS[scenario.cell].used(usual["weight"])
    for name in usual.keys() - params.keys():
        assert whole or now[name] == usual[name], name
    assert parse(clean) == (scenario, preset, ())
    assert parse_view(clean) == (view, ())
    for sentence in said:
        sentence.encode()
        assert len(sentence) < 400 and sentence.isprintable()


@given(st.one_of(texts, st.text(st.characters(), max_size=400)))
@example("x" * 10_000)
@example("\ud800" * 300)
@examples(200, 5_000)
def test_a_sentence_is_cut_to_its_maximum_length(text):
    scenario, _, said = parse({"text": text, "sequence": "sentence"})
    whole = "".join("?" if "\ud800" <= letter <= "\udfff" else letter for letter in text)
    assert scenario.text == (whole[:TEXT_LENGTH] or Scenario.text)
    assert bool(said) == (scenario.text != text)
    if len(text) > TEXT_LENGTH:
        assert said == (f"text has {len(text)} characters; the first 256 are used.",)


@pytest.mark.parametrize("data", [b"[" * 2**20, b" " * 2**20, b'{"a":' * 2**18, b'"' + b"\xc3" * 2**20], ids=range(4))
def test_a_large_file_is_refused_by_its_size(data):
    with pytest.raises(ValueError) as refused:
        from_json(data)
    assert str(refused.value) == f"the file is {len(data)} bytes long; it must be at most 65536 bytes (64 kB)"


# ----------------------------------------------------------------------------------------------- on the page


@pytest.mark.slow
@given(links(most=12))
@examples(10, 2_000)
def test_the_page_takes_any_link(caplog, params):
    at = new_page(more=True)
    params = {name: text.encode("utf-8", "replace").decode() for name, text in params.items()}
    params = {name.encode("utf-8", "replace").decode(): text for name, text in params.items()}
    at.query_params.update(params)
    caplog.clear()
    checked(at.run())
    scenario, _, said = parse(params)
    view, more = parse_view(params)
    assert (shown(at), view_of(at)) == (scenario, view)
    unknown = params.keys() - {*NAMES}
    assert len(notices(at)) == bool(said or more or unknown)
    for sentence in (*said, *more):
        assert sentence in notices(at)[0]
    assert link(at).keys() <= {*NAMES}
    assert not notices(checked(at.run())), "the link is not clean"
    assert (shown(at), view_of(at)) == (scenario, view)
    assert verdict(at) == measure(scenario).said()
    assert not missing_number(verdict(at))
    assert not [record for record in caplog.records if "missing ScriptRunContext" not in record.getMessage()]


def test_a_repeated_name_has_a_notice_and_its_last_value_counts():
    at = open_explore(gain=["1.5", "2.5"], text=["a", "b"])
    assert (shown(at).gain, shown(at).text) == (2.5, "b")
    (notice,) = notices(at)
    assert "gain is there more than once; the last one counts, “2.5”." in notice and "text is there" in notice
    assert link(at) == to_params(shown(at)) and not notices(checked(at.run()))


def test_unknown_names_have_a_notice_and_are_dropped():
    at = open_explore(gian="3", lesson="2", **{f"utm_{k}": "x" for k in range(9)})
    (notice,) = notices(at)
    assert "no “gian=3”, “lesson=2”, “utm_0=x”" in notice and "and 6 more, only preset, cell, gates" in notice
    assert link(at) == to_params(Scenario())


def test_the_options_of_an_embedded_page_are_left_alone():
    at = open_explore(embed="true", embed_options="dark_theme")
    assert not notices(at)
    at = open_explore(embed="true", gian="1")
    assert "gian" in notices(at)[0] and "embed" not in notices(at)[0]
    assert link(at) == {"embed": "true"} | to_params(Scenario())


def test_a_typed_sentence_is_cut_and_an_empty_one_refused_with_a_notice():
    at = open_explore(sequence="sentence")
    checked(widget(at, "text").set_value("ab" * 5000).run())
    assert shown(at).text == link(at)["text"] == widget(at, "text").value == "ab" * 128
    assert notices(at) == ["text has 10000 characters; the first 256 are used."]
    checked(widget(at, "text").set_value("").run())
    assert shown(at).text == Scenario.text
    assert notices(at) == [f"text is empty; it is now “{Scenario.text}”."]
    assert not notices(checked(at.run()))


@pytest.mark.slow
@pytest.mark.parametrize("text", [text for text in NASTY if not re.search("[\ud800-\udfff]", text)])
def test_typed_text_is_shown_unchanged(text):
    """In a notice it is escaped; elsewhere it stands in the address, in code and in the picture's JSON alone."""
    mark = f"{HIDDEN}{text}"
    at = new_page(more=True)
    wrong = dict.fromkeys(("cell", "gain", "kept", "show", "preset", "other"), mark)
    at.query_params.update({**wrong, "sequence": "sentence", "text": mark, "closer": "true"})
    at.session_state["away"] = True
    checked(at.run())
    assert shown(at).text == mark[:TEXT_LENGTH]
    for element in (*at.main, *at.sidebar):
        if HIDDEN in str(element.proto):
            assert element.type in ("html", "code", "text_input", "bidi_component"), element
            if element.type == "html":
                body = element.proto.body
                assert body.startswith('<div class="notice" role="alert">') and f"“{escape(short(mark))}”" in body
                assert re.fullmatch("[^<>]*", body.removesuffix("</div>").partition(">")[2])


@pytest.mark.slow
@given(reports, reports)
@example(
    {"values": {}, "turn": 1, "held": "gain", "playing": "lag"}, {"values": {}, "turn": 2, "held": [], "playing": 3}
)
@example({"values": {"gain": 10**400}, "turn": 1, "held": None}, {"values": {"gain": "1"}, "turn": 1e9, "held": None})
@examples(6, 1_000)
def test_no_report_of_a_range_breaks_the_page(caplog, first, second):
    at = open_explore(closer="true")
    for report in (first, second):
        at.session_state["ranges"] = {"moved": report}
        at.session_state["more_ranges"] = {"moved": first}
        checked(at.run())
        scenario = shown(at)
        assert parse(to_params(scenario)) == (scenario, parse(to_params(scenario))[1], ())
        assert scenario.text == Scenario.text and scenario.cell == Scenario.cell


@pytest.mark.parametrize("opening", [partial(new_page, more=True), open_explore], ids=["at once", "later"])
@pytest.mark.parametrize("state", [None, 5, "x", [], {"moved": None}, {"moved": 3}, {"moved": {"turn": 1}}])
def test_no_state_of_a_range_breaks_the_page(state, opening):
    at = opening()
    at.session_state["ranges"] = state
    checked(at.run())
    assert shown(at) == Scenario()


def test_a_report_of_a_range_is_taken():
    """So that the test above does not hold because nothing is taken."""
    at = open_explore()
    moved = {"values": {"gain": 2.5, "text": "x", "cell": "gru", "kept": "gain=2"}, "turn": 7, "held": None}
    at.session_state["ranges"] = {"moved": moved}
    checked(at.run())
    assert shown(at) == Scenario(gain=2.5)
    assert view_of(at).kept is None and range_slider.PANELS == ("ranges", "more_ranges")


# ----------------------------------------------------------------------------------------------- the lessons


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(["lesson", "answers", "preset", "gain", "stage", "x"]), texts))
@examples(6, 300)
def test_the_lessons_take_any_link(params):
    params = {name: text.encode("utf-8", "replace").decode() for name, text in params.items()}
    at = open_lessons(**params)
    numbers = [str(k) for k in range(1, len(LESSONS) + 1)]
    wrong = {
        "lesson": params.get("lesson", "1") not in numbers,
        "answers": params.get("answers", "") not in ("", "-0"),
        "preset": params.get("preset", "GRU") not in PRESETS,
        "gain": not taken("gain", params.get("gain", "1"), shown(at).gain),
        "stage": params.get("stage", "true") not in ("true", "false"),
        "x": "x" in params,
    }
    assert len(notices(at)) == any(wrong.values())
    for name in (name for name, bad in wrong.items() if bad):
        assert re.search(rf"\b{name}\b", notices(at)[0])
    assert not notices(checked(at.run()))
    assert at.query_params.get("lesson", "1") in numbers


@pytest.mark.slow
def test_repeated_or_invalid_answers_have_a_notice_and_the_others_stay():
    at = open_lessons(lesson="2", answers="1:0,3:7e9,2:0,1:1")
    (notice,) = notices(at)
    assert notice.startswith("answers: “3:7e9” is not between 0 and ") and notice.endswith("2 left out.")
    assert at.query_params["answers"] == "1:0,2:0"


def test_a_link_to_a_lesson_with_a_preset_or_a_look_shows_them():
    at = open_lessons(lesson="2", preset="GRU")
    assert shown(at) == PRESETS["GRU"] and not notices(at)
    at = open_lessons(lesson="2", stage="yes")
    assert "stage “yes”" in notices(at)[0]
    at = open_lessons(lesson="2", stage="true")
    assert shown(at) == LESSONS[1].scenario and view_of(at).stage and not notices(at)


def test_the_strategies_cover_every_field_of_a_link():
    at = open_explore()
    assert {*NAMES} == to_params(shown(at)).keys() | vars(View()).keys()
    assert RANGES.keys() | CHOICES.keys() <= {*NAMES}
