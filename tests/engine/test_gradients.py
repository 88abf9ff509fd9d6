"""Every dC(t)/dW(t−u), its norms and its sums, against three independent oracles in float64.

The oracles: explicit copies of the weights under `jax.jacrev`, finite differences of a NumPy forward pass,
and PyTorch's cells.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradflow as gf
from support import oracle
from support.problems import CELLS, STEPS, WEIGHTS, assert_logs, every_case, follow, pins_of, problem, rows, solve

pytestmark = pytest.mark.usefixtures("float64")


# the three quantities, for every cell and kind of problem


@every_case
def test_terms(cell, variant):
    gmap, answer = solve(cell, variant)
    assert gmap.overflow is None
    for weight in WEIGHTS:
        for gate in rows(cell):
            assert_logs(gmap.log_terms(weight, gate), answer.log_terms(weight, gate))


@every_case
def test_sums(cell, variant):
    gmap, answer = solve(cell, variant)
    for weight in WEIGHTS:
        for gate in rows(cell):
            assert_logs(gmap.log_sums(weight, gate), answer.log_sums(weight, gate))


@every_case
def test_cost(cell, variant):
    gmap, answer = solve(cell, variant)
    np.testing.assert_allclose(gmap.cost, answer.cost, rtol=1e-12)


@every_case
@pytest.mark.parametrize("t", [0, STEPS - 2])
def test_one_time(cell, variant, t):
    lags, answer = follow(cell, variant, t), solve(cell, variant)[1]
    for weight in WEIGHTS:
        for gate in rows(cell):
            assert_logs(lags.log_terms(weight, gate), answer.log_terms(weight, gate)[t, : t + 1])
            assert_logs(lags.log_partial_sums(weight, gate), answer.log_partial_sums(t, weight, gate))


@every_case
def test_entries_keep_their_sign(cell, variant):
    t = STEPS - 2
    lags, answer = follow(cell, variant, t), solve(cell, variant)[1]
    for weight in gf.Weights._fields:
        matrices = answer.by_lag[weight][t, : t + 1]
        for index in {(0,) * (matrices.ndim - 1), tuple(size - 1 for size in matrices.shape[1:])}:
            sign, log = lags.entry(weight, *index)
            exact = matrices[(slice(None), *index)]
            assert sign.dtype == np.int8
            np.testing.assert_array_equal(sign, np.sign(exact))
            assert_logs(log, oracle.log_norm(exact[:, None]))


@pytest.mark.parametrize("cell", CELLS)
def test_defaults_are_weight_hh_and_all_rows(cell):
    gmap, lags = solve(cell, "plain")[0], follow(cell, "plain", STEPS - 2)
    np.testing.assert_array_equal(gmap.log_terms(), gmap.log_terms("weight_hh", None))
    np.testing.assert_array_equal(gmap.log_sums(), gmap.log_sums("weight_hh", None))
    np.testing.assert_array_equal(lags.log_terms(), lags.log_terms("weight_hh", None))
    np.testing.assert_array_equal(lags.log_partial_sums(), lags.log_partial_sums("weight_hh", None))


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_record_does_as_well_as_its_name(cell):
    (weights, *arrays), _ = problem(cell, "plain")
    gmap = gf.gradient_map(gf.CELLS[cell], weights, *arrays)
    np.testing.assert_array_equal(gmap.log_terms(), solve(cell, "plain")[0].log_terms())


# the sum is the gradient that training uses


@pytest.mark.parametrize(("cell", "truncate"), [*((cell, False) for cell in CELLS), ("lstm", True)])
def test_sums_are_the_gradient_of_the_shared_weight(cell, truncate):
    arrays, options = problem(cell, "cell path only" if truncate else "plain")
    gmap = gf.gradient_map(cell, *arrays, **options)

    def last_cost(shared):
        copies = gf.Weights(*(jnp.broadcast_to(field, (STEPS, *field.shape)) for field in shared))
        return oracle.costs(jnp, cell, truncate, copies, *oracle.plain(cell, *arrays)[1:])[-1]

    gradient = jax.jit(jax.grad(last_cost))(arrays[0])
    for field, matrix in gradient._asdict().items():
        for number, gate in enumerate(gf.CELLS[cell].gates):
            block = np.split(np.asarray(matrix), len(gf.CELLS[cell].gates))[number]
            assert_logs(gmap.log_sums(field, gate)[-1:], oracle.log_norm(block.reshape(1, -1)))


# finite differences


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("variant", ["plain", "all at once"])
def test_finite_differences(cell, variant):
    """(C(W + ε) − C(W − ε)) / 2ε for every entry of every copy, by the NumPy forward pass."""
    arrays, options = problem(cell, variant)
    gmap = gf.gradient_map(cell, *arrays, **options)
    weights, *rest = oracle.plain(cell, *arrays, **options)
    epsilon = 1e-5
    t, u = np.tril_indices(STEPS)
    for field, copies in weights._asdict().items():
        size = copies[0].size
        slope = np.zeros((STEPS, STEPS, size))  # [t, s, p]
        for s in range(STEPS):
            for p in range(size):
                above, below = (
                    oracle.costs(np, cell, False, weights._replace(**{field: nudge(copies, s, p, by)}), *rest)
                    for by in (epsilon, -epsilon)
                )
                slope[:, s, p] = (above - below) / (2 * epsilon)
        norms = np.linalg.norm(slope, axis=-1)[t, t - u]
        np.testing.assert_allclose(np.exp(gmap.log_terms(field)[t, u]), norms, rtol=1e-6, atol=1e-9)
        sums = np.linalg.norm(slope.sum(1), axis=-1)
        np.testing.assert_allclose(np.exp(gmap.log_sums(field)), sums, rtol=1e-6, atol=1e-9)


def nudge(copies, step, entry, by):
    copies = copies.copy()
    copies[step].reshape(-1)[entry] += by
    return copies


# PyTorch


def pytorch_cell(cell, hidden, inputs):
    torch = __import__("torch") if os.environ.get("CI") == "true" else pytest.importorskip("torch")
    make = {
        "rnn-tanh": torch.nn.RNNCell,
        "rnn-relu": torch.nn.RNNCell,
        "lstm": torch.nn.LSTMCell,
        "gru": torch.nn.GRUCell,
    }
    options = {"nonlinearity": cell.removeprefix("rnn-")} if cell.startswith("rnn") else {}
    return torch, make[cell](inputs, hidden, dtype=torch.float64, **options)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["rnn-tanh", "rnn-relu", "lstm", "gru"])
def test_pytorch(cell):
    """Costs, and dC(t)/dW of the shared weights, at every t."""
    weights, inputs, readout, targets = problem(cell, "plain")[0]
    torch, layer = pytorch_cell(cell, weights.weight_hh.shape[-1], inputs.shape[-1])
    layer.load_state_dict({field: torch.tensor(value) for field, value in weights._asdict().items()})
    gmap = gf.gradient_map(cell, weights, inputs, readout, targets)
    carry = None
    for t, x in enumerate(torch.tensor(inputs)):
        carry = layer(x, carry)
        h = carry[0] if cell == "lstm" else carry
        cost = (torch.tensor(readout) @ h - targets[t]) ** 2 / 2
        np.testing.assert_allclose(gmap.cost[t], cost.item(), rtol=1e-12)
        gradient = torch.autograd.grad(cost, list(layer.parameters()), retain_graph=True)
        for (field, _), matrix in zip(layer.named_parameters(), gradient, strict=True):
            for number, gate in enumerate(gf.CELLS[cell].gates):
                block = matrix.chunk(len(gf.CELLS[cell].gates))[number].reshape(1, -1).numpy()
                assert_logs(gmap.log_sums(field, gate)[t : t + 1], oracle.log_norm(block), atol=1e-8)


# the shape of the map


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_long_horizons(cell):
    """Long enough for any grouping of rows or steps to have several groups and a ragged last one."""
    arrays = oracle.draw(cell, 301, hidden=2, inputs=1)
    gmap, answer = gf.gradient_map(cell, *arrays), oracle.Answer(cell, *arrays)
    for weight in ("weight_hh", "weight_ih"):
        assert_logs(gmap.log_terms(weight), answer.log_terms(weight), atol=1e-7)
        assert_logs(gmap.log_sums(weight), answer.log_sums(weight), atol=1e-7)
    for t in (127, 128, 300):
        lags = gf.lag_terms(cell, *arrays, t)
        assert_logs(lags.log_terms(), gmap.log_terms()[t, : t + 1])
        assert_logs(lags.log_partial_sums(), answer.log_partial_sums(t, "weight_hh"), atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("horizon", [1, 128, 129])
def test_a_shorter_horizon_is_the_corner_of_a_longer_one(horizon):
    weights, inputs, readout, targets = oracle.draw("lstm", 301, hidden=2, inputs=1)
    long = gf.gradient_map("lstm", weights, inputs, readout, targets)
    short = gf.gradient_map("lstm", weights, inputs[:horizon], readout, targets[:horizon])
    np.testing.assert_allclose(short.cost, long.cost[:horizon], rtol=1e-12)
    assert_logs(short.log_terms(), long.log_terms()[:horizon, :horizon])
    assert_logs(short.log_sums(), long.log_sums()[:horizon])


@every_case
def test_no_term_lies_before_the_first_step(cell, variant):
    log_terms = solve(cell, variant)[0].log_terms("all")
    assert np.isneginf(log_terms[np.triu_indices(STEPS, 1)]).all()


@pytest.mark.parametrize("cell", CELLS)
def test_untied_copies_that_are_equal_give_the_tied_map(cell):
    weights, *arrays = problem(cell, "plain")[0]
    copies = gf.Weights(*(np.stack([field] * STEPS) for field in weights))
    gmap = gf.gradient_map(cell, copies, *arrays)
    for weight in WEIGHTS:
        assert_logs(gmap.log_terms(weight), solve(cell, "plain")[0].log_terms(weight))
        assert_logs(gmap.log_sums(weight), solve(cell, "plain")[0].log_sums(weight))


# exact zeros


@pytest.mark.parametrize("cell", oracle.SIGMOID_GATES)
def test_a_pinned_gate_has_no_gradient(cell):
    """Its rows are −inf wherever it is pinned and nowhere else."""
    gmap, pins = solve(cell, "pinned now and then")[0], pins_of(cell, "pinned now and then")
    t, u = np.tril_indices(STEPS)
    for gate, pin in pins.items():
        pinned = ~np.isnan(np.broadcast_to(pin, STEPS))[t - u]
        for weight in ("weight_ih", "bias_ih", "bias_hh"):
            unused = weight in gf.CELLS[cell].unused
            np.testing.assert_array_equal(np.isneginf(gmap.log_terms(weight, gate)[t, u]), pinned | unused)


@pytest.mark.parametrize("cell", CELLS)
def test_a_masked_target_has_no_gradient(cell):
    """Cost 0 and a row of −inf; the other rows are those of the problem without a mask."""
    gmap, unmasked = solve(cell, "masked target")[0], solve(cell, "plain")[0]
    masked = np.isin(np.arange(STEPS), [0, 4])
    np.testing.assert_array_equal(gmap.cost, np.where(masked, 0, unmasked.cost))
    np.testing.assert_array_equal(gmap.log_sums(), np.where(masked, -np.inf, unmasked.log_sums()))
    np.testing.assert_array_equal(gmap.log_terms(), np.where(masked[:, None], -np.inf, unmasked.log_terms()))


def test_there_is_no_memory_before_the_first_step():
    """At lag t, weight_hh multiplies the initial state: zero without a carry, a number with one."""
    first = np.arange(STEPS), np.arange(STEPS)
    for cell in ("rnn-tanh", "lstm", "gru"):
        assert np.isneginf(solve(cell, "plain")[0].log_terms("weight_hh")[first]).all()
        assert np.isfinite(solve(cell, "carry")[0].log_terms("weight_hh")[first]).all()


# precision follows the inputs


@pytest.mark.parametrize("cell", CELLS)
def test_single_precision_agrees(cell):
    arrays, _ = problem(cell, "plain")
    answer, single = solve(cell, "plain")[1], jax.tree.map(np.float32, arrays)
    with jax.enable_x64(False):
        gmap, lags = gf.gradient_map(cell, *single), gf.lag_terms(cell, *single, STEPS - 1)
        assert gmap.cost.dtype == np.float32
        for weight in WEIGHTS:
            assert_logs(gmap.log_terms(weight), answer.log_terms(weight), 1e-4)
            assert_logs(gmap.log_sums(weight), answer.log_sums(weight), 1e-4)
            assert_logs(lags.log_partial_sums(weight), answer.log_partial_sums(STEPS - 1, weight), 1e-4)


def test_any_double_argument_makes_the_work_double():
    weights, inputs, readout, targets = oracle.draw("gru")
    single = jax.tree.map(np.float32, (weights, inputs, readout, targets))
    assert gf.gradient_map("gru", *single).cost.dtype == np.float32
    assert gf.gradient_map("gru", single[0], inputs, *single[2:]).cost.dtype == np.float64


# any shape, any pins


SHAPES = st.sampled_from([(STEPS, 3, 2, None), (4, 1, 3, 2)])  # (T, n, m, k): few, since each one compiles
PIN = st.one_of(st.just(np.nan), st.sampled_from([0.0, 1.0]), st.floats(0, 1))


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_problem(data):
    cell = data.draw(st.sampled_from(CELLS))
    steps, hidden, inputs, outputs = data.draw(SHAPES)
    seed = data.draw(st.integers(0, 999))
    options = {"carry": oracle.draw_carry(cell, hidden, seed) if data.draw(st.booleans()) else None}
    if cell in oracle.SIGMOID_GATES:
        per_step = st.lists(PIN, min_size=steps, max_size=steps).map(np.array)
        options["pins"] = data.draw(st.dictionaries(st.sampled_from(oracle.SIGMOID_GATES[cell]), PIN | per_step))
    weights, x, readout, targets = oracle.draw(cell, steps, hidden, inputs, outputs, seed=seed)
    targets[data.draw(st.lists(st.integers(0, steps - 1), unique=True))] = np.nan
    gmap = gf.gradient_map(cell, weights, x, readout, targets, **options)
    answer = oracle.Answer(cell, weights, x, readout, targets, **options)
    np.testing.assert_allclose(gmap.cost, answer.cost, rtol=1e-11)
    for weight in WEIGHTS:
        assert_logs(gmap.log_terms(weight), answer.log_terms(weight), 1e-7)
        assert_logs(gmap.log_sums(weight), answer.log_sums(weight), 1e-6)
