"""Frames past the script's run: the same as by the run, for the same values; bounded, and never with a traceback."""

import json
import re
import urllib.error
import urllib.request
from dataclasses import replace

import numpy as np
import pytest
from starlette.requests import Request

from gradflow.app import frame, frame_route
from gradflow.app.charts import CHARTS
from gradflow.app.counterexample import every_cell
from gradflow.app.lessons import LESSONS
from gradflow.app.measurement import measure
from gradflow.app.scenario import MAX_HORIZON, Scenario
from gradflow.app.url_codec import to_params
from gradflow.app.view import View
from gradflow.reading import number
from support.ws_client import wait_for

SMALL = Scenario(hidden=4, horizon=40)


def asked(scenario=SMALL, view=View(), **changed):  # noqa: B008
    """What a page sends."""
    request = frame.Request(scenario, view, changed.pop("lesson", None), changed.pop("revealed", True))
    return request.params((-10.0, 1.0), False) | changed


def answer(given):
    """The answer of the route in this process, through JSON and back."""
    return json.loads(frame_route._answer(json.dumps(given).encode()))


@pytest.fixture(autouse=True)
def compiled():
    measure(SMALL)


# ------------------------------------------------------------------------------------------------- what is answered


def test_a_frame_has_the_numbers_of_the_engine():
    measurement = measure(replace(SMALL, forget=0.9))
    given = asked()
    given["link"]["forget"] = 0.9  # as a range sends it
    tables = {name: columns for name, (_, columns) in answer(given)["tables"].items()}
    assert tables["sums"]["term"] == [number(log) for log in measurement.log_row]
    here = np.clip(measurement.log_partial / np.log(10), -10, 1)
    np.testing.assert_allclose(tables["sums"]["sum"], here, atol=1e-5)
    assert answer(given)["axes"] == [-10, 1], "they do not hold still"


@pytest.mark.parametrize("show", [*CHARTS])
def test_a_frame_is_what_the_run_draws_in_the_same_axes(show):
    view = View(closer=True, show=show)
    at_rest = json.loads(json.dumps(frame.frame(frame.Request(SMALL, view))))
    moving = answer(asked(view=view, axes=at_rest["axes"]))
    assert moving["tables"] == at_rest["tables"] and moving["images"] == at_rest["images"]
    assert moving["said"] == at_rest["said"]
    assert " ".join(filter(None, moving["sentence"])) == measure(SMALL).said(at_rest=False)


def test_a_table_has_another_checksum_exactly_if_it_is_another():
    one, same, other = (answer(asked(replace(SMALL, forget=forget)))["tables"] for forget in (0.5, 0.5, 0.6))
    assert one == same
    for name in one:
        assert (one[name][0] == other[name][0]) == (one[name][1] == other[name][1]), name
    assert one["sums"][0] != other["sums"][0]


@pytest.mark.parametrize("lesson", range(1, len(LESSONS) + 1))
def test_a_lesson_tells_nothing_before_it_is_revealed(lesson):
    own = LESSONS[lesson - 1]
    scenario = replace(own.scenario, horizon=40)
    for each in every_cell(scenario).values() if own.view.show == "cells" else (scenario,):
        measure(each)
    hidden = answer(asked(scenario, own.view, lesson=lesson, revealed=False, axes=None))
    assert hidden["sentence"] == ["", ""] and hidden["said"] == ""
    table = hidden["tables"]["frame"][1]
    assert not any(table[name][0] for name in frame.HIDDEN_TEXT if name in table)
    revealed = answer(asked(scenario, own.view, lesson=lesson, axes=None))
    told = " ".join(filter(None, revealed["sentence"]))
    assert told == own.headline(measure(scenario), own.view, at_rest=False)


