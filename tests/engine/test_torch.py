"""What PyTorch has is taken as it is: parameters, tensors of every floating point, layers without biases."""

import os

import numpy as np
import pytest

import gradflow as gf
from support.subprocesses import loaded

pytestmark = pytest.mark.slow

KINDS = {
    "rnn-tanh": ("RNN", {}),
    "rnn-relu": ("RNN", {"nonlinearity": "relu"}),
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {}),
}
STEPS, INPUTS, HIDDEN = 12, 2, 3


@pytest.fixture
def torch():
    torch = __import__("torch") if os.environ.get("CI") == "true" else pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch


def layer(torch, cell, **options):
    kind, own = KINDS[cell]
    return getattr(torch.nn, kind)(INPUTS, HIDDEN, **own, **options)


def task(torch, dtype=None):
    """(inputs, readout, targets) as tensors that want gradients."""
    return [torch.randn(*shape, dtype=dtype, requires_grad=True) for shape in ((STEPS, INPUTS), (HIDDEN,), (STEPS,))]


def carry_of(torch, cell, dtype=None):
    return tuple(torch.randn(HIDDEN, dtype=dtype) for _ in gf.CELLS[cell].carry)


def log_gradients(torch, module, inputs, readout, targets, carry):
    """Field -> log ‖dC(t)/dW‖ of the shared weight for every t, by PyTorch's own layer and autograd."""
    before = tuple(state[None] for state in carry)
    h, _ = module(inputs, before if len(carry) > 1 else before[0])
    costs = (h @ readout - targets) ** 2 / 2
    gradients = [torch.autograd.grad(cost, list(module.parameters()), retain_graph=True) for cost in costs]
    names = [name.removesuffix("_l0") for name, _ in module.named_parameters()]
    return {name: [float(each[k].norm().log()) for each in gradients] for k, name in enumerate(names)}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cell", KINDS)
def test_the_terms_of_a_layer_s_parameters_add_up_to_autograd(torch, float64, cell, bias):
    module = layer(torch, cell, bias=bias, dtype=torch.float64)
    arrays, carry = task(torch, torch.float64), carry_of(torch, cell, torch.float64)
    gmap = gf.gradient_map(cell, gf.Weights(*module.parameters()), *arrays, carry=carry)
    assert gmap.cost.dtype == np.float64
    expected = log_gradients(torch, module, *arrays, carry)
    assert len(expected) == (4 if bias else 2)
    for name, logs in expected.items():
        np.testing.assert_allclose(gmap.log_sums(name), logs, rtol=1e-9, atol=1e-9)


def test_a_min_gru_is_a_gru_that_does_not_look_back(torch, float64):
    """With W_hh = 0 and b_hh = 0 the reset gate has nothing to reset: its rows get no gradient, the others the same."""
    module = layer(torch, "gru", dtype=torch.float64)
    with torch.no_grad():
        module.weight_hh_l0.zero_()
        module.bias_hh_l0.zero_()
    arrays, carry = task(torch, torch.float64), carry_of(torch, "mingru", torch.float64)
    weights = gf.Weights(*(parameter[HIDDEN:] for parameter in module.parameters()))
    gmap = gf.gradient_map("mingru", weights, *arrays, carry=carry)
    expected = log_gradients(torch, module, *arrays, carry)
    for name in ("weight_ih", "bias_ih"):
        np.testing.assert_allclose(gmap.log_sums(name), expected[name], rtol=1e-9, atol=1e-9)
    assert np.isneginf(gmap.log_terms("weight_hh")).all() and np.isneginf(gmap.log_terms("bias_hh")).all()


@pytest.mark.parametrize("cell", KINDS)
def test_a_missing_bias_is_zero(torch, cell):
    module, arrays = layer(torch, cell, bias=False), task(torch)
    rows = module.weight_ih_l0.shape[0]
    with_zeros = gf.Weights(*module.parameters(), torch.zeros(rows), torch.zeros(rows))
    answer = lambda weights: gf.gradient_map(cell, weights, *arrays).log_terms("all")
    for weights in (gf.Weights(*module.parameters()), module.parameters(), (*module.parameters(), None, None)):
        np.testing.assert_array_equal(answer(weights), answer(with_zeros))
    one = gf.Weights(*module.parameters(), bias_hh=torch.ones(rows))
    np.testing.assert_array_equal(answer(one), answer(with_zeros._replace(bias_hh=torch.ones(rows))))


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("wide", [True, False])
def test_a_tensor_of_any_floating_point_counts_as_its_numbers_in_numpy_do(torch, name, wide):
    """Precision is the result type of all arrays, at least float32; of bfloat16, which NumPy has not, float32."""
    import jax

    dtype = getattr(torch, name)
    module, arrays = layer(torch, "lstm", dtype=dtype), task(torch, dtype)
    plain = lambda tensor: tensor.detach().double().numpy().astype(np.float64 if name == "float64" else np.float32)
    pins = {"forget": torch.rand(STEPS, dtype=dtype), "output": torch.tensor(0.5, dtype=dtype)}
    with jax.enable_x64(wide):
        ours = gf.gradient_map("lstm", gf.Weights(*module.parameters()), *arrays, pins=pins)
        weights, given = gf.Weights(*map(plain, module.parameters())), map(plain, arrays)
        theirs = gf.gradient_map("lstm", weights, *given, pins={gate: plain(pin) for gate, pin in pins.items()})
        assert ours.cost.dtype == theirs.cost.dtype == (np.float64 if wide and name == "float64" else np.float32)
        np.testing.assert_array_equal(ours.log_terms("all"), theirs.log_terms("all"))


