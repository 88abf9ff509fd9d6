"""Scenarios: what a link carries, what a preset does, and that the horizon only slices."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradflow import maps
from gradflow.app.measurement import measure
from gradflow.app.presets import CUSTOM, DEFAULT_PRESET, PRESETS
from gradflow.app.scenario import (
    CHOICES,
    DELAY,
    GATE_FIELDS,
    MAX_HORIZON,
    Scenario,
    defaults,
    gate_names,
    pinnable_gates,
    with_init,
)
from gradflow.app.url_codec import parse, to_params
from gradflow.weights import SET_BIASES
from support.strategies import scenarios


@given(scenarios())
@settings(derandomize=True, max_examples=200, deadline=None)
def test_a_scenario_survives_a_link(scenario):
    again, _, notices = parse(to_params(scenario))
    assert again == scenario
    assert notices == ()


@given(st.dictionaries(st.sampled_from([*to_params(Scenario()), "other"]), st.text(max_size=12)))
@settings(derandomize=True, max_examples=300, deadline=None)
def test_no_link_raises(params):
    scenario, preset, _ = parse(params)
    assert preset in (*PRESETS, CUSTOM)
    assert parse(to_params(scenario, preset)) == (scenario, preset, ())


def test_a_missing_field_has_its_fixed_default():
    assert parse({}) == (Scenario(), DEFAULT_PRESET, ())


@pytest.mark.parametrize("init", CHOICES["init"])
def test_a_link_that_leaves_the_gates_out_has_them_as_its_init_does(init):
    numbers = {"forget": 0.73, "input": 0.5, "output": 0.5, "reset": 0.5, "update": 0.5}
    gates = dict.fromkeys(numbers) if init in ("pytorch", "keras", "chrono") else numbers
    assert parse({"init": init}) == (Scenario(init=init, **gates), parse({"init": init})[1], ())
    assert parse({"init": init, "forget": "0.9"})[0] == Scenario(init=init, **gates | {"forget": 0.9})
    assert parse({"init": init, "forget": "initial"})[0] == Scenario(init=init, **gates | {"forget": None})
    assert parse({"init": init, "gain": "2"})[0] == replace(Scenario(), **defaults(init) | {"init": init, "gain": 2.0})


def test_a_preset_beside_other_values_gives_way_and_says_so():
    scenario, preset, (notice,) = parse({"preset": "GRU", "gain": "1.5"})
    assert (scenario, preset) == (Scenario(gain=1.5), CUSTOM)
    assert notice.startswith("preset “GRU”") and notice.endswith("it is now Custom.")
    assert parse({"preset": "GRU", "cell": "gru"}) == (PRESETS["GRU"], "GRU", ())


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_alone_stands_for_its_values(name):
    assert parse({"preset": name}) == (PRESETS[name], name, ())


@pytest.mark.parametrize(
    ("field", "raw", "says"),
    [
        ("gain", "nan", "between 0 and 12"),
        ("horizon", "inf", "between 2 and 256"),
        ("seed", "one", "between 0 and 999"),
        ("seed", "", "between 0 and 999"),
        ("hidden", "7", "1, 2, 4, 8, 16, 32, 64"),
        ("cell", "transformer", "rnn-tanh"),
        ("gate", "reset", "forget"),
        ("forget", "as initialised", "between 0 and 1 or initial; it is now 0.73"),
        ("forget", "None", "between 0 and 1 or initial"),
        ("gain", "initial", "between 0 and 12; it is now 1"),
        ("text", "", "empty"),
        ("preset", "Nirvana", "Vanishing"),
    ],
)
def test_a_bad_value_gives_the_default_and_one_sentence(field, raw, says):
    scenario, preset, notices = parse({field: raw})
    assert (scenario, preset) == (Scenario(), DEFAULT_PRESET)
    (notice,) = notices
    assert field in notice and says in notice


@pytest.mark.parametrize(
    ("field", "raw", "value", "says"),
    [
        ("horizon", "500", 256, "horizon “500” is above 256; it is now 256."),
        ("horizon", "-1e300", 2, "horizon “-1e300” is below 2; it is now 2."),
        ("gain", "-1", 0.0, "gain “-1” is below 0; it is now 0."),
        ("gain", "12.0001", 12.0, "gain “12.0001” is above 12; it is now 12."),
        ("forget", "1.5", 1.0, "forget “1.5” is above 1; it is now 1."),
        ("seed", "1000", 999, "seed “1000” is above 999; it is now 999."),
    ],
)
def test_a_number_out_of_range_becomes_the_nearest_end_and_is_said(field, raw, value, says):
    scenario, _, notices = parse({field: raw})
    assert (scenario, notices) == (Scenario(**{field: value}), (says,))


def test_a_value_between_two_steps_is_snapped_and_said():
    scenario, _, (notice,) = parse({"forget": "0.7312"})
    assert scenario.forget == 0.73
    assert "0.7312" in notice and "0.73" in notice


def test_a_long_text_is_cut_and_said():
    scenario, _, (notice,) = parse({"text": "ab" * 5000})
    assert scenario.text == "ab" * (MAX_HORIZON // 2)
    assert "10000" in notice and "256" in notice


def test_a_bad_gate_beside_an_init_that_sets_biases_is_as_initialised():
    scenario, _, (notice,) = parse({"init": "keras", "forget": "open"})
    assert scenario == parse({"init": "keras"})[0]
    assert notice == "forget “open” is not a number between 0 and 1 or initial; it is now initial."


@pytest.mark.parametrize(
    "bad",
    [
        {"gain": 13},
        {"gain": None},
        {"forget": "initial"},
        {"gain": float("nan")},
        {"gain": "1"},
        {"cell": "x"},
        {"gate": "reset"},
    ],
)
def test_a_scenario_made_by_hand_is_checked(bad):
    (field,) = bad
    with pytest.raises(ValueError, match=f"^{field} is "):
        Scenario(**bad)


# ------------------------------------------------------------------------------------------- as initialised


def rows_of(scenario, gate):
    """(bias_ih, bias_hh) of a gate, in float64."""
    k, n, weights = gate_names(scenario.cell).index(gate), scenario.hidden, scenario.weights()
    return np.float64([weights.bias_ih, weights.bias_hh])[:, k * n : (k + 1) * n]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("gates", CHOICES["gates"])
@pytest.mark.parametrize("init", CHOICES["init"])
def test_a_gate_that_is_none_has_the_biases_that_the_init_draws(init, gates, cell):
    untouched = Scenario(cell=cell, init=init, gates=gates, seed=3, **dict.fromkeys(GATE_FIELDS))
    for gate in pinnable_gates(cell):
        biases = rows_of(untouched, gate)
        assert np.isnan(untouched.pins()[gate]).all()
        rest = sigmoid(biases.sum(0)).mean()
        assert untouched.at_rest(gate) == pytest.approx(rest, rel=1e-6)
        start = {("keras", "forget"): sigmoid(1.0)}.get((init, gate), 0.5)
        if init == "pytorch":
            bound = 2 / np.sqrt(untouched.hidden)  # two biases
            assert sigmoid(-bound) < rest < sigmoid(bound) and len(np.unique(biases)) == biases.size
        elif init == "chrono" and gate in ("forget", "update"):
            draws = [replace(untouched, seed=seed).at_rest(gate) for seed in range(40)]
            assert np.mean(draws) == pytest.approx(1 - np.log(128) / 254, abs=0.004)  # of 1 − 1/(1 + u), u ~ U(1, 255)
        elif init == "chrono" and gate == "input":
            assert rest == pytest.approx(1 - untouched.at_rest("forget"), rel=1e-6)
        else:
            assert rest == pytest.approx(start, rel=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("init", CHOICES["init"])
def test_a_gate_that_is_a_number_rests_there_whatever_the_init(init, cell):
    for gate in pinnable_gates(cell):
        moved = replace(Scenario(cell=cell, init=init, **dict.fromkeys(GATE_FIELDS)), **{gate: 0.9})
        assert moved.at_rest(gate) == 0.9
        np.testing.assert_allclose(sigmoid(rows_of(moved, gate)), [[0.9] * 16, [0.5] * 16], rtol=1e-6)
        pinned = replace(moved, gates="pinned").pins()
        assert {name for name in pinned if not np.isnan(pinned[name]).any()} == {gate}
        assert (pinned[gate] == 0.9).all()


def test_none_is_what_the_init_has_for_a_gate_and_nothing_else():
    """Keras's LSTM is bias 1 on the forget gate; the terms are those of a slider at σ(1), and of one at 0.5."""
    keras = Scenario(init="keras", hidden=4, horizon=30, **dict.fromkeys(GATE_FIELDS))
    by_hand = replace(keras, forget=0.73, input=0.5, output=0.5)  # bias 0.995
    np.testing.assert_allclose(measure(keras).log_row, measure(by_hand).log_row, atol=0.1)
    assert not np.allclose(measure(keras).log_row, measure(replace(by_hand, forget=0.5)).log_row, atol=0.1)
    np.testing.assert_allclose(measure(keras).gates["forget"][0], sigmoid(1.0), atol=0.1)


