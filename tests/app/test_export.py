"""What is taken away: a file gives its scenario back or one sentence, the numbers are the page's, the Python runs."""

import json
from dataclasses import asdict, fields, replace
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradflow.app.export import CONTENTS, LIMIT, archive, from_json, python, to_json
from gradflow.app.measurement import measure
from gradflow.app.presets import PRESETS
from gradflow.app.scenario import GATE_FIELDS, Scenario
from support.strategies import jsons, scenarios
from support.subprocesses import output_of, start_python

QUOTED = 'it\'s "q" \\n\\ \n\t\r\x00\x1b\x7f {t} %d \'\'\' """ 🦜 é שלום \u202e\u2028\xa0'
FIELDS = {field.name: field.default for field in fields(Scenario)}


def document(**given):
    return {"gradflow": "scenario", "version": 1, "scenario": given}


def refusal(data):
    with pytest.raises(ValueError) as caught:
        from_json(data)
    assert type(caught.value) is ValueError  # none of its subclasses, which say less
    sentence = str(caught.value)
    sentence.encode()  # it can be shown
    assert "\n" not in sentence
    return sentence


# --------------------------------------------------------------------------------------------- the scenario


@pytest.mark.parametrize("name", PRESETS)
def test_a_file_gives_every_preset_back(name):
    assert from_json(to_json(PRESETS[name])) == PRESETS[name]
    assert from_json(to_json(PRESETS[name]).encode()) == PRESETS[name]


@given(scenarios())
@settings(derandomize=True, max_examples=200, deadline=None)
def test_a_file_gives_any_scenario_back_with_the_types_it_had(scenario):
    again = from_json(to_json(scenario).encode())
    assert again == scenario
    assert [type(value) for value in asdict(again).values()] == [type(value) for value in asdict(scenario).values()]


def test_a_file_is_readable():
    text = to_json(Scenario(text="Ünïcode 🦜", forget=1.0))
    assert json.loads(text) == document(**asdict(Scenario(text="Ünïcode 🦜", forget=1.0)))
    assert '\n    "text": "Ünïcode 🦜"' in text
    assert '"forget": 1.0' in text and '"hidden": 16' in text


def test_a_gate_as_initialised_is_null_in_a_file_and_may_be_left_out_beside_an_init_that_sets_biases():
    keras = Scenario(init="keras", **dict.fromkeys(GATE_FIELDS))
    assert json.loads(to_json(keras))["scenario"]["forget"] is None
    assert from_json(json.dumps(document(init="keras"))) == keras
    assert from_json(json.dumps(document(init="keras", forget=0.9))) == replace(keras, forget=0.9)
    assert from_json(json.dumps(document(init="identity", forget=None))) == Scenario(init="identity", forget=None)


def test_fields_that_may_be_left_out_or_written_otherwise():
    assert from_json(json.dumps(document())) == Scenario()
    assert from_json(b"\xef\xbb\xbf" + json.dumps(document(cell="gru", gate="reset")).encode()) == Scenario(
        cell="gru", gate="reset"
    )
    again = from_json(json.dumps(document(gate="update", hidden=4.0, seed=3.0, gain=2, cell="gru")))
    assert again == Scenario(cell="gru", gate="update", hidden=4, seed=3, gain=2.0)
    assert (type(again.hidden), type(again.seed), type(again.gain)) == (int, int, float)


