"""`update`, alone: every race that a page and a server can run, as a table of events and what comes of them."""

from dataclasses import replace

import pytest

from gradflow.app.presets import CUSTOM, DEFAULT_PRESET, PRESETS, preset_of
from gradflow.app.scenario import Scenario
from gradflow.app.state import (
    KNOWN,
    PAST,
    AppState,
    Brought,
    Chosen,
    Kept,
    Moved,
    Opened,
    Put,
    Read,
    Replaced,
    Reported,
    Rested,
    Sent,
    Stepped,
    Told,
    Undone,
    encode,
    update,
)
from gradflow.app.url_codec import link_params, parse, parse_view, to_params
from gradflow.app.view import View

NAMES = list(PRESETS)
FIRST = PRESETS[DEFAULT_PRESET]


def reported(address=None, script="explore", navigated=False):
    """What a page has in its address, as link of a scenario or as it is."""
    return Reported(to_params(address) if isinstance(address, Scenario) else address or {}, script, navigated)


def opened(state=None, **address):
    """A page as a link opens it: heard, entered, read, sent."""
    return after(state or AppState(), reported(address), Opened("Explore"), Read(), Sent())


def after(state, *events):
    for event in events:
        state = update(state, event)
    return state


def moved(report, **values):
    return Moved("ranges", report, values)


def scenario(**values):
    return replace(FIRST, **values)


STALE = reported()  # what the page had before the server changed anything
RACES = {  # name -> (events after a first visit, scenario, scenarios to go back to)
    "nothing": ([], FIRST, []),
    "a preset": ([Stepped(1)], PRESETS[NAMES[1]], [FIRST]),
    "a preset, then a late report": ([Stepped(1), STALE, Read()], PRESETS[NAMES[1]], [FIRST]),
    "two presets faster than the page": (
        [STALE, Stepped(1), STALE, Stepped(1), STALE, Read()],
        PRESETS[NAMES[2]],
        [FIRST, PRESETS[NAMES[1]]],
    ),
    "forth and back, both late": ([Stepped(1), STALE, Stepped(-1), STALE, Read()], FIRST, [FIRST, PRESETS[NAMES[1]]]),
    "a widget that moved before a preset arrived": (
        [Stepped(1), STALE, Chosen("weight", "bias_hh")],
        replace(PRESETS[NAMES[1]], weight="bias_hh"),
        [FIRST, PRESETS[NAMES[1]]],
    ),
    "a drag, let go": ([moved(1, gain=3.0), Rested()], scenario(gain=3.0), [FIRST]),
    "a drag, still held": ([moved(1, gain=3.0)], scenario(gain=3.0), []),
    "a held value and a widget": (
        [moved(1, gain=3.0), Chosen("weight", "bias_hh")],
        scenario(gain=3.0, weight="bias_hh"),
        [FIRST],
    ),
    "a drag seen twice": ([moved(1, gain=3.0), Rested(), moved(1, gain=3.0), Rested()], scenario(gain=3.0), [FIRST]),
    "an old report after a preset": (
        [moved(1, gain=3.0), Rested(), Stepped(1), moved(1, gain=3.0), Rested()],
        PRESETS[NAMES[1]],
        [FIRST, scenario(gain=3.0)],
    ),
    "a drag of many reports is one step": (
        [*(moved(k, gain=1 + k / 100) for k in range(1, 9)), Rested()],
        scenario(gain=1.08),
        [FIRST],
    ),
    "both panels in one run": (
        [moved(1, gain=3.0), Moved("more_ranges", 1, {"input_gain": 2.0}), Rested()],
        scenario(gain=3.0, input_gain=2.0),
        [FIRST],
    ),
    "a report that the page brings from another server": ([Brought("ranges", 7), moved(7, gain=3.0)], FIRST, []),
    "a report that is drawn again before it is read": (
        [Brought("ranges", 0), moved(1, gain=3.0), Brought("ranges", 1), Rested()],
        scenario(gain=3.0),
        [FIRST],
    ),
    "a rest without a move": ([Rested(), Rested()], FIRST, []),
    "undo": ([Stepped(1), Undone()], FIRST, []),
    "undo once more than there is": ([Stepped(1), Undone(), Undone()], FIRST, []),
    "undo, then a late report": ([Stepped(1), Undone(), STALE, Read()], FIRST, []),
    "the same scenario again": ([Replaced(FIRST)], FIRST, []),
    "a link from outside": ([Stepped(1), reported(scenario(gain=7.0)), Read()], scenario(gain=7.0), [FIRST]),
    "the browser's back": ([Stepped(1), Sent(), reported(FIRST, navigated=True), Read()], FIRST, [FIRST]),
    "back to an address that is known": ([Stepped(1), Sent(), reported(navigated=True), Read()], FIRST, [FIRST]),
    "a preset that there is not": ([Chosen("preset", CUSTOM)], FIRST, []),
    "another cell has its own gates": (
        [Chosen("gate", "forget"), Chosen("cell", "gru")],
        scenario(cell="gru"),
        [FIRST, scenario(gate="forget")],
    ),
}


