"""What the public functions refuse, what they compile, and where they run."""

from functools import cache

import jax
import numpy as np
import pytest

import gradflow as gf
from support import oracle
from support.subprocesses import run_python

STEPS, HIDDEN, INPUTS = 9, 3, 2  # oracle.draw's sizes


def arguments(cell="lstm", **changes):
    """Positional and keyword arguments of `gradient_map`, some of them replaced."""
    weights, inputs, readout, targets = oracle.draw(cell)
    given = {"cell": cell, "weights": weights, "inputs": inputs, "readout": readout, "targets": targets} | changes
    fields = {name: given.pop(name) for name in list(given) if name in gf.Weights._fields}
    given["weights"] = given["weights"]._replace(**fields)
    given = jax.tree.map(lambda leaf: np.float32(leaf) if isinstance(leaf, np.ndarray) else leaf, given)
    return [given.pop(name) for name in ("cell", "weights", "inputs", "readout", "targets")], given


@cache
def solved(cell="lstm"):
    positional, _ = arguments(cell)
    return gf.gradient_map(*positional), gf.lag_terms(*positional, STEPS - 1)


def assert_explains(error, *parts):
    """One sentence that holds every part: the field, what was given, what is valid."""
    message = str(error.value)
    assert [part for part in parts if part not in message] == [], message
    assert "\n" not in message


# what is refused


NO_PATH = [name for name, cell in gf.CELLS.items() if not cell.has_cell_path]
BAD_ARGUMENTS = [
    ({"cell": "lstn"}, "cell", "'lstn'", ", ".join(gf.CELLS)),
    ({"weight_ih": np.zeros((11, 2))}, "weight_ih", "[11, 2]", "[12, 2]"),
    ({"weight_ih": np.zeros(12)}, "weight_ih", "[12]", "[12, 2]"),
    ({"weight_hh": np.zeros((9, 3))}, "weight_hh", "[9, 3]", "[12, 3]"),
    ({"weight_hh": np.zeros((12, 4))}, "weight_hh", "[12, 4]"),
    ({"bias_ih": np.zeros(3)}, "bias_ih", "[3]", "[12]"),
    ({"bias_hh": np.zeros((12, 1))}, "bias_hh", "[12, 1]", "[12]"),
    ({"bias_hh": np.zeros((9, 12))}, "bias_hh", "[9, 12]"),  # one field untied, the others tied
    ({"weights": oracle.draw("lstm", copies=8)[0]}, "weight_", "[8, 12, ", "[9, 12, "),
    ({"inputs": np.zeros(9)}, "inputs", "[9]"),
    ({"inputs": np.zeros((0, 2))}, "inputs", "[0, 2]"),
    ({"readout": np.zeros(4)}, "readout", "[4]", "[3]"),
    ({"readout": np.zeros((2, 4)), "targets": np.zeros((9, 2))}, "readout", "[2, 4]", "3"),
    ({"readout": np.zeros((1, 2, 3))}, "readout", "[1, 2, 3]"),
    ({"targets": np.zeros(8)}, "targets", "[8]", "[9]"),
    ({"targets": np.zeros((9, 1))}, "targets", "[9, 1]", "[9]"),
    ({"readout": np.zeros((2, 3))}, "targets", "[9]", "[k, 3] with [9, k]"),
    ({"readout": np.zeros((2, 3)), "targets": np.zeros((9, 3))}, "targets", "[9, 3]", "[k, 3] with [9, k]"),
    ({"pins": {"memory": 0.5}}, "pins", "memory", "input, forget, output"),
    ({"pins": {"cell": 0.5}}, "pins", "cell", "input, forget, output"),
    ({"cell": "gru", "pins": {"new": 0.5}}, "pins", "new", "reset, update"),
    ({"cell": "rnn-tanh", "pins": {"hidden": 0.5}}, "pins", "hidden"),
    ({"pins": {"forget": 1.5}}, "forget", "1.5", "0", "1"),
    ({"pins": {"forget": -0.25}}, "forget", "-0.25", "0", "1"),
    ({"pins": {"forget": np.inf}}, "forget", "inf", "0", "1"),
    ({"pins": {"forget": np.where(np.arange(9) == 4, 2.5, np.nan)}}, "forget", "2.5", "0", "1"),
    ({"pins": {"output": np.zeros(8)}}, "output", "[8]", "[9]"),
    ({"pins": {"output": np.zeros((9, 3))}}, "output", "[9, 3]", "[9]"),
    ({"carry": (np.zeros(3),)}, "carry", "[3]", "(h, c)"),
    ({"carry": (np.zeros(3), np.zeros(4))}, "carry", "[4]", "[3]"),
    ({"cell": "gru", "carry": (np.zeros(3), np.zeros(3))}, "carry", "[3], [3]", "(h)"),
    ({"cell": "gru", "carry": (np.zeros((1, 3)),)}, "carry", "[1, 3]", "[3]"),
    *(({"cell": cell, "cell_path_only": True}, "cell_path_only", cell, "lstm") for cell in NO_PATH),
]


