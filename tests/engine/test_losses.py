"""Any cost on the engine: losses, cotangents and several sequences in one, against PyTorch's losses and autograd."""

import os

import numpy as np
import pytest

import gradflow as gf
from support import oracle, pytorch_layer
from support.problems import assert_logs

STEPS, HIDDEN, INPUTS, CLASSES = 11, 3, 2, 4
MASKED = (0, 6)
FRESH = (4, 9)
LOSSES = ("squared", "cross-entropy", "binary-cross-entropy")


@pytest.fixture
def torch():
    return __import__("torch") if os.environ.get("CI") == "true" else pytest.importorskip("torch")


def draw(cell, loss, seed=0):
    """(weights, inputs, options of the cost): two of the costs are masked."""
    weights, inputs, readout, targets = oracle.draw(cell, STEPS, outputs=CLASSES, seed=seed)
    rng = np.random.default_rng(seed + 1)
    masked = np.isin(np.arange(STEPS), MASKED)
    if loss == "squared":
        targets = np.where(masked[:, None], np.nan, targets)
        bias = rng.normal(size=CLASSES)
    elif loss == "cross-entropy":
        targets, bias = np.where(masked, -1, rng.integers(CLASSES, size=STEPS)), rng.normal(size=CLASSES)
    else:
        readout, bias = readout[0], rng.normal()
        targets = np.where(masked, np.nan, rng.choice([0, 1, 0.3], size=STEPS))
    return weights, inputs, {"loss": loss, "readout": readout, "targets": targets, "readout_bias": bias}


def torch_costs(torch, h, loss, readout, targets, readout_bias):
    """C(t) of every step by PyTorch's own losses, 0 where it is masked."""
    F, costs = torch.nn.functional, []
    readout, bias = torch.tensor(readout), torch.tensor(np.asarray(readout_bias))
    for state, target in zip(h, torch.tensor(targets), strict=True):
        y = readout @ state + bias
        if loss == "cross-entropy":
            costs.append(F.cross_entropy(y, target, ignore_index=-1) if target >= 0 else 0 * y.sum())
        elif target.isnan().any():
            costs.append(0 * y.sum())
        elif loss == "squared":
            costs.append(F.mse_loss(y, target, reduction="sum") / 2)
        else:
            costs.append(F.binary_cross_entropy_with_logits(y, target))
    return costs


def answer(torch, cell, weights, inputs, cost, carry, fresh=()):
    """(C [T], field -> [t, s, entries])."""
    copies = pytorch_layer.leaves(torch, weights, STEPS)
    states = pytorch_layer.run(torch, cell, copies, torch.tensor(inputs), tuple(map(torch.tensor, carry)), fresh)
    costs = torch_costs(torch, [h for h, *_ in states], **cost)
    return np.array([c.item() for c in costs]), pytorch_layer.terms(torch, costs, copies)


def assert_answers(gmap, lags, costs, by_field):
    """Every cost, term and sum of a map, and of the one t of `lags`."""
    np.testing.assert_allclose(gmap.cost, costs, rtol=1e-12, atol=1e-14)
    for weight in (*gf.Weights._fields, "all"):
        by_step = pytorch_layer.joined(by_field, weight)
        expected = pytorch_layer.log_by_lag(by_step)
        assert_logs(gmap.log_terms(weight), expected)
        assert_logs(gmap.log_sums(weight), oracle.log_norm(by_step.sum(1)))
        assert_logs(lags.log_terms(weight), expected[lags.t, : lags.t + 1])
        assert_logs(lags.log_partial_sums(weight)[-1:], oracle.log_norm(by_step[lags.t].sum(0)[None]))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    "cell", ["rnn-tanh", *(pytest.param(cell, marks=pytest.mark.slow) for cell in ("lstm", "gru"))]
)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("fresh", [pytest.param((), marks=pytest.mark.slow), FRESH])
def test_terms_and_costs_of_every_loss(torch, cell, loss, fresh):
    weights, inputs, cost = draw(cell, loss)
    carry = oracle.draw_carry(cell)
    starts = {"starts": np.isin(np.arange(STEPS), fresh)} if fresh else {}
    given = {"weights": weights, "inputs": inputs, **cost, "carry": carry, **starts}
    gmap, lags = gf.gradient_map(cell, **given), gf.lag_terms(cell, **given, t=STEPS - 1)
    assert_answers(gmap, lags, *answer(torch, cell, weights, inputs, cost, carry, fresh))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("cell", ["lstm", pytest.param("gru", marks=pytest.mark.slow)])
