"""Stacked layers and both directions, against PyTorch with a copy of the weights a step, a layer and a direction."""

import os

import numpy as np
import pytest

import gradflow as gf
from support import oracle, pytorch_layer
from support.problems import assert_logs

STEPS, INPUTS = 9, 2
WEIGHTS = (*gf.Weights._fields, "all")
CASES = [
    ("lstm", (3, 3), 1),
    pytest.param("rnn-tanh", (3, 3), 2, marks=pytest.mark.slow),
    pytest.param("gru", (6, 5, 7), 1, marks=pytest.mark.slow),
    pytest.param("rnn-relu", (4, 3), 1, marks=pytest.mark.slow),
    pytest.param("lstm", (3, 2), 2, marks=pytest.mark.slow),
    pytest.param("gru", (2, 3, 2), 2, marks=pytest.mark.slow),
]
every_network = pytest.mark.parametrize(("cell", "sizes", "directions"), CASES)


@pytest.fixture
def torch():
    return __import__("torch") if os.environ.get("CI") == "true" else pytest.importorskip("torch")


def draw(cell, sizes, directions, steps=STEPS, scales=None, seed=0):
    """(Network, inputs, carry [layer][direction])."""
    rng, gates = np.random.default_rng(seed), len(gf.CELLS[cell].gates)
    layers, m = [], INPUTS
    for n, scale in zip(sizes, scales or [0.6] * len(sizes), strict=True):
        shapes = [(gates * n, m), (gates * n, n), (gates * n,), (gates * n,)]
        own = lambda s, scale=scale, shapes=shapes: rng.normal(size=s) * (scale if s == shapes[1] else 0.6)
        layers.append(tuple(gf.Weights(*map(own, shapes)) for _ in range(directions)))
        m = n * directions
    carry = [[tuple(rng.normal(size=n) for _ in gf.CELLS[cell].carry) for _ in range(directions)] for n in sizes]
    return gf.Network(cell, layers), rng.normal(size=(steps, INPUTS)), carry


def costs(outputs):
    return [(y.sin() * (t + 1)).sum() ** 2 for t, y in enumerate(outputs)]


def answer_of(torch, network, inputs, carry, times=None):
    return pytorch_layer.NetworkAnswer(torch, network, inputs, carry, costs, times)


@pytest.fixture
def solved(torch, cell, sizes, directions, float64):
    network, inputs, carry = draw(cell, sizes, directions)
    answer = answer_of(torch, network, inputs, carry)
    maps = gf.network_map(network, torch.tensor(inputs), answer.cotangents, carry=carry)
    assert [len(layer) for layer in maps] == [directions] * len(sizes)
    return maps, answer


def assert_truncated(gmap, weight, by_step, k=4):
    """Every layer is cut at the same steps, so a term is left out or stays as it is."""
    t, s = np.arange(STEPS)[:, None], np.arange(STEPS)
    total = by_step.sum((0, 1))
    for pieces, there in ((True, s >= t - t % k), (False, t - s < k)):
        part = by_step[there & (s <= t)].sum(0)
        error, cosine = gmap.truncated(k, pieces, weight)
        assert error == pytest.approx(np.linalg.norm(total - part) / np.linalg.norm(total), abs=1e-9)
        assert cosine == pytest.approx(total @ part / np.linalg.norm(total) / np.linalg.norm(part), abs=1e-9)


PINNED = [
    ("lstm", (3, 2), 1, [[{"forget": 0.9, "output": 0.4}], [None]]),
    pytest.param("lstm", (3, 2), 2, [[None, None], [{"input": 0.3}, {"forget": "varies"}]], marks=pytest.mark.slow),
    pytest.param(
        "gru", (3, 4, 2), 1, [[None], [{"update": "varies", "reset": 0.6}], [{"update": 0.2}]], marks=pytest.mark.slow
    ),
]


