"""The text of the definitions says the numbers of the measurement, and none that is no number."""

import re
from dataclasses import replace

import numpy as np
import pytest

from gradflow.app.glossary import INTRODUCTION, definitions
from gradflow.app.measurement import measure
from gradflow.app.presets import PRESETS
from gradflow.app.scenario import CHOICES, Scenario, gate_names
from gradflow.app.view import View
from gradflow.cells import CELLS
from gradflow.weights import Weights, spectrum
from support.fits import factor_per_step
from support.scenarios import EVERY_CELL, OVERFLOWING, RARE, SMALL
from support.wording import missing_number

CASES = {
    **PRESETS,
    **EVERY_CELL,
    **{weight: replace(SMALL, weight=weight, time=20) for weight in CHOICES["weight"]},
    **{name: RARE[name] for name in ("two steps", "time 0", "before any recall", "before the overflow")},
    "one gate": replace(SMALL, gate="forget"),
}
every_case = pytest.mark.parametrize("case", CASES)
MANTISSA = r"[\d.]+(?:e[+-]\d+)?"


def said(scenario, **view):
    return definitions(measure(scenario), View(**view))


def paragraph(text, title):
    """The paragraph that begins with a title."""
    (found,) = (each for each in re.split(r"\n\n+", text) if each.startswith(title))
    return found


def close(text, value):
    """Whether a written number is that value, to the digits it is written with."""
    return float(text) == pytest.approx(value, rel=0.06 if "e" in text else 6e-3, abs=1e-300)


@every_case
def test_no_number_is_missing(case):
    for lag in (0, 7, 255):
        text = said(CASES[case], lag=lag)
        assert text.startswith(INTRODUCTION)
        assert not missing_number(text) and not re.search(r"\bNone\b|—", text), text


@every_case
def test_the_mathematics_and_the_emphasis_are_closed(case):
    text = said(CASES[case])
    for each in text.removeprefix(INTRODUCTION).split("\n\n"):
        assert each.count("$") % 2 == each.count("**") % 2 == 0
        assert each.count("{") == each.count("}") and each.count("(") == each.count(")")


@pytest.mark.parametrize("weight", [field for field in CHOICES["weight"] if field != "all"])
@pytest.mark.parametrize("lag", [0, 3, 19, 255])
def test_a_term_is_the_product_of_its_factors(weight, lag):
    measurement = measure(replace(SMALL, weight=weight, time=20))
    term = paragraph(definitions(measurement, View(lag=lag)), "**A term**")
    u = min(lag, 20)
    assert f"At t = 20 and lag {u}, of {weight}: " in term
    factors, product = term.rstrip(".").split(": ")[-1].split(" = ")
    size = np.exp(measurement.log_row[u])
    assert close(product, size)
    assert np.prod([float(each) for each in factors.split(" × ")]) == pytest.approx(size, rel=0.1)
    assert (" × " in factors) == weight.startswith("weight")
    if weight == "weight_ih":
        assert close(factors.split(" × ")[1], np.linalg.norm(measurement.scenario.data().inputs[20 - u]))


@every_case
def test_the_sum_and_what_is_left_after_cancelling(case):
    measurement = measure(CASES[case])
    found = paragraph(said(CASES[case]), "**The sum**").split("is ", 1)[1]
    total, added, left = re.fullmatch(
        rf"({MANTISSA})\. The sizes add up to ({MANTISSA}); ({MANTISSA}) % of that is left after the terms cancel\.",
        found,
    ).groups()
    sizes = np.exp(measurement.log_row).sum()
    assert close(total, np.exp(measurement.log_partial[-1]))
    assert close(added, sizes)
    if sizes:
        assert float(left) == pytest.approx(100 * np.exp(measurement.log_partial[-1]) / sizes, rel=6e-3)


@every_case
def test_the_nearest_lags_and_the_far_half_hold_what_is_said(case):
    measurement = measure(CASES[case])
    sizes, t = np.exp(measurement.log_row), measurement.t
    near = paragraph(said(CASES[case]), "**90 % of the size**")
    fewest = int(re.search(r": (\d+)\.$", near)[1])
    if sizes.any():
        held = sizes.cumsum() / sizes.sum()
        assert held[fewest - 1] >= 0.9 - 1e-6
        assert fewest == 1 or held[fewest - 2] < 0.9 + 1e-6
    far = paragraph(said(CASES[case]), "**The far half**")
    start, part = re.search(rf"from (\d+) on hold ({MANTISSA}) %", far).groups()
    assert int(start) == (t + 1) // 2
    share = sizes[int(start) :].sum() / sizes.sum() if sizes.any() else 0
    assert float(part) == pytest.approx(100 * share, rel=0.06)


