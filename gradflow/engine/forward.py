"""The forward pass: the states, and the Jacobian of every step.

A cell is elementwise, so its Jacobian is a handful of numbers a unit. They are computed for all steps before the
sweep, which then only multiplies and adds.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradflow.activations import openness
from gradflow.cells import Cell
from gradflow.engine.scaling import dot, log_total, power_of_two, scaled_whole
from gradflow.problem import check, check_rows
from gradflow.weights import Weights


class Trace(NamedTuple):
    """The forward pass, and all that the sweep needs of it."""

    gates: dict  # openness of the sigmoid gates, each [T, n]
    factors: dict  # field -> the other factor z(s) of its outer product, finite, padded to [T, max(n, m)]
    to_delta: jax.Array  # d carry / d pre-activations, unit by unit, [T, K, D, n], D = G + separate gates
    to_carry: jax.Array  # d carry / d carry before, [T, K, K, n]
    seed: jax.Array  # dC(t)/dh(t) / 2^seed_exponent, [T, n]
    seed_exponent: jax.Array  # [T]
    cost: jax.Array  # [T]
    broken: jax.Array  # a carry or pre-activation is not finite, bool[T]
    flushed: jax.Array  # a state became zero by underflow, bool[T]
    met: tuple  # what each step met: a_x and a_h [T, G, n], the carry before, pins
    plain_seed: jax.Array  # dC(t)/dh(t) without scaling, [T, n]
    state: jax.Array  # h(t), [T, n]


def _copy(weights, s):
    """The copy of the weights used at step s."""
    return weights if weights.weight_hh.ndim == 2 else Weights(*(f[s] for f in weights))


def _forward(cell, weights, inputs, readout, targets, pins, carry):
    """(weights, inputs, trace); so the arrays reach their device at a tenth of what `device_put` costs."""
    steps = jnp.arange(len(inputs))
    split = lambda a: a.reshape(len(cell.gates), -1)  # [G·n] -> [G, n]
    of_input = lambda s, x: split(dot(_copy(weights, s).weight_ih, x) + _copy(weights, s).bias_ih)
    of_state = lambda s, h: split(dot(_copy(weights, s).weight_hh, h) + _copy(weights, s).bias_hh)

    def step(carry, now):
        s, a_x, pin = now
        a_h = of_state(s, carry[0])
        after = cell.step(a_x, a_h, carry, pin)
        return after, (a_h, carry, after)

    a_x = jax.vmap(of_input)(steps, inputs)
    _, (a_h, before, after) = lax.scan(step, carry, (steps, a_x, pins))

    # Is a zero state a closed gate, or did it underflow? Enlarge the tiny entries one step before: a closed gate
    # still gives zero.
    info = jnp.finfo(a_x.dtype)
    grow = lambda c: jnp.where(jnp.abs(c) < info.tiny**0.5, c * 2.0 ** (-info.minexp // 2 - 3), c)
    grown = tuple(map(grow, before))
    again = jax.vmap(cell.step)(a_x, jax.vmap(of_state)(steps, grown[0]), grown, pins)

    sound = [jnp.isfinite(a).reshape(len(steps), -1).all(1) for a in (a_x, a_h, *before, *after)]
    finite = lambda a: jnp.where(jnp.isfinite(a), a, 0)  # the rows that meet what is not are masked
    to_delta, to_carry = jax.vmap(partial(_jacobian, cell))(a_x, a_h, before, pins)
    # What the activation shuts, as relu does what is below zero, is zero whatever comes.
    passes = (to_delta != 0).any(2) | (to_carry != 0).any(2) | (jnp.abs(a_x + a_h) < info.tiny).all(1)[:, None]
    lost = lambda c, larger: (jnp.abs(c) < info.tiny) & (jnp.abs(larger) >= info.tiny)
    tiny = jnp.stack(list(map(lost, after, again)), axis=1) & passes  # [T, K, n]
    seed, exponent, cost = jax.vmap(_seed, in_axes=(None, 0, 0))(readout, after[0], targets)
    gates = {name: jax.vmap(openness)((a_x + a_h)[:, cell.gates.index(name)], pin) for name, pin in pins.items()}
    trace = Trace(
        gates=gates,
        factors=_factors(before[0], inputs),
        to_delta=finite(to_delta),
        to_carry=finite(to_carry),
        seed=finite(seed),
        seed_exponent=exponent,
        cost=cost,
        broken=~jnp.stack(sound).all(0),
        flushed=tiny.any((1, 2)),
        met=(a_x, a_h, before, pins),
        plain_seed=jax.vmap(_plain_seed, in_axes=(None, 0, 0))(readout, after[0], targets),
        state=after[0],
    )
    return weights, inputs, trace


_one = jax.jit(_forward, static_argnums=0)


@partial(jax.jit, static_argnums=0)
def _all(cell, *arrays):
    return jax.vmap(partial(_forward, cell))(*arrays)


@jax.jit
def _one_of(arrays, i):
    return jax.tree.map(lambda a: a[i], arrays)


def _factors(before, inputs):
    """h(s−1), x(s), or 1 for a bias; one shape for all, so that one compilation serves every field."""
    z = {"weight_ih": inputs, "weight_hh": before, "bias_ih": jnp.ones_like(before[:, :1])}
    wide = max(before.shape[1], inputs.shape[1])
    z = {name: jnp.pad(jnp.where(jnp.isfinite(a), a, 0), ((0, 0), (0, wide - a.shape[1]))) for name, a in z.items()}
    return z | {"bias_hh": z["bias_ih"]}


def _jacobian(cell, a_x, a_h, carry, pins):
    """The Jacobian of one step, unit by unit, as the `vmap`ped pullback of each of its K states.

    d carry / d (a_h, a_x of the separate gates) [K, D, n] and d carry / d carry before [K, K, n].
    """
    _, pullback = jax.vjp(lambda *now: cell.step(*now, pins), a_x, a_h, carry)
    one = jnp.eye(len(carry), dtype=a_h.dtype)
    by_x, by_h, by_carry = jax.vmap(pullback)(tuple(jnp.outer(row, jnp.ones_like(carry[0])) for row in one))
    if cell.separate:
        apart = by_x[:, np.array([cell.gates.index(gate) for gate in cell.separate])]
        by_h = jnp.concatenate([by_h, apart], axis=1)
    return by_h, jnp.stack(by_carry, axis=1)


def _seed(readout, h, target):
    """dC/dh = readoutᵀ (readout h − target) as (mantissa, exponent), and C; a NaN target masks both."""
    masked = jnp.isnan(target).any()
    parts = readout, h, jnp.where(masked, 0, target)
    (readout, r_exponent), (h, h_exponent), (target, t_exponent) = map(scaled_whole, parts)
    top = jnp.maximum(r_exponent + h_exponent, t_exponent)
    scale = lambda exponent: power_of_two(exponent - top, h.dtype)
    residual = dot(readout, h) * scale(r_exponent + h_exponent) - target * scale(t_exponent)
    residual = jnp.where(masked, 0, residual)
    seed, own = scaled_whole(dot(residual, readout))
    half = jnp.sum(residual**2) / 2
    cost = jnp.where(half == 0, 0, half * power_of_two(top, h.dtype) * power_of_two(top, h.dtype))
    return seed, own + r_exponent + top, cost


def _plain_seed(readout, h, target):
    """The same dC/dh without any scaling."""
    return dot(jnp.where(jnp.isnan(target).any(), 0, dot(readout, h) - target), readout)


class Pass(NamedTuple):
    """A problem on its device, with its forward pass."""

    cell: Cell
    cell_path_only: bool
    problem: tuple  # what the forward pass took, on the host
    weights: Weights
    inputs: jax.Array  # [T, m]
    trace: Trace
    overflow: int | None
    underflow: int | None
    device: str

    @property
    def limit(self):
        """The first t that has no gradient."""
        return len(self.inputs) if self.overflow is None else self.overflow

    def rows(self, weight, gate):
        """Which of the D rows of δ hold dC/da for this field and gate, as indices."""
        index = {name: i for i, name in enumerate(self.cell.gates)}
        if weight.endswith("_ih"):
            index |= {name: len(self.cell.gates) + i for i, name in enumerate(self.cell.separate)}
        return [index[name] for name in (self.cell.gates if gate is None else (gate,))]

    def total(self, weight, gate, log_norm):
        """log_norm(field) for one field, or for the four together."""
        check_rows(self.cell, weight, gate)
        if weight != "all":
            return log_norm(weight)
        return log_total(np.stack([log_norm(name) for name in Weights._fields], axis=-1))

    def unscaled(self, weight, gate, squares):
        """The norm in plain arithmetic, from squares(field) [..., D] of one field, or of the four together."""
        check_rows(self.cell, weight, gate)
        fields = Weights._fields if weight == "all" else (weight,)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.sqrt(sum(squares(name)[..., self.rows(name, gate)].sum(axis=-1) for name in fields))


def begin(cell, weights, inputs, readout, targets, pins, carry, cell_path_only):
    """Check a problem, put it on its device and run it forwards."""
    problem = check(cell, weights, inputs, readout, targets, pins, carry, cell_path_only)
    arrays = _arrays(problem)
    return _passed(problem.cell, cell_path_only, arrays, *_one(problem.cell, *arrays))


def begin_all(problems, cell_path_only):
    """Check several problems of one cell and size and run them forwards together; see `gradient_maps`."""
    problems = [check(**{"pins": None, "carry": None, "cell_path_only": cell_path_only} | each) for each in problems]
    if not problems:
        return []
    arrays = [_arrays(each) for each in problems]
    kinds = {
        (each.cell, *((a.shape, a.dtype) for a in jax.tree.leaves(own)))
        for each, own in zip(problems, arrays, strict=True)
    }
    if len(kinds) > 1:
        raise ValueError(f"problems are of {len(kinds)} kinds; all must have the same cell, shapes and precision")
    cell = problems[0].cell
    together = _all(cell, *jax.tree.map(lambda *a: np.stack(a), *arrays))
    return [_passed(cell, cell_path_only, own, *_one_of(together, i)) for i, own in enumerate(arrays)]


def divergence(now):
    """How far a change of W_hh in its last digits moves both the state and the Jacobian of a step, f64[T].

        min(‖h'(s) − h(s)‖ / ‖h(s)‖, ‖J'(s) − J(s)‖ / ‖J(s)‖)        J(s) = d carry(s) / da(s)

    ' is of W_hh (1 + ε (1 + ξ)), with ξ ~ N(0, 1) for each entry and ε = 1e-7, or 2⁻²⁰ in float32: the same compiled
    forward pass once more. A common factor alone may leave a state where the rounding of each entry moves it. A state
    that passes 0 moves much of its own size for once, and no Jacobian with it; those of a linear network never move.
    A state that is about to underflow counts as unmoved, and so does all from an overflow on.
    """
    weights, *others = now.problem
    by = 2.0**-20 if now.weights.weight_hh.dtype == np.float32 else 1e-7
    digits = np.random.default_rng(0).standard_normal(weights.weight_hh.shape)
    nudged = weights._replace(weight_hh=weights.weight_hh * (1 + by * (1 + digits)).astype(weights.weight_hh.dtype))
    again = _one(now.cell, nudged, *others)[-1]
    moved = np.minimum(*(_moved(getattr(now.trace, name), getattr(again, name)) for name in ("state", "to_delta")))
    return np.where(np.arange(len(moved)) < now.limit, moved, 0.0)


def _moved(a, other):
    """‖other(s) − a(s)‖ / ‖a(s)‖, f64[T]; 0 where a is about to underflow."""
    least = np.finfo(a.dtype).tiny * 2.0**30
    a, other = (np.asarray(each, np.float64).reshape(len(a), -1) for each in (a, other))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        size = np.linalg.norm(a, axis=1)
        return np.where(size > least, np.nan_to_num(np.linalg.norm(other - a, axis=1) / size), 0.0)


def _arrays(problem):
    """What the forward pass takes, in the working precision."""
    dtype = jax.dtypes.canonicalize_dtype(problem.dtype)
    return jax.tree.map(partial(_as, dtype), problem[1:-1])


def _passed(cell, cell_path_only, problem, weights, inputs, trace):
    device = ", ".join(sorted(map(str, trace.cost.devices())))
    first = _first(trace.broken), _first(trace.flushed)
    return Pass(cell, bool(cell_path_only), problem, weights, inputs, trace, *first, device)


def _as(dtype, a):
    """An array in the working precision, a device's where it was and a host's on the host; masks stay masks."""
    return a.astype(dtype) if isinstance(a, jax.Array) else np.asarray(a, a.dtype if a.dtype == bool else dtype)


def _first(mask):
    """The first true step, or None."""
    mask = np.asarray(mask)
    return int(np.argmax(mask)) if mask.any() else None