@pytest.mark.parametrize(("cell", "sizes", "directions", "pins"), PINNED)
def test_gates_that_are_held(torch, cell, sizes, directions, pins, float64):
    """Against cells written by hand, one value for all steps or one a step, NaN where the network decides."""
    network, inputs, carry = draw(cell, sizes, directions)
    values = np.linspace(0, 1, STEPS)
    values[3] = np.nan
    given = [[each and {g: values if v == "varies" else v for g, v in each.items()} for each in of] for of in pins]
    at = lambda each, s: {g: v if np.ndim(v) == 0 else v[s] for g, v in (each or {}).items()}
    free = lambda held: {g: v for g, v in held.items() if not np.isnan(v)}
    by_step = [[each and [free(at(each, s)) for s in range(STEPS)] for each in layer] for layer in given]
    answer = pytorch_layer.NetworkAnswer(torch, network, inputs, carry, costs, pins=by_step)
    maps = gf.network_map(network, inputs, answer.cotangents, carry=carry, pins=given)
    top = np.concatenate([gmap.outputs for gmap in maps[-1]], axis=1)
    np.testing.assert_allclose(top, torch.stack(answer.outputs).detach().numpy(), rtol=1e-12)
    for k, d, gmap in each_of(maps):
        by_field = answer.terms(k, d)
        for weight in gf.Weights._fields:
            assert_logs(gmap.log_terms_by_copy(weight), oracle.log_norm(by_field[weight]))
            assert_logs(gmap.log_sums(weight), oracle.log_norm(by_field[weight].sum(1)))
        for gate, value in (given[k][d] or {}).items():
            held = np.broadcast_to(value, STEPS)
            there = ~np.isnan(held)
            assert (gmap.gates[gate][there] == held[there, None]).all()


def test_one_layer_with_gates_held_is_a_gradient_map(float64):
    network, inputs, carry = draw("lstm", (4,), 1)
    cotangents, pins = np.random.default_rng(5).normal(size=(STEPS, 4)), {"forget": 0.95, "input": np.full(STEPS, 0.1)}
    ((gmap,),) = gf.network_map(network, inputs, cotangents, carry=carry, pins=[[pins]])
    given = {"weights": network.layers[0][0], "inputs": inputs, "cotangents": cotangents, "carry": carry[0][0]}
    alone = gf.gradient_map("lstm", **given, pins=pins)
    assert_logs(gmap.log_terms("all"), alone.log_terms("all"))
    assert_logs(gmap.lags(STEPS - 1).log_partial_sums("weight_ih"), alone.lags(STEPS - 1).log_partial_sums("weight_ih"))


def test_pins_keep_the_precision(float64):
    """Plain numbers do not widen what is float32."""
    network, inputs, _ = draw("gru", (2, 2), 1)
    single = lambda a: np.asarray(a, np.float32)
    layers = [tuple(gf.Weights(*map(single, w)) for w in layer) for layer in network.layers]
    maps = gf.network_map(
        gf.Network("gru", layers), single(inputs), single(np.ones((STEPS, 2))), pins=[[{"reset": 0.5}], [None]]
    )
    assert {gmap.outputs.dtype for _, _, gmap in each_of(maps)} == {np.dtype(np.float32)}


@pytest.mark.slow
@pytest.mark.parametrize("gains", [(0.4, 0.4), (8.0, 0.4), (0.4, 8.0)], ids=["calm", "chaos below", "chaos above"])
def test_a_chaotic_layer_makes_the_network_chaotic(gains):
    """By plain NumPy in float64: both layers again, with weights that differ by 1e-10 of themselves."""
    steps, n, rng = 150, 24, np.random.default_rng(0)
    inputs = 0.1 * rng.normal(size=(steps, 2))
    own = [
        (rng.normal(size=(n, m)), gain / np.sqrt(n) * rng.normal(size=(n, n)))
        for m, gain in zip((2, n), gains, strict=True)
    ]

    def top(by):
        x = inputs
        for weight_ih, weight_hh in own:
            h, states = np.zeros(n), []
            for each in x:
                h = np.tanh(weight_ih @ each + weight_hh * (1 + by) @ h)
                states.append(h)
            x = np.array(states)
        return x

    moved = np.linalg.norm(top(1e-10) - top(0.0), axis=1) / np.linalg.norm(top(0.0), axis=1)
    chaotic = max(gains) > 1
    assert (moved[-1] > 0.05) == chaotic and (moved[-1] < 1e-6) != chaotic
    single = lambda a: np.asarray(a, np.float32)
    network = gf.Network("rnn-tanh", [[gf.Weights(*map(single, each))] for each in own])
    maps = gf.network_map(network, single(inputs), np.ones((steps, n), np.float32))
    for _, _, gmap in each_of(maps):
        assert gmap.read(steps - 1, chaos=True).chaotic == chaotic
    assert gmap.read(steps - 1).chaotic is None