@pytest.mark.parametrize(("changes", "parts"), [(changes, parts) for changes, *parts in BAD_ARGUMENTS])
def test_a_bad_argument_is_explained(changes, parts):
    positional, options = (
        arguments(**{"cell": "lstm"} | changes) if changes.get("cell") in gf.CELLS else renamed(changes)
    )
    with pytest.raises(ValueError) as error:
        gf.gradient_map(*positional, **options)
    assert_explains(error, *parts)
    with pytest.raises(ValueError) as error:
        gf.lag_terms(*positional, 3, **options)
    assert_explains(error, *parts)


def renamed(changes):
    """The lstm's arguments, called by another name if the changes hold one."""
    positional, options = arguments(**{name: value for name, value in changes.items() if name != "cell"})
    return [changes.get("cell", "lstm"), *positional[1:]], options


@pytest.mark.parametrize("t", [-1, STEPS, 2.5])
def test_a_time_outside_the_horizon_is_explained(t):
    positional, _ = arguments()
    with pytest.raises(ValueError) as error:
        gf.lag_terms(*positional, t)
    assert_explains(error, "t", str(t), "0", str(STEPS - 1))


@pytest.mark.parametrize("weight", ["weight_xh", "All", None])
def test_an_unknown_weight_is_explained(weight):
    gmap, lags = solved()
    for ask in (gmap.log_terms, gmap.log_sums, lags.log_terms, lags.log_partial_sums):
        with pytest.raises(ValueError) as error:
            ask(weight)
        assert_explains(error, "weight", repr(weight), "weight_ih, weight_hh, bias_ih, bias_hh", "all")


@pytest.mark.parametrize(("cell", "gate", "names"), [
    ("lstm", "reset", "input, forget, cell, output"),
    ("gru", "forget", "reset, update, new"),
    ("rnn-tanh", "input", "hidden"),
])  # fmt: skip
def test_an_unknown_gate_is_explained(cell, gate, names):
    gmap, lags = solved(cell)
    for ask in (gmap.log_terms, gmap.log_sums, lags.log_terms, lags.log_partial_sums):
        with pytest.raises(ValueError) as error:
            ask("weight_hh", gate)
        assert_explains(error, "gate", repr(gate), names)


@pytest.mark.parametrize(("entry", "parts"), [
    (("all", 0), ("weight", "'all'", "weight_ih, weight_hh, bias_ih, bias_hh")),
    (("weight", 0, 0), ("weight", "'weight'")),
    (("weight_hh", 12, 0), ("row", "12", "0", "11")),
    (("weight_hh", -1, 0), ("row", "-1", "0", "11")),
    (("weight_hh", 0, 3), ("col", "3", "0", "2")),
    (("weight_ih", 0, -1), ("col", "-1", "0", "1")),
    (("weight_ih", 0), ("col", "weight_ih")),
    (("bias_hh", 0, 0), ("col", "bias_hh")),
    (("bias_ih", 1.5), ("row", "1.5")),
])  # fmt: skip
def test_an_entry_that_is_not_there_is_explained(entry, parts):
    with pytest.raises(ValueError) as error:
        solved()[1].entry(*entry)
    assert_explains(error, *parts)


# what is compiled


