"""A problem on its device, run forwards and linearised: all that the backward sweep needs."""

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradflow.activations import gate_value
from gradflow.cells import Cell, Pin
from gradflow.engine.jacobians import Flags, Jacobians, finite, numeric_flags, scaled_jacobians, step_jacobians
from gradflow.engine.jit import jit
from gradflow.engine.losses import Cotangents, cotangents_of
from gradflow.engine.traces import register
from gradflow.engine.unroll import Trajectory, unroll
from gradflow.problem import GivenCotangents, Problem, check, check_layer
from gradflow.weights import Weights


class Tape(NamedTuple):
    """What the backward sweep reads, on the device."""

    weights: Weights
    trajectory: Trajectory
    jacobians: Jacobians
    cotangents: Cotangents
    factors: dict[str, jax.Array]  # field -> the other factor z(s) in its terms, finite, padded to [T, max(n, m)]
    starts: jax.Array | None  # steps that no gradient passes on its way back, bool[T]; None: there are none


class Outputs(NamedTuple):
    """What else a forward pass tells."""

    cost: jax.Array  # [T]
    gates: dict[str, jax.Array]  # value of the sigmoid gates, each [T, n]
    flags: Flags


register(Pin, Weights, Trajectory, Jacobians, Flags, Cotangents, Tape, Outputs)


class ForwardPass(NamedTuple):
    """A problem with its forward pass."""

    cell: Cell
    cell_path_only: bool
    problem: tuple  # what the forward pass took, on the host
    tape: Tape
    derivatives: tuple[jax.Array, jax.Array]  # `Jacobians` preact and carry, in float64
    outputs: Outputs
    overflow: int | None
    underflow: int | None
    device: str

    @property
    def limit(self) -> int:
        """The first t that has no gradient."""
        return len(self.outputs.cost) if self.overflow is None else self.overflow

    @property
    def precise_tape(self) -> Tape:
        """The tape with its Jacobians in float64: for a sweep in that precision, where JAX has it enabled."""
        preact, carry = self.derivatives
        exponent: Any = np.zeros(self.tape.jacobians.gate_exponent.shape, np.int32)  # on the host: no kernel to start
        return self.tape._replace(jacobians=Jacobians(preact, carry, preact, exponent))

    def gate_index(self, weight: str, gate: str | None) -> list[int]:
        """Which of the D rows of δ hold dC/da for this field and gate."""
        index = {name: i for i, name in enumerate(self.cell.gates)}
        if weight.endswith("_ih"):
            index |= {name: len(self.cell.gates) + i for i, name in enumerate(self.cell.split_bias_gates)}
        return [index[name] for name in (self.cell.gates if gate is None else (gate,))]


def _linearise(cell, weights, inputs, cost, pins, carry, starts):
    """(tape, derivatives, outputs). The tape has the weights: they reach a device at a tenth of `device_put`'s cost.

    States and their derivatives are computed in float64: the h − h̃ of a saturated GRU lies in digits that float32 does
    not have, a derivative such as tanh′(50) below its range.
    """
    trajectory = _unroll_precisely(cell, weights, inputs, pins, carry, starts)
    precise = step_jacobians(cell, trajectory)
    trajectory, jacobians = _cast(inputs.dtype, trajectory), scaled_jacobians(*precise, inputs.dtype)
    flags = numeric_flags(cell, weights, trajectory, jacobians)
    cotangents, value = cotangents_of(cost, trajectory.after[0])
    preact = trajectory.a_x + trajectory.a_h
    gates = {name: jax.vmap(gate_value)(preact[:, cell.gates.index(name)], pin) for name, pin in pins.items()}
    factors = _factors(trajectory.before[0], inputs)
    tape = Tape(weights, trajectory, jacobians, cotangents, factors, starts)
    return tape, precise, Outputs(value, gates, flags)


def _unroll_precisely(cell, weights, inputs, pins, carry, starts):
    """`unroll` in float64."""
    inputs, pins, carry = _cast(jnp.float64, (inputs, pins, carry))
    return unroll(cell, weights, inputs, pins, carry, starts)


def _cast(dtype, arrays):
    """The floating-point numbers of a tree in another precision."""
    return jax.tree.map(lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, arrays)


def _with_float64(function):
    """A jitted function of (static, *arrays) that has float64 at hand, whatever JAX is set to."""
    jitted = jit(static_argnums=0)(function)

    def call(*arguments):
        with jax.enable_x64(True):
            return jitted(*arguments)

    return call


_linearise_one = _with_float64(_linearise)
_linearise_all = _with_float64(lambda cell, *arrays: jax.vmap(partial(_linearise, cell))(*arrays))
_one_of = _with_float64(lambda _, arrays, i: jax.tree.map(lambda a: a[i], arrays))


def _factors(before, inputs):
    """h(s−1), x(s), or 1 for a bias; one shape for all, so that one compilation serves every field."""
    z = {"weight_ih": inputs, "weight_hh": before, "bias_ih": jnp.ones_like(before[:, :1])}
    width = max(before.shape[1], inputs.shape[1])
    z = {name: jnp.pad(finite(a), ((0, 0), (0, width - a.shape[1]))) for name, a in z.items()}
    return z | {"bias_hh": z["bias_ih"]}