def test_a_sweep_begins_with_axes_for_all_of_it_and_keeps_them():
    first = answer(asked(playing="horizon", axes=None))
    assert first["steps"] == MAX_HORIZON
    again = answer(asked(replace(SMALL, horizon=200), playing="horizon", axes=first["axes"]))
    assert again["axes"] == first["axes"] and again["steps"] == MAX_HORIZON


def test_an_overflow_is_said_and_not_drawn_unless_one_stands():
    wild = Scenario(cell="rnn-linear", gain=12.0, horizon=256)
    step = measure(wild).overflow
    moved = answer(asked(wild))
    assert moved["broken"] == step and str(step) in moved["sentence"][0] and "tables" not in moved
    assert not answer(asked(wild, revealed=False))["sentence"][0]
    assert "tables" in answer(asked(wild, overflowed=True))


def test_numbers_are_short_and_none_where_there_is_none():
    said = frame_route._answer(json.dumps(asked(replace(SMALL, cell="rnn-relu"), View(closer=True))).encode())
    assert not re.search(r"NaN|Infinity|\d\.\d{6}", said)


# ------------------------------------------------------------------------------------------------- what is refused


def post(url, body, **headers):
    """(status, text) of a POST."""
    request = urllib.request.Request(f"{url}/gradflow/frame", body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


SOUND = json.dumps(asked()).encode()
BAD = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"\xff\xfe",
    json.dumps(asked() | {"axes": [0]}).encode(),
    json.dumps(asked() | {"axes": ["low", "high"]}).encode(),
    b'{"axes": [NaN, 1], ' + SOUND[1:].replace(b'"axes"', b'"other"'),
    json.dumps(asked() | {"lesson": 0}).encode(),
    json.dumps(asked() | {"lesson": "1"}).encode(),
    json.dumps(asked() | {"playing": "seed; drop"}).encode(),
    json.dumps({name: text for name, text in asked().items() if name != "link"}).encode(),
    json.dumps(asked() | {"link": ["gain", 1]}).encode(),
]


@pytest.mark.parametrize("body", BAD)
def test_what_no_page_sends_is_refused(server, body):
    said = len(server.log())
    assert post(server.url, body) == (400, "")
    assert "Traceback" not in server.log()[said:]


def test_bounds(server):
    said = len(server.log())
    assert post(server.url, SOUND + b" " * frame_route.LONGEST) == (413, "")
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert post(server.url, SOUND, **cross)[0] == 403
    assert post(server.url, SOUND, **{"Sec-Fetch-Site": "same-site"})[0] == 403
    assert post(server.url, SOUND, Origin="http://elsewhere.example")[0] == 403
    own = {"Origin": server.url}
    rare = json.dumps(asked(Scenario(hidden=1, cell_path_only=True))).encode()  # no other test has this kind
    assert post(server.url, rare, **own) == (422, ""), "nobody makes the server compile"
    beside = json.dumps(asked(replace(SMALL, hidden=8), View(show="cells"))).encode()
    assert post(server.url, beside, **own) == (422, ""), "nor all cells"
    assert "Traceback" not in server.log()[said:]


@pytest.mark.parametrize("link", [{}, {"cell": "transformer", "gain": "x"}, {"text": "<b>"}, {"kept": "preset=GRU"}])
def test_any_link_is_one(link):
    measure(Scenario()), measure(Scenario(cell="gru"))
    assert "tables" in answer(asked() | {"link": link})


def test_no_more_than_a_few_wait(monkeypatch):
    monkeypatch.setattr(frame_route, "_waiting", frame_route.WAITING)
    scope = {"type": "http", "method": "POST", "headers": [(b"content-length", b"2")]}
    assert wait_for(frame_route.respond(Request(scope))).status_code == 503
    assert frame_route._waiting == frame_route.WAITING


def test_what_a_request_names_is_all_it_reads():
    """No cookie and no session: two requests alike have one answer."""
    assert frame_route._answer(SOUND) == frame_route._answer(SOUND)
    assert to_params(SMALL).keys() - {"preset"} <= asked()["link"].keys()