def each_of(maps):
    return [(k, d, gmap) for k, layer in enumerate(maps) for d, gmap in enumerate(layer)]


@every_network
def test_terms_sums_and_totals(torch, solved, cell, sizes, directions):
    maps, answer = solved
    top = np.concatenate([gmap.outputs for gmap in maps[-1]], axis=1)
    np.testing.assert_allclose(top, torch.stack(answer.outputs).detach().numpy(), rtol=1e-12)
    for k, d, gmap in each_of(maps):
        assert (gmap.layer, gmap.direction) == (k, d)
        by_field = answer.terms(k, d)
        for weight in WEIGHTS:
            by_step = pytorch_layer.joined(by_field, weight)
            assert_logs(gmap.log_terms_by_copy(weight), oracle.log_norm(by_step))
            assert_logs(gmap.log_sums(weight), oracle.log_norm(by_step.sum(1)))
            assert_logs(gmap.log_total_by_copy(weight), oracle.log_norm(by_step.sum(0)))
            total = oracle.log_norm(by_step.sum((0, 1))[None])[0]
            assert gmap.log_total(weight) == pytest.approx(total, abs=1e-9)
        gate = gf.CELLS[cell].gates[-1]
        rows = np.split(by_field["bias_hh"], len(gf.CELLS[cell].gates), axis=-1)[-1]
        assert_logs(gmap.log_terms_by_copy("bias_hh", gate), oracle.log_norm(rows))


@every_network
def test_what_goes_by_lag(solved, cell, sizes, directions):
    """All of it with one direction; with both the top layer's forward one alone, of which no cost is read later."""
    maps, answer = solved
    for k, d, gmap in each_of(maps):
        if directions == 2 and (d or k < len(maps) - 1):
            for ask in (
                gmap.log_terms,
                gmap.log_state_gradients,
                gmap.log_total_by_lag,
                lambda gmap=gmap: gmap.read(3),
            ):
                with pytest.raises(ValueError, match=rf"layer {k}, direction {d} .*; log_terms_by_copy has") as error:
                    ask()
                assert "\n" not in str(error.value)
            continue
        by_field = answer.terms(k, d)
        for weight in WEIGHTS:
            by_step = pytorch_layer.joined(by_field, weight)
            assert_logs(gmap.log_terms(weight), pytorch_layer.log_by_lag(by_step))
            lags = gmap.lags(STEPS - 2)
            by_lag = by_step[STEPS - 2, STEPS - 2 :: -1]
            assert_logs(lags.log_terms(weight), oracle.log_norm(by_lag))
            assert_logs(lags.log_partial_sums(weight), oracle.log_norm(by_lag.cumsum(0)))
            t = np.arange(STEPS)
            assert_logs(
                gmap.log_total_by_lag(weight),
                oracle.log_norm(np.stack([by_step[t[u:], t[: STEPS - u]].sum(0) for u in t])),
            )
            if directions == 1:
                assert_truncated(gmap, weight, by_step)
        reading = gmap.read(STEPS - 1)
        assert reading.log_sum == pytest.approx(gmap.log_sums()[-1], abs=1e-9)
        for state in range(len(gf.CELLS[cell].carry)):
            at = [each[state] for each in answer.states[k][d]]
            actual = gmap.log_state_gradients(state)
            for t, cost in enumerate(answer.costs):
                by = answer.torch.autograd.grad(cost, at[t::-1], retain_graph=True, allow_unused=True)
                norms = [0 if each is None else float(each.norm()) for each in by]
                with np.errstate(divide="ignore"):
                    assert_logs(actual[t, : t + 1], np.log(norms))


