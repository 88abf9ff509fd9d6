"""Your network: a page for the file that the app was started with, and for no other."""

import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest

import gradflow as gf
from gradflow.app import frame_route, recorded
from gradflow.app.charts import stack
from gradflow.app.charts.base import as_json
from gradflow.network import Network
from gradflow.reading import number
from gradflow.recording import Recording
from gradflow.weights import Weights
from support.apptest_page import checked, components, link, new_page, notices, open_explore, verdict, widget

T, N, M = 12, 3, 2
LN10 = np.log(10)


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


def move(at, held=None, **values):
    """What the page's ranges report."""
    turn = at.session_state["state"].reports.get("network_ranges", 0) + 1
    at.session_state["network_ranges"] = {"moved": {"values": values, "held": held, "turn": turn}}
    return checked(at.run())


def asked(at, **values):
    """What the page asks the server for while these are moved, and the answer; None where there is none."""
    given = components(at)["flow"]["request"]
    given = given | {"link": given["link"] | values, "playing": None}
    answer = frame_route._answer(json.dumps(given).encode())
    return json.loads(answer) if answer else None


def with_outputs(made):
    """The recording with what its own network gives."""
    outputs = [made.maps(b)[-1][0].outputs for b in range(len(made.inputs))]
    return replace(made, outputs=outputs, _maps={})


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
    for field, value in (("sequence", 1), ("layer", 1), ("weight", "bias_hh"), ("gate", "forget")):
        checked(widget(at, field).set_value(value).run())
    move(at, time=5)
    chosen = {"layer": "1", "weight": "bias_hh", "gate": "forget", "time": "5", "sequence": "1"}
    assert link(at) == chosen
    said = gf.load(path).maps(1)[0][0].read(5, "bias_hh", "forget").verdict
    assert verdict(at) == verdict(opened(**chosen)) == f"On your recording: {said[0].lower()}{said[1:]}"
    checked(widget(at, "show").set_value("factors").run())
    assert components(at)["flow"]["spec"].partition("?")[0].endswith("factors.json")
    former = opened(show="totals")
    assert components(former)["flow"]["spec"].partition("?")[0].endswith("all_costs.json") and not notices(former)


@pytest.mark.slow
def test_a_direction_without_lags_says_so(started):
    started(recording(layers=1, directions=2))
    assert not notices(opened())
    (said,) = notices(opened(direction="backward"))
    assert "no lag" in said and "Layer 1, forward, has lags" in said


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


def test_a_link_says_what_is_missing_where_the_server_has_no_file(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["app.py"])
    at = opened(layer=1, forget=0.9)
    (said,) = notices(at)
    assert "this server was started without one" in said and "streamlit run app.py -- seen.npz" in said
    assert link(at) == {"layer": "1", "forget": "0.9"} and not at.get("bidi_component")


def test_a_file_that_is_not_there_has_one_sentence(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["app.py", "nowhere.npz"])
    assert notices(opened()) == ["nowhere.npz cannot be read: No such file or directory."]


def test_a_folder_has_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["app.py", str(tmp_path)])
    assert notices(opened()) == [f"{tmp_path} cannot be read: Is a directory."]


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
    own = recorded.opened(str(path))
    rows = recorded.terms_by_layer(own, replace(recorded.first_look(own), time=7, weight="bias_hh"))
    maps = gf.load(path).maps(0)
    assert [*rows] == ["layer 1", "layer 2", "layer 3"]
    for k, row in enumerate(rows.values()):
        np.testing.assert_allclose(row, maps[k][0].log_terms("bias_hh")[7, :8])
    tables = stack.data(rows, rows, "another.npz", 7, [*"the cat sat "])
    told = tables["columns"]["words"]
    assert told[0].startswith("lag 0 (step 7): layer 1 ") and told[1].startswith("lag 1 (step 6 t): layer 1 ")
    names = tables["names"]["name"]
    assert names == ["layer 3", "layer 2", "layer 1", "another.npz"]
    curves = as_json(tables["curves"])
    last = [y for curve, y in zip(curves["curve"], curves["y"], strict=True) if curve == 5]
    np.testing.assert_allclose(last, rows["layer 3"] / np.log(10), rtol=1e-5)


