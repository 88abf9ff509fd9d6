"""A recurrent layer in plain NumPy, float64: its states, and every δ(t, s) with the sums over s.

Written from the cells' equations alone (PyTorch's convention); nothing is shared with the engine. Each row of
cotangents is divided by a power of two after each step, so that nothing underflows or overflows on the way back.
"""

from functools import cached_property

import numpy as np

GATES = {"lstm": ("input", "forget", "cell", "output"), "gru": ("reset", "update", "new"), "mingru": ("update", "new")}
PINNABLE = {"lstm": ("input", "forget", "output"), "gru": ("reset", "update"), "mingru": ("update",)}
FIELDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
LN2 = np.log(2)


def sigmoid(z):
    """σ(z), without overflow and with all digits of a nearly shut gate."""
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, small) / (1 + small)


def rounded_to(bits, x):
    """x, its mantissa rounded to so many bits."""
    mantissa, exponent = np.frexp(x)
    return np.ldexp(np.round(np.ldexp(mantissa, bits)), exponent - bits)


def sech2(z):
    """1 − tanh²(z), with all digits where tanh is nearly 1."""
    small = np.exp(-2 * np.abs(z))
    return 4 * small / (1 + small) ** 2


ACTIVATIONS = {  # name -> (function, derivative), of the pre-activation
    "rnn-tanh": (np.tanh, sech2),
    "rnn-relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "rnn-sigmoid": (sigmoid, lambda z: sigmoid(z) * sigmoid(-z)),
    "rnn-linear": (lambda z: z, np.ones_like),
}


