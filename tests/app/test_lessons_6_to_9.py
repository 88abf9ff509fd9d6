"""What lessons six to nine say, measured otherwise: closed forms, float64 NumPy and JAX without the engine, PyTorch."""

import re
from collections import Counter
from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradflow.app.lessons import LESSONS
from gradflow.app.lessons.any_cell import DRAWS, HELD, SIDE_BY_SIDE, most_choosing
from gradflow.app.lessons.credit import LONG, SHORT, truncated
from gradflow.app.lessons.moving_lag import DELAY_LINE, EVERY, STRIPE
from gradflow.app.lessons.training_problem import FORGETFUL, LEVEL, RECALL, started
from gradflow.app.measurement import measure
from gradflow.app.scenario import CHOICES, RECALL_LAG
from gradflow.app.training import BATCH, STEPS, advance, learned_at
from gradflow.cells import CELLS
from support import oracle
from support.pytorch_training import pytorch, torch_losses

pytestmark = pytest.mark.slow

ANY, IGNORES, HIDES, OTHERWISE = LESSONS[5:9]


def said(lesson, scenario, **view):
    return lesson.headline(measure(scenario), replace(lesson.view, **view))


def numbers(pattern, text):
    return [float(each) for each in re.search(pattern, text).groups()]


@cache
def _way_back(cell, steps):
    """h(s) and dC(t)/da(s) for all s ≤ t, by jax.grad of an added nudge; nothing of the engine."""

    def cost(nudges, weights, inputs, pins, readout, target):
        def one(carry, now):
            x, nudge, pins = now
            a_x, a_h = weights[0] @ x + weights[2] + nudge, weights[1] @ carry[0] + weights[3]
            return oracle.step(jnp, cell, a_x, a_h, carry, pins), carry[0]

        zero = jnp.zeros_like(readout)
        carry, before = jax.lax.scan(one, (zero,) * len(CELLS[cell].carry), (inputs, nudges, pins))
        return (readout @ carry[0] - target) ** 2 / 2, before

    return jax.jit(jax.grad(cost, has_aux=True))


def way_back(scenario):
    """(δ, the state that each met), f64[t+1, …] by lag, of a scenario whose paths are all open."""
    problem, t = scenario.problem(), min(scenario.time, scenario.horizon - 1)
    gates = oracle.SIGMOID_GATES.get(scenario.cell, ())
    with jax.enable_x64(True):
        double = lambda a: np.asarray(a, np.float64)
        weights = [double(field) for field in problem["weights"]]
        pins = {gate: double(problem["pins"][gate][: t + 1]) for gate in gates}
        given = (weights, double(problem["inputs"][: t + 1]), pins, double(problem["readout"]))
        nudges = np.zeros((t + 1, len(weights[0])))
        delta, before = _way_back(scenario.cell, t + 1)(nudges, *given, float(problem["targets"][t]))
    return np.asarray(delta)[::-1], np.asarray(before)[::-1]


def sizes(rows):
    return np.linalg.norm(rows, axis=1)


def factor(delta):
    logs = oracle.log_norm(delta)
    lags = np.flatnonzero(np.isfinite(logs))
    return np.exp(np.polyfit(lags, logs[lags], 1)[0])


# ------------------------------------------------------------------------------------------------- 6, any recurrent net


def test_the_headline_names_the_cells_in_which_the_error_vanishes():
    found = {cell: factor(way_back(replace(SIDE_BY_SIDE, cell=cell))[0]) for cell in CHOICES["cell"]}
    names = {
        does: [cell for cell, pace in found.items() if holds(pace)]
        for does, holds in (("vanishes in", lambda pace: pace < 0.95), ("gets larger in", lambda pace: pace > 1.05))
    }
    counted = ", ".join(f"{does} {len(cells)}" for does, cells in names.items())
    told = "; ".join(f"it {does} {', '.join(cells)}" for does, cells in names.items())
    assert said(ANY, SIDE_BY_SIDE) == f"Of these {len(found)} cells, the error {counted}. In this draw {told}."


@pytest.mark.parametrize("cell", ["rnn-relu", "rnn-linear"])
def test_level_terms_hide_an_error_that_gets_larger(cell):
    """Further back it meets a smaller state."""
    delta, met = way_back(replace(SIDE_BY_SIDE, cell=cell))
    assert factor(delta) > 1.1 and factor(met[:-1]) < 0.9
    assert factor((delta[:, :, None] * met[:, None]).reshape(len(delta), -1)[:-1]) == pytest.approx(1, abs=0.02)


def test_cells_that_overflow_are_named():
    assert "is lost, by an overflow, in rnn-relu, rnn-linear" in said(ANY, replace(SIDE_BY_SIDE, gain=5.0))


