"""Recurrent cells: one record each, with its equation, source, gates, carry and one elementwise step.

A step is written for a single example. It receives the two pre-activations

    a_x(s) = W_ih x(s) + b_ih        a_h(s) = W_hh h(s-1) + b_hh        each f[G, n], one row per gate

and turns them, with the carry of the step before, into the next carry. Every unit depends on its own column
alone; whatever mixes units happens in W. A new cell is one function and one entry of `CELLS`.

What is read here needs no JAX, which takes half a second to import: only a step imports it, when it is traced.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import jax


class Pin(NamedTuple):
    """A gate held at a constant: `value` where `mask` is true, the network's own gate elsewhere."""

    mask: "jax.Array"  # bool, f[] in a step, [T] over a sequence
    value: "jax.Array"  # in [0, 1]


class Cell(NamedTuple):
    """A recurrent cell, `step(a_x, a_h, carry, pins) -> carry`."""

    name: str
    title: str
    equation: str  # LaTeX
    source: str
    gates: tuple[str, ...]  # PyTorch's order of the G blocks of rows
    carry: tuple[str, ...]  # names of the states, h first, each f[n]
    step: Callable
    pinnable: tuple[str, ...] = ()  # the sigmoid gates, in alphabetical order
    split_bias_gates: tuple[str, ...] = ()  # gates that use a_x and a_h apart: dC/da_x and dC/da_h, so dC/db, differ
    keep_gate: str | None = None  # the sigmoid gate that the state is multiplied by
    write_gate: str | None = None  # the one that new input is multiplied by, if it is another
    labels: tuple[tuple[str, str], ...] = ()  # (gate, what the page calls it), where that is another word
    unused: tuple[str, ...] = ()  # weights that no step uses: all their terms are zero
    bounded: bool = True  # whether activations or gates keep every |h| that starts so at most one
    max_slope: float | None = None  # γ = max φ′ where h = φ(a) alone, as in a plain RNN; elsewhere None

    @property
    def has_cell_path(self) -> bool:
        """Whether a cell state c goes its own way beside h."""
        return self.carry == ("h", "c")

    def label(self, gate: str) -> str:
        """What the page calls a gate."""
        return dict(self.labels).get(gate, gate)

    def used(self, weight: str) -> str:
        """The weight itself, or its like at the input where no step uses it."""
        return weight.replace("_hh", "_ih") if weight in self.unused else weight


def _rnn(activation):
    def step(a_x, a_h, carry, pins):
        from gradflow import activations

        return (getattr(activations, activation)((a_x + a_h)[0]),)

    return step


def _lstm(a_x, a_h, carry, pins):
    from gradflow.activations import gate_value, tanh

    _, c = carry
    i, f, g, o = a_x + a_h
    c = gate_value(f, pins["forget"]) * c + gate_value(i, pins["input"]) * tanh(g)
    return gate_value(o, pins["output"]) * tanh(c), c


def _gru(a_x, a_h, carry, pins):
    from gradflow.activations import gate_value, one_minus_gate, tanh

    (h,) = carry
    r, z, _ = a_x + a_h
    new = tanh(a_x[2] + gate_value(r, pins["reset"]) * a_h[2])
    return (one_minus_gate(z, pins["update"]) * new + gate_value(z, pins["update"]) * h,)


def _min_gru(a_x, a_h, carry, pins):
    from gradflow.activations import gate_value, one_minus_gate, tanh

    (h,), (z, n) = carry, a_x
    return (one_minus_gate(z, pins["update"]) * tanh(n) + gate_value(z, pins["update"]) * h,)


def _plain(activation, title, latex, max_slope, source, bounded=True):
    return Cell(
        name=f"rnn-{activation}",
        title=title,
        equation=rf"h_t = {latex}(W_{{ih}} x_t + b_{{ih}} + W_{{hh}} h_{{t-1}} + b_{{hh}})",
        source=source,
        gates=("hidden",),
        carry=("h",),
        step=_rnn(activation),
        bounded=bounded,
        max_slope=max_slope,
    )


CELLS: dict[str, Cell] = {
    cell.name: cell
    for cell in (
        _plain("tanh", "RNN, tanh", r"\tanh", 1.0, "Elman 1990"),
        _plain("relu", "RNN, ReLU", r"\mathrm{relu}", 1.0, "Le, Jaitly & Hinton 2015", bounded=False),
        _plain("sigmoid", "RNN, sigmoid", r"\sigma", 0.25, "Elman 1990"),
        _plain("linear", "RNN, linear", "", 1.0, "Saxe, McClelland & Ganguli 2014", bounded=False),
        Cell(
            name="lstm",
            title="LSTM",
            equation=r"""\begin{aligned}
(i, f, g, o)_t &= (\sigma, \sigma, \tanh, \sigma)(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh}) \\
c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
h_t &= o_t \odot \tanh(c_t)
\end{aligned}""",
            source="Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000",
            gates=("input", "forget", "cell", "output"),
            carry=("h", "c"),
            step=_lstm,
            pinnable=("forget", "input", "output"),
            keep_gate="forget",
            write_gate="input",
        ),
        Cell(
            name="gru",
            title="GRU",
            equation=r"""\begin{aligned}
(r, z)_t &= \sigma(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh}) \\
\tilde h_t &= \tanh(W_{in} x_t + b_{in} + r_t \odot (W_{hn} h_{t-1} + b_{hn})) \\
h_t &= (1 - z_t) \odot \tilde h_t + z_t \odot h_{t-1}
\end{aligned}""",
            source="Cho et al. 2014, in the form of PyTorch's GRU",
            gates=("reset", "update", "new"),
            carry=("h",),
            step=_gru,
            pinnable=("reset", "update"),
            split_bias_gates=("new",),
            keep_gate="update",
            labels=(("update", "keep"),),  # PyTorch's GRU keeps the old state where its update gate is open
        ),
        Cell(
            name="mingru",
            title="minGRU",
            equation=r"""\begin{aligned}
z_t &= \sigma(W_{iz} x_t + b_{iz}) \\
\tilde h_t &= \tanh(W_{in} x_t + b_{in}) \\
h_t &= (1 - z_t) \odot \tilde h_t + z_t \odot h_{t-1}
\end{aligned}""",
            source="Feng et al. 2024 (arXiv 2410.01201), with the GRU's tanh and PyTorch's z, which is 1 − z of the "
            "paper: a GRU without W_hh and b_hh",
            gates=("update", "new"),
            carry=("h",),
            step=_min_gru,
            pinnable=("update",),
            split_bias_gates=("update", "new"),
            keep_gate="update",
            labels=(("update", "keep"),),
            unused=("weight_hh", "bias_hh"),
        ),
    )
}