@pytest.mark.parametrize("init", CHOICES["init"])
@pytest.mark.parametrize("before", CHOICES["init"])
def test_choosing_an_init_leaves_all_gates_to_one_that_sets_biases_and_none_to_another(before, init):
    scenario = replace(parse({"init": before})[0], update=0.25)
    chosen = with_init(scenario, init)
    gates = {name: getattr(chosen, name) for name in GATE_FIELDS}
    if init in SET_BIASES:
        assert set(gates.values()) == {None}
    else:
        fixed = {name: getattr(Scenario, name) for name in GATE_FIELDS}
        assert gates == fixed | {"update": 0.25}
    assert replace(chosen, init=before, **{name: getattr(scenario, name) for name in GATE_FIELDS}) == scenario


# ------------------------------------------------------------------------------------------------ the delay line

DELAY_LINE = Scenario(cell="rnn-linear", init="shift", horizon=60)


def test_a_delay_line_outputs_its_input_of_eleven_steps_ago():
    problem = DELAY_LINE.problem()
    weights, h, said = problem["weights"], np.zeros(16), []
    for x in problem["inputs"]:
        h = weights.weight_ih @ x + weights.weight_hh @ h
        said.append(problem["readout"] @ h)
    np.testing.assert_array_equal(said[:DELAY], 0)
    np.testing.assert_array_equal(said[DELAY:], problem["inputs"][:-DELAY, 0])
    cost = (problem["inputs"][: 60 - DELAY, 0] - problem["targets"][DELAY:60]) ** 2 / 2
    np.testing.assert_allclose(measure(DELAY_LINE).cost[DELAY:], cost, rtol=1e-5)


