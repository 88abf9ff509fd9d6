"""All times t at once: the map of every dC(t)/dW(t−u)."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

from gradflow.cells import Cell
from gradflow.engine.contractions import block_sums, lower_factor
from gradflow.engine.emitters import block_norms, block_state_norms, norm_over_gates, total_deltas
from gradflow.engine.forward import ForwardPass, divergence, forward, forward_all
from gradflow.engine.forward import states as forward_states
from gradflow.engine.lag_by_lag import total_norms_by_lag, window_deltas
from gradflow.engine.recurrent_product import choose_block_size
from gradflow.engine.scaling import LN2, log_norm, log_total, logs, norm_over_fields, unscaled_norm
from gradflow.engine.schedule import BlockCache, blocks
from gradflow.engine.unscaled import block_squares
from gradflow.lags import LagTerms, lag_terms_from, lag_terms_of
from gradflow.problem import check_selection
from gradflow.reading import Reading, read
from gradflow.weights import Weights


@dataclass(frozen=True, eq=False)
class GradientMap:
    """Every dC(t)/dW(t−u) of a layer, as natural logarithms of norms; see `gradient_map`.

    Attributes:
        cost: C(t), f[T]; may be inf before the state overflows, NaN from there on.
        log_residual: log ‖dC(t)/dh(t)‖, f64[T]; −inf where the target is masked, NaN from `overflow` on.
        gates: the value of each sigmoid gate, in [0, 1], name -> f[T, n].
        overflow: the first step whose carry or pre-activation is not finite, else None.
        underflow: the first step at which a state became zero by underflow, else None: zeros that stem from it are
            no closed gates.
        device: where this was computed, for example "TFRT_CPU_0".
    """

    cost: np.ndarray
    log_residual: np.ndarray
    gates: dict[str, np.ndarray]
    overflow: int | None
    underflow: int | None
    device: str
    _fwd: ForwardPass = field(repr=False)
    _mesh: jax.sharding.Mesh | None = field(repr=False)
    _cache: BlockCache = field(repr=False)

    @property
    def slopes(self) -> dict[str, np.ndarray]:
        """∂h(s)/∂a_g(s) by the pre-activations of each gate, name -> f[T, n]; of a plain RNN φ′(a)."""
        by_gate = np.asarray(self._fwd.tape.jacobians.preact)[:, 0]
        return {gate: by_gate[:, k] for k, gate in enumerate(self._fwd.cell.gates)}

    def log_terms(
        self, weight: str = "weight_hh", gate: str | None = None, *, horizon: int | None = None
    ) -> np.ndarray:
        """log ‖dC(t)/dW(t−u)‖_F = log ‖δ(t, t−u)‖ + log ‖z(t−u)‖, where z is h(s−1), x(s), or 1 for a bias.

        Args:
            weight: a field of `Weights`, or "all", the four together.
            gate: the rows of that gate alone; None for all rows.
            horizon: the first steps alone, for less work; None for all T.

        Returns:
            f64[T, T] at [t, u]; −inf at an exact zero and where u > t; NaN in the rows t ≥ `overflow`.

        Raises:
            ValueError: an unknown weight or gate.
        """
        check_selection(self._fwd.cell, weight, gate)
        terms = self._empty(horizon, -np.inf)
        for low, by_step in self._by_step(weight, gate, len(terms)):
            self._fill(terms, low, by_step)
        return terms

    def log_terms_by_copy(self, weight: str = "weight_hh", gate: str | None = None) -> np.ndarray:
        """log ‖dC(t)/dW(s)‖_F, the same terms by the step s whose copy of W they are of.

        Args and Raises: as in `log_terms`.

        Returns:
            f64[T, T] at [t, s]; −inf at an exact zero, so where s > t unless a layer above reads backwards; NaN in the
            rows t ≥ `overflow`.
        """
        check_selection(self._fwd.cell, weight, gate)
        terms = self._empty(None, -np.inf)
        for low, by_step in self._by_step(weight, gate, len(terms)):
            for t in range(max(low, 0), min(low + len(by_step), self._fwd.limit)):
                terms[t, : by_step.shape[1]] = by_step[t - low]
        return terms

    def _by_step(self, weight, gate, steps):
        """(low, log ‖dC(t)/dW(s)‖ of a block [t, s]) for all blocks."""
        names = Weights._fields if weight == "all" else (weight,)
        factors = {name: log_norm(self._fwd.tape.factors[name]) for name in names}
        gates = np.arange(self._fwd.tape.jacobians.preact.shape[2])
        gate_masks = {name: np.isin(gates, self._fwd.gate_index(name, gate)) for name in names}

        def log_norms(name, low, block):
            reached = self._reached(low, steps)
            norms = (np.asarray(a)[:, :reached] for a in norm_over_gates(*block, gate_masks[name]))
            return logs(*norms) + factors[name][:reached]

        for low, block in self._blocks("norms", block_norms, steps, self._block_size):
            yield low, norm_over_fields(weight, partial(log_norms, low=low, block=block))

    def log_sums(self, weight: str = "weight_hh", gate: str | None = None, *, horizon: int | None = None) -> np.ndarray:
        """log ‖Σ_u dC(t)/dW(t−u)‖_F, the gradient of the shared weight.

        Args and Raises: as in `log_terms`.

        Returns:
            f64[T]; −inf at an exact zero; NaN for t ≥ `overflow`.
        """
        check_selection(self._fwd.cell, weight, gate)
        steps, states, D, n = self._fwd.tape.jacobians.preact.shape
        block_size = self._cache.fit(self._block_size, 4 * steps * states * n)  # it needs ct itself at every step

        def by_row(name):
            sums = np.empty((len(self.cost[:horizon]), D))
            factors = lower_factor(self._fwd.tape.factors[name])
            for low, (*norms, total, exponent) in self._blocks(name, block_sums, len(sums), block_size, factors):
                times = slice(max(low, 0), min(low + block_size, len(sums)))
                sums[times] = logs(total, exponent).T[times.start - low : times.stop - low]
                if norms and block_size == self._block_size and (kept := self._cache.results("norms")) is not None:
                    kept[low] = norms
            return log_total(sums[:, self._fwd.gate_index(name, gate)])

        sums = np.array(norm_over_fields(weight, by_row))
        sums[self._fwd.limit :] = np.nan
        return sums

    def log_state_gradients(self, state: int = 0) -> np.ndarray:
        """log ‖dC(t)/d carry(t−u)‖: how much the state of u steps ago matters to the cost at t.

            dC(t)/d carry(s) = ct(t,s)        ct(t,s−1) = ∂carry(s)/∂carry(s−1)ᵀ ct(t,s) + W_hhᵀ δ_h(t,s)

        Args:
            state: 0, dC(t)/dh; of an lstm 1, dC(t)/dc.

        Returns:
            f64[T, T+1] at [t, u], the initial state at lag t+1; −inf at an exact zero and beyond; NaN for
            t ≥ `overflow`.

        Raises:
            ValueError: a state that the cell does not have.
        """
        names = self._fwd.cell.carry
        if isinstance(state, bool) or state not in range(len(names)):
            states = " or ".join(f"{k} ({name})" for k, name in enumerate(names))
            raise ValueError(f"state is {state!r}; a state of {self._fwd.cell.name} is {states}")
        steps = len(self.cost)
        gradients = np.full((steps, steps + 1), -np.inf)
        gradients[self._fwd.limit :] = np.nan
        for low, block in self._blocks("states", block_state_norms, steps, self._block_size):
            mantissa, exponent, *before = (np.asarray(a)[:, state] for a in block)  # [s, B]
            of, initial = logs(mantissa, exponent).T, logs(*before).T
            self._fill(gradients, low, of)
            for t in range(max(low, 0), min(low + len(of), self._fwd.limit)):
                gradients[t, t + 1] = initial[t - low, 0]
        return gradients

    def log_total(self, weight: str = "weight_hh", gate: str | None = None) -> float:
        """log ‖Σ_t Σ_u dC(t)/dW(t−u)‖_F, the gradient that training uses, of the cost Σ_t C(t).

        Args and Raises: as in `log_terms`.

        Returns:
            one number; −inf at an exact zero; NaN where the forward pass overflows.

        Source: Werbos 1990.
        """
        check_selection(self._fwd.cell, weight, gate)
        return self._norm_of(*_joined([self._total], weight, gate)[0])

    def log_total_by_copy(self, weight: str = "weight_hh", gate: str | None = None) -> np.ndarray:
        """log ‖Σ_t dC(t)/dW(s)‖_F = log ‖Σ_t δ(t,s)‖ + log ‖z(s)‖: what each copy s of W gives to `log_total`.

        Args and Raises: as in `log_terms`.

        Returns:
            f64[T] by s; −inf at an exact zero; NaN where the forward pass overflows.
        """
        return self._total.log_terms(weight, gate)[::-1]

    def log_total_by_lag(self, weight: str = "weight_hh", gate: str | None = None) -> np.ndarray:
        """log ‖Σ_t dC(t)/dW(t−u)‖_F: what each lag u gives to `log_total`.

        Args and Raises: as in `log_terms`.

        Returns:
            f64[T] by u; −inf at an exact zero; NaN where the forward pass overflows.
        """
        check_selection(self._fwd.cell, weight, gate)
        (*network, options), factors = self._by_lag, self._fwd.tape.factors

        def by_field(name):
            norms = logs(*total_norms_by_lag(*network, factors[name], **options))  # [u, D]
            return log_total(norms[:, self._fwd.gate_index(name, gate)])

        totals = np.array(norm_over_fields(weight, by_field))
        return totals if self.overflow is None else np.full_like(totals, np.nan)

    def truncated(
        self, k: int, pieces: bool = True, weight: str = "weight_hh", gate: str | None = None
    ) -> tuple[float, float]:
        """What truncated backpropagation through time makes of the total gradient G = Σ_t Σ_u dC(t)/dW(t−u).

            pieces    G_k = Σ_t Σ_{u ≤ t mod k} dC(t)/dW(t−u)      the state is detached every k steps, from step 0 on
            window    G_k = Σ_t Σ_{u < k} dC(t)/dW(t−u)            each cost goes k steps back

        Args:
            k: steps, at least 1.
            pieces: True for pieces, False for a sliding window.
            weight, gate: as in `log_terms`.

        Returns:
            (‖G − G_k‖ / ‖G‖, cosine of G and G_k); NaN where G or G_k is zero or the forward pass overflows.

        Raises:
            ValueError: an unknown weight or gate, or a k that is no whole number above 0.

        Source: Williams & Peng 1990; Tallec & Ollivier 2017 (arXiv 1705.08209), section 2, for pieces.
        """
        check_selection(self._fwd.cell, weight, gate)
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ValueError(f"k is {k!r}; it must be a whole number of steps, at least 1")
        if self.overflow is not None:
            return math.nan, math.nan
        if pieces:
            other = self._gathered(np.arange(len(self.cost)) % k == 0)
        else:
            *network, options = self._by_lag
            window = window_deltas(*network, np.int32(min(k, len(self.cost))), **options)
            other = lag_terms_from(self._fwd, len(self.cost) - 1, window)
        (whole, _), (part, _) = _joined([self._total, other], weight, gate)
        with np.errstate(invalid="ignore", divide="ignore"):
            norm = np.linalg.norm(whole)
            cosine = whole @ part / (norm * np.linalg.norm(part))
            return float(np.linalg.norm(whole - part) / norm), float(np.clip(cosine, -1, 1))

    @property
    def _by_lag(self):
        """What `engine.lag_by_lag` goes through: (tapes, cotangents, options)."""
        tape = self._fwd.tape
        return (tape,), tape.cotangents, {"rows": (), "cell_path_only": self._fwd.cell_path_only}

    @cached_property
    def _total(self):
        return self._gathered(np.zeros(len(self.cost), bool))

    def _gathered(self, starts):
        """All costs as one, at the last t; no gradient passes `starts`."""
        fwd = self._fwd
        starts = starts if fwd.tape.starts is None else starts | np.asarray(fwd.tape.starts)
        return lag_terms_from(
            fwd, len(self.cost) - 1, total_deltas(fwd.tape, starts, cell_path_only=fwd.cell_path_only)
        )

    def _norm_of(self, values, exponent):
        log = float(logs(np.linalg.norm(values), exponent))
        return log if self.overflow is None else math.nan

    def unscaled_terms(
        self, weight: str = "weight_hh", gate: str | None = None, *, horizon: int | None = None
    ) -> np.ndarray:
        """‖dC(t)/dW(t−u)‖_F as plain backpropagation has it, in the working precision and without rescaling.

            ‖δ(t,s) z(s)ᵀ‖_F = √ Σ_ij (δ_i z_j)²        with δ(t,s) never divided by a power of two

        Every number, squares too, stays in that precision: below about 1e-19 in float32 a term is 0, above 1e+19
        inf, and NaN where a chain meets inf · 0 or inf − inf. `log_terms` has what the numbers are.

        Args and Raises: as in `log_terms`.

        Returns:
            f[T, T] at [t, u], plain numbers in the working precision; 0 where u > t; NaN in the rows t ≥ `overflow`.
        """
        check_selection(self._fwd.cell, weight, gate)
        terms = self._empty(horizon, 0, self.cost.dtype)

        def squares(name, block):  # [t, s, gates]
            of_field = np.asarray(block)[:, Weights._fields.index(name), self._fwd.gate_index(name, gate)]
            return np.moveaxis(of_field, -1, 0)

        cell, block_size = self._fwd.cell, self._block_size
        for low, block in self._blocks("squares", block_squares, len(terms), block_size, cell=cell):
            self._fill(terms, low, unscaled_norm(weight, partial(squares, block=block)))
        return terms

    def read(self, t: int, weight: str = "weight_hh", gate: str | None = None, *, chaos: bool = False) -> Reading:
        """What the numbers of one t mean: pace, growth, reach, and one sentence.

        Args:
            t: the time, 0-based, in [0, T−1].
            weight, gate: as in `log_terms`.
            chaos: ask by a second forward pass whether this one is chaotic.

        Returns:
            `Reading`; its growth is read over all T steps.

        Raises:
            ValueError: an unknown weight or gate, or t outside its range.
        """
        lags, selection = self.lags(t), (weight, gate)
        return read(
            lags.log_terms(*selection),
            lags.log_delta(*selection),
            lags.log_partial_sums(*selection),
            self.log_sums(*selection),
            self.log_residual,
            self.overflow,
            self.underflow,
            t,
            self.divergence if chaos else None,
        )

    @cached_property
    def divergence(self) -> np.ndarray:
        """How far a change of W_hh in its last digits moves each step, f64[T]; see `engine.forward.divergence`."""
        return divergence(self._fwd)

    def lags(self, t: int) -> LagTerms:
        """The `LagTerms` of one t, as `lag_terms` gives them, without another forward pass."""
        return lag_terms_of(self._fwd, t)

    @property
    def _block_size(self):
        steps, *_, n = self._fwd.tape.jacobians.preact.shape
        return choose_block_size(n, steps)

    def _reached(self, low, steps):
        """How many steps the costs of a block can reach: none beyond its last t."""
        return min(low + self._block_size, steps)

    def _blocks(self, question, function, steps, block_size, *arguments, **static):
        where = {"cache": self._cache, "question": question, "mesh": self._mesh}
        return blocks(self._fwd, function, steps, block_size, *arguments, **where, **static)

    def _empty(self, horizon, nothing, dtype=float):
        """[t, u] before anything is known."""
        steps = len(self.cost[:horizon])
        terms = np.full((steps, steps), nothing, dtype)
        terms[self._fwd.limit :] = np.nan
        return terms

    def _fill(self, terms, low, by_step):
        """Write a block's [t, s] into the rows low … of [t, u], u = t − s."""
        for t in range(max(low, 0), min(low + len(by_step), len(terms), self._fwd.limit)):
            terms[t, : t + 1] = by_step[t - low, t::-1]


