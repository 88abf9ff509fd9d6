"""The blocks of gradflow/FRAMEWORKS.md on what the frameworks themselves gave (`make_arrays.py`)."""

import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradflow as gf
from support import oracle
from support.documents import blocks
from support.paths import ROOT

PAGE = (ROOT / "gradflow/FRAMEWORKS.md").read_text("utf-8")
FIRST, *BLOCKS = blocks("python", PAGE)
OWN = "an LSTM with ReLU"
HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.npz"))


def title(block):
    return block.splitlines()[0].removeprefix("# ")


def code(name):
    (block,) = (each for each in BLOCKS if title(each) == name)
    return FIRST + block


def tree(arrays, name):
    """The nested dict of what is kept under a dotted name."""
    nested = {}
    for key, array in arrays.items():
        if key.startswith(f"{name}."):
            _, *parts, last = key.split(".")
            inner = nested
            for part in parts:
                inner = inner.setdefault(part, {})
            inner[last] = array
    return nested


def stand_in(name, kept):
    """What a block is given, in place of the framework's objects, out of parameters or gradients."""
    framework = name.split(".")[0].split()[0]
    if framework == "keras":
        one = lambda own: SimpleNamespace(get_weights=lambda: [own[str(k)] for k in range(len(own))])
        two = lambda own: SimpleNamespace(**{direction: one(each) for direction, each in own.items()})
        return {"layers": [two(kept[k]) for k in sorted(kept)]} if "Bidirectional" in name else {"layer": one(kept)}
    if framework == "onnx":
        initializer = [SimpleNamespace(name=key, array=array) for key, array in kept.items()]
        node = [SimpleNamespace(op_type="Transpose"), SimpleNamespace(op_type=name.split()[1], input=["X", *kept])]
        return {"model": SimpleNamespace(graph=SimpleNamespace(node=node, initializer=initializer))}
    if name.startswith(("flax.linen", "haiku")):
        return {"params": kept}
    return {"cell": attributes(kept)}


def attributes(kept):
    part = lambda each: attributes(each) if isinstance(each, dict) else each
    return SimpleNamespace(**{name: part(each) for name, each in kept.items()})


@pytest.fixture
def onnx(monkeypatch):
    """Enough of the package to read an initialiser."""
    package = SimpleNamespace(numpy_helper=SimpleNamespace(to_array=lambda initializer: initializer.array))
    monkeypatch.setitem(sys.modules, "onnx", package)


def run(arrays, kept):
    """The `Recording` that the page's block makes."""
    name = str(arrays["block"])
    names = {each: arrays[each] for each in ("inputs", "cotangents", "outputs")} | stand_in(name, kept)
    exec(compile(code(name), name, "exec"), names)
    return names["seen"]


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def arrays(request, onnx):
    with np.load(request.param) as file:
        return dict(file)


def test_outputs_are_the_frameworks_own(arrays):
    seen = run(arrays, tree(arrays, "weights"))
    for b, outputs in enumerate(arrays["outputs"]):
        ours = np.concatenate([each.outputs for each in seen.maps(b)[-1]], axis=1)
        np.testing.assert_allclose(ours, outputs, rtol=0, atol=1e-6)


def test_total_gradient_is_the_frameworks_own(arrays):
    """log ‖dL/dW‖ by gate, weight, layer and direction; the parameters' gradients go through the same block.

    A block is affine in the parameters, so what it adds of itself cancels in the difference.
    """
    if not (kept := tree(arrays, "gradients")):
        assert str(arrays["block"]).startswith("onnx")  # it does not differentiate
        return
    seen = run(arrays, tree(arrays, "weights"))
    gates = gf.CELLS[seen.network.cell].gates
    theirs, nothing = run(arrays, kept).network, run(arrays, jax.tree.map(np.zeros_like, kept)).network
    compared = 0
    for k, layer in enumerate(theirs.layers):
        for d, gradients in enumerate(layer):
            for name in gf.Weights._fields:
                if getattr(gradients, name) is None:
                    continue
                whole = getattr(gradients, name) - getattr(nothing.layers[k][d], name)
                for gate, rows in zip(gates, np.split(whole, len(gates)), strict=True):
                    if np.any(rows):  # zero where the framework has no such bias
                        ours = seen.maps(0)[k][d].log_total(name, gate)
                        assert ours == pytest.approx(np.log(np.linalg.norm(rows)), abs=1e-5)
                        compared += 1
    assert compared >= 3 * len(gates) * len(theirs.layers) * len(theirs.layers[0])