def kinds(cell, gain):
    """How many of the draws vanish, and how many get larger: by powers of W, between the zeros of ReLU units."""
    found = Counter()
    for seed in DRAWS:
        problem = replace(SIDE_BY_SIDE, cell=cell, gain=gain, seed=seed).problem()
        w_ih, w_hh = (np.asarray(problem["weights"][k], float) for k in (0, 1))
        h, passed = np.zeros(16), []
        for x in np.asarray(problem["inputs"][: SIDE_BY_SIDE.horizon], float):
            h = w_ih @ x + w_hh @ h
            passed.append(h > 0 if cell == "rnn-relu" else np.ones(16))
            h = h * passed[-1]
        back, rows = np.asarray(problem["readout"], float), []
        for mask in passed[::-1]:
            back = back * mask
            rows.append(np.log(np.linalg.norm(back)))
            back = back @ w_hh
        slope = np.polyfit(np.arange(len(rows)), rows, 1)[0]
        level = abs(slope) <= np.log(1.05) and abs(slope) * (len(rows) - 1) <= 1
        found["constant" if level else "exploding" if slope > 0 else "vanishing"] += 1
    return found


def test_linear_and_relu_draws_are_counted():
    numbers = [int(n) for n in re.findall(r"in (\d+) of 32 draws \(it vanishes in (\d+)\)", free()) for n in n]
    expected = [kinds("rnn-linear", 1.0), kinds("rnn-relu", 1.0), kinds("rnn-relu", 1.41)]
    assert numbers == [found[name] for found in expected for name in ("exploding", "vanishing")]
    assert expected[1]["exploding"] == 1 and "of 32 draws at gain 1, its error gets larger in this one alone" in (
        ANY.conclusion
    )
    assert measure(replace(SIDE_BY_SIDE, cell="rnn-relu")).reading.regime == "exploding"
    dots = {(cell, kind): len(values) for cell, kind, values in ANY.draws.groups()}
    for cell, found in zip(("rnn-linear", "rnn-relu"), expected, strict=False):
        assert {kind: count for (name, kind), count in dots.items() if name == cell} == dict(found)
    assert all(dots[cell, "vanishing"] == 32 for cell in HELD)


def free():
    return next(verdict for verdict in ANY.verdicts if "linear and ReLU" in verdict.case).evidence().numbers


def test_a_linear_nets_draw_is_decided_by_its_largest_eigenvalue():
    linear = replace(SIDE_BY_SIDE, cell="rnn-linear")
    radius = [np.abs(np.linalg.eigvals(replace(linear, seed=seed).weights().weight_hh)).max() for seed in DRAWS]
    larger = next(values for cell, kind, values in ANY.draws.groups() if (cell, kind) == ("rnn-linear", "exploding"))
    assert sum(rho > 1.02 for rho in radius) == pytest.approx(len(larger), abs=4)


def test_the_unit_that_chooses_most():
    there, elsewhere = np.array([[0.5, 0.9, 0.2], [0.4, 0.6, 0.8]]), np.array([[0.4, 0.1, 0.6], [0.3, 0.5, 0.1]])
    at, others = most_choosing({"input": (there, elsewhere)})
    np.testing.assert_array_equal(at, [0.9, 0.8])
    np.testing.assert_array_equal(others, [0.1, 0.1])


# --------------------------------------------------------------------------------------------------- 7, a moving lag


@pytest.mark.parametrize("t", [12, 23, 24, 71, 72, 95])
def test_on_the_cell_path_the_last_write_holds_all(t):
    assert said(IGNORES, replace(STRIPE, time=t)).startswith(f"At t = {t} only lag {t % 12} counts")


def test_the_statement_counts_the_inputs_that_are_ignored():
    """The present one and ten before it: lags 0 to 10; the delay line ignores the same."""
    assert "the present input and the ten before it" in IGNORES.claim and "eleven steps back" in IGNORES.claim
    for inputs in (measure(replace(one, time=95)).lags.log_input_sensitivity() for one in (STRIPE, DELAY_LINE)):
        assert np.isneginf(inputs[:11]).all() and np.isfinite(inputs[11])


@pytest.mark.parametrize("t", [0, 5, 11])
def test_before_anything_is_written_no_lag_is_said_to_count(t):
    """W_hh meets h = 0 before the first write and at it."""
    text = said(IGNORES, replace(STRIPE, time=t))
    assert "No gradient reaches" in text and "lag" not in text