def gradient_map(
    cell: str | Cell,
    weights: Weights,
    inputs: ArrayLike,
    readout: ArrayLike | None = None,
    targets: ArrayLike | None = None,
    *,
    cotangents: ArrayLike | None = None,
    starts: ArrayLike | None = None,
    loss: str = "squared",
    readout_bias: ArrayLike | None = None,
    pins: Mapping[str, ArrayLike] | None = None,
    carry: Iterable[ArrayLike] | None = None,
    cell_path_only: bool = False,
    mesh: jax.sharding.Mesh | None = None,
) -> GradientMap:
    """Compute every dC(t)/dW(t−u) of a recurrent layer, for all t and all lags u.

        C(t) = ½ ‖y(t) − target(t)‖²,  y(t) = readout · h(t) + readout_bias        dC(t)/dW = Σ_u dC(t)/dW(t−u)

    Args:
        cell: a name in `CELLS`, or a `Cell`, with G gates and n units.
        weights: `Weights` in PyTorch's shapes, [G·n, m], [G·n, n], [G·n], [G·n]; with a leading axis [T, ...] on
            every field each step has its own copy.
        inputs: f[T, m].
        readout: f[n] or f[k, n].
        targets: f[T] or f[T, k], as the readout; NaN masks the cost at that t.
        cotangents: f[T, n], dC(t)/dh(t) of any cost, in place of readout and targets; `cost` is then NaN.
        starts: bool[T], the steps that begin with a fresh state, the initial carry: several sequences in one.
        loss: "squared", as above; or

            cross-entropy           C = −log softmax(y)_target; readout f[k, n], targets int[T], −1 masks
            binary-cross-entropy    C = −target log σ(y) − (1 − target) log σ(−y); targets in [0, 1], NaN masks

        readout_bias: f[k], or a number with a readout f[n]; zero if None.
        pins: gate name -> value or f[T] in [0, 1]; the gate is then that constant; NaN: the network decides. Only
            sigmoid gates: lstm input, forget, output; gru reset, update.
        carry: the initial (h,) or (h, c), each f[n]; zeros if None.
        cell_path_only: lstm only; no gradient from the gates into h(s−1), so that the cell path alone remains:

            δ_cell(t,s) = dC/dh(t) ⊙ o(t) ⊙ (1 − tanh² c(t)) ⊙ Π_{r=s+1..t} f(r) ⊙ i(s) ⊙ (1 − g(s)²)

        mesh: a `jax.sharding.Mesh` over whose devices the blocks of t are spread; every process that shares it makes
            the same calls and gets the same numbers. None: one device.

    Returns:
        `GradientMap`. Times are 0-based; lag u of t is the copy used at step t − u; there weight_hh multiplies
        h(t−u−1), at lag t the initial carry. Precision is the result type of the arrays given, but states and
        their derivatives are computed in float64: tanh' is measured down to 1e-308 (|z| = 354), σ' likewise
        (|z| = 708), and is an exact zero beyond. What is of all t at once loses, in float32, a derivative below 1e-38
        and a unit whose δ falls beneath 1e-38 of the largest of its cost, which is seen only where W mixes no units,
        as the identity, and the others die later; `lags` and `cell_path_only` do not.

    Raises:
        ValueError: names the field, its value and what is valid.

    Source: Werbos 1990 (backpropagation through time); Hochreiter & Schmidhuber 1997 (the truncation of the cell
    path); Pascanu, Mikolov & Bengio 2013, eq. 3–5 (the sum over lags).
    """
    cost: dict[str, Any] = {"cotangents": cotangents, "loss": loss, "readout_bias": readout_bias}
    layer: dict[str, Any] = {"starts": starts, "pins": pins, "carry": carry, "cell_path_only": cell_path_only}
    return _map_of(forward(cell, weights, inputs, readout, targets, **cost, **layer), mesh)