def expected(made, layer, t, pins, gain, weight="weight_hh"):
    """The reading of one layer with its gates held and its W_hh scaled by hand."""
    layers = [[*each] for each in made.network.layers]
    own = layers[layer][0]
    layers[layer][0] = own._replace(weight_hh=(own.weight_hh * np.float32(gain)))
    held = [[pins if k == layer else None] for k in range(len(layers))]
    maps = gf.network_map(Network(made.network.cell, layers), made.inputs[0], made.cotangents[0], pins=held)
    return maps[layer][0].read(t, weight, chaos=True)


@pytest.mark.slow
def test_gates_that_are_held_and_a_gain_are_said_and_measured_though_the_outputs_are_others(started):
    """Of the layer that is shown, and of no other; with the dL/dy(t) that were recorded."""
    path = started(with_outputs(recording()))
    at = opened()
    as_recorded = verdict(at)
    for values, changed, pins, gain in (
        ({"forget": 0.9}, "the forget gate of layer 2 held at 0.9", {"forget": 0.9}, 1.0),
        ({"gain": 2.5}, "the forget gate of layer 2 held at 0.9 and W_hh of layer 2 multiplied by 2.5",
         {"forget": 0.9}, 2.5),
        ({"forget": None}, "W_hh of layer 2 multiplied by 2.5", {}, 2.5),
    ):  # fmt: skip
        move(at, **values)
        said = expected(gf.load(path), 1, T - 1, pins, gain).verdict
        assert verdict(at) == f"With {changed}, which is not how it was recorded: {said[0].lower()}{said[1:]}"
        assert link(at) == {name: f"{value:g}" for name, value in (pins | {"gain": gain}).items() if value != 1.0}
        assert verdict(opened(**link(at))) == verdict(at)
        assert any("dL/dy(t) stays as it was recorded" in each.value for each in at.caption)
    move(at, gain=None)
    assert verdict(at) == as_recorded and link(at) == {}
    assert not any("stays as it was recorded" in each.value for each in at.caption)
    move(at, input=0.3)
    checked(widget(at, "layer").set_value(1).run())
    said = expected(gf.load(path), 0, T - 1, {"input": 0.3}, 1.0).verdict
    assert verdict(at) == (
        f"With the input gate of layer 1 held at 0.3, which is not how it was recorded: {said[0].lower()}{said[1:]}"
    )


@pytest.mark.slow
def test_gates_that_are_held_do_not_hide_outputs_of_other_weights(started):
    wrong = recording()
    started(replace(wrong, outputs=[np.zeros((len(each), N), np.float32) for each in wrong.inputs]))
    (said,) = notices(opened(forget=0.5))
    assert "outputs of sequence 0 differ" in said


@pytest.mark.slow
def test_a_range_stands_where_the_gate_is_as_trained_until_it_is_moved(started):
    path = started(recording())
    at = opened()
    gates = gf.load(path).maps(0)[1][0].gates
    for reported, value in (({}, None), ({"forget": 0.25}, 0.25), ({"forget": None}, None)):
        if reported:
            move(at, **reported)
        ranges = {each["name"]: each for each in components(at)["network_ranges"]["ranges"]}
        assert [*ranges] == ["time", "lag", "forget", "input", "output", "gain"]
        rest = gates["forget"].mean()
        assert ranges["forget"]["unset"]["value"] == pytest.approx(rest)
        assert ranges["forget"]["value"] == pytest.approx(rest if value is None else value)
        assert ranges["forget"]["initial"] == (value is None)
        assert ranges["forget"]["label"] == "Forget gate, layer 2" and ranges["lag"]["cap"] == T - 1


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "gates", "said"), [
    ("gru", 3, "keep held at 0.5"), ("rnn-tanh", 1, "W_hh multiplied by 0.5"),
])  # fmt: skip
def test_other_cells_have_their_own_gates(started, cell, gates, said):
    started(recording(layers=1, cell=cell, gates=gates))
    at = opened(**{"update" if gates > 1 else "gain": 0.5})
    assert verdict(at).startswith(f"With {said}, which is not how it was recorded: ") and not notices(at)
    names = [each["name"] for each in components(at)["network_ranges"]["ranges"]]
    assert names == ["time", "lag", *(("reset", "update") if gates > 1 else ()), "gain"]