def test_with_all_paths_the_headline_says_the_share():
    """The cell rows alone: δ of that gate, times the state that it met."""
    scenario = replace(STRIPE, cell_path_only=False)
    delta, met = way_back(scenario)
    held = sizes(np.split(delta, 4, axis=1)[2]) * sizes(met)
    lag, share, lit, of = numbers(
        r"lag (\d+) holds most, (\S+) of the terms' size; (\d+) of (\d+) lags are not zero", said(IGNORES, scenario)
    )
    assert (lag, lit, of) == (np.argmax(held), np.count_nonzero(held), 96)
    assert share == pytest.approx(held.max() / held.sum(), rel=2e-3)


@pytest.mark.parametrize("every", [1, 2, 5, 32])
def test_another_period_is_told_as_it_is(every):
    scenario = replace(STRIPE, write_every=every)
    text = said(IGNORES, scenario)
    lag = (STRIPE.time) % every
    assert (f"only lag {lag} counts" in text) == (every > 1)
    assert "carries everything" not in text
    assert ("stay open" in IGNORES.text(scenario)) == (every == 1)
    if every > 1:
        mean = 1 / every if every > 11 else 0
        assert numbers(r"lag 11 holds (\d\.?\d*)", text)[0] == pytest.approx(mean, abs=1e-4)


def test_the_marked_lag_is_the_one_that_is_told():
    assert "Averaged over all times, lag 7 holds 0.0833" in said(IGNORES, STRIPE, lag=7)
    assert "Averaged over all times, lag 12 holds 0," in said(IGNORES, STRIPE, lag=12)


def delay_line(t):
    """(what the output depends on, by lag; the size of W_ih's terms, by lag), by hand: h_k(s) = x₀(s−k), y = h₁₁."""
    x = np.asarray(DELAY_LINE.problem()["inputs"], float)
    target = float(DELAY_LINE.problem()["targets"][t])
    error = abs((x[t - 11, 0] if t >= 11 else 0.0) - target)
    lags = np.arange(t + 1)
    return np.where(lags == 11, error, 0.0), np.where(lags <= 11, error * sizes(x[t::-1]), 0.0)


@pytest.mark.parametrize("t", [3, 11, 12, 40, 95])
def test_a_delay_line_by_hand(t):
    measurement = measure(replace(DELAY_LINE, time=t))
    by_input, terms = delay_line(t)
    np.testing.assert_allclose(np.exp(measurement.lags.log_input_sensitivity()), by_input, rtol=1e-5)
    np.testing.assert_allclose(np.exp(measurement.log_row), terms, rtol=1e-5)
    sign = measurement.lags.entry("weight_ih", 0, 0)[0]
    assert np.count_nonzero(sign) == (t >= 11) and (t < 11 or np.flatnonzero(sign)[0] == 11)
    text = IGNORES.headline(measurement, IGNORES.examples[-1].view)
    if t < 11:
        assert "nothing has come through" in text
    else:
        assert f"At t = {t} the output depends on the input of lag 11 alone, with a share of 1.00." in text
        assert numbers(r"(\d+) lags, none with more than (\S+)\.$", text) == [
            12,
            pytest.approx(max(terms) / sum(terms), rel=5e-3),
        ]


def test_what_is_said_of_the_delay_line_over_all_times():
    evidence = IGNORES.verdicts[-1].evidence().numbers
    each = [delay_line(t)[1][:EVERY] for t in range(11, 96)]
    mean = np.mean([terms / terms.sum() for terms in each], axis=0)
    low, high = numbers(r"holds (\S+) to (\S+) on average$", evidence)
    assert (low, high) == (pytest.approx(mean.min(), rel=2e-3), pytest.approx(mean.max(), rel=2e-3))
    assert f"at each of {len(each)} times" in evidence and evidence.startswith("lag 11 holds 1.00 of")


# -------------------------------------------------------------------------------------------------- 8, what a sum hides


@pytest.mark.parametrize("scenario", [SHORT, LONG], ids=["0.73", "0.97"])
def test_sum_reach_and_truncation_in_float64(scenario):
    delta, met = way_back(scenario)
    terms = delta[:, :, None] * met[:, None]  # [u, 4n, n]
    held = sizes(delta) * sizes(met)
    total, far, _ = numbers(
        r"The sum is (\S+), and the lags from 50 on hold (\S+) of .* they hold (\S+)\.$", said(HIDES, scenario)
    )
    assert total == pytest.approx(np.linalg.norm(terms.sum(0)), rel=5e-3)
    assert far == pytest.approx(held[50:].sum() / held.sum(), rel=0.02)
    missing = np.linalg.norm(terms[20:].sum(0)) / np.linalg.norm(terms.sum(0))
    assert truncated(measure(scenario), 20) == pytest.approx(missing, rel=0.01)
    if scenario is SHORT:
        assert 0.8 < factor(delta) < 0.86, "a sixth of the error is taken away"


# ----------------------------------------------------------------------------------------------- 9, a training problem