@pytest.mark.parametrize("scales", [(0.45, 0.01), (0.01, 0.45)], ids=["the top forgets", "the top remembers"])
def test_float32_is_right_where_one_layer_forgets_and_another_remembers(torch, scales):
    """An exponent for each layer and cost: terms of 1e-140 above and 1e-20 below, or none so small, in 75 steps."""
    steps, t = 75, 74
    network, inputs, carry = draw("rnn-tanh", (4, 4), 1, steps, scales)
    single = lambda a: np.asarray(a, np.float32)
    network = gf.Network(network.cell, [tuple(gf.Weights(*map(single, w)) for w in layer) for layer in network.layers])
    inputs, carry = single(0.1 * inputs), [[tuple(map(single, c)) for c in layer] for layer in carry]
    wide = lambda a: np.asarray(a, float)
    answer = answer_of(torch, network, wide(inputs), [[tuple(map(wide, c)) for c in layer] for layer in carry], [t])
    maps = gf.network_map(network, inputs, single(answer.cotangents.detach()), carry=carry)
    smallest = []
    for k, d, gmap in each_of(maps):
        assert gmap.cost.dtype == np.float32
        for weight in gf.Weights._fields:
            expected = oracle.log_norm(answer.terms(k, d)[weight])[0]
            assert_logs(gmap.log_terms_by_copy(weight)[t], expected, atol=1e-5)
            smallest.append(expected.min() / np.log(10))
    assert min(smallest[:4]) > -30  # below; above, of the top layer's four fields:
    assert (min(smallest[4:]) < -120) == (scales[1] < scales[0])


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_wide_layers(torch, cell):
    """Sizes at which products take their other layouts, in float32, of the last of 20 times."""
    network, inputs, carry = draw(cell, (70, 132, 5), 1, steps=20, scales=(0.1, 0.1, 0.5))
    answer = answer_of(torch, network, inputs, carry, [19])
    single = lambda a: np.asarray(a, np.float32)
    layers = [tuple(gf.Weights(*map(single, weights)) for weights in layer) for layer in network.layers]
    maps = gf.network_map(gf.Network(cell, layers), single(inputs), single(answer.cotangents), carry=carry)
    for k, d, gmap in each_of(maps):
        for weight in ("weight_ih", "weight_hh"):
            expected = oracle.log_norm(answer.terms(k, d)[weight])[0]
            assert_logs(gmap.log_terms_by_copy(weight)[19], expected, atol=5e-5)


@pytest.mark.slow
def test_the_top_layer_alone_is_a_gradient_map():
    """Of float32 at more than one block, with the states of the layer below as its inputs."""
    network, inputs, carry = draw("lstm", (5, 6), 1, steps=150)
    cotangents = np.random.default_rng(3).normal(size=(150, 6))
    below, top = (layer[0] for layer in gf.network_map(network, inputs, cotangents, carry=carry))
    given = {"weights": network.layers[1][0], "inputs": below.outputs, "cotangents": cotangents, "carry": carry[1][0]}
    alone = gf.gradient_map("lstm", **given)
    assert_logs(top.log_terms("all"), alone.log_terms("all"), atol=2e-5)
    assert_logs(top.log_sums("all"), alone.log_sums("all"), atol=2e-5)
    assert_logs(top.log_residual, alone.log_residual, atol=1e-6)