@pytest.mark.slow
def test_of_both_directions_the_forward_one_is_held(started):
    made = recording(layers=2, directions=2)
    started(made)
    at = opened(forget=0.5)
    held = [[None, None], [{"forget": 0.5}, None]]
    top = gf.network_map(made.network, made.inputs[0], made.cotangents[0], pins=held)[1][0]
    said = top.read(T - 1, chaos=True).verdict
    changed = "With the forget gate of layer 2 (forward) held at 0.5, which is not how it was recorded"
    assert verdict(at) == f"{changed}: {said[0].lower()}{said[1:]}"
    assert [row[0] for row in table(at)] == ["2"]


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "gates", "names"), [("rnn-relu", 1, ["gain"]), ("mingru", 2, ["update"])])
def test_a_sequence_of_one_step_has_neither_time_nor_lag(started, cell, gates, names):
    made = recording(layers=1, cell=cell, gates=gates)
    started(Recording(made.network, [made.inputs[0][:1]], [made.cotangents[0][:1]], labels=["a"]))
    at = opened()
    panel = components(at)["network_ranges"]
    assert [each["name"] for each in panel["ranges"]] == names and panel["play"] and not notices(at)
    move(at, **dict.fromkeys(names, 0.5))
    assert verdict(at).startswith("With ") and link(at) == dict.fromkeys(names, "0.5")


@pytest.mark.slow
def test_what_is_freshly_drawn_stays_as_it_was_drawn(started):
    started(recording())
    at = opened(show="factors", fresh="true")
    before = components(at)["flow"]["record"]["tables"]
    move(at, forget=0.9)
    after = components(at)["flow"]["record"]["tables"]
    own, grey = (
        [[y for curve, y in zip(*(tables["curves"][1][k] for k in ("curve", "y")), strict=True) if curve == which]
         for which in range(6)] for tables in (before, after)
    )  # fmt: skip
    assert sum(one == other for one, other in zip(own, grey, strict=True) if one) >= 2 and own != grey


@pytest.mark.slow
def test_the_picture_of_a_moving_range_is_that_of_the_run(started):
    """Time, a gate, a gain and back to as trained: past the run, and in the axes that stand."""
    started(recording())
    at = opened()
    for moved in ({"time": 6}, {"forget": 0.8, "lag": 2}, {"forget": None, "gain": 1.5}):
        record = asked(at, **moved)
        move(at, held=next(iter(moved)), **moved)
        drawn = components(at)["flow"]["record"]
        assert record["axes"] == drawn["axes"] and record["sentence"] == drawn["sentence"]
        assert record["tables"] == json.loads(json.dumps(drawn["tables"])) and record["images"] == drawn["images"]
        address = link(at)
        move(at, **moved)
        assert link(at) != address, "let go, and not before"


@pytest.mark.slow
def test_no_frame_compiles(started):
    started(recording())
    at = opened()
    assert asked(at) and asked(at, weight="bias_hh") is None and asked(at, show="all_costs") is None
    checked(widget(at, "weight").set_value("bias_hh").run())
    assert asked(at)


