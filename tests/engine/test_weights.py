"""How weights are drawn: each initialisation against the framework's own draw, a closed form, or stored figures."""

import os

import numpy as np
import pytest

import gradflow as gf
from gradflow.weights import CHRONO_STEPS, INITS, SET_BIASES, draw

CELLS = ["rnn-tanh", "lstm", "gru"]
KERAS_DRAWS = 400


def drawn(cell, init, hidden=16, inputs=4, seeds=range(40), **options):
    """The fields of many draws, each stacked: [draws, ...]."""
    gates = gf.CELLS[cell].gates
    draws = [draw(gates, hidden, inputs, init=init, seed=seed, **options) for seed in seeds]
    return gf.Weights(*(np.stack(field).astype(float) for field in zip(*draws, strict=True)))


def gate_rows(cell, stacked, gate):
    """The rows of one gate, [draws, n, ...]."""
    k = gf.CELLS[cell].gates.index(gate)
    return np.split(stacked, len(gf.CELLS[cell].gates), axis=1)[k]


def singular_values(cell, weights):
    """Of each gate's block, largest first, [draws · G, n]."""
    n = weights.weight_hh.shape[-1]
    return np.linalg.svd(weights.weight_hh.reshape(-1, n, n), compute_uv=False)


def distance(first, second):
    """Kolmogorov and Smirnov's: the largest difference of two distributions, and what chance exceeds in 1 of 1000."""
    first, second = np.sort(np.ravel(first)), np.sort(np.ravel(second))
    places = np.concatenate([first, second])
    share = lambda sample: np.searchsorted(sample, places, side="right") / len(sample)
    return np.abs(share(first) - share(second)).max(), 1.95 * np.sqrt(1 / len(first) + 1 / len(second))


# ------------------------------------------------------------------------------------------- what holds for every one


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("init", INITS)
def test_a_draw_depends_on_its_seed_and_sizes_alone_and_gains_scale_it(init, cell):
    gates = gf.CELLS[cell].gates
    plain, again = (draw(gates, 8, 4, init=init, seed=3) for _ in range(2))
    scaled = draw(gates, 8, 4, init=init, gain=2.0, input_gain=0.25, seed=3)
    other = draw(gates, 8, 4, init=init, seed=4)
    for name, field in plain._asdict().items():
        assert field.dtype == np.float32
        np.testing.assert_array_equal(field, getattr(again, name))
        factor = {"weight_hh": 2.0, "weight_ih": 0.25}.get(name, 1.0)
        np.testing.assert_array_equal(factor * field, getattr(scaled, name))
    fixed = {"shift": {"weight_ih", "weight_hh"}, "identity": {"weight_hh"}}.get(init, set())
    assert {
        name for name in ("weight_ih", "weight_hh") if (getattr(plain, name) == getattr(other, name)).all()
    } == fixed


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("init", INITS)
def test_the_weights_of_one_unit_are_its_gains(init, cell):
    weights = draw(gf.CELLS[cell].gates, 1, 4, init=init, gain=0.7, input_gain=1.5, seed=5)
    np.testing.assert_array_equal(weights.weight_hh, np.float32(0.7))
    np.testing.assert_array_equal(weights.weight_ih, np.float32([[1.5, 0, 0, 0]]).repeat(len(weights.bias_ih), axis=0))


@pytest.mark.parametrize("init", INITS)
def test_a_bias_that_is_given_takes_the_place_of_the_drawn_one(init):
    plain, moved = (draw(gf.CELLS["lstm"].gates, 8, 4, init=init, biases=b, seed=2) for b in ({}, {"forget": 2.5}))
    forget = np.arange(32) // 8 == 1
    np.testing.assert_array_equal(moved.bias_ih, np.where(forget, np.float32(2.5), plain.bias_ih))
    np.testing.assert_array_equal(moved.bias_hh, np.where(forget, np.float32(0), plain.bias_hh))
    np.testing.assert_array_equal(moved.weight_hh, plain.weight_hh)
    assert np.any([plain.bias_ih, plain.bias_hh]) == (init in SET_BIASES)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("init", ["normal", "chrono"])