@pytest.mark.parametrize(
    ("field", "raw", "shown", "valid"),
    [
        ("gain", float("nan"), "nan", "between 0 and 12"),
        ("gain", float("inf"), "inf", "between 0 and 12"),
        ("gain", 12.01, "12.01", "between 0 and 12"),
        ("gain", -1, "-1", "between 0 and 12"),
        ("gain", "1.0", "'1.0'", "a number between 0 and 12"),
        ("gain", True, "true", "a number between 0 and 12"),
        ("gain", None, "null", "a number between 0 and 12"),
        ("gain", [1.0], "a list", "a number between 0 and 12"),
        ("gain", 10**400, "inf", "between 0 and 12"),
        ("forget", 0.7312, "0.7312", "steps of 0.005, the nearest is 0.73, or null: as initialised"),
        ("forget", "initial", "'initial'", "between 0 and 1 in steps of 0.005, or null: as initialised"),
        ("seed", 3.5, "3.5", "steps of 1, the nearest is 4"),
        ("horizon", 1, "1", "between 2 and 256"),
        ("hidden", 7, "7", "one of 1, 2, 4, 8, 16, 32, 64"),
        ("hidden", True, "true", "one of 1, 2, 4"),
        ("hidden", "16", "'16'", "one of 1, 2, 4"),
        ("cell", "transformer", "'transformer'", "one of rnn-tanh"),
        ("cell", "x" * 500, "'" + "x" * 39 + "…", "one of rnn-tanh"),
        ("cell", 1, "1", "one of rnn-tanh"),
        ("gate", "reset", "'reset'", "one of all, input, forget, cell, output"),
        ("gate", {}, "an object", "one of all, input"),
        ("text", "", "0 characters", "1 to 256"),
        ("text", "a" * 257, "257 characters", "1 to 256"),
        ("text", 5, "5", "1 to 256"),
        ("text", "a\ud800", r"'a\ud800'", "whole characters"),
        ("cell_path_only", 1, "1", "true or false"),
        ("cell_path_only", "true", "'true'", "true or false"),
        ("gian", 1.0, "1", "gain, input_gain"),
        ("\ud800\n", 1.0, "1", "gain, input_gain"),
    ],
)
def test_a_bad_field_gives_one_sentence(field, raw, shown, valid):
    sentence = refusal(json.dumps(document(**{field: raw})))
    assert (field if field.isidentifier() else repr(field)) in sentence
    assert shown in sentence and valid in sentence
    assert "x" * 41 not in sentence


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON (line 1, column 2"),
        (b'{"gradflow": "scenario",}', "not JSON"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        ("\ud800", "not UTF-8 at byte 0"),
        (b" " * (LIMIT + 1), "65537 bytes long; it must be at most 65536 bytes"),
        ("é" * (LIMIT // 2 + 1), "65538 bytes long; it must be at most 65536 bytes"),
        (b"[" * LIMIT, "nested too deeply"),
        (b'{"a":' * (LIMIT // 5), "nested too deeply"),
        (b"9" * LIMIT, "the file is inf; it must be an object"),
        (b"[1]", "the file is a list; it must be an object with gradflow, version and scenario"),
        (b"{}", "gradflow is missing; it must be 'scenario'"),
        (b'{"gradflow": "weights"}', "gradflow is 'weights'; it must be 'scenario'"),
        (b'{"gradflow": "scenario"}', "version is missing; it must be 1, the only one known"),
        (b'{"gradflow": "scenario", "version": 2, "more": 1}', "version is 2; it must be 1, the only one known"),
        (b'{"gradflow": "scenario", "version": true}', "version is true; it must be 1"),
        (b'{"gradflow": "scenario", "version": "1"}', "version is '1'; it must be 1"),
        (b'{"gradflow": "scenario", "version": 1}', "scenario is missing; it must be an object with any of cell"),
        (b'{"gradflow": "scenario", "version": 1, "scenario": null}', "scenario is null; it must be an object"),
        (b'{"gradflow": "scenario", "version": 1, "scenario": {}, "x": 1}', "'x' is 1; the file has no such field"),
        (
            b'{"gradflow": "scenario", "version": 1, "scenario": {"gain": 1, "gain": 2}}',
            "'gain' is there twice, again as 2",
        ),
    ],
    ids=range(21),
)
def test_a_bad_file_gives_one_sentence(data, says):
    assert says in refusal(data)


def read_or_refuse(data):
    try:
        scenario = from_json(data)
    except ValueError:
        refusal(data)
    else:
        assert from_json(to_json(scenario).encode()) == scenario


@given(st.binary(max_size=200) | st.text(st.characters(), max_size=50))
@settings(derandomize=True, max_examples=300, deadline=None)
def test_no_bytes_raise_another_error(data):
    read_or_refuse(data)


@given(jsons, st.sampled_from(["whole", "version", "scenario", "field"]), st.sampled_from([*FIELDS, "other"]))
@settings(derandomize=True, max_examples=600, deadline=None)
def test_no_json_raises_another_error(value, place, field):
    whole = document(**{field: value}) if place == "field" else document()
    whole = value if place == "whole" else whole if place == "field" else whole | {place: value}
    read_or_refuse(json.dumps(whole))


# ---------------------------------------------------------------------------------------------- the numbers


def load(data):
    with np.load(BytesIO(data), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@pytest.mark.parametrize(
    "scenario",
    [PRESETS["GRU"], Scenario(text=QUOTED, sequence="sentence"), Scenario(cell="rnn-linear", gain=12.0)],
    ids=["gru", "sentence", "overflow"],
)
def test_the_numbers_are_the_page_s(scenario):
    m, found = measure(scenario), load(archive(scenario))
    for name in ("log_terms", "log_sums", "log_residual", "cost", "log_row", "log_partial", "t"):
        np.testing.assert_array_equal(found[name], getattr(m, name))
    reading = m.chaos_checked
    for name in ("pace", "term_pace", "memory", "far_share", "coherence", "log_sum", "regime", "chaotic", "verdict"):
        np.testing.assert_array_equal(found[name], getattr(reading, name))
    for name in ("growth", "growth_by_error"):
        growth = getattr(reading, name)
        np.testing.assert_array_equal([found[f"{name}_{part}"] for part in ("slope", "power")], growth[1:3])
        assert found[f"{name}_shape"] == growth.shape
    assert {name for name in found if name.startswith("gate_")} == {f"gate_{gate}" for gate in m.gates}
    for gate, openness in m.gates.items():
        np.testing.assert_array_equal(found[f"gate_{gate}"], openness)
    assert tuple(found["labels"]) == m.labels
    assert (int(found["overflow"]), int(found["underflow"])) == tuple(
        -1 if step is None else step for step in (m.overflow, m.underflow)
    )
    assert from_json(str(found["scenario"])) == scenario


def test_the_file_of_numbers_says_what_each_is():
    found = load(archive(Scenario(), share=np.arange(3.0)))
    np.testing.assert_array_equal(found["share"], np.arange(3.0))
    readme = str(found["readme"])
    assert "natural" in readme and "share" in readme.splitlines()[-1]
    for name in found:
        assert any(line.startswith((name, "Beside")) for line in readme.splitlines()) or name.startswith("gate_")
    stems = {name for name in CONTENTS if name.endswith("_")}
    assert set(CONTENTS) - stems <= set(found)


@pytest.mark.parametrize("name", ["log_terms", "gate_forget", "scenario", "readme", "file", "allow_pickle"])
def test_no_other_array_takes_the_place_of_one(name):
    with pytest.raises(ValueError, match=f"^{name} is taken"):
        archive(Scenario(), **{name: np.zeros(1)})


def test_no_python_object_gets_into_the_file():
    with pytest.raises(ValueError, match="allow_pickle"):
        archive(Scenario(), other=np.array([None]))


# ----------------------------------------------------------------------------------------------- the Python


def run(snippet, paste):
    """What a fresh interpreter prints: of the snippet as a script, or pasted line by line into a session."""
    process = start_python("-q", "-i") if paste else start_python("-c", snippet)
    out, error = output_of(process, snippet + "\n" if paste else None)
    assert "Error" not in error and "Warning" not in error, error
    *lines, verdict = out.strip().splitlines()
    return dict(line.split(": ", 1) for line in lines), verdict


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "paste"),
    [
        (Scenario(cell="gru", gates="pinned", update=0.2, reset=0.9, write_every=12, gate="new"), False),
        (Scenario(sequence="sentence", text=QUOTED, weight="all", horizon=60, time=40), True),
        (Scenario(cell_path_only=True, forget=0.95, input=None, output=None, init="chrono", seed=3), False),
    ],
    ids=["gru", "nasty", "cell path, as initialised"],
)
def test_the_python_prints_what_the_page_shows(scenario, paste):
    printed, verdict = run(python(scenario), paste)
    m = measure(scenario)
    assert verdict == m.said()
    log = lambda name: np.array(next(v for k, v in printed.items() if name in k).split(",")[0].split(), float)
    np.testing.assert_allclose(log("lags 0, 1, 2"), m.log_row[:6], rtol=1e-4)
    np.testing.assert_allclose(log("norm of their sum"), m.reading.log_sum, rtol=1e-4)
    np.testing.assert_allclose(log("sum of their norms"), np.logaddexp.reduce(m.log_row), rtol=1e-4)
    np.testing.assert_allclose(log("pace"), m.reading.pace, rtol=1e-4)
    assert int(log("90 %")[0]) == m.reading.memory
    assert printed["lags"].split() == [str(m.t + 1), "of", "which", "not", "zero:", str(np.isfinite(m.log_row).sum())]


@given(scenarios())
@settings(derandomize=True, max_examples=100, deadline=None)
def test_the_python_names_what_differs_and_gives_the_scenario_back(scenario):
    snippet = python(scenario)
    call = next(statement for statement in snippet.split("\nT = ")[0].split("\nscenario = ")[1:])
    names = {}
    exec(f"from gradflow.app.scenario import Scenario\nscenario = {call}", names)
    assert names["scenario"] == scenario
    assert all(line.isprintable() for line in snippet.splitlines())
    assert ("cell_path_only=True)\n" in snippet) == (scenario.cell_path_only and scenario.cell == "lstm")