@pytest.mark.parametrize("change", [{"axes": [1]}, {"axes": "ab"}, {"playing": "seed!"}, {"link": 3}, {"link": None}])
@pytest.mark.slow
def test_what_no_page_of_ours_sends_is_refused(started, monkeypatch, change):
    started(recording())
    given = {"page": "network", "link": {}, "dark": False, "overflowed": False, "axes": None}
    for body in (given | change, {"page": "network"}):
        with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
            frame_route._answer(json.dumps(body).encode())
    monkeypatch.setattr(sys, "argv", ["app.py"])
    with pytest.raises(ValueError):
        frame_route._answer(json.dumps(given).encode())


@pytest.mark.slow
def test_the_names_of_the_steps_stand_at_their_lags(started):
    named = replace(
        recording(), labels=[["the", " ", "\n", "\ud800", "x", *["antidisestablishment"] * 7], [*"abcdefghij"]]
    )
    started(named)
    at = opened(time=9)
    tables = components(at)["flow"]["record"]["tables"]
    letters = tables["letters"][1]
    assert dict(zip(letters["lag"], letters["label"], strict=True)) == {
        9: "the", 8: "␣", 7: "␣", 6: "�", 5: "x", **dict.fromkeys(range(5), "antidis…"),
    }  # fmt: skip
    assert letters["every"] == [2**14, 1, 2, 1, 4, 1, 2, 1, 8, 1][::-1]
    assert tables["columns"][1]["step"][3:6] == ["6 antidisestablishment", "5 antidisestablishment", "4 x"]
    tables = components(opened(sequence=1))["flow"]["record"]["tables"]
    assert tables["letters"][1]["label"] == [*"jihgfedcba"] and set(tables["letters"][1]["every"]) == {1}


@pytest.mark.slow
def test_the_page_says_at_rest_that_a_network_is_chaotic(started):
    """And while a range moves it is not asked, which takes another forward pass of every layer."""
    wild = recording(layers=2, cell="rnn-tanh", gates=1)
    rng, n, steps = np.random.default_rng(3), 24, 120
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)
    layers = [
        [Weights(draw(n, 2), draw(n, n) * np.float32(6 / n**0.5))],
        [Weights(draw(n, n), draw(n, n) / np.float32(9))],
    ]
    started(Recording(Network(wild.network.cell, layers), [draw(steps, 2)], [draw(steps, n)]))
    at = opened()
    assert verdict(at).startswith("On your recording: chaotic: ")
    assert [row[2:] for row in table(at)] == [["chaotic"] * 3] * 2, "no number but the pace, as in the sentence"
    assert "haotic" not in " ".join(asked(at)["sentence"])
    move(at, held="time", time=100)
    assert "haotic" not in verdict(at)
    move(at, time=100)
    assert verdict(at).startswith("On your recording: chaotic: ")
    calm = opened(gain=0.25, layer=1)
    assert "chaotic" not in verdict(calm)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"forget": "1.5"}, "forget “1.5” is above 1; it is now 1."),
        ({"forget": "open"}, "forget “open” is not a number between 0 and 1 or as trained; it is now as trained."),
        ({"gain": "0.1"}, "gain “0.1” is below 0.25; it is now 0.25."),
        ({"lag": "-1"}, "lag “-1” is below 0; it is now 0."),
        (
            {"seed": "7", "reset": "0.5"},
            "A link here has no “seed=7”, “reset=0.5”, only sequence, layer, direction, weight",
        ),
        ({"direction": "backward"}, "direction “backward” is not one of forward; it is now forward."),
    ],
)
def test_what_a_link_cannot_mean_is_said_and_tidied(started, params, said):
    started(recording())
    at = opened(**params)
    assert said in " ".join(notices(at))
    tidy = {"1.5": {"forget": "1"}, "0.1": {"gain": "0.25"}}
    assert link(at) == tidy.get(next(iter(params.values())), {}) and len(notices(at)) == 1
    assert not notices(checked(at.run()))


