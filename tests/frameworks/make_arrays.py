"""Makes the arrays of this folder: tiny networks, run and differentiated by the frameworks themselves.

In an environment of its own, never in the tests':

    python3 -m venv /tmp/frameworks
    /tmp/frameworks/bin/pip install keras jax flax equinox dm-haiku onnx onnxruntime
    PYTHONPATH=.:tests KERAS_BACKEND=jax /tmp/frameworks/bin/python tests/frameworks/make_arrays.py

Each network reads a batch of two sequences; the loss is a sum over them of a function of all outputs. On the way every
block of gradflow/FRAMEWORKS.md runs on the live objects. Kept are what the tests put in their place: by dotted names
the parameters (`weights.`) and, but for ONNX, the first sequence's gradients by them (`gradients.`); inputs, outputs
and cotangents of both; as texts the block and the versions.
"""

from importlib.metadata import version
from pathlib import Path

import equinox
import flax.linen
import flax.nnx
import haiku
import jax
import jax.numpy as jnp
import keras
import numpy as np
import onnx
import onnxruntime

from support.documents import blocks
from support.paths import ROOT

HERE = Path(__file__).parent
BATCH, STEPS, INPUTS, HIDDEN = 2, 6, 3, 4
FIRST, *BLOCKS = blocks("python", (ROOT / "gradflow/FRAMEWORKS.md").read_text("utf-8"))
rng = np.random.default_rng(0)