def test_every_block_has_its_arrays_and_they_are_small():
    names = set()
    for path in FILES:
        with np.load(path) as file:
            names.add(str(file["block"]))
            assert "." in str(file["versions"])
        assert path.stat().st_size < 12_000
    assert {title(block) for block in BLOCKS} == {*names, OWN}


def test_one_layer_of_one_sequence_is_a_gradient_map():
    with np.load(HERE / "keras-gru.npz") as file:
        arrays = dict(file)
    seen = run(arrays, tree(arrays, "weights"))
    weights, cotangents = seen.network.layers[0][0], seen.cotangents[1]
    gmap = gf.gradient_map("gru", weights, seen.inputs[1], cotangents=cotangents)
    np.testing.assert_allclose(gmap.log_terms(), seen.maps(1)[0][0].log_terms(), rtol=0, atol=1e-5)


def test_a_wrong_gate_order_is_refused(onnx):
    with np.load(HERE / "onnx-lstm.npz") as file:
        arrays = dict(file)
    names = {each: arrays[each] for each in ("inputs", "cotangents", "outputs")}
    names |= stand_in("onnx LSTM", tree(arrays, "weights"))
    exec(code("onnx LSTM").replace('"iofg"', '"ifgo"'), names)
    with pytest.raises(ValueError, match="differ from gradflow's by"):
        names["seen"].maps()


def test_what_is_handed_over_wrongly_is_refused_in_a_sentence():
    rng = np.random.default_rng(0)
    x, cotangents, weights = (
        rng.random((2, 5, 3)),
        rng.random((2, 5, 4)),
        gf.Weights(rng.random((4, 3)), rng.random((4, 4))),
    )
    network = gf.Network("rnn-tanh", [[weights]])
    with pytest.raises(ValueError, match=r"inputs has a sequence of shape \[3\]; each must be \[T, …\]"):
        gf.Recording(network, x[0], cotangents[0])
    for given in ((cotangents[:1],), (cotangents, cotangents[:1])):
        with pytest.raises(ValueError, match="is of 1 sequences, and inputs of 2"):
            gf.Recording(network, x, *given)
    for layers in (weights, [[weights.weight_ih]], np.zeros((2, 2))):
        with pytest.raises(ValueError, match=r"a single layer in one direction is \[\[weights\]\]"):
            gf.network_map(gf.Network("rnn-tanh", layers), x[0], cotangents[0])


def test_a_cell_of_ones_own(float64):
    """Against `jax.jacrev` of the same step, written out, by a copy of the weights a step."""
    rng = np.random.default_rng(1)
    T, m, n = 4, 2, 3
    x, cotangents = rng.standard_normal((T, m)), rng.standard_normal((T, n))
    weights = gf.Weights(*(rng.standard_normal(shape) for shape in ((4 * n, m), (4 * n, n), (4 * n,), (4 * n,))))
    names = {"weights": weights, "inputs": [x], "cotangents": [cotangents]}
    exec(code(OWN), names)

    def outputs(copies):
        h, c, out = jnp.zeros(n), jnp.zeros(n), []
        for s in range(T):
            w_ih, w_hh, b_ih, b_hh = (field[s] for field in copies)
            i, f, g, o = jnp.split(w_ih @ x[s] + b_ih + w_hh @ h + b_hh, 4)
            c = c / (1 + jnp.exp(-f)) + jnp.maximum(g, 0) / (1 + jnp.exp(-i))
            h = jnp.maximum(c, 0) / (1 + jnp.exp(-o))
            out.append(h)
        return jnp.stack(out)

    copies = gf.Weights(*(jnp.stack(T * [field]) for field in weights))
    terms = jax.jit(jax.jacrev(lambda copies: (outputs(copies) * cotangents).sum(1)))(copies)
    for name in gf.Weights._fields:
        by_copy = np.asarray(getattr(terms, name)).reshape(T, T, -1)
        np.testing.assert_allclose(names["gmap"].log_terms_by_copy(name), oracle.log_norm(by_copy), atol=1e-9)
    seen = gf.Recording(gf.Network(names["cell"], [[weights]]), [x], [cotangents])
    np.testing.assert_allclose(seen.maps()[0][0].log_terms(), names["gmap"].log_terms(), rtol=0, atol=1e-9)
    for cell in (names["cell"], names["cell"]._replace(name="lstm")):
        with pytest.raises(ValueError, match="and not gradflow's own; a file holds no code"):
            gf.Recording(gf.Network(cell, [[weights]]), [x], [cotangents]).save("never.npz")
    assert names["gmap"].log_total() == pytest.approx(
        np.log(np.linalg.norm(np.asarray(terms.weight_hh).sum((0, 1)))), abs=1e-9
    )
