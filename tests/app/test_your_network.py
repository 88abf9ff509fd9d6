"""Your network: a page for the file that the app was started with, and for no other."""

import sys

import numpy as np
import pytest

import gradflow as gf
from gradflow.app import recorded
from gradflow.app.charts import stack
from gradflow.network import Network
from gradflow.recording import Recording
from gradflow.weights import Weights
from support.apptest_page import checked, components, link, new_page, notices, open_explore, verdict, widget

T, N, M = 12, 3, 2


def recording(layers=2, directions=1, cell="lstm", gates=4):
    rng = np.random.default_rng(0)
    draw = lambda *shape: (0.5 * rng.standard_normal(shape)).astype(np.float32)
    widths = [M, *[directions * N] * (layers - 1)]
    drawn = [
        [Weights(draw(gates * N, m), draw(gates * N, N), draw(gates * N), draw(gates * N)) for _ in range(directions)]
        for m in widths
    ]
    return Recording(
        Network(cell, drawn), [draw(T, M), draw(T - 2, M)], [draw(T, directions * N), draw(T - 2, directions * N)]
    )


@pytest.fixture
def started(tmp_path, monkeypatch):
    """started(recording or bytes): the app is started with its file; the path."""

    def start(what):
        path = tmp_path / "seen.npz"
        path.write_bytes(what) if isinstance(what, bytes) else what.save(path)
        monkeypatch.setattr(sys, "argv", ["app.py", str(path)])
        return path

    return start


def opened(**params):
    return checked(new_page("your_network", **params).run())


def links(at):
    return [each.proto.label for each in at.get("page_link")]


def table(at):
    (markdown,) = (each.value for each in at.markdown if each.value.startswith("| layer"))
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in markdown.splitlines()[2:]]


def test_the_page_is_there_when_a_file_was_named_and_only_then(started, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["app.py"])
    assert "Your network" not in links(open_explore())
    started(recording())
    assert "Your network" in links(open_explore())


@pytest.mark.slow
def test_it_shows_the_last_time_of_the_top_layer_and_every_layer_beside_it(started):
    path = started(recording())
    at = opened()
    maps = gf.load(path).maps(0)
    said = maps[1][0].read(T - 1, "weight_hh").verdict
    assert verdict(at) == f"On your recording: {said[0].lower()}{said[1:]}"
    readings = [layer[0].read(T - 1, "weight_hh") for layer in maps]
    assert [row[0] for row in table(at)] == ["1", "2"]
    assert [row[2] for row in table(at)] == [str(each.memory) for each in readings]
    drawn = components(at)["flow"]["record"]
    assert drawn["steps"] == T and len(drawn["images"]) and not notices(at)
    assert link(at) == {}


@pytest.mark.slow
def test_what_is_chosen_is_in_the_link_and_a_link_shows_it(started):
    path = started(recording())
    at = opened()
    for field, value in (("layer", 1), ("weight", "bias_hh"), ("gate", "forget"), ("time", 5), ("sequence", 1)):
        checked(widget(at, field).set_value(value).run())
    chosen = {"layer": "1", "weight": "bias_hh", "gate": "forget", "time": "5", "sequence": "1"}
    assert link(at) == chosen
    said = gf.load(path).maps(1)[0][0].read(5, "bias_hh", "forget").verdict
    assert verdict(at) == verdict(opened(**chosen)) == f"On your recording: {said[0].lower()}{said[1:]}"
    checked(widget(at, "show").set_value("factors").run())
    assert components(at)["flow"]["spec"].partition("?")[0].endswith("factors.json")


@pytest.mark.slow
def test_a_direction_without_lags_says_so(started):
    started(recording(layers=1, directions=2))
    assert not notices(opened())
    (said,) = notices(opened(direction="backward"))
    assert "no lag" in said


@pytest.mark.parametrize(
    "params, said", [({"layer": "3"}, "layer “3”"), ({"time": "99"}, "time “99” is above"), ({"gate": "x"}, "gate “x”")]
)
@pytest.mark.slow
def test_a_bad_link_has_one_sentence_and_the_default(started, params, said):
    started(recording())
    at = opened(**params)
    assert said in " ".join(notices(at)) and verdict(at)


@pytest.mark.parametrize("what", [b"", b"no recording", b"PK\x03\x04" + 30 * b"\0", "cut", "no number"])
def test_a_file_that_is_no_recording_has_one_sentence(started, what):
    if what == "cut":
        path = started(recording())
        started(path.read_bytes()[:900])
    elif what == "no number":
        broken = recording()
        broken.inputs[0][3, 1] = np.nan
        started(broken)
    else:
        started(what)
    at = opened()
    (said,) = notices(at)
    assert "no recording" in said and not at.get("bidi_component")


def test_a_file_that_is_not_there_has_one_sentence(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["app.py", "nowhere.npz"])
    assert notices(opened()) == ["nowhere.npz cannot be read: No such file or directory."]


@pytest.mark.slow
def test_outputs_that_are_not_of_these_weights_are_refused_in_one_sentence(started):
    wrong = recording()
    outputs = [np.zeros((len(each), N), np.float32) for each in wrong.inputs]
    started(Recording(wrong.network, wrong.inputs, wrong.cotangents, outputs))
    (said,) = notices(opened())
    assert "outputs of sequence 0 differ" in said


@pytest.mark.slow
def test_the_same_sizes_freshly_drawn_stand_beside_it(started):
    path = started(recording(layers=2))
    at = opened(show="factors")
    before = components(at)["flow"]["record"]
    checked(widget(at, "fresh").set_value(True).run())
    assert link(at) == {"show": "factors", "fresh": "true"}
    after = components(at)["flow"]["record"]
    assert after["tables"]["frame"][1]["kept"] == [f"grey: {recorded.FRESH}"] and before["tables"] != after["tables"]
    own = recorded.opened(str(path))
    fresh = recorded.freshly_drawn(own)
    for mine, theirs in zip(own.network.layers, fresh.network.layers, strict=True):
        for one, other in zip(mine[0], theirs[0], strict=True):
            assert one.shape == other.shape and (one != other).any() and np.abs(other).max() <= N**-0.5
    assert fresh.inputs is own.inputs and fresh.cotangents is own.cotangents


@pytest.mark.slow
def test_every_layer_is_drawn_on_one_scale(started):
    path = started(recording(layers=3))
    opened()
    rows = recorded.terms_by_layer(recorded.opened(str(path)), 0, 7, "bias_hh")
    maps = gf.load(path).maps(0)
    assert [*rows] == ["layer 1", "layer 2", "layer 3"]
    for k, row in enumerate(rows.values()):
        np.testing.assert_allclose(row, maps[k][0].log_terms("bias_hh")[7, :8])
    tables = stack.data(rows, rows, 7, T)
    names = tables["names"].to_pydict()["name"]
    assert names == ["layer 3", "layer 2", "layer 1", "freshly drawn"]
    curves = tables["curves"].to_pydict()
    last = [y for curve, y in zip(curves["curve"], curves["y"], strict=True) if curve == 5]
    np.testing.assert_allclose(last, rows["layer 3"] / np.log(10), rtol=1e-5)