def draw(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def rest(h):
    """What stands above the recurrent layers, and the loss."""
    return jnp.sin(h).sum() + (h[..., 0] * h[..., -1]).sum()


def keep(file, block, packages, run, weights, offered, reading=lambda tree: tree):
    """Run and differentiate, execute the page's block on the live objects, and keep the arrays.

    run(weights, x) -> outputs; `offered`: what the block is given by name; reading(weights) -> what is kept of them.
    """
    x = draw(BATCH, STEPS, INPUTS)
    h = run(weights, x)
    kept = {"inputs": x, "outputs": np.asarray(h), "cotangents": np.asarray(jax.grad(rest)(h))}
    names = kept | offered
    (code,) = (each for each in BLOCKS if each.startswith(f"# {block}\n"))
    exec(FIRST + code, names)
    names["seen"].maps(0)
    arrays = dict(flat(reading(weights), "weights"))
    if packages != ("onnx", "onnxruntime"):
        arrays |= flat(reading(jax.grad(lambda weights: rest(run(weights, x)[0]))(weights)), "gradients")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    np.savez(HERE / f"{file}.npz", block=block, versions=versions, **kept, **arrays)
    print(file, versions, (HERE / f"{file}.npz").stat().st_size)


def flat(tree, name):
    """Dotted name -> array."""
    if hasattr(tree, "items") or isinstance(tree, (list, tuple)):
        items = tree.items() if hasattr(tree, "items") else enumerate(tree)
        return {key: each for part, child in items for key, each in flat(child, f"{name}.{part}").items()}
    return {name: np.asarray(tree)}


# ------------------------------------------------------------------------------------------------------- Keras


def keras_layer(file, block, layers):
    x = draw(BATCH, STEPS, INPUTS)
    for layer in layers:
        x = layer(x)
        layer.set_weights([draw(*each.shape) / 2 for each in layer.get_weights()])

    def run(weights, x):
        for layer, own in zip(layers, weights, strict=True):
            x, _ = layer.stateless_call(own, [each.value for each in layer.non_trainable_variables], x)
        return x

    def reading(weights):
        """The lists that `get_weights` returns, of the layer or of its two directions."""
        one = lambda layer, own: dict(enumerate(own))
        two = lambda layer, own: {"forward_layer": dict(enumerate(own[:3])), "backward_layer": dict(enumerate(own[3:]))}
        each = two if block.startswith("keras.layers.Bidirectional") else one
        parts = [each(layer, own) for layer, own in zip(layers, weights, strict=True)]
        return parts if each is two else parts[0]

    weights = [[each.value for each in layer.trainable_variables] for layer in layers]
    keep(file, block, ("keras", "jax"), run, weights, {"layer": layers[0], "layers": layers}, reading)


keras_layer("keras-lstm", "keras.layers.LSTM", [keras.layers.LSTM(HIDDEN, return_sequences=True)])
keras_layer("keras-gru", "keras.layers.GRU", [keras.layers.GRU(HIDDEN, return_sequences=True)])
keras_layer("keras-rnn", "keras.layers.SimpleRNN", [keras.layers.SimpleRNN(HIDDEN, return_sequences=True)])
keras_layer(
    "keras-bidirectional",
    "keras.layers.Bidirectional, two layers",
    [keras.layers.Bidirectional(keras.layers.LSTM(2, return_sequences=True)) for _ in range(2)],
)

# -------------------------------------------------------------------------------------------------------- flax


def redrawn(tree):
    return jax.tree.map(lambda each: jnp.asarray(draw(*each.shape) / 2), tree)


def linen(file, block, cell):
    rnn = flax.linen.RNN(cell)
    variables = redrawn(rnn.init(jax.random.key(0), draw(BATCH, STEPS, INPUTS)))
    weights = variables["params"]["cell"]
    run = lambda own, x: rnn.apply({"params": {"cell": own}}, x)
    keep(file, block, ("flax", "jax"), run, weights, {"params": weights})


def nnx(file, block, kind):
    cell = kind(INPUTS, HIDDEN, rngs=flax.nnx.Rngs(0))
    graph, state, others = flax.nnx.split(cell, flax.nnx.Param, ...)
    state = redrawn(state)

    def run(own, x):
        return flax.nnx.RNN(flax.nnx.merge(graph, own, others))(x)

    offered = {"cell": flax.nnx.merge(graph, state, others)}
    keep(file, block, ("flax", "jax"), run, state, offered, flax.nnx.to_pure_dict)


linen("linen-lstm", "flax.linen.LSTMCell, OptimizedLSTMCell", flax.linen.LSTMCell(HIDDEN))
linen("linen-optimized-lstm", "flax.linen.LSTMCell, OptimizedLSTMCell", flax.linen.OptimizedLSTMCell(HIDDEN))
linen("linen-gru", "flax.linen.GRUCell", flax.linen.GRUCell(HIDDEN))
nnx("nnx-lstm", "flax.nnx.LSTMCell", flax.nnx.LSTMCell)
nnx("nnx-optimized-lstm", "flax.nnx.OptimizedLSTMCell", flax.nnx.OptimizedLSTMCell)
nnx("nnx-gru", "flax.nnx.GRUCell", flax.nnx.GRUCell)

# ----------------------------------------------------------------------------------------------------- equinox


def eqx(file, block, cell, fields):
    cell = redrawn(cell)

    def of_sequence(cell, x):
        def one(carry, x):
            carry = cell(x, carry)
            return carry, carry[0] if isinstance(carry, tuple) else carry

        zeros = jnp.zeros(HIDDEN)
        return jax.lax.scan(one, (zeros, zeros) if len(fields) == 3 else zeros, x)[1]

    run = lambda cell, x: jax.vmap(lambda own: of_sequence(cell, own))(x)
    reading = lambda cell: {name: getattr(cell, name) for name in fields}
    keep(file, block, ("equinox", "jax"), run, cell, {"cell": cell}, reading)


LSTM, GRU = ("weight_ih", "weight_hh", "bias"), ("weight_ih", "weight_hh", "bias", "bias_n")
eqx("equinox-lstm", "equinox.nn.LSTMCell", equinox.nn.LSTMCell(INPUTS, HIDDEN, key=jax.random.key(0)), LSTM)
eqx("equinox-gru", "equinox.nn.GRUCell", equinox.nn.GRUCell(INPUTS, HIDDEN, key=jax.random.key(0)), GRU)

# ------------------------------------------------------------------------------------------------------- haiku


def unrolled(x):
    core = haiku.LSTM(HIDDEN)
    return haiku.dynamic_unroll(core, x, core.initial_state(BATCH), time_major=False)[0]


network = haiku.without_apply_rng(haiku.transform(unrolled))
drawn = redrawn(network.init(jax.random.key(0), draw(BATCH, STEPS, INPUTS)))["lstm/linear"]
run = lambda own, x: network.apply({"lstm/linear": own}, x)
keep("haiku-lstm", "haiku.LSTM", ("dm-haiku", "jax"), run, drawn, {"params": drawn})

# -------------------------------------------------------------------------------------------------------- ONNX


def onnx_layer(file, kind, gates, directions, **attributes):
    shapes = {"W": (gates * HIDDEN, INPUTS), "R": (gates * HIDDEN, HIDDEN), "B": (2 * gates * HIDDEN,)}
    weights = {name: draw(directions, *shape) / 2 for name, shape in shapes.items()}
    node = onnx.helper.make_node(
        kind,
        ["X", *weights],
        ["Y"],
        hidden_size=HIDDEN,
        direction="bidirectional" if directions == 2 else "forward",
        **attributes,
    )
    floats = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node],
        "layer",
        [onnx.helper.make_tensor_value_info("X", floats, [STEPS, BATCH, INPUTS])],
        [onnx.helper.make_tensor_value_info("Y", floats, [STEPS, directions, BATCH, HIDDEN])],
        [onnx.numpy_helper.from_array(each, name) for name, each in weights.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())

    def run(weights, x):
        (Y,) = session.run(None, {"X": np.moveaxis(x, 1, 0)})
        return np.moveaxis(Y, 2, 0).reshape(BATCH, STEPS, directions * HIDDEN)

    keep(file, f"onnx {kind}", ("onnx", "onnxruntime"), run, weights, {"model": model})


onnx_layer("onnx-lstm", "LSTM", 4, 2)
onnx_layer("onnx-gru", "GRU", 3, 1, linear_before_reset=1)