def test_cotangents_take_the_place_of_any_cost(torch, cell):
    """A cost that no loss here describes: each C(t) is its own function of h(t), tensors are taken as they are."""
    weights, inputs, _ = draw(cell, "squared")
    carry = oracle.draw_carry(cell)
    copies = pytorch_layer.leaves(torch, weights, STEPS)
    states = pytorch_layer.run(torch, cell, copies, torch.tensor(inputs), tuple(map(torch.tensor, carry)))
    h = [state for state, *_ in states]
    costs = [(state.sin() * (t + 1)).prod() for t, state in enumerate(h)]
    cotangents = torch.stack([torch.autograd.grad(c, s, retain_graph=True)[0] for c, s in zip(costs, h, strict=True)])
    gmap = gf.gradient_map(cell, copies[0], torch.tensor(inputs), cotangents=cotangents, carry=carry)
    lags = gf.lag_terms(cell, weights, inputs, t=5, cotangents=cotangents, carry=carry)
    assert np.isnan(gmap.cost).all()
    assert_answers(gmap, lags, np.full(STEPS, np.nan), pytorch_layer.terms(torch, costs, copies))
    np.testing.assert_allclose(gmap.log_residual, oracle.log_norm(cotangents.numpy()), rtol=1e-12)


@pytest.mark.usefixtures("float64")
@pytest.mark.slow
@pytest.mark.parametrize("cell", pytorch_layer.CELLS)
@pytest.mark.parametrize("fresh", [(), FRESH])
def test_states(torch, cell, fresh):
    weights, inputs, _ = draw(cell, "squared")
    carry = oracle.draw_carry(cell)
    copies = pytorch_layer.leaves(torch, weights, STEPS)
    starts = np.isin(np.arange(STEPS), fresh)
    ours = gf.states(cell, copies[0], torch.tensor(inputs), carry=map(torch.tensor, carry), starts=torch.tensor(starts))
    theirs = pytorch_layer.run(torch, cell, copies, torch.tensor(inputs), tuple(map(torch.tensor, carry)), fresh)
    for k, state in enumerate(ours):
        np.testing.assert_allclose(state, [each[k].detach().numpy() for each in theirs], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("loss", LOSSES[1:])
@pytest.mark.parametrize("sure", [15, 75])
def test_a_sure_network_s_gradient_is_measured_in_float32(loss, sure):
    """By closed form in float64: softmax less one, in float32, would leave nothing of a probability of 1 − 1e-32."""
    h, n = np.float32([0.5, -0.25, 0.125]), 3
    readout = np.float32([[sure, -sure, 0], [0, 0, 0], [-sure, 0, sure]])
    weights = gf.Weights(*(np.zeros(shape, np.float32) for shape in ((n, 1), (n, n), (n,), (n,))))
    weights = weights._replace(bias_ih=h)
    if loss == "cross-entropy":
        y = readout.astype(float) @ h
        rest = np.exp(y[1:] - y[0])
        q = rest / (1 + rest.sum())
        log_cost, by_h = np.log(np.log1p(rest.sum())), q @ readout[1:] - q.sum() * readout[0]
        cost = {"readout": readout, "targets": [0]}
    else:
        y = readout[0].astype(float) @ h
        q = 1 / (1 + np.exp(y))
        log_cost, by_h = np.log(np.log1p(np.exp(-y))), -q * readout[0]
        cost = {"readout": readout[0], "targets": np.ones(1, np.float32)}
    gmap = gf.gradient_map("rnn-linear", weights, np.zeros((1, 1), np.float32), loss=loss, **cost)
    assert gmap.cost.dtype == np.float32
    assert_logs(gmap.log_residual, oracle.log_norm(by_h[None].astype(float)), atol=1e-5)
    assert_logs(np.log(gmap.cost.astype(float)), log_cost, atol=1e-5)


@pytest.mark.parametrize(("change", "parts"), [
    ({"loss": "hinge"}, ("loss", "'hinge'", "squared, cross-entropy, binary-cross-entropy")),
    ({"targets": None}, ("targets", "None", "cotangents")),
    ({"readout": None}, ("readout", "None", "cotangents")),
    ({"targets": np.full(STEPS, 4)}, ("targets", "4", "[0, 3]", "−1")),
    ({"targets": np.full(STEPS, -100)}, ("targets", "-100", "[0, 3]", "−1")),
    ({"targets": np.full(STEPS, 1.0)}, ("targets", "float64", "[11]")),
    ({"targets": np.zeros((STEPS, 2), int)}, ("targets", "[11, 2]", "[11]")),
    ({"readout": np.zeros((1, HIDDEN))}, ("readout", "[1, 3]", "at least 2")),
    ({"readout": np.zeros(HIDDEN)}, ("readout", "[3]", "[k, 3]")),
    ({"readout": np.full((CLASSES, HIDDEN), np.inf)}, ("readout[0, 0]", "inf", "finite")),
    ({"readout_bias": np.zeros(3)}, ("readout_bias", "[3]", "[4]")),
    ({"readout_bias": np.full(4, np.nan)}, ("readout_bias[0]", "nan", "finite")),
    ({"loss": "binary-cross-entropy", "readout": np.zeros(HIDDEN), "targets": np.full(STEPS, 1.5),
      "readout_bias": None}, ("targets", "1.5", "[0, 1]", "NaN")),
    ({"cotangents": np.zeros((STEPS, HIDDEN))}, ("readout", "cotangents", "one of them")),
    ({"readout": None, "targets": None, "readout_bias": None, "cotangents": np.zeros((STEPS, HIDDEN))},
     ("loss", "cotangents", "one of them")),
    ({"starts": np.zeros(STEPS)}, ("starts", "float64", "bool [11]")),
    ({"starts": np.zeros(3, bool)}, ("starts", "[3]", "[11]")),
])  # fmt: skip
def test_a_bad_cost_is_explained(change, parts):
    weights, inputs, cost = draw("lstm", "cross-entropy")
    given = {"weights": weights, "inputs": inputs, **cost, **change}
    for ask in (lambda: gf.gradient_map("lstm", **given), lambda: gf.lag_terms("lstm", **given, t=2)):
        with pytest.raises(ValueError) as error:
            ask()
        assert [part for part in parts if part not in str(error.value)] == [], str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("cotangents", "parts"), [
    (np.zeros((STEPS, 2)), ("cotangents", "[11, 2]", "[11, 3]")),
    (np.full((STEPS, HIDDEN), np.nan), ("cotangents[0, 0]", "nan", "finite")),
])  # fmt: skip
def test_bad_cotangents_are_explained(cotangents, parts):
    weights, inputs, _ = draw("lstm", "squared")
    with pytest.raises(ValueError) as error:
        gf.gradient_map("lstm", weights, inputs, cotangents=cotangents)
    assert [part for part in parts if part not in str(error.value)] == [], str(error.value)
    with pytest.raises(ValueError, match=r"^t is None; it must be a whole number between 0 and 10"):
        gf.lag_terms("lstm", weights, inputs, cotangents=np.zeros((STEPS, HIDDEN)))


@pytest.mark.slow
def test_other_values_compile_nothing(compilations):
    """Other classes, biases, masks and starts run what is there."""

    def ask(seed, fresh):
        weights, inputs, cost = draw("lstm", "cross-entropy", seed)
        starts = np.isin(np.arange(STEPS), fresh)
        gmap = gf.gradient_map("lstm", weights, inputs, **cost, starts=starts)
        gmap.log_terms(), gmap.log_sums(), gmap.lags(seed).log_terms()

    ask(3, (1, 2))
    assert compilations
    compilations.clear()
    ask(4, (7,))
    assert compilations == []


@pytest.mark.slow
def test_cost_kinds_do_not_mix_in_one_call():
    weights, inputs, cost = draw("lstm", "squared")
    given = {"cell": "lstm", "weights": weights, "inputs": inputs}
    with pytest.raises(ValueError, match=r"^problems are of 2 kinds"):
        gf.gradient_maps([given | cost, given | {"cotangents": np.zeros((STEPS, HIDDEN))}])
    one, two = gf.gradient_maps([given | cost, given | cost | {"readout_bias": np.zeros(CLASSES)}])
    assert not np.array_equal(one.log_terms(), two.log_terms())