@pytest.mark.parametrize(
    "chosen", [{}, {"weight": "weight_ih"}, {"weight": "weight_hh", "gate": "forget"}, {"weight": "all"}]
)
def test_the_table_is_of_the_weight_and_the_gate_that_are_chosen(chosen):
    own = recording()
    look, _ = recorded.read_look(own, {"time": "9", **chosen})
    weight, gate = look.weight, None if look.gate == "all" else look.gate
    told = recorded.by_layer(own, look), recorded.terms_by_layer(own, look).values()
    for (gmap,), row, terms in zip(own.maps(0), *told, strict=True):
        assert row[-1] == number(gmap.log_sums(weight, gate)[9])
        np.testing.assert_array_equal(terms, gmap.log_terms(weight, gate)[9, :10])


@pytest.mark.parametrize("cell, gate, row", [("lstm", "forget", 1), ("lstm", "output", 3), ("gru", "update", 1)])
def test_the_bias_that_is_told_makes_a_pytorch_gate_rest_where_it_is_held(cell, gate, row):
    torch = pytest.importorskip("torch")
    own = recording(cell=cell, gates=4 if cell == "lstm" else 3)
    look, _ = recorded.read_look(own, {gate: "0.98", "layer": "2"})
    code = re.search("`(.*?)`", recorded.biases(own, look))[1]
    layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](M, N, num_layers=2)
    with torch.no_grad():
        layer.bias_ih_l1.zero_()
        exec(f"layer.{code}")
    gates = torch.sigmoid(layer.bias_ih_l1).reshape(-1, N).detach().numpy()
    expected = np.full(len(gates), 0.5)
    expected[row] = 0.98
    np.testing.assert_allclose(gates, expected[:, None] + np.zeros((1, N)), atol=1e-4)


def test_a_gate_that_no_bias_opens_or_shuts_is_told_none():
    own = recording()
    assert recorded.biases(own, recorded.read_look(own, {"forget": "1"})[0]) == ""


@pytest.mark.slow
def test_a_second_file_stands_in_grey_beside_the_first_and_a_third_is_named(started, tmp_path, monkeypatch):
    path, later, own = started(recording()), tmp_path / "later.npz", recording()
    scaled = [[weights._replace(weight_hh=weights.weight_hh / 2) for weights in layer] for layer in own.network.layers]
    Recording(Network("lstm", scaled), own.inputs, own.cotangents).save(later)
    monkeypatch.setattr(sys, "argv", ["app.py", str(path), str(later), "third.npz"])
    at = opened(show="factors", fresh="true", layer="2")
    (said,) = notices(at)
    assert "third.npz" in said and widget(at, "fresh").label == "Beside later.npz"
    tables = components(at)["flow"]["record"]["tables"]
    assert tables["frame"][1]["kept"] == ["grey: later.npz"]
    curve, y = (tables["curves"][1][name] for name in ("curve", "y"))
    delta, _ = gf.load(later).maps(0)[1][0].lags(T - 1).log_factors()
    np.testing.assert_allclose([height for k, height in zip(curve, y, strict=True) if k == 0], delta / LN10, atol=1e-4)


@pytest.mark.parametrize(
    "other, said",
    [
        (lambda: recording(layers=1), "of another kind, lstm of 1 layers"),
        (lambda: recording(cell="gru", gates=3), "of another kind, gru"),
        (lambda: Recording(recording().network, [np.zeros((3, M))], [np.zeros((3, N))]), "no step 11 of example 0"),
        (lambda: b"x", "later.npz is no recording"),
    ],
)
@pytest.mark.slow
def test_a_second_file_that_cannot_stand_beside_the_first_has_one_sentence(started, tmp_path, monkeypatch, other, said):
    path, later, other = started(recording()), tmp_path / "later.npz", other()
    later.write_bytes(other) if isinstance(other, bytes) else other.save(later)
    monkeypatch.setattr(sys, "argv", ["app.py", str(path), str(later)])
    at = opened(fresh="true")
    assert said in at.caption[-1].value and not notices(at)


@pytest.mark.slow
def test_one_layer_has_no_second_chart_of_the_same(started):
    started(recording(layers=1))
    assert "stack" not in components(opened()) and "stack" in components(opened(fresh="true"))