def forward(*arguments: Any, cell_path_only: bool = False, **options: Any) -> ForwardPass:
    """Check a problem, put it on its device and run it forwards; its arguments are those of `problem.check`."""
    problem = check(*arguments, cell_path_only=cell_path_only, **options)
    arrays = working_arrays(problem)
    return _forward_pass(problem.cell, cell_path_only, arrays, *_linearise_one(problem.cell, *arrays))


def forward_layer(*arguments: Any, **options: Any) -> ForwardPass:
    """Run a layer forwards that has no cost of its own; its arguments are those of `problem.check_layer`."""
    problem = check_layer(*arguments, **options)
    arrays = working_arrays(
        problem._replace(cost=GivenCotangents(np.zeros((len(problem.inputs), len(problem.carry[0])))))
    )
    return _forward_pass(problem.cell, False, arrays, *_linearise_one(problem.cell, *arrays))


def forward_all(problems: Iterable[dict[str, Any]], cell_path_only: bool) -> list[ForwardPass]:
    """Check several problems of one cell and size and run them forwards together; see `gradient_maps`."""
    checked = [check(**{"cell_path_only": cell_path_only} | each) for each in problems]
    if not checked:
        return []
    arrays = [working_arrays(each) for each in checked]
    kinds = {
        (each.cell, jax.tree.structure(own), *((a.shape, a.dtype) for a in jax.tree.leaves(own)))
        for each, own in zip(checked, arrays, strict=True)
    }
    if len(kinds) > 1:
        raise ValueError(
            f"problems are of {len(kinds)} kinds; all must have the same cell, kind of cost, shapes and precision"
        )
    cell = checked[0].cell
    together = _linearise_all(cell, *jax.tree.map(lambda *a: np.stack(a), *arrays))
    return [_forward_pass(cell, cell_path_only, own, *_one_of(None, together, i)) for i, own in enumerate(arrays)]


@_with_float64
def _states(cell, weights, inputs, pins, carry, starts):
    return _cast(inputs.dtype, _unroll_precisely(cell, weights, inputs, pins, carry, starts).after)


def states(*arguments: Any, **options: Any) -> tuple[np.ndarray, ...]:
    """The carry after each step, K states of [T, n]; its arguments are those of `problem.check_layer`."""
    problem = check_layer(*arguments, **options)
    weights, inputs, _, pins, carry, starts = working_arrays(problem)
    return tuple(map(np.array, _states(problem.cell, weights, inputs, pins, carry, starts)))


def divergence(fwd: ForwardPass) -> np.ndarray:
    """How far a change of W_hh in its last digits moves both the state and the Jacobian of a step, f64[T].

        min(‖h'(s) − h(s)‖ / ‖h(s)‖, ‖J'(s) − J(s)‖ / ‖J(s)‖)        J(s) = d carry(s) / da(s)

    ' is of W_hh (1 + ε (1 + ξ)), with ξ ~ N(0, 1) for each entry and ε = 1e-7, or 2⁻²⁰ in float32: the same compiled
    forward pass once more. A common factor alone may leave a state where the rounding of each entry moves it. A state
    that passes 0 moves much of its own size for once, and no Jacobian with it; those of a linear network never move.
    A state that is about to underflow counts as unmoved, and so does all from an overflow on.
    """
    weights, *others = fwd.problem
    by = 2.0**-20 if fwd.tape.weights.weight_hh.dtype == np.float32 else 1e-7
    digits = np.random.default_rng(0).standard_normal(weights.weight_hh.shape)
    nudged = weights._replace(weight_hh=weights.weight_hh * (1 + by * (1 + digits)).astype(weights.weight_hh.dtype))
    again = _linearise_one(fwd.cell, nudged, *others)[0]
    of_tape = (lambda tape: tape.trajectory.after[0]), (lambda tape: tape.jacobians.preact)
    moved = np.minimum(*(_relative_change(of(fwd.tape), of(again)) for of in of_tape))
    return np.where(np.arange(len(moved)) < fwd.limit, moved, 0.0)


def _relative_change(a, other):
    """‖other(s) − a(s)‖ / ‖a(s)‖, f64[T]; 0 where a is about to underflow."""
    least = np.finfo(a.dtype).tiny * 2.0**30
    a, other = (np.asarray(each, np.float64).reshape(len(a), -1) for each in (a, other))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        size = np.linalg.norm(a, axis=1)
        return np.where(size > least, np.nan_to_num(np.linalg.norm(other - a, axis=1) / size), 0.0)


def working_arrays(problem: Problem) -> tuple:
    """What the forward pass takes, in the working precision."""
    dtype = jax.dtypes.canonicalize_dtype(problem.dtype)
    return jax.tree.map(partial(_as, dtype), problem[1:-1])


def _forward_pass(cell, cell_path_only, problem, tape, derivatives, outputs):
    device = ", ".join(sorted(map(str, outputs.cost.devices())))
    first = _first(outputs.flags.nonfinite), _first(outputs.flags.underflowed)
    return ForwardPass(cell, bool(cell_path_only), problem, tape, derivatives, outputs, *first, device)


def _as(dtype, a):
    """An array in the working precision, a device's where it was and a host's on the host; masks stay masks."""
    return a.astype(dtype) if isinstance(a, jax.Array) else np.asarray(a, a.dtype if a.dtype == bool else dtype)


def _first(mask):
    """The first true step, or None."""
    mask = np.asarray(mask)
    return int(np.argmax(mask)) if mask.any() else None