def states(
    cell: str | Cell,
    weights: Weights,
    inputs: ArrayLike,
    *,
    starts: ArrayLike | None = None,
    pins: Mapping[str, ArrayLike] | None = None,
    carry: Iterable[ArrayLike] | None = None,
) -> tuple[np.ndarray, ...]:
    """Run a recurrent layer forwards.

        carry(s) = cell.step(W_ih x(s) + b_ih, W_hh h(s−1) + b_hh, carry(s−1))        carry: (h,), of an lstm (h, c)

    Args and Raises: as in `gradient_map`.

    Returns:
        (h,) or (h, c) after each step, each f[T, n].
    """
    return forward_states(cell, weights, inputs, starts=starts, pins=pins, carry=carry)


def gradient_maps(
    problems: Iterable[dict[str, Any]], *, cell_path_only: bool = False, mesh: jax.sharding.Mesh | None = None
) -> list[GradientMap]:
    """Compute the `gradient_map` of several problems of one cell and size: other weights, sequences, pins, carries.

    The forward passes run as one, by `jax.vmap`; the sweeps as those of as many calls.

    Args:
        problems: a sequence of dicts, each the arguments of `gradient_map` by name, all of the same shapes.
        cell_path_only, mesh: as in `gradient_map`, for all of them.

    Returns:
        a list of `GradientMap`, in order.

    Raises:
        ValueError: as in `gradient_map`; or the problems differ in cell, shapes or precision.
    """
    return [_map_of(fwd, mesh) for fwd in forward_all(problems, cell_path_only)]