def test_normal_weights_have_the_variance_of_their_fan(init, cell):
    weights = drawn(cell, init, hidden=16)
    for field, variance in ((weights.weight_hh, 1 / 16), (weights.weight_ih, 1 / 4)):
        assert np.mean(field) == pytest.approx(0, abs=4 * np.sqrt(variance / field.size))
        assert np.var(field) == pytest.approx(variance, rel=6 / np.sqrt(field.size / 2))
    if init == "normal":
        assert not weights.bias_ih.any() and not weights.bias_hh.any()


@pytest.mark.parametrize("cell", CELLS)
def test_orthogonal_is_one_rotation_or_reflection_a_gate_and_identity_is_one(cell):
    np.testing.assert_allclose(singular_values(cell, drawn(cell, "orthogonal")), 1, rtol=1e-5)
    blocks = drawn(cell, "identity").weight_hh.reshape(-1, 16, 16)
    np.testing.assert_array_equal(blocks, np.broadcast_to(np.eye(16), blocks.shape))


def test_an_unknown_initialisation_is_explained():
    with pytest.raises(ValueError, match=r"^init is 'xavier'; it must be one of normal, orthogonal, identity, pytorch"):
        draw(("hidden",), 4, 4, init="xavier")


# --------------------------------------------------------------------------------------------------------- frameworks


