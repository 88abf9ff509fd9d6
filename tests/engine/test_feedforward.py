"""A feed-forward net's gradients, layer by layer, against `jax.grad` and what is known of their decay."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradflow as gf
from gradflow.feedforward import ACTIVATIONS, DEEPEST, MAX_DEPTH, draw_net
from support import oracle
from support.fits import factor_per_step
from support.problems import assert_logs

pytestmark = pytest.mark.slow

WIDTH = 16  # one width for most tests, since each one compiles
SEEDS = range(8)

every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)


@cache
def derivatives(activation):
    """dC/dW_l [depth, width, width], dC/d(W_l h_{l−1}) and h_{l−1} [depth, width] of a loss written by hand."""
    act = {
        "sigmoid": lambda z: 1 / (1 + jnp.exp(-z)),
        "tanh": jnp.tanh,
        "relu": lambda z: jnp.where(z > 0, z, 0.0),
        "linear": lambda z: z,
    }[activation]

    def cost(weights, nudges, net):
        h, before = net.input, []
        for weight, nudge in zip(weights, nudges, strict=True):
            before.append(h)
            h = act(weight @ h + nudge)
        return (net.readout @ h - net.target) ** 2 / 2, jnp.stack(before)

    return jax.jit(jax.grad(cost, argnums=(0, 1), has_aux=True))


@pytest.mark.parametrize(("double", "atol"), [(True, 1e-9), (False, 1e-4)])
@pytest.mark.parametrize(("depth", "gain", "seed"), [(1, 1.0, 0), (7, 1.5, 3)])
@every_activation
def test_every_layer_has_the_gradient_of_its_own_weights(activation, depth, gain, seed, double, atol):
    net = draw_net(depth, WIDTH, gain, seed)
    with jax.enable_x64(True):
        (weights, delta), before = derivatives(activation)(net.weights, np.zeros((depth, WIDTH)), net)
    with jax.enable_x64(double):
        layers = gf.layer_gradients(activation, depth, WIDTH, gain, seed)
    assert layers.overflow is None
    assert_logs(layers.log_terms, oracle.log_norm(np.asarray(weights).reshape(depth, -1)), atol)
    assert_logs(layers.log_delta, oracle.log_norm(np.asarray(delta)), atol)
    assert_logs(layers.log_input, oracle.log_norm(np.asarray(before)), atol)


def test_the_draw():
    net = draw_net(40, 64, 1.5, 0)
    assert net.weights.std() == pytest.approx(1.5 / 8, rel=0.01)
    assert net.readout.std() == pytest.approx(1 / 8, rel=0.3)
    assert net.input.std() == pytest.approx(1, rel=0.3)
    assert np.std([draw_net(1, 1, 1.0, seed).target for seed in range(300)]) == pytest.approx(1, rel=0.2)
    half = draw_net(40, 64, 0.75, 0)
    np.testing.assert_allclose(half.weights * 2, net.weights)
    np.testing.assert_array_equal(half.readout, net.readout)


@every_activation
@pytest.mark.parametrize("deep", [40, MAX_DEPTH + 1])
def test_a_deeper_net_has_the_layers_of_a_shallower_one(activation, deep):
    """What enters the layers does not know what lies above them."""
    shallow, deeper = (gf.layer_gradients(activation, depth, WIDTH, seed=2) for depth in (3, deep))
    assert [len(field) for field in shallow[:3]] == [3, 3, 3]
    assert [len(field) for field in deeper[:3]] == [deep, deep, deep]
    np.testing.assert_allclose(deeper.log_input[:3], shallow.log_input, atol=1e-6)


def factors(activation, gain, width, depth):
    """Medians over eight seeds: δ a layer down, h a layer up, the term a layer down."""
    nets = [gf.layer_gradients(activation, depth, width, gain, seed) for seed in SEEDS]
    each = [
        (1 / factor_per_step(n.log_delta), factor_per_step(n.log_input[1:]), 1 / factor_per_step(n.log_terms))
        for n in nets
    ]
    return np.median(each, axis=0)


def test_below_sigmoids_the_gradient_vanishes_layer_by_layer():
    delta, h, term = factors("sigmoid", 1.0, WIDTH, 32)
    assert 0.21 < delta < 0.30
    assert h == pytest.approx(1, abs=0.01)  # σ is never near 0, so that h does not fade
    assert term == pytest.approx(delta, rel=0.02)


@pytest.mark.parametrize("gain", [0.5, 1.0, 2**0.5, 2.0])
@pytest.mark.parametrize(("activation", "keeps"), [("relu", 2**0.5), ("linear", 1.0)])
def test_without_saturation_the_gain_moves_both_factors_and_no_term(activation, keeps, gain):
    """δ falls on its way down by as much as h falls on its way up: gain √2 keeps both for relu, 1 for a linear net."""
    delta, h, term = factors(activation, gain, 64, 32)
    assert delta == pytest.approx(gain / keeps, rel=0.05)
    assert h == pytest.approx(gain / keeps, rel=0.05)
    assert term == pytest.approx(1, abs=0.05)


def test_below_tanh_the_terms_look_flat_where_the_signal_fades_too():
    """Only at small gain: at 2 the units saturate, h stays and δ grows."""
    delta, h, term = factors("tanh", 0.5, 64, 32)
    assert 0.45 < delta < 0.55
    assert 0.45 < h < 0.55
    assert term == pytest.approx(1, abs=0.05)
    delta, h, term = factors("tanh", 2.0, 64, 32)
    assert h == pytest.approx(1, abs=0.01)
    assert 1.1 < delta < 1.2
    assert term == pytest.approx(delta, rel=0.02)


def test_a_deep_net_leaves_single_precision_and_is_still_measured():
    layers = gf.layer_gradients("sigmoid", DEEPEST, WIDTH)
    assert np.isfinite(layers.log_terms).all()
    assert -400 < layers.log_delta[0] < -350
    halves = np.split(layers.log_delta, 2)
    assert factor_per_step(halves[0]) == pytest.approx(factor_per_step(halves[1]), rel=0.05)  # no floor


def test_a_net_may_overflow_or_have_no_gradient():
    lost = gf.layer_gradients("linear", 40, WIDTH, gain=1e3)
    assert 10 < lost.overflow < 15  # 1e3^13 leaves float32
    assert all(np.isnan(field).all() for field in lost[:3])
    below = gf.layer_gradients("linear", lost.overflow, WIDTH, gain=1e3)
    assert below.overflow is None
    assert all(np.isfinite(field).all() for field in below[:3])
    shut = gf.layer_gradients("relu", 64, 4)
    assert np.isneginf(shut.log_delta).all()
    assert np.isneginf(shut.log_terms).all()
    assert np.isfinite(shut.log_input[0])


@every_activation
def test_other_depths_gains_and_seeds_compile_nothing(activation, compilations):
    gf.layer_gradients(activation, 5, WIDTH)
    compilations.clear()
    for depth, gain, seed in ((1, 1.0, 0), (MAX_DEPTH, 0.5, 7), (np.int64(12), 2, 3)):
        gf.layer_gradients(activation, depth, WIDTH, gain, seed)
    assert compilations == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"activation": "gelu"}, "activation is 'gelu'; it must be one of sigmoid, tanh, relu, linear"),
        ({"depth": 0}, "depth is 0; it must be a whole number between 1 and 256"),
        ({"depth": 257}, "depth is 257; it must be a whole number between 1 and 256"),
        ({"depth": True}, "depth is True; it must be a whole number between 1 and 256"),
        ({"width": 2.5}, "width is 2.5; it must be a whole number between 1 and 512"),
        ({"seed": -1}, "seed is -1; it must be a whole number between 0 and 4294967295"),
        ({"gain": 0}, "gain is 0; it must be a finite number above 0"),
        ({"gain": np.inf}, "gain is inf; it must be a finite number above 0"),
        ({"gain": np.nan}, "gain is nan; it must be a finite number above 0"),
        ({"gain": "1"}, "gain is '1'; it must be a finite number above 0"),
    ],
)
def test_a_bad_argument_is_explained(change, sentence):
    with pytest.raises(ValueError) as error:
        gf.layer_gradients(**{"activation": "tanh", "depth": 4, "width": 4} | change)
    assert str(error.value) == sentence
