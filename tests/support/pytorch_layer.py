"""A recurrent layer by PyTorch's own cells, with a leaf copy of the weights a step, and autograd by each copy."""

import numpy as np

import gradflow as gf
from support import oracle

CELLS = ("rnn-tanh", "rnn-relu", "lstm", "gru")


def run(torch, cell, copies, inputs, carry, fresh=(), detached=(), pins=None):
    """h(t) of every step, one copy of the weights a step; a step in `fresh` begins with the initial carry anew, one in
    `detached` with a carry that no gradient passes; pins: of each step, gate -> value, None where none is held."""
    if pins:
        states = []
        for x, weights, held in zip(inputs, copies, pins, strict=True):
            carry = pinned_step(torch, cell, x, weights, carry, held)
            states.append(carry)
        return states
    one = getattr(torch, f"{cell.replace('-', '_')}_cell")
    initial, states = carry, []
    for s, (x, weights) in enumerate(zip(inputs, copies, strict=True)):
        carry = initial if s in fresh else carry
        carry = tuple(state.detach() for state in carry) if s in detached else carry
        before = tuple(state[None] for state in carry)
        after = one(x[None], before if cell == "lstm" else before[0], *weights)
        carry = tuple(state[0] for state in (after if cell == "lstm" else (after,)))
        states.append(carry)
    return states


def pinned_step(torch, cell, x, weights, carry, held):
    """One step by hand, as the documentation of nn.LSTM and nn.GRU has it, with gates held at a value."""
    gate = lambda name, a: torch.full_like(a, held[name]) if name in held else torch.sigmoid(a)
    a_x, a_h = weights.weight_ih @ x + weights.bias_ih, weights.weight_hh @ carry[0] + weights.bias_hh
    if cell == "lstm":
        i, f, g, o = (a_x + a_h).chunk(4)
        c = gate("forget", f) * carry[1] + gate("input", i) * torch.tanh(g)
        return gate("output", o) * torch.tanh(c), c
    (x_r, x_z, x_n), (h_r, h_z, h_n) = a_x.chunk(3), a_h.chunk(3)
    z = gate("update", x_z + h_z)
    return ((1 - z) * torch.tanh(x_n + gate("reset", x_r + h_r) * h_n) + z * carry[0],)


def leaves(torch, weights, steps):
    """A copy of the weights for each step, each of which wants its own gradient."""
    copy = lambda: gf.Weights(*(torch.tensor(np.asarray(field, float), requires_grad=True) for field in weights))
    return [copy() for _ in range(steps)]


def terms(torch, costs, copies):
    """Field -> dC(t)/dW(s) as plain numbers, [t, s, entries]."""
    flat = [field for weights in copies for field in weights]
    rows = []
    for cost in costs:
        by = torch.autograd.grad(cost, flat, retain_graph=True, allow_unused=True)
        rows.append([np.zeros(of.numel()) if d is None else d.numpy().ravel() for d, of in zip(by, flat, strict=True)])
    return {name: np.stack([row[k::4] for row in rows]) for k, name in enumerate(gf.Weights._fields)}


def joined(by_field, weight):
    """The entries of one field, or of "all"."""
    return np.concatenate(list(by_field.values()), axis=-1) if weight == "all" else by_field[weight]


class NetworkAnswer:
    """Every dC(t)/dW(s) of every layer and direction by autograd, and dC(t)/dy(t); costs(outputs) -> [T] of C(t).

    pins: [layer][direction] of a list, gate -> value of each step in the order of time, or None.
    """

    def __init__(self, torch, network, inputs, carry, costs, times=None, pins=None):
        self.torch, steps = torch, len(inputs)
        in_time = lambda sequence, d: sequence[::-1] if d else sequence
        self.copies = [[leaves(torch, w, steps) for w in layer] for layer in network.layers]
        self.outputs, self.states = list(torch.tensor(inputs)), []
        pins = pins or [[None] * len(layer) for layer in network.layers]
        for copies, carries, held in zip(self.copies, carry, pins, strict=True):
            runs = [
                in_time(
                    run(
                        torch,
                        network.cell,
                        own,
                        in_time(self.outputs, d),
                        tuple(map(torch.tensor, c)),
                        pins=p and in_time(p, d),
                    ),
                    d,
                )
                for d, (own, c, p) in enumerate(zip(copies, carries, held, strict=True))
            ]
            self.states.append(runs)
            self.outputs = [torch.cat([state[0] for state in each]) for each in zip(*runs, strict=True)]
        self.costs = costs(self.outputs)
        by_output = [
            torch.autograd.grad(c, y, retain_graph=True)[0] for c, y in zip(self.costs, self.outputs, strict=True)
        ]
        self.cotangents = torch.stack(by_output)
        self.times = range(steps) if times is None else times

    def terms(self, layer, direction):
        """Field -> [t, s, entries], s in the order of time; of `times` alone."""
        by_field = terms(self.torch, [self.costs[t] for t in self.times], self.copies[layer][direction])
        return {name: each[:, ::-1] if direction else each for name, each in by_field.items()}


def log_by_lag(by_step):
    """log ‖term‖ at [t, u] from [t, s, entries]."""
    steps = len(by_step)
    t, u = np.arange(steps)[:, None], np.arange(steps)
    return np.where(u <= t, oracle.log_norm(by_step)[t, t - u], -np.inf)