@pytest.mark.parametrize("scenario", [RECALL, replace(RECALL, gain=4.0), LEVEL, replace(LEVEL, gain=1.1)])
def test_the_credit_of_the_picture_in_float64(scenario):
    delta, _ = way_back(scenario)
    inputs = scenario.problem()["inputs"][RECALL_LAG::-1]
    held = sizes(delta) * sizes(inputs)
    gain, pace, credit = numbers(
        r"at gain (\S+), each .* error by (\S+), and lag 20 holds (\S+) of", said(OTHERWISE, scenario)
    )
    assert gain == scenario.gain
    assert pace == pytest.approx(factor(delta), rel=5e-3)
    assert credit == pytest.approx(held[20] / held.sum(), rel=5e-3)


def test_the_marked_term_is_the_largest_at_gain_twelve():
    row = measure(OTHERWISE.examples[0].scenario).log_row
    assert np.argmax(row) == RECALL_LAG and np.mean(np.diff(row) > 0) > 0.5


def test_a_time_without_a_target_is_told_so():
    assert "no target" in said(OTHERWISE, replace(RECALL, time=19))


def test_the_picture_is_the_network_that_is_trained():
    run = jax.device_get(started(replace(RECALL, forget=0.8, seed=5)).networks)
    for v, gain in enumerate((1.0, 4.0, 8.0, 12.0)):
        scenario = replace(RECALL, forget=0.8, seed=5, gain=gain)
        for mine, theirs in zip(run.weights, scenario.weights(), strict=True):
            np.testing.assert_array_equal(mine[v], theirs)
        np.testing.assert_array_equal(run.readout[v], scenario.readout())
        assert np.log(0.8 / 0.2) == pytest.approx(run.weights.bias_ih[v][32])


def test_pytorch_does_not_learn_what_is_forgotten_at_once():
    scenario, *_ = FORGETFUL
    network = jax.tree.map(lambda fields: fields[0], jax.device_get(started(scenario, (1.0,)).networks))
    drawn = np.random.default_rng(7).standard_normal((STEPS, 32, 21, 4))
    assert learned_at(np.array([torch_losses(pytorch(), network, drawn)])) == [None]


def test_pytorch_learns_at_gain_eight_where_one_number_is_read():
    """The same recipe, of other batches: what stands in the way of the lesson's network is three other numbers."""
    for inputs, learns in ((1, True), (4, False)):
        network = jax.tree.map(lambda fields: fields[0], jax.device_get(started(RECALL, (8.0,), inputs).networks))
        assert network.weights.weight_ih.shape == (128, inputs)
        assert np.std(network.weights.weight_ih) == pytest.approx(inputs**-0.5, rel=0.15)
        drawn = np.random.default_rng(7).standard_normal((STEPS, 32, 21, inputs))
        assert (learned_at(np.array([torch_losses(pytorch(), network, drawn)])) != [None]) == learns


def test_the_recipe_is_on_the_screen():
    run = started(RECALL)
    before, (after, _) = run.networks, advance(run)
    moved = jax.tree.map(lambda one, other: bool((one != other).any()), before, after.networks)
    assert all(jax.tree.leaves(moved)), "something is not trained"
    assert np.std(before.readout) * 32**0.5 == pytest.approx(1, rel=0.3)
    for words in ("readout trained", "N(0, 1/n)", "Adam at 0.01", f"{STEPS} steps of {BATCH}", "no clipping"):
        assert words in OTHERWISE.conclusion
    numbers = OTHERWISE.verdicts[2].evidence().numbers
    assert "8 of 8 draws learn" in numbers and OTHERWISE.verdicts[2].word == "false when"


def test_pytorch_learns_with_errors_that_neither_vanish_nor_get_larger():
    """Linear units that turn the state: ‖δ‖ is the same at every lag."""
    torch, rng = pytorch(), np.random.default_rng(7)
    delta, _ = way_back(LEVEL)
    np.testing.assert_allclose(sizes(delta), sizes(delta)[0], rtol=1e-6)
    fields = [np.array(field, np.float32) for field in (*LEVEL.weights(), LEVEL.readout())]
    w_ih, w_hh, b_ih, b_hh, readout = (torch.nn.Parameter(torch.tensor(field)) for field in fields)
    adam, losses = torch.optim.Adam([w_ih, w_hh, b_ih, b_hh, readout], lr=0.01), []
    for _ in range(300):
        inputs = torch.tensor(rng.standard_normal((32, 21, 4)).astype(np.float32))
        h = torch.zeros(32, 32)
        for s in range(21):
            h = inputs[:, s] @ w_ih.T + b_ih + h @ w_hh.T + b_hh
        loss = ((h @ readout - inputs[:, 0, 0]) ** 2 / 2).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert learned_at(np.array([losses])) != [None]