@pytest.mark.parametrize("t", [0, 5, 10, 11, 12, 30, 59])
def test_its_output_depends_on_lag_eleven_alone_and_its_matrices_do_not(t):
    m = measure(replace(DELAY_LINE, time=t))
    alone = np.arange(t + 1) == DELAY
    assert (np.isfinite(m.chains["‖dC(t)/dx(t−u)‖"]) == alone).all()
    assert (np.isfinite(m.lags.entry("weight_ih", 0, 0)[1]) == alone).all()
    assert ((m.lags.entry("weight_ih", 0, 0)[0] != 0) == alone).all()

    inputs, error = DELAY_LINE.data().inputs.astype(float), m.log_residual[t]
    near = min(t, DELAY) + 1
    for field, other in (
        ("bias_hh", np.ones(t + 1)),
        ("weight_ih", np.linalg.norm(inputs[t::-1], axis=1)),
        ("weight_hh", [np.linalg.norm(inputs[max(s - 16, 0) : s, 0]) for s in range(t, -1, -1)]),
    ):
        with np.errstate(divide="ignore"):
            expected = np.where(np.arange(t + 1) < near, error + np.log(other), -np.inf)
        np.testing.assert_allclose(m.lags.log_terms(field), expected, atol=1e-5)


def test_the_norms_of_its_matrices_are_level():
    """A twelfth each, but for how large the states and inputs were: their mean share over the times."""
    for field in ("weight_hh", "weight_ih", "bias_hh"):
        shares = []
        for t in range(40, 60):
            terms = np.exp(measure(replace(DELAY_LINE, time=t)).lags.log_terms(field))[: DELAY + 1]
            shares.append(terms / terms.sum())
        np.testing.assert_allclose(np.mean(shares, axis=0), 1 / 12, atol=0.015)


def test_a_short_delay_line_is_read_at_its_end_and_one_unit_as_it_is():
    read = lambda **values: np.flatnonzero(Scenario(init="shift", **values).readout()).tolist()
    assert [read(hidden=n) for n in (1, 2, 8, 16, 64)] == [[0], [1], [7], [11], [11]]
    np.testing.assert_array_equal(Scenario(init="shift", hidden=8).readout()[-1], 1)


# ------------------------------------------------------------------------------ presets do what their names say


def readings(name, seeds=8, **changes):
    return [measure(replace(PRESETS[name], seed=seed, **changes)).reading for seed in range(seeds)]


def median(values):
    return float(np.median(list(values)))


@pytest.mark.parametrize(("name", "factor"), [("Vanishing", 0.8), ("Constant", 1.0), ("Exploding", 1.1)])
def test_one_linear_unit_has_exactly_its_factor(name, factor):
    measurement = measure(PRESETS[name])
    assert measurement.reading.regime == name.lower()
    assert measurement.reading.pace == pytest.approx(factor, rel=1e-5)
    lags = np.arange(measurement.t + 1)
    np.testing.assert_allclose(np.exp(measurement.log_row - measurement.log_row[0]), factor**lags, rtol=1e-4)
    np.testing.assert_allclose(
        np.exp(measurement.log_partial - measurement.log_row[0]), np.cumsum(factor**lags), rtol=1e-4
    )