def _joined(totals, weight, gate):
    """The sums of terms of each of the `LagTerms`, flat, in float64: (values, exponent), one exponent for all."""
    names = Weights._fields if weight == "all" else (weight,)
    parts = [[each.sum_of_terms(name, gate) for name in names] for each in totals]
    top = max(exponent.max() for part in parts for _, exponent in part)
    scaled = lambda values, exponent: np.ldexp(values, (exponent - top)[:, None, None]).ravel()
    return [(np.concatenate([scaled(*each) for each in part]), top) for part in parts]


def _map_of(fwd, mesh):
    cotangents, (cost, gates, _) = fwd.tape.cotangents, fwd.outputs
    cost = np.array(cost)
    log_residual = log_norm(cotangents.dC_dh) + np.asarray(cotangents.exponent) * LN2
    cost[fwd.limit :] = log_residual[fwd.limit :] = np.nan
    return GradientMap(
        cost=cost,
        log_residual=log_residual,
        gates={name: np.asarray(gate) for name, gate in gates.items()},
        overflow=fwd.overflow,
        underflow=fwd.underflow,
        device=fwd.device,
        _fwd=fwd,
        _mesh=mesh,
        _cache=BlockCache(len(cost), fwd.tape.jacobians.preact.shape[2]),
    )
