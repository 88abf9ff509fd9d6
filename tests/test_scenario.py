"""Scenarios: what a link carries, what a preset does, and that the horizon only slices."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradflow.cells import CELLS
from gradflow.flow import maps
from gradflow.scenario import (
    CHOICES,
    CUSTOM,
    DEFAULT_PRESET,
    MAX_HORIZON,
    PRESETS,
    RANGES,
    Scenario,
    gate_names,
    parse,
    pinnable_gates,
    to_params,
)


@st.composite
def scenarios(draw):
    values = {name: draw(st.sampled_from(choices)) for name, choices in CHOICES.items()}
    for name, limits in RANGES.items():
        steps = round((limits.high - limits.low) / limits.step)
        values[name] = limits.snap(limits.low + draw(st.integers(0, steps)) * limits.step)
    values |= {name: draw(st.booleans()) for name, default in vars(Scenario()).items() if isinstance(default, bool)}
    values["gate"] = draw(st.sampled_from(("all", *gate_names(values["cell"]))))
    values["text"] = draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=MAX_HORIZON))
    return Scenario(**values)


@given(scenarios())
@settings(derandomize=True, max_examples=200, deadline=None)
def test_a_link_carries_a_scenario_to_the_last_digit(scenario):
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
        ("gain", "-1", "between 0 and 12"),
        ("horizon", "inf", "between 2 and 256"),
        ("seed", "one", "between 0 and 999"),
        ("seed", "", "between 0 and 999"),
        ("hidden", "7", "1, 2, 4, 8, 16, 32, 64"),
        ("cell", "transformer", "rnn-tanh"),
        ("gate", "reset", "forget"),
        ("text", "", "empty"),
        ("preset", "Nirvana", "Vanishing"),
    ],
)
def test_a_bad_value_gives_the_default_and_one_sentence(field, raw, says):
    scenario, preset, notices = parse({field: raw})
    assert (scenario, preset) == (Scenario(), DEFAULT_PRESET)
    (notice,) = notices
    assert field in notice and says in notice


def test_a_value_between_two_steps_is_snapped_and_said():
    scenario, _, (notice,) = parse({"forget": "0.7312"})
    assert scenario.forget == 0.73
    assert "0.7312" in notice and "0.73" in notice


def test_a_long_text_is_cut_and_said():
    scenario, _, (notice,) = parse({"text": "ab" * 5000})
    assert scenario.text == "ab" * (MAX_HORIZON // 2)
    assert "10000" in notice and "256" in notice


@pytest.mark.parametrize("bad", [{"gain": 13}, {"gain": float("nan")}, {"gain": "1"}, {"cell": "x"}, {"gate": "reset"}])
def test_a_scenario_made_by_hand_is_checked(bad):
    (field,) = bad
    with pytest.raises(ValueError, match=f"^{field} is "):
        Scenario(**bad)


def test_what_is_said_of_the_cells_without_loading_jax_is_what_the_cells_say():
    assert CHOICES["cell"] == tuple(CELLS)
    for name, cell in CELLS.items():
        assert gate_names(name) == cell.gates
        assert set(pinnable_gates(name)) == set(cell.pinnable)


# ------------------------------------------------------------------------------ presets do what their names say


def readings(name, seeds=8, **changes):
    return [replace(PRESETS[name], seed=seed, **changes).measure().reading for seed in range(seeds)]


def median(values):
    return float(np.median(list(values)))


@pytest.mark.parametrize(("name", "factor"), [("Vanishing", 0.8), ("Constant", 1.0), ("Exploding", 1.1)])
def test_one_linear_unit_has_exactly_its_factor(name, factor):
    measurement = PRESETS[name].measure()
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
    reading = PRESETS["LSTM that explodes"].measure().chaos_checked
    assert reading.growth_by_error.said == "explodes" and reading.regime == "exploding" and not reading.chaotic


def test_a_chaotic_lstm_is_one():
    chaotic = PRESETS["Chaotic LSTM"]
    assert chaotic.measure().chaos_checked.chaotic
    assert not PRESETS[DEFAULT_PRESET].measure().chaos_checked.chaotic
    found = readings("Chaotic LSTM")
    assert median(r.pace for r in found) > 1.05
    assert {r.regime for r in found} <= {"exploding", "mixed"}


def test_a_gru_vanishes_faster_than_the_lstm():
    assert median(r.pace for r in readings("GRU")) < 0.75 < median(r.pace for r in readings(DEFAULT_PRESET))


def test_an_output_that_ignores_ten_inputs():
    """Just before a write lags 0 … 10 are exact zeros and lag 11 leads; one step later lag 11 is an exact zero."""
    preset = PRESETS["Ignores ten inputs"]
    before, after = preset.measure(), replace(preset, time=84).measure()
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
    short, long = (Scenario(horizon=h, time=1).measure() for h in (horizon, MAX_HORIZON))
    np.testing.assert_array_equal(short.log_terms, long.log_terms[:horizon, :horizon])
    np.testing.assert_array_equal(short.log_sums, long.log_sums[:horizon])
    np.testing.assert_array_equal(short.log_row, long.log_row)
    assert all(len(gate) == horizon for gate in short.gates.values())
    assert len(short.labels) == horizon


def test_the_row_is_the_map_s_and_ends_at_its_sum():
    measurement = Scenario(horizon=64, time=40).measure()
    np.testing.assert_allclose(measurement.log_row, measurement.log_terms[40, :41], atol=1e-4)
    assert measurement.log_partial[-1] == pytest.approx(measurement.log_sums[40], abs=1e-4)


@pytest.mark.parametrize("cell", CHOICES["cell"])
@pytest.mark.parametrize("sequence", CHOICES["sequence"])
def test_every_cell_reads_every_sequence(cell, sequence):
    measurement = Scenario(cell=cell, sequence=sequence, gain=0.9, horizon=60).measure()
    assert measurement.overflow is None
    assert np.isfinite(measurement.log_sums).any()
    assert measurement.reading.verdict


def test_an_overflow_beyond_the_horizon_is_not_mentioned():
    scenario = Scenario(cell="rnn-linear", gain=12.0, horizon=20)
    assert scenario.measure().overflow is None
    late = replace(scenario, horizon=MAX_HORIZON).measure()
    assert 20 < late.overflow < 100
    assert late.reading.regime == "overflow"


def test_what_did_not_change_is_not_swept_again(monkeypatch):
    swept = []

    def counted(name):
        function = getattr(maps, name)
        return lambda *arrays, **static: swept.append(name) or function(*arrays, **static)

    for name in ("block_norms", "block_sums"):
        monkeypatch.setattr(maps, name, counted(name))
    scenario = Scenario(hidden=4, horizon=90, seed=77)
    scenario.measure()
    assert set(swept) == {"block_sums"}, "one sweep gives terms and sums"
    swept.clear()
    for moved in ({"time": 10}, {"gate": "forget"}, {"horizon": 40}):
        replace(scenario, **moved).measure()
    assert not swept
    replace(scenario, horizon=MAX_HORIZON).measure()
    swept.clear()
    replace(scenario, horizon=200).measure()
    assert not swept
    replace(scenario, weight="bias_hh").measure()
    assert set(swept) == {"block_sums"}, "other sums, and the norms that are there"