def test_an_overflow_below_ends_what_is_above():
    network, inputs, _ = draw("rnn-relu", (2, 2), 1, steps=60, scales=(40.0, 0.5))
    below, top = (layer[0] for layer in gf.network_map(network, np.abs(inputs), np.ones((60, 2))))
    assert below.overflow is not None and top.overflow == below.overflow
    for gmap in (below, top):
        terms = gmap.log_terms()
        assert np.isnan(terms[gmap.overflow :]).all() and not np.isnan(terms[: gmap.overflow]).any()
        assert np.isnan(gmap.log_total())


@pytest.mark.parametrize(("change", "parts"), [
    ({"layers": []}, ("layers", "no directions", "(Weights,)")),
    ({"layers": "flat"}, ("layers", "4, 4 directions", "(Weights,)")),
    ({"cell": "lstn"}, ("cell", "'lstn'", "lstm")),
    ({"layers": "swapped"}, ("layers[1][0]", "weight_ih", "[16, 2]", "[16, 4]")),
    ({"inputs": np.zeros(STEPS)}, ("layers[0][0]", "inputs", "[9]", "[T, m]")),
    ({"cotangents": np.zeros((STEPS, 3))}, ("cotangents", "[9, 3]", "[9, 4]")),
    ({"cotangents": np.full((STEPS, 4), np.nan)}, ("cotangents[0, 0]", "nan", "finite")),
    ({"carry": [[None]]}, ("carry", "[1]", "[1, 1]")),
    ({"carry": [[None], [(np.zeros(4),)]]}, ("layers[1][0]", "carry", "[4]", "(h, c)")),
    ({"pins": [[None]]}, ("pins", "[1]", "[1, 1]")),
    ({"pins": [None, None]}, ("pins", "[0, 0]", "[1, 1]")),
    ({"pins": [{"forget": 0.9}, [None]]}, ("pins", "'forget'", "map gate names")),
    ({"pins": [[None], [{"reset": 0.9}]]}, ("pins", "'reset'", "forget, output")),
    ({"pins": [[None], [{"forget": 1.1}]]}, ("layers[1][0]", "pins['forget']", "1.1", "between 0 and 1")),
])  # fmt: skip
def test_a_bad_network_is_explained(change, parts):
    network, inputs, _ = draw("lstm", (4, 4), 1)
    first = network.layers[0][0]
    layers = {"flat": [first, first], "swapped": [(first,), (first,)]}
    given = {"cell": "lstm", "layers": network.layers, "inputs": inputs, "cotangents": np.zeros((STEPS, 4))} | change
    named = given["layers"]
    network = gf.Network(given.pop("cell"), layers.get(named, named) if isinstance(named, str) else named)
    given.pop("layers")
    with pytest.raises(ValueError) as error:
        gf.network_map(network, **given)
    assert [part for part in parts if part not in str(error.value)] == [], str(error.value)
    assert "\n" not in str(error.value)


def test_what_a_layer_of_a_network_has_not_is_explained():
    network, inputs, _ = draw("rnn-tanh", (2, 2), 1)
    (gmap,), _ = gf.network_map(network, inputs, np.ones((STEPS, 2)))
    with pytest.raises(ValueError, match=r"^unscaled_terms is of one layer alone"):
        gmap.unscaled_terms()
    assert np.isnan(gmap.lags(3).unscaled_terms()).all()
    network, inputs, _ = draw("rnn-tanh", (2, 2), 2)
    _, (top, _) = gf.network_map(network, inputs, np.ones((STEPS, 4)))
    with pytest.raises(ValueError, match=r"^truncated is of networks in one direction"):
        top.truncated(2)


@pytest.mark.slow
def test_another_network_of_the_same_sizes_compiles_nothing(compilations):
    def ask(seed):
        network, inputs, carry = draw("gru", (3, 3), 1, seed=seed)
        cotangents = np.random.default_rng(seed).normal(size=(STEPS, 3))
        (below,), (top,) = gf.network_map(network, inputs, cotangents, carry=carry)
        below.log_terms(), top.log_sums(), below.lags(seed).log_terms(), below.log_total()

    ask(3)
    assert compilations
    compilations.clear()
    ask(4)
    assert compilations == []
