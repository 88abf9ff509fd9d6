"""The Explore page, run without a browser: it opens, every control moves it, links are read and written."""

import re
import sys

import jax
import numpy as np
import pytest

from gradflow.app.labels import LABELS
from gradflow.app.measurement import measure
from gradflow.app.presets import DEFAULT_PRESET, PRESETS
from gradflow.app.scenario import CHOICES, GATE_FIELDS, RANGES, Scenario, gate_names, pinnable_gates
from gradflow.app.url_codec import to_params
from gradflow.app.view import View
from gradflow.cells import CELLS
from support.apptest_page import (
    MORE,
    checked,
    components,
    drag,
    link,
    new_page,
    notices,
    open_explore,
    press,
    record,
    shown,
    verdict,
    widget,
)


def test_opens_on_the_default_preset():
    at = open_explore(more=False)
    assert shown(at) == PRESETS[DEFAULT_PRESET]
    assert widget(at, "preset").value == DEFAULT_PRESET
    assert verdict(at) == measure(PRESETS[DEFAULT_PRESET]).said()
    assert not notices(at)
    assert "seed" not in at.session_state  # folded


@pytest.mark.parametrize("name", PRESETS)
def test_preset_sets_everything_and_reads_custom_once_a_control_moves(name):
    at = open_explore()
    checked(widget(at, "preset").set_value(name).run())
    assert shown(at) == PRESETS[name]
    assert verdict(at) == measure(PRESETS[name]).said()
    drag(at, gain=11.37)
    assert widget(at, "preset").value == "Custom"
    assert shown(at).gain == 11.37


@pytest.mark.parametrize("field", [field for field in RANGES if field != "seed"])
def test_live_range_moves_the_scenario_while_it_is_held(field):
    cell = "gru" if field in ("reset", "update") else "lstm"
    at = open_explore(cell=cell)
    low, high, _ = RANGES[field]
    for value in (low, high, RANGES[field].snap(low + 0.3 * (high - low))):
        drag(at, held=field, **{field: value})
        assert getattr(shown(at), field) == value
        assert field not in link(at)
    drag(at, **{field: value})
    assert link(at)[field] == f"{value:g}"


@pytest.mark.slow
@pytest.mark.parametrize("field", CHOICES)
def test_discrete_control_moves_the_scenario_and_the_link(field):
    at = open_explore()
    default = getattr(Scenario, field)
    for value in (*(choice for choice in CHOICES[field] if choice != default), default):
        checked(widget(at, field).set_value(value).run())
        assert getattr(shown(at), field) == value
        assert link(at)[field] == str(value)
        at = open_explore(**link(at))
        assert getattr(shown(at), field) == value


def ranges(at, key="ranges"):
    """What the live ranges of a panel are given, name -> its record."""
    return {each["name"]: each for each in components(at)[key]["ranges"]}


@pytest.mark.parametrize(("init", "forget"), [("pytorch", 0.5), ("keras", 0.731), ("chrono", 0.98)])
def test_an_init_that_sets_biases_leaves_the_gates_as_initialised_until_they_are_moved(init, forget):
    at = open_explore(seed="3")
    checked(widget(at, "init").set_value(init).run())
    assert {link(at)[gate] for gate in GATE_FIELDS} == {"initial"}
    shown_as = ranges(at)
    assert all(shown_as[gate]["initial"] for gate in pinnable_gates("lstm")) and not shown_as["gain"]["initial"]
    assert shown_as["forget"]["value"] == shown(at).at_rest("forget") == pytest.approx(forget, abs=0.05)
    drag(at, held="forget", forget=0.9)
    assert (shown(at).forget, shown(at).input) == (0.9, None)
    drag(at, forget=0.9)
    assert (link(at)["forget"], link(at)["input"]) == ("0.9", "initial")
    assert (ranges(at)["forget"]["value"], ranges(at)["forget"]["initial"]) == (0.9, False)
    checked(widget(at, "init").set_value("orthogonal").run())
    assert shown(at) == Scenario(init="orthogonal", forget=0.9, seed=3)


def test_undo_and_back_to_preset_know_of_gates_as_initialised():
    at = open_explore(init="keras", closer="true")
    drag(at, forget=0.9)
    checked(at.run())  # the buttons, which are drawn before the move is taken over
    checked(press(at, "Undo"))
    assert shown(at).forget is None and link(at)["forget"] == "initial"
    checked(press(at, "Back to preset"))
    assert shown(at) == Scenario()


def test_the_labels_describe_the_initialisations_correctly():
    label = lambda field: LABELS[field][1]
    named = [name for said in label("init").split("; ") for name in said.split(":")[0].split(", ")]
    assert named == [*CHOICES["init"]]
    (steps,) = re.findall(r"for memories up to (\d+) steps", label("init"))
    biases = lambda init, seed=0: Scenario(init=init, seed=seed, **dict.fromkeys(GATE_FIELDS)).weights().bias_ih
    forget = slice(16, 32)
    assert max(1 + np.exp(biases("chrono", seed)[forget].max()) for seed in range(40)) == pytest.approx(
        int(steps), abs=1
    )
    assert "Keras starts the forget gate at bias 1" in label("init") and (biases("keras")[forget] == 1).all()
    assert "0.73 is a bias of 1, as in Keras" in label("forget")
    assert Scenario().weights().bias_ih[forget] == pytest.approx(1, abs=0.006)
    assert "PyTorch adds none" in label("forget")
    assert np.mean([biases("pytorch", seed)[forget] for seed in range(40)]) == pytest.approx(0, abs=0.02)