def pytorch_draws(cell, hidden, inputs, draws):
    torch = __import__("torch") if os.environ.get("CI") == "true" else pytest.importorskip("torch")
    torch.manual_seed(0)
    kind = {"rnn-tanh": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
    layers = [kind(inputs, hidden).parameters() for _ in range(draws)]
    return gf.Weights(*(np.stack([np.float64(p.detach()) for p in field]) for field in zip(*layers, strict=True)))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("hidden", [16, 64])
def test_pytorch_is_pytorch_s_own_draw(cell, hidden):
    ours, theirs = drawn(cell, "pytorch", hidden), pytorch_draws(cell, hidden, 4, 40)
    for name in gf.Weights._fields:
        one, other = getattr(ours, name), getattr(theirs, name)
        assert one.shape == other.shape
        apart, chance = distance(one, other)
        assert apart < chance, name
        for sample in (one, other):
            assert 1 - 10 / sample.size < np.abs(sample).max() * np.sqrt(hidden) <= 1 + 1e-6
            assert np.var(sample) == pytest.approx(1 / (3 * hidden), rel=4 / np.sqrt(sample.size))
    one, other = singular_values(cell, ours), singular_values(cell, theirs)
    spread = np.sqrt((one.var(0) + other.var(0)) / len(one))
    assert (np.abs(one.mean(0) - other.mean(0)) < 5 * spread).all()


def test_the_test_above_notices_another_variance_and_another_shape_of_the_distribution():
    uniform, rng = drawn("lstm", "pytorch").weight_hh, np.random.default_rng(0)
    for other in (uniform * 1.05, rng.normal(0, uniform.std(), uniform.shape)):
        apart, chance = distance(uniform, other)
        assert apart > chance


# What Keras 3.12.0 (JAX backend) draws: keras.utils.set_random_seed(k) for k = 0 … 399, layer(16).build((None, 5, 4)).
# kernel: standard deviation and largest size of all entries of all draws; block: the mean over draws and gates of the
# largest and of the median singular value of recurrent_kernel[:, k·16 : (k+1)·16].
KERAS = {
    "rnn-tanh": {"kernel": (0.3164405, 0.5477035), "block": (1.0, 1.0)},
    "lstm": {"kernel": (0.17137985, 0.29704314), "block": (0.8327, 0.4388)},
    "gru": {"kernel": (0.19575793, 0.33968183), "block": (0.9176, 0.5271)},
}


@pytest.mark.parametrize("cell", CELLS)
def test_keras_is_keras_own_draw(cell):
    gates, weights = len(gf.CELLS[cell].gates), drawn(cell, "keras", seeds=range(KERAS_DRAWS))
    deviation, largest = KERAS[cell]["kernel"]
    assert weights.weight_ih.std() == pytest.approx(deviation, rel=0.01)
    assert np.abs(weights.weight_ih).max() == pytest.approx(largest, rel=1e-4)
    values = singular_values(cell, weights)
    assert values[:, 0].mean() == pytest.approx(KERAS[cell]["block"][0], abs=0.005)
    assert np.median(values, axis=1).mean() == pytest.approx(KERAS[cell]["block"][1], abs=0.005)

    limit = np.sqrt(6 / (4 + gates * 16))  # Glorot uniform: fans of the kernel [m, G·n]
    assert np.abs(weights.weight_ih).max() <= limit and weights.weight_ih.std() == pytest.approx(
        limit / np.sqrt(3), rel=0.01
    )
    kernel = np.swapaxes(weights.weight_hh, 1, 2)  # [n, G·n], of orthonormal rows
    np.testing.assert_allclose(
        kernel @ weights.weight_hh, np.broadcast_to(np.eye(16), (KERAS_DRAWS, 16, 16)), atol=1e-5
    )
    assert (values**2).mean() == pytest.approx(1 / gates, rel=1e-5)
    biases = {gate: np.unique(gate_rows(cell, weights.bias_ih, gate)).tolist() for gate in gf.CELLS[cell].gates}
    assert biases == {gate: [float(gate == "forget")] for gate in gf.CELLS[cell].gates}
    assert not weights.bias_hh.any()


@pytest.mark.parametrize(("cell", "gates"), [("lstm", 4), ("gru", 3)])
def test_a_gate_of_keras_stretches_by_less_than_one(cell, gates):
    """A block of 1/G of orthonormal columns: σ₁² → 4c(1 − c) with c = 1/G, the edge of the free product of two
    projections (Wachter 1980)."""
    values = singular_values(cell, drawn(cell, "keras", hidden=128, seeds=range(3)))
    assert values[:, 0].mean() == pytest.approx(np.sqrt(4 / gates * (1 - 1 / gates)), abs=0.015)


@pytest.mark.parametrize(
    ("cell", "keeps", "idle"), [("lstm", "forget", ("cell", "output")), ("gru", "update", ("reset", "new"))]
)
def test_chrono_spreads_the_memories_evenly(cell, keeps, idle):
    weights = drawn(cell, "chrono")
    bias = lambda gate: gate_rows(cell, weights.bias_ih, gate)
    memories = 1 + np.exp(bias(keeps))  # 1/(1 − σ(b)) steps
    assert 2 <= memories.min() < 4 and CHRONO_STEPS - 4 < memories.max() <= CHRONO_STEPS + 1e-3
    apart, chance = distance(memories, np.linspace(2, CHRONO_STEPS, 100_000))
    assert apart < chance
    if cell == "lstm":
        np.testing.assert_array_equal(bias("input"), -bias("forget"))
    assert not weights.bias_hh.any() and not any(bias(gate).any() for gate in idle)


@pytest.mark.parametrize("cell", CELLS)
def test_the_weights_of_chrono_are_normal_s(cell):
    chrono, normal = drawn(cell, "chrono"), drawn(cell, "normal")
    np.testing.assert_array_equal(chrono.weight_ih, normal.weight_ih)
    np.testing.assert_array_equal(chrono.weight_hh, normal.weight_hh)


@pytest.mark.parametrize("cell", CELLS)
def test_shift_hands_every_unit_to_the_next_and_feeds_the_first(cell):
    weights = draw(gf.CELLS[cell].gates, 5, 3, init="shift", gain=0.5, input_gain=2.0)
    state, x = np.arange(1.0, 6.0), np.array([7.0, 8.0, 9.0])
    for pre in np.split(weights.weight_hh @ state, len(gf.CELLS[cell].gates)):
        np.testing.assert_array_equal(pre, 0.5 * np.array([0, 1, 2, 3, 4]))
    for pre in np.split(weights.weight_ih @ x, len(gf.CELLS[cell].gates)):
        np.testing.assert_array_equal(pre, [14, 0, 0, 0, 0])
    assert not weights.bias_ih.any() and not weights.bias_hh.any()


def test_more_than_four_fields_are_explained():
    with pytest.raises(ValueError, match=r"^weights are 8 fields; .* weight_hh.* a single layer.*proj_size"):
        gf.Weights(*range(8))
    assert gf.Weights(1, 2) == (1, 2, None, None)
    assert gf.Weights(1, 2)._replace(bias_ih=3).bias_ih == 3