@every_case
def test_the_pace_is_the_slope_of_the_line_through_delta(case):
    measurement = measure(CASES[case])
    row = measurement.lags.log_delta(**measurement.scenario.rows)
    lags = np.flatnonzero(np.isfinite(row))
    found = paragraph(said(CASES[case]), "**The pace**")
    if len(lags) < 2:
        assert found.endswith("needs two lags at which something is sent back.")
        return
    slope, start = np.polyfit(lags, row[lags], 1)
    first, last, pace, off = re.search(
        rf"lags (\d+) to (\d+): ({MANTISSA})\. The points lie within ×({MANTISSA}) of it", found
    ).groups()
    assert (int(first), int(last)) == (lags[0], lags[-1])
    assert close(pace, np.exp(slope))
    rms = np.sqrt(np.mean((row[lags] - start - slope * lags) ** 2))
    assert float(off) == pytest.approx(np.exp(rms), rel=6e-3)
    assert ("they are steady" in found) == measurement.reading.pace_steady


@every_case
def test_the_terms_have_a_slope_of_their_own(case):
    row = measure(CASES[case]).log_row
    lags = np.flatnonzero(np.isfinite(row))
    found = paragraph(said(CASES[case]), "**The terms' own slope**")
    if len(lags) < 2:
        assert found.endswith("needs two terms that are not zero.")
    else:
        assert close(re.search(rf"×({MANTISSA}) a step", found)[1], factor_per_step(row))