@pytest.mark.parametrize("events, there, past", RACES.values(), ids=RACES)
def test_races(events, there, past):
    state = after(opened(), *events)
    assert state.scenario == there
    assert list(state.here.past) == past
    if events and not isinstance(events[-1], Moved):
        assert state.saved and parse(state.address)[0] == there


@pytest.mark.parametrize("event", [Rested(), Told(), Sent(), Undone(), Opened("Explore"), STALE, Read()], ids=str)
def test_an_event_that_is_no_news_changes_nothing(event):
    state = opened()
    assert update(state, event) == state


def test_no_event_changes_the_state_before_it():
    state = opened()
    copy = replace(state, pages=dict(state.pages), address=dict(state.address), reports=dict(state.reports))
    for event in (Stepped(1), moved(1, gain=3.0), Kept(FIRST), Put("lesson", "2"), Chosen("cell", "gru")):
        assert update(state, event) != state == copy


def test_a_drag_leaves_the_address_alone_until_it_rests():
    state = after(opened(), *(moved(k, gain=k / 10) for k in range(1, 20)))
    assert state.address == {} and not state.saved
    assert after(state, Rested()).address == to_params(scenario(gain=1.9))


def test_the_address_is_encoded_scenario_view_and_what_is_the_page_s_own():
    state = after(opened(), Put("lesson", "2"), Kept(scenario(gain=2.0)), moved(1, lag=3), Rested())
    assert state.address == encode(state) == {"lesson": "2"} | link_params(state.scenario, state.view)
    assert (parse(state.address)[0], parse_view(state.address)[0]) == (state.scenario, state.view)
    assert state.view == View(lag=3, kept=scenario(gain=2.0))
    assert "lesson" not in after(state, Put("lesson", None)).address


def test_a_link_is_tidied_once_and_told_once():
    state = after(AppState(), reported({"gain": "x", "gian": "3"}), Opened("Explore"), Read())
    assert len(state.notices) == 2 and state.address == to_params(FIRST)
    state = after(state, Told(), Read())
    assert state.notices == ()


def test_a_name_of_the_page_s_own_and_one_that_is_there_twice():
    heard = after(AppState(), reported({"lesson": "2", "gain": "3"}), Opened("Lessons"))
    assert after(heard, Read(("lesson",))).address == {"lesson": "2", "gain": "3"}
    twice = after(heard, Read(("lesson",), ("gain",)))
    assert twice.address["lesson"] == "2" and "gain is there more than once" in twice.notices[0]


def test_a_page_that_is_left_keeps_its_address_and_what_can_be_undone():
    state = after(opened(), Stepped(1), Sent())
    there = after(state, reported({"lesson": "1"}, "lessons"), Opened("Lessons"), Read(("lesson",)), Sent())
    assert there.pages["Explore"].left == state.address and there.here.past == ()
    back = after(there, reported(state.address, "explore"), Opened("Explore"), Read())
    assert back.pages["Explore"].left is None and back.scenario == PRESETS[NAMES[1]]
    assert back.here.past == (FIRST,)
    other = after(there, reported(scenario(gain=5.0), "explore"), Opened("Explore"), Read())
    assert other.here.past == (FIRST, PRESETS[NAMES[1]]), "what it was left with can be gone back to"


def test_the_preset_that_a_person_started_from():
    state = after(opened(), Stepped(2), moved(1, gain=0.33), Rested(), Read())
    assert preset_of(state.scenario) == CUSTOM and state.origin == NAMES[2]
    near = replace(PRESETS["GRU"], gain=PRESETS["GRU"].gain + 0.01)
    assert opened(**to_params(near)).origin == "GRU", "after a reload: the nearest"


@pytest.mark.parametrize("value", [None, "3", [], {}, float("nan"), float("inf"), -float("inf"), 10**400])
def test_what_is_no_number_moves_nothing(value):
    state = opened()
    assert after(state, moved(1, gain=value)) == replace(state, reports={"ranges": 1})


@pytest.mark.parametrize("value, there", [(99, 12.0), (-5, 0.0), (1.2372, 1.237)])
def test_a_number_beside_its_range_becomes_the_nearest_in_it(value, there):
    assert after(opened(), moved(1, gain=value)).scenario.gain == there


def test_names_that_are_no_ranges_are_not_moved():
    state = after(opened(), moved(1, text="x", cell="gru", kept="gain=2", other=3, lag=4.0))
    assert (state.scenario, state.view) == (FIRST, View(lag=4))


def test_what_is_kept_is_bounded():
    state = opened()
    for k in range(2 * max(KNOWN, PAST)):
        state = update(state, Stepped(1 if k % 3 else -1))
    assert len(state.known) == KNOWN and len(state.here.past) == PAST