def test_an_lstm_at_initialisation_vanishes_and_its_sum_does_not():
    found = readings(DEFAULT_PRESET)
    assert 0.78 < median(r.pace for r in found) < 0.88
    assert {r.regime for r in found} == {"vanishing"}
    assert abs(median(r.growth_by_error.power for r in found)) < 0.25
    assert median(r.memory for r in found) < 25


def test_an_lstm_that_remembers_reaches_far_without_exploding():
    found = readings("LSTM that remembers")
    assert 0.97 < median(r.pace for r in found) < 1.005
    assert median(r.memory for r in found) > 60
    assert median(r.far_share for r in found) > 0.2


def test_an_lstm_that_explodes_does():
    reading = measure(PRESETS["LSTM that explodes"]).chaos_checked
    assert reading.growth_by_error.said == "explodes" and reading.regime == "exploding" and not reading.chaotic


def test_a_chaotic_lstm_is_one():
    chaotic = PRESETS["Chaotic LSTM"]
    assert measure(chaotic).chaos_checked.chaotic
    assert not measure(PRESETS[DEFAULT_PRESET]).chaos_checked.chaotic
    found = readings("Chaotic LSTM")
    assert median(r.pace for r in found) > 1.05
    assert {r.regime for r in found} <= {"exploding", "mixed"}


def test_a_gru_vanishes_faster_than_the_lstm():
    assert median(r.pace for r in readings("GRU")) < 0.75 < median(r.pace for r in readings(DEFAULT_PRESET))


def test_an_output_that_ignores_ten_inputs():
    """Just before a write lags 0 … 10 are exact zeros and lag 11 leads; one step later lag 11 is an exact zero."""
    preset = PRESETS["Ignores ten inputs"]
    before, after = measure(preset), measure(replace(preset, time=84))
    assert (before.t, after.t) == (95, 84)
    assert np.isneginf(before.log_row[:11]).all()
    assert np.argmax(before.log_row) == 11
    assert np.isneginf(after.log_row[11])
    assert np.isfinite(after.log_row[0])
    reached = np.flatnonzero(np.isfinite(before.log_row))
    assert (reached % 12 == 11).all()


# --------------------------------------------------------------------------------------------- measurement


@pytest.mark.parametrize("horizon", [2, 17, 100])
def test_the_horizon_only_slices(horizon):
    short, long = (measure(Scenario(horizon=h, time=1)) for h in (horizon, MAX_HORIZON))
    np.testing.assert_array_equal(short.log_terms, long.log_terms[:horizon, :horizon])
    np.testing.assert_array_equal(short.log_sums, long.log_sums[:horizon])
    np.testing.assert_array_equal(short.log_row, long.log_row)
    assert all(len(gate) == horizon for gate in short.gates.values())
    assert len(short.labels) == horizon


def test_the_row_is_the_map_s_and_ends_at_its_sum():
    measurement = measure(Scenario(horizon=64, time=40))
    np.testing.assert_allclose(measurement.log_row, measurement.log_terms[40, :41], atol=1e-4)
    assert measurement.log_partial[-1] == pytest.approx(measurement.log_sums[40], abs=1e-4)


@pytest.mark.parametrize("cell", CHOICES["cell"])
@pytest.mark.parametrize("sequence", CHOICES["sequence"])
def test_every_cell_reads_every_sequence(cell, sequence):
    measurement = measure(Scenario(cell=cell, sequence=sequence, gain=0.9, horizon=60))
    assert measurement.overflow is None
    assert np.isfinite(measurement.log_sums).any()
    assert measurement.reading.verdict


def test_an_overflow_beyond_the_horizon_is_not_mentioned():
    scenario = Scenario(cell="rnn-linear", gain=12.0, horizon=20)
    assert measure(scenario).overflow is None
    late = measure(replace(scenario, horizon=MAX_HORIZON))
    assert 20 < late.overflow < 100
    assert late.reading.regime == "overflow"


def test_unchanged_results_are_not_computed_again(monkeypatch):
    swept = []

    def counted(name):
        function = getattr(maps, name)
        return lambda *arrays, **static: swept.append(name) or function(*arrays, **static)

    for name in ("block_norms", "block_sums"):
        monkeypatch.setattr(maps, name, counted(name))
    scenario = Scenario(hidden=4, horizon=90, seed=77)
    measure(scenario)
    assert set(swept) == {"block_sums"}, "one sweep gives terms and sums"
    swept.clear()
    for moved in ({"time": 10}, {"gate": "forget"}, {"horizon": 40}):
        measure(replace(scenario, **moved))
    assert not swept
    measure(replace(scenario, horizon=MAX_HORIZON))
    swept.clear()
    measure(replace(scenario, horizon=200))
    assert not swept
    measure(replace(scenario, weight="bias_hh"))
    assert set(swept) == {"block_sums"}, "other sums, and the norms that are there"
