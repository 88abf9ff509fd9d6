"""How a measurement is looked at: what a link carries of it, and how the text of any field is read."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradflow.app.charts import CHARTS
from gradflow.app.presets import PRESETS
from gradflow.app.ranges import Range
from gradflow.app.scenario import GATE_FIELDS, Scenario
from gradflow.app.url_codec import parse_view, read, to_params, view_params, write
from gradflow.app.view import CHOICES, RANGES, SHOWN, View
from support.strategies import scenarios

steady = settings(derandomize=True, max_examples=200, deadline=None)
FLAGS = ("closer", "whole", "relative", "float32", "chains", "stage")


@st.composite
def looks(draw):
    values = {name: draw(st.booleans()) for name in FLAGS}
    values |= {name: draw(st.sampled_from(choices)) for name, choices in CHOICES.items()}
    values |= {name: draw(st.integers(limits.low, limits.high)) for name, limits in RANGES.items()}
    return View(**values, kept=draw(st.none() | st.sampled_from([*PRESETS.values()]) | scenarios()))


@st.composite
def ranges(draw):
    """A range whose ends are whole steps, of numbers or of whole numbers."""
    step = draw(st.sampled_from((1, 2, 5, 0.005, 0.01, 0.25)))
    first, steps = draw(st.integers(-50, 50)), draw(st.integers(1, 500))
    return Range(*(round(end * step, 6) for end in (first, first + steps)), step)


@given(looks())
@steady
def test_a_view_survives_a_link(view):
    params = view_params(view)
    assert all(isinstance(text, str) for text in params.values())
    assert parse_view(params) == (view, ())


@given(looks(), scenarios())
@steady
def test_look_and_scenario_share_a_link_without_a_clash(view, scenario):
    assert not view_params(view).keys() & to_params(scenario).keys()
    assert parse_view(view_params(view) | to_params(scenario)) == (view, ())


@given(looks())
@steady
def test_a_link_says_what_differs_from_the_first_view_and_no_more(view):
    initial = vars(View())
    assert view_params(view).keys() == {name for name, value in vars(view).items() if value != initial[name]}


def test_the_first_view_adds_nothing_to_a_link():
    assert view_params(View()) == {}
    assert parse_view({}) == (View(), ())


def test_the_strategy_covers_every_field():
    assert {*FLAGS, *CHOICES, *RANGES, "kept"} == set(vars(View()))
    assert CHOICES["show"] == tuple(SHOWN)


@pytest.mark.parametrize(
    "show", ["terms", "entry", "sums", "factors", "network", "growth", "cells", "shares", "totals", "truncation"]
)
def test_a_link_made_when_the_charts_were_first_named_opens_the_same_chart(show):
    same = {"network": "unrolled", "entry": "sums", "totals": "all_costs"}.get(show, show)
    assert parse_view({"show": show}) == (View(show=same), ())
    assert parse_view(view_params(View(show=same))) == (View(show=same), ())
    assert same in CHARTS


@given(st.dictionaries(st.sampled_from([*vars(View()), "other", "gain"]), st.text(max_size=12)))
@steady
def test_no_link_raises_and_no_field_has_two_sentences(params):
    view, notices = parse_view(params)
    assert parse_view(view_params(view)) == (view, ())
    said = [notice.split()[0] for notice in notices]
    assert len(set(said)) == len(said)
    assert set(said) <= vars(View()).keys() & params.keys()


@pytest.mark.parametrize(
    ("field", "raw", "says"),
    [
        ("closer", "yes", "false, true"),
        ("closer", "True", "false, true"),
        ("show", "everything", "terms, sums, factors, unrolled, growth"),
        ("row", "inf", "between 0 and 255"),
        ("col", "one", "between 0 and 63"),
        ("lag", "nan", "between 0 and 255"),
        ("lag", "", "between 0 and 255"),
        ("kept", "", "nothing is kept"),
        ("kept", "transformer", "nothing is kept"),
        ("kept", "other=1", "nothing is kept"),
        ("kept", "gain=99", "above 12"),
        ("kept", "gain=2&gain=3", "a field is there twice"),
        ("kept", "gain=2&text=", "text is empty"),
        ("kept", "gain=2&gian=3", "gian is not a field"),
        ("kept", "preset=Nirvana", "Vanishing"),
    ],
)
def test_a_bad_value_gives_the_default_and_one_sentence(field, raw, says):
    view, (notice,) = parse_view({field: raw, "stage": "true"})
    assert view == View(stage=True), "the other fields stand"
    assert notice.startswith(f"{field} “{raw}”") and says in notice and notice.endswith(".")


@pytest.mark.parametrize(("field", "raw", "end"), [("row", "256", 255), ("col", "-1", 0), ("lag", "1e9", 255)])
def test_a_number_out_of_range_becomes_the_nearest_end(field, raw, end):
    view, (notice,) = parse_view({field: raw, "stage": "true"})
    assert view == View(stage=True, **{field: end})
    assert notice == f"{field} “{raw}” is {'above' if end else 'below'} {end}; it is now {end}."


def test_every_bad_field_has_a_sentence_of_its_own():
    _, notices = parse_view(dict.fromkeys(vars(View()), "?"))
    assert [notice.split()[0] for notice in notices] == [*vars(View())]


def test_a_very_long_value_is_not_repeated_in_full():
    _, (notice,) = parse_view({"show": "x" * 5000})
    assert len(notice) < 200


def test_a_kept_preset_is_carried_by_its_name():
    assert view_params(View(kept=PRESETS["GRU"])) == {"kept": "preset=GRU"}


def test_a_kept_scenario_is_carried_by_what_it_changes():
    kept = Scenario(gain=2.5, text="a&b=c+d %é")
    (text,) = view_params(View(kept=kept)).values()
    assert "gain=2.5" in text and "forget" not in text
    assert parse_view({"kept": text})[0].kept == kept


def test_a_kept_scenario_has_its_gates_as_its_init_leaves_them_or_as_it_says():
    for gates, said in (({}, "init=keras"), ({"forget": Scenario.forget}, "forget=0.73&init=keras")):
        kept = Scenario(init="keras", **dict.fromkeys(GATE_FIELDS) | gates)
        assert view_params(View(kept=kept)) == {"kept": said}
        assert parse_view({"kept": said})[0].kept == kept


# ------------------------------------------------------------------------------------------------ any field


@given(ranges(), st.floats(allow_nan=False))
@steady
def test_a_snapped_value_is_the_nearest_step_inside(limits, value):
    snapped = limits.snap(value)
    steps = (snapped - limits.low) / limits.step
    assert limits.low <= snapped <= limits.high
    assert steps == pytest.approx(round(steps), abs=1e-6)
    inside = min(max(value, limits.low), limits.high)
    assert abs(snapped - inside) <= limits.step / 2 + 1e-6
    assert limits.snap(snapped) == snapped
    assert isinstance(snapped, int) or not isinstance(limits.step, int)


@given(ranges(), st.integers(0, 500))
@steady
def test_a_written_step_is_read_back_without_a_notice(limits, steps):
    value = limits.snap(limits.low + steps * limits.step)
    assert read("gain", write(value), limits.low, limits) == (value, None)


@given(ranges(), st.floats(-1e6, 1e6))
@steady
def test_a_number_is_read_as_the_nearest_allowed_one(limits, number):
    value, notice = read("gain", repr(number), None, limits)
    assert value == limits.snap(number)
    inside = limits.low <= number <= limits.high
    assert (notice is None) == (inside and math.isclose(value, number, abs_tol=1e-9))
    if number < limits.low:
        assert value == limits.low and f" is below {limits.low:g}; " in notice
    elif number > limits.high:
        assert value == limits.high and f" is above {limits.high:g}; " in notice
    assert notice is None or (notice.startswith(f"gain “{number!r}") and f"now {value:g}." in notice)


@pytest.mark.parametrize("raw", ["nan", "inf", "-inf", "1e999", "", "one"])
@given(ranges())
@steady
def test_a_text_that_is_no_number_becomes_the_default(raw, limits):
    value, notice = read("gain", raw, limits.high, limits)
    assert value == limits.high
    between = f"a number between {limits.low:g} and {limits.high:g}"
    assert notice == f"gain “{raw}” is not {between}; it is now {limits.high:g}."


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), ("normal", "normal"), (7, "7"), (0.73, "0.73"), (0.005, "0.005"), (1.0, "1")],
)
def test_a_written_value_has_no_needless_digits(value, text):
    assert write(value) == text


@pytest.mark.parametrize(("allowed", "value"), [(None, True), (None, False), ((1, 2, 4), 4), (("a", "b"), "b")])
def test_a_choice_is_read_as_the_very_value(allowed, value):
    again, notice = read("size", write(value), None, allowed)
    assert (again, type(again), notice) == (value, type(value), None)