@pytest.mark.slow
def test_gate_rows_of_every_cell():
    for cell in CHOICES["cell"]:
        at = open_explore(cell=cell, gate=gate_names(cell)[-1])
        assert widget(at, "gate").options == ["all", *map(CELLS[cell].label, gate_names(cell))]
        checked(widget(at, "cell").set_value("rnn-relu" if cell != "rnn-relu" else "gru").run())
        assert shown(at).gate == "all"


def test_seed_and_sentence():
    at = open_explore(sequence="sentence")
    checked(widget(at, "seed").set_value(7).run())
    checked(widget(at, "text").set_value("<b>für</b> $x$").run())
    assert (shown(at).seed, shown(at).text) == (7, "<b>für</b> $x$")
    checked(widget(at, "text").set_value("").run())
    assert shown(at).text == Scenario.text


def test_hidden_control_keeps_its_value():
    at = open_explore(cell="lstm", gates="pinned", forget="0.31")
    checked(widget(at, "cell").set_value("rnn-tanh").run())
    assert not pinnable_gates(shown(at).cell)
    checked(widget(at, "cell").set_value("lstm").run())
    assert (shown(at).forget, shown(at).gates) == (0.31, "pinned")


BAD = [
    {"cell": "transformer"},
    {"gates": ""},
    {"forget": "nan"},
    {"gain": "-1"},
    {"gain": "1e999"},
    {"horizon": "99999999999999999999"},
    {"hidden": "3"},
    {"time": "1.5"},
    {"sequence": "<script>alert(1)</script>"},
    {"text": ""},
    {"text": "x" * 1000},
    {"weight": "W"},
    {"gate": "reset"},
    {"preset": "Nonsense"},
    {"cell": "foo", "gain": "bar", "seed": "\x00", "hidden": "🙂"},
]


@pytest.mark.parametrize("params", BAD)
def test_bad_link_gives_one_notice_and_a_clean_link(params):
    at = open_explore(**params)
    (notice,) = notices(at)
    assert all(re.search(rf"\b{name}\b", notice) for name in params)
    assert link(at) == to_params(shown(at))
    assert not notices(open_explore(**link(at)))


def test_a_link_gives_the_same_numbers():
    scenario = Scenario(cell="gru", gain=3.21, horizon=61, time=17, seed=5, weight="all", update=0.815)
    at = open_explore(**to_params(scenario))
    assert shown(at) == scenario
    assert verdict(at) == measure(scenario).said()


def test_axes_hold_during_a_drag_and_release():
    at = open_explore()
    start = record(at)["axes"]
    drag(at, held="gain", gain=9.0)
    assert record(at)["axes"] == start
    drag(at, gain=9.0)
    assert record(at)["axes"] != start


def test_overflow_keeps_the_last_good_picture_while_held():
    at = open_explore(cell="rnn-linear", gain="1", horizon="256")
    drag(at, held="gain", gain=12.0)
    step = measure(shown(at)).overflow
    assert step is not None and record(at)["broken"] == step
    assert "tables" not in record(at), "the page is to leave what it has"
    assert str(step) in verdict(at)
    drag(at, gain=12.0)
    assert record(at)["broken"] is None and "tables" in record(at)


def test_an_error_is_a_notice_without_a_traceback(monkeypatch, caplog):
    def broken(self):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("gradflow.app.live_chart.measure", broken)
    at = new_page().run()
    assert not at.exception
    (error,) = at.error
    assert "secret" not in error.value
    assert "secret detail" in caplog.text
    number = error.value.split()[-1].rstrip(".")
    assert number in caplog.text


def test_every_range_has_words():
    fields = RANGES.keys() | CHOICES.keys() | vars(View()).keys() | {"preset", "text", "gate", "cell_path_only"}
    assert fields - {"kept"} == LABELS.keys()


@pytest.mark.slow
def test_no_control_recompiles(compilations):
    jax.clear_caches()
    at = open_explore(cell="lstm", hidden="8", seed="998")
    assert compilations
    drag(at, time=40)
    compilations.clear()
    for field in (*pinnable_gates("lstm"), "gain", "horizon", *MORE):
        for value in (RANGES[field].low, RANGES[field].high):
            drag(at, held=field, **{field: value})
        drag(at, **{field: getattr(Scenario, field)})
    for field in ("gates", "init", "sequence", "weight"):
        for value in CHOICES[field]:
            checked(widget(at, field).set_value(value).run())
    for gate in gate_names("lstm"):
        checked(widget(at, "gate").set_value(gate).run())
    checked(widget(at, "seed").set_value(7).run())
    assert compilations == []


def test_the_shell_is_painted_before_jax_is_there(monkeypatch):
    """What stands around the picture needs half a second less: all that is said of cells is read without JAX."""
    for module in [name for name in sys.modules if name.partition(".")[0] == "gradflow"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "jax", None)  # an import of it raises
    at = new_page().run()
    assert not at.exception and len(at.error) == 1, "the picture alone is missing"
    (cell,) = (box for box in at.selectbox if box.label == "Cell")
    assert cell.options == list(CHOICES["cell"])