@every_case
def test_growth_and_error_are_those_of_the_measurement(case):
    measurement, text = measure(CASES[case]), said(CASES[case])
    over = paragraph(text, "**Over time**")
    by_error, itself = over.split("dC/dh\\|$, ")[1].removesuffix(".").split("; the sum itself ")
    reading = measurement.reading
    for growth, told in ((reading.growth_by_error, by_error), (reading.growth, itself)):
        assert told.startswith(growth.said or "follows no one law")
        power = re.search(r"power ([−\d.]+)", told)
        if growth.shape in ("unclear", "exponential"):
            assert not power
        elif power:
            assert float(power[1].replace("−", "-")) == pytest.approx(growth.power, abs=0.05)
            assert growth.power_steady or told == f"settles (power {power[1]}, within ±0.25)"
        else:
            values = measurement.log_sums - (measurement.log_residual if growth is reading.growth_by_error else 0)
            values = values[-(-len(values) // 4) :]
            first, *_, last = values[np.isfinite(values)]
            assert close(re.search(rf", ×({MANTISSA}) from first to last$", told)[1], np.exp(last - first))
    error = paragraph(text, "**The error**")
    assert f"t = {measurement.t}," in error
    cost = float(measurement.cost[measurement.t])  # ½ e², and dC/dh = e · readout
    assert close(error.rstrip(".").split(" is ")[-1], np.sqrt(2 * cost) * np.linalg.norm(CASES[case].readout()))


def test_an_overflow_has_no_numbers_but_its_step():
    text = said(OVERFLOWING)
    step = measure(OVERFLOWING).overflow
    assert text.removeprefix(INTRODUCTION).strip() == (
        f"The forward pass overflows at step {step}: there are no numbers."
    )


# --------------------------------------------------------------------------------------------- the weights


def table(text):
    """rows -> (σ₁, ρ), as they are written."""
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) \| ([\d.]+) \|$", text, re.MULTILINE)
    return {gate: (float(sigma), float(radius)) for gate, sigma, radius in rows}


def stretched(weights, gates):
    """gate -> (σ₁, ρ) of its block, from the eigenvalues of WᵀW and of W."""
    n = len(weights.weight_hh) // len(gates)
    blocks = {gate: np.asarray(weights.weight_hh[k * n : (k + 1) * n], float) for k, gate in enumerate(gates)}
    return {
        gate: (np.sqrt(np.linalg.eigvalsh(block.T @ block).max()), np.abs(np.linalg.eigvals(block)).max())
        for gate, block in blocks.items()
    }


@pytest.mark.parametrize("cell", CHOICES["cell"])
@pytest.mark.parametrize("init", CHOICES["init"])
@pytest.mark.parametrize("hidden", [1, 4])
def test_the_table_has_each_gate_s_largest_singular_value_and_eigenvalue(cell, init, hidden):
    scenario = replace(SMALL, cell=cell, init=init, hidden=hidden, gain=1.7)
    expected = stretched(scenario.weights(), gate_names(cell))
    found = table(said(scenario))
    if CELLS[cell].unused:
        assert not found and "The recurrent weights** are not used" in said(scenario)
        return
    assert list(found) == [CELLS[cell].label(gate) for gate in gate_names(cell)]
    for gate, pair in expected.items():
        assert found[CELLS[cell].label(gate)] == pytest.approx(pair, abs=6e-4)


def test_a_cell_without_recurrent_weights_says_what_a_step_back_multiplies_by():
    """dh(t)/dh(t−u) of the minGRU by unit: the product of its keep gate, which the gates of a run give."""
    scenario = Scenario(cell="mingru", hidden=4, horizon=30, gates="pinned", update=0.9)
    text = said(scenario)
    assert "is $k$, unit by unit" in text and "$k$, keep," in text and "The paper's $z$ is $1 - k$" in text
    assert "Pascanu" not in text and "eigenvalue" not in text
    chain = np.exp(measure(scenario).lags.log_state_sensitivity())
    np.testing.assert_allclose(chain[1:] / chain[:-1], 0.9, rtol=1e-5)


def test_a_spectrum_tells_stretching_from_what_it_settles_to():
    weights = Weights(None, np.array([[8.0, 8.0], [-8.0, -8.0], [0.0, -2.0], [2.0, 0.0]]), None, None)
    sheared, turned = spectrum(weights, ("a", "b")).values()
    assert sheared == pytest.approx((16.0, 0.0), abs=1e-5)
    assert turned == pytest.approx((2.0, 2.0))


@pytest.mark.parametrize(
    ("cell", "bound"), [("rnn-tanh", 1.0), ("rnn-relu", 1.0), ("rnn-linear", 1.0), ("rnn-sigmoid", 0.25)]
)
@pytest.mark.parametrize("gain", [0.0, 0.4, 0.99, 1.0, 3.99, 4.0, 9.0])
def test_pascanu_s_bound_for_a_plain_network(cell, bound, gain):
    text = said(Scenario(cell=cell, hidden=4, init="identity", gain=gain, horizon=10))
    verdict = paragraph(text, "Pascanu's bound")
    gamma, sigma, product = re.search(r"= ([\d.]+) · ([\d.]+) = ([\d.]+),", verdict).groups()
    assert float(gamma) == bound
    assert (float(sigma), float(product)) == pytest.approx((gain, bound * gain), abs=6e-4)
    must = bound * gain < 1
    assert (f" below 1, so δ must vanish at least as fast as {product} a step" in verdict) == must
    assert ("not below 1, so δ need not vanish" in verdict) == (not must)


@pytest.mark.parametrize("cell", [name for name, cell in CELLS.items() if cell.max_slope is None and not cell.unused])
def test_the_bound_is_for_plain_networks(cell):
    text = said(replace(SMALL, cell=cell))
    assert paragraph(text, "Pascanu's bound").startswith("Pascanu's bound is, as it stands, for cells that are one")
    assert "gamma" not in text


@pytest.mark.parametrize("cell", ["rnn-tanh", "rnn-relu", "rnn-linear", "rnn-sigmoid"])
@pytest.mark.parametrize("seed", range(4))
def test_where_the_bound_says_that_delta_vanishes_it_does(cell, seed):
    scenario = Scenario(cell=cell, hidden=4, gain=0.35, horizon=40, seed=seed, weight="bias_hh")
    assert "δ must vanish" in said(scenario)
    gamma = 0.25 if cell == "rnn-sigmoid" else 1
    (sigma, _) = stretched(scenario.weights(), ("hidden",))["hidden"]
    row = measure(scenario).log_row
    error = measure(scenario).log_residual[-1]
    here = np.isfinite(row)
    lags = np.arange(len(row))
    assert (row[here] <= error + (lags * np.log(gamma * sigma) + np.log(gamma) + 1e-4)[here]).all()