class Network:
    """The arguments of `gradient_map`, run forwards in float64 over the first `horizon` steps."""

    def __init__(self, cell, weights, inputs, readout, targets, *, pins=None, carry=None, cell_path_only=False,
                 horizon=None, nudge=0.0, bits=None):  # fmt: skip
        array = lambda a: np.asarray(a, np.float64)
        self.bits = bits  # that pre-activations and states are rounded to; None: all
        self.cell, self.path = getattr(cell, "name", cell), bool(cell_path_only)
        self.inputs = array(inputs)[:horizon]  # [T, m]
        self.T, self.n = len(self.inputs), np.shape(weights[1])[-1]
        self.w_ih, self.w_hh, self.b_ih, self.b_hh = map(array, weights)
        self.w_hh, self.untied = self.w_hh * (1 + nudge), self.w_hh.ndim == 3
        self.readout = array(readout).reshape(-1, self.n)  # [k, n]
        self.targets = array(targets).reshape(len(inputs), -1)[:horizon]  # [T, k]
        over_time = lambda pin: np.broadcast_to(array(pin), len(inputs))[:horizon]
        self.pins = {gate: over_time((pins or {}).get(gate, np.nan)) for gate in PINNABLE.get(self.cell, ())}
        self.carry = list(np.zeros((2, self.n)) if carry is None else map(array, carry))  # of one state, c stays idle
        self.gates = GATES.get(self.cell, ("hidden",))
        with np.errstate(over="ignore", invalid="ignore"):
            self._forward()

    def at(self, field, s):
        """The copy of a weight used at step s."""
        return field[s] if self.untied else field

    def _forward(self):
        self.saved, self.h, self.values = [], np.zeros((self.T + 1, self.n)), []
        carry = self.carry
        self.h[0] = carry[0]
        for s in range(self.T):
            a_x = self.at(self.w_ih, s) @ self.inputs[s] + self.at(self.b_ih, s)
            a_h = self.at(self.w_hh, s) @ carry[0] + self.at(self.b_hh, s)
            if self.bits is not None:
                a_x, a_h = (rounded_to(self.bits, a) for a in (a_x, a_h))
            saved, carry = self._step(s, a_x, a_h, carry)
            if self.bits is not None:
                carry = [rounded_to(self.bits, a) for a in carry]
            self.saved.append(saved)
            self.h[s + 1] = carry[0]
            self.values.append((a_x, a_h, *carry))
        self.last = carry

    @cached_property
    def size(self):
        """The largest magnitude of pre-activations and states at each step, [T]."""
        return np.array([max(np.abs(part).max() for part in parts) for parts in self.values])

    def _gate(self, name, s, z):
        """(value, 1 − value, derivative) of a sigmoid gate; a pinned one is a constant."""
        pin = self.pins[name][s]
        if np.isnan(pin):
            value, rest = sigmoid(z), sigmoid(-z)
            return value, rest, value * rest
        return np.full(self.n, pin), np.full(self.n, 1 - pin), np.zeros(self.n)

    def _step(self, s, a_x, a_h, carry):
        if self.cell == "lstm":
            z_i, z_f, z_g, z_o = np.split(a_x + a_h, 4)
            (i, _, di), (f, _, df), (o, _, do) = (
                self._gate(name, s, z) for name, z in (("input", z_i), ("forget", z_f), ("output", z_o))
            )
            g, c = np.tanh(z_g), carry[1]
            after = f * c + i * g
            # dC/da = dC/dc · by_c for input, forget, cell; dC/dh · by_h for output
            saved = (g * di, c * df, i * sech2(z_g), np.tanh(after) * do, o * sech2(after), f)
            return saved, [o * np.tanh(after), after]
        if self.cell == "gru":
            (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(a_x, 3), np.split(a_h, 3)
            r, _, dr = self._gate("reset", s, x_r + h_r)
            z, rest, dz = self._gate("update", s, x_z + h_z)
            z_n = x_n + r * h_n
            new = np.tanh(z_n)
            return (rest * sech2(z_n), h_n * dr, (carry[0] - new) * dz, r, z), [rest * new + z * carry[0]]
        if self.cell == "mingru":
            x_z, x_n = np.split(a_x, 2)
            z, rest, dz = self._gate("update", s, x_z)
            new = np.tanh(x_n)
            return ((carry[0] - new) * dz, rest * sech2(x_n), z), [rest * new + z * carry[0]]
        value, slope = ACTIVATIONS[self.cell]
        return (slope(a_x + a_h),), [value(a_x + a_h)]

    def _back(self, s, ct_h, ct_c):
        """(δ_h [K, G·n], δ_x [K, G·n], ct_h, ct_c), the cotangents of the step before."""
        w_hh = self.at(self.w_hh, s)
        if self.cell == "lstm":
            by_i, by_f, by_g, by_o, by_c, f = self.saved[s]
            ct_c = ct_c + ct_h * by_c
            delta = np.concatenate([ct_c * by_i, ct_c * by_f, ct_c * by_g, ct_h * by_o], axis=1)
            return delta, delta, np.zeros_like(ct_h) if self.path else delta @ w_hh, ct_c * f
        if self.cell == "gru":
            by_n, by_r, by_z, r, z = self.saved[s]
            new = ct_h * by_n
            before = [new * by_r, ct_h * by_z]
            delta_h, delta_x = (np.concatenate([*before, last], axis=1) for last in (new * r, new))
            return delta_h, delta_x, delta_h @ w_hh + ct_h * z, ct_c
        if self.cell == "mingru":
            by_z, by_n, z = self.saved[s]
            delta_x = np.concatenate([ct_h * by_z, ct_h * by_n], axis=1)
            return np.zeros_like(delta_x), delta_x, ct_h * z, ct_c
        delta = ct_h * self.saved[s][0]
        return delta, delta, delta @ w_hh, ct_c

    @cached_property
    def seeds(self):
        """dC(t)/dh(t) [T, n]; zero where a target is NaN."""
        miss = self.h[1:] @ self.readout.T - self.targets
        return np.where(np.isnan(self.targets).any(1, keepdims=True), 0, miss) @ self.readout

    def deltas(self, times):
        """δ_h and δ_x of some costs, [K, S, G·n] each, and the exponents of two that belong to them, [K, S]."""
        times = np.asarray(times)
        shape = len(times), times.max() + 1, len(self.gates) * self.n
        delta_h, exponents = np.zeros(shape), np.zeros(shape[:2], int)
        delta_x = np.zeros(shape) if self.cell in ("gru", "mingru") else delta_h
        ct_h, ct_c, exponent = np.zeros((3, len(times), self.n))  # units that never mix have an exponent each
        for s in reversed(range(times.max() + 1)):
            ct_h[times == s] = self.seeds[s]
            size = np.maximum(np.abs(ct_h), np.abs(ct_c))
            largest = size if self.path else size.max(1, keepdims=True)
            shift = np.where(largest > 0, np.frexp(largest)[1], 0)
            ct_h, ct_c = (np.ldexp(ct, -shift) for ct in (ct_h, ct_c))
            exponent = exponent + shift
            top = np.where(size > 0, exponent, -np.inf).max(1, keepdims=True)
            top = np.where(np.isfinite(top), top, 0)
            exponents[:, s] = top[:, 0]
            delta_h[:, s], delta_x[:, s], ct_h, ct_c = self._back(s, ct_h, ct_c)
            scale = np.tile(np.exp2(exponent - top), len(self.gates))
            delta_h[:, s], delta_x[:, s] = delta_h[:, s] * scale, delta_x[:, s] * scale
        return delta_h, delta_x, exponents

    def measure(self, times, weight="weight_hh", gate=None):
        """(log ‖δ(t, s)‖, log ‖dC(t)/dW(s)‖, log ‖Σ_s dC(t)/dW(s)‖) of K costs: [K, S], [K, S] and [K]."""
        delta_h, delta_x, exponents = self.deltas(times)
        if gate is not None:
            at = self.gates.index(gate) * self.n
            delta_h, delta_x = delta_h[..., at : at + self.n], delta_x[..., at : at + self.n]
        fields = FIELDS if weight == "all" else (weight,)
        used = {field[-2:]: delta_x if field.endswith("_ih") else delta_h for field in fields}
        log_delta = {side: log_norm(delta) + exponents * LN2 for side, delta in used.items()}
        terms, sums = [], []
        for field in fields:
            z = {"weight_hh": self.h, "weight_ih": self.inputs}.get(field, np.ones((self.T, 1)))[: delta_h.shape[1]]
            delta, log = used[field[-2:]], log_delta[field[-2:]] + log_norm(z)
            terms.append(log)
            top = log.max(1)
            with np.errstate(invalid="ignore", divide="ignore"):
                unit = z / np.exp(log_norm(z))[:, None]  # rows of length one
                scale = np.exp(log - top[:, None] - log_norm(delta))
            unit, scale = np.nan_to_num(unit), np.nan_to_num(scale, posinf=0)
            total = np.matmul((delta * scale[..., None]).transpose(0, 2, 1), unit)  # [K, rows, m]
            sums.append(log_norm(total.reshape(len(total), -1)) + top)
        return (log_of_all(list(log_delta.values())), log_of_all(terms), log_of_all(sums))


def log_norm(vectors):
    """Natural log of the norm over the last axis; −inf at zero."""
    largest = np.abs(vectors).max(-1)
    with np.errstate(divide="ignore"):
        scaled = vectors / np.where(largest > 0, largest, 1)[..., None]
        return np.log(largest) + np.log(np.maximum(np.linalg.norm(scaled, axis=-1), 1))


def log_of_all(logs):
    """log √Σ exp(2·log) of arrays of one shape."""
    logs = np.stack(logs)
    top = logs.max(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = top + np.log(np.exp(2 * (logs - top)).sum(0)) / 2
    return np.where(np.isneginf(top), -np.inf, total)