def test_tensors_mix_with_arrays_and_lists_and_other_entrances_take_them(torch):
    module, (inputs, readout, targets) = layer(torch, "gru"), task(torch)
    weights, host = gf.Weights(*module.parameters()), lambda tensor: tensor.detach().numpy()
    whole = gf.gradient_map("gru", weights, inputs, readout, targets)
    mixed = gf.gradient_map("gru", weights, host(inputs), readout.tolist(), host(targets))
    np.testing.assert_array_equal(whole.log_terms(), mixed.log_terms())
    lags = gf.lag_terms("gru", weights, inputs, readout, targets, 7)
    np.testing.assert_allclose(lags.log_terms(), whole.log_terms()[7, :8], atol=1e-5)
    problem = {"cell": "gru", "weights": weights, "inputs": inputs, "readout": readout, "targets": targets}
    (one,) = gf.gradient_maps([problem])
    np.testing.assert_allclose(one.log_terms(), whole.log_terms(), atol=1e-5)


def test_a_step_of_training_after_it_changes_no_answer(torch):
    module, arrays = layer(torch, "lstm"), task(torch)
    ask = lambda: gf.gradient_map("lstm", gf.Weights(*module.parameters()), *arrays)
    expected, kept = ask().log_sums("all"), ask()
    with torch.no_grad():
        for tensor in (*module.parameters(), *arrays):
            tensor.mul_(3)
    np.testing.assert_array_equal(kept.log_sums("all"), expected)
    assert not np.array_equal(ask().log_sums("all"), expected)


@pytest.mark.parametrize("options", [{}, {"bias": False}])
def test_a_projection_is_explained(torch, options):
    module = torch.nn.LSTM(INPUTS, HIDDEN, proj_size=2, **options)
    inputs, _, targets = task(torch)
    fields = dict(module.named_parameters())
    for given in (lambda: [fields["weight_ih_l0"], fields["weight_hh_l0"]], lambda: gf.Weights(*module.parameters())):
        with pytest.raises(ValueError) as error:
            gf.gradient_map("lstm", given(), inputs, torch.randn(2), targets)
        assert "proj_size" in str(error.value) and "\n" not in str(error.value)
        assert str(error.value).startswith(("weight_hh has shape [12, 2], that of 3 units", "weights are 5 fields;"))


@pytest.mark.parametrize("more", [{"num_layers": 2}, {"bidirectional": True}])
def test_more_than_one_layer_or_direction_is_explained(torch, more):
    with pytest.raises(ValueError, match=r"^weights are 8 fields; one layer in one direction has weight_ih"):
        gf.Weights(*layer(torch, "gru", **more).parameters())


def test_a_tensor_of_integers_is_explained(torch):
    module, names = layer(torch, "lstm"), ("inputs", "readout", "targets")
    arrays = dict(zip(names, task(torch), strict=True))
    weights, whole = gf.Weights(*module.parameters()), torch.ones(STEPS, dtype=torch.int64)
    wrong = [({name: arrays[name].to(torch.int32)}, name, "int32") for name in names]
    wrong += [
        ({"weights": weights._replace(**{name: getattr(weights, name).to(torch.int8)})}, name, "int8")
        for name in weights._fields
    ]
    wrong += [({"pins": {"forget": whole}}, "pins['forget']", "int64")]
    wrong += [({"carry": (torch.zeros(HIDDEN), torch.zeros(HIDDEN, dtype=torch.bool))}, "carry", "bool")]
    for change, name, kind in wrong:
        with pytest.raises(ValueError) as error:
            gf.gradient_map(**{"cell": "lstm", "weights": weights, **arrays, **change})
        assert (
            str(error.value)
            == f"{name} is a tensor of torch.{kind}; it must be of floating point, as .float() makes it"
        )


def test_pytorch_is_never_imported():
    code = """
import gradflow.problem
from gradflow.app.measurement import measure
from gradflow.app.scenario import Scenario
measure(Scenario(hidden=2, horizon=5, init="pytorch", forget=None))
"""
    assert not loaded({"torch"}, code)