@pytest.mark.slow
@pytest.mark.parametrize("cell", gf.CELLS)
def test_other_values_compile_nothing(cell, compilations):
    """Other weights, inputs, targets, masks, carries, times and pins of the same shapes run what is there."""
    positional, options = arguments(cell)
    ask(cell, positional, 4, options)
    compilations.clear()
    weights, inputs, readout, targets = oracle.draw(cell, seed=1)
    targets[3] = np.nan
    positional = arguments(cell, weights=weights, inputs=inputs, readout=readout, targets=targets)[0]
    ask(cell, positional, 7, options)
    ask(cell, positional, 0, {"carry": tuple(np.float32(state) for state in oracle.draw_carry(cell))})
    for pin in (0.5, 1.0, np.where(np.arange(STEPS) % 2, 0.25, np.nan)):
        for gate in oracle.SIGMOID_GATES.get(cell, ()):
            ask(cell, positional, 5, {"pins": {gate: pin}})
    assert compilations == []


def ask(cell, positional, t, options):
    """Every question the two results answer; of the cell path, the usual ones."""
    gmap, lags = gf.gradient_map(*positional, **options), gf.lag_terms(*positional, t, **options)
    for weight in (*gf.Weights._fields, "all"):
        for gate in (None, *gf.CELLS[cell].gates):
            for answer in (gmap.log_terms, gmap.log_sums, lags.log_terms, lags.log_partial_sums):
                answer(weight, gate)
    lags.entry("weight_hh", 0, t % HIDDEN)
    lags.entry("bias_ih", t % HIDDEN)
    if cell == "lstm":
        gf.gradient_map(*positional, **options, cell_path_only=True).log_sums()
        gf.lag_terms(*positional, t, **options, cell_path_only=True).log_partial_sums()


def test_the_count_of_compilations_counts(compilations):
    """Sizes never used before do compile, so an empty list above means something."""
    weights, *arrays = oracle.draw("rnn-tanh", steps=7, hidden=2, inputs=3)
    gf.gradient_map("rnn-tanh", weights, *arrays)
    assert compilations


# where it runs


@pytest.mark.slow
def test_the_work_goes_to_the_default_device_or_to_where_the_arrays_are():
    seen = run_python(
        """
import json, jax, numpy as np, gradflow as gf
from support import oracle
weights, *arrays = jax.tree.map(np.float32, oracle.draw("rnn-tanh"))
devices = jax.devices()
def answer(gmap):
    return [str(gmap.device), gmap.log_terms().tolist(), gmap.log_sums().tolist()]
here = answer(gf.gradient_map("rnn-tanh", weights, *arrays))
with jax.default_device(devices[2]):
    chosen = answer(gf.gradient_map("rnn-tanh", weights, *arrays))
placed = answer(gf.gradient_map("rnn-tanh", *jax.device_put((weights, *arrays), devices[3])))
print(json.dumps([[str(device) for device in devices], here, chosen, placed]))
""",
        JAX_PLATFORMS="cpu",
        XLA_FLAGS="--xla_force_host_platform_device_count=4",
    )
    devices, *answers = seen
    assert len(devices) == 4
    assert [device for device, *_ in answers] == [devices[0], devices[2], devices[3]]
    assert answers[0][1:] == answers[1][1:] == answers[2][1:]


@pytest.mark.slow
def test_a_missing_accelerator_falls_back_with_a_notice():
    code = "import json; from gradflow.engine.device import select_device; print(json.dumps(select_device()))"
    device, notice = run_python(code, JAX_PLATFORMS="cpu")
    assert "cpu" in device.lower()
    assert notice is None
    device, notice = run_python(code, JAX_PLATFORMS="cuda")
    assert "cpu" in device.lower()
    assert "cuda" in notice.lower()


@pytest.mark.slow
def test_it_still_computes_after_falling_back():
    code = """
import json, gradflow as gf
from support import oracle
from gradflow.engine.device import select_device
select_device()
gmap = gf.gradient_map("gru", *oracle.draw("gru"))
print(json.dumps([gmap.device, len(gmap.log_sums())]))
"""
    device, length = run_python(code, JAX_PLATFORMS="cuda")
    assert "cpu" in device.lower()
    assert length == STEPS
