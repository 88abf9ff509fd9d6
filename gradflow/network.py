"""A person's own network: recurrent layers above one another, in one direction or in both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gradflow.cells import Cell
from gradflow.engine.contractions import block_sums
from gradflow.engine.forward import ForwardPass, divergence, forward_layer
from gradflow.engine.losses import Cotangents, cotangents_of
from gradflow.engine.recurrent_product import choose_block_size
from gradflow.engine.scaling import LN2, log_norm
from gradflow.engine.schedule import BlockCache, blocks
from gradflow.engine.stack import stack_block, stack_deltas, stack_totals
from gradflow.lags import LagTerms, lag_terms_from
from gradflow.maps import GradientMap
from gradflow.problem import GivenCotangents, check_network, check_time
from gradflow.reading import Reading
from gradflow.weights import Weights

MAX_BLOCK = 64  # costs that go back together: what comes in and goes out of a layer is T · n numbers for each


class Network(NamedTuple):
    """Recurrent layers, the lowest first, each `(Weights,)` or, in both directions, `(Weights, backward Weights)`."""

    cell: str | Cell
    layers: Sequence[Sequence[Weights]]


@dataclass(frozen=True, eq=False)
class LayerMap(GradientMap):
    """Every dC(t)/dW(s) of one layer and direction of a network; see `network_map`.

    It answers what a `GradientMap` does, with cost NaN, but for what plain arithmetic would give.
    `log_residual` is log ‖dC(t)/dy(t)‖ of the network's outputs y. `log_terms` and what else goes by lag are refused
    where a cost reaches later steps too: in a backward direction and below one.

    Attributes:
        layer, direction: which it is; direction 0 is forward, 1 backward.
        outputs: h(s) of this layer and direction, in the order of time, f[T, n].
    """

    layer: int
    direction: int
    outputs: np.ndarray
    _stack: "_Stack" = field(repr=False)

    @property
    def causal(self) -> bool:
        """Whether C(t) depends on this direction's steps s ≤ t alone."""
        above = self._stack.passes[self.layer + 1 :]
        return self.direction == 0 and not (above and len(above[0]) > 1)

    @property
    def divergence(self) -> np.ndarray:
        """As of a `GradientMap`, the largest of any layer and direction, f64[T]: a term goes through several.

        What a layer sends up moves no layer below it, so that a network is chaotic where one of its layers is.
        """
        return self._stack.divergence

    @property
    def slopes(self) -> dict[str, np.ndarray]:
        """As of a `GradientMap`, in the order of time."""
        return {gate: _in_time(each, self.direction) for gate, each in super().slopes.items()}

    def log_terms(
        self, weight: str = "weight_hh", gate: str | None = None, *, horizon: int | None = None
    ) -> np.ndarray:
        """As in `GradientMap`.

        Raises:
            ValueError: also where a cost reaches later steps, which have no lag.
        """
        self._check_causal("log_terms")
        return super().log_terms(weight, gate, horizon=horizon)

    def log_terms_by_copy(self, weight: str = "weight_hh", gate: str | None = None) -> np.ndarray:
        """As in `GradientMap`."""
        terms = super().log_terms_by_copy(weight, gate)
        return terms[:, ::-1] if self.direction else terms

    def log_state_gradients(self, state: int = 0) -> np.ndarray:
        """As in `GradientMap`; refused as `log_terms` is."""
        self._check_causal("log_state_gradients")
        return super().log_state_gradients(state)

    def log_total_by_copy(self, weight: str = "weight_hh", gate: str | None = None) -> np.ndarray:
        """As in `GradientMap`."""
        total = super().log_total_by_copy(weight, gate)
        return total[::-1] if self.direction else total

    def read(self, t: int, weight: str = "weight_hh", gate: str | None = None, *, chaos: bool = False) -> Reading:
        """As in `GradientMap`; refused as `log_terms` is."""
        self._check_causal("read")
        return super().read(t, weight, gate, chaos=chaos)

    def lags(self, t: int) -> LagTerms:
        """As in `GradientMap`; refused as `log_terms` is, and without unscaled terms, which are NaN."""
        self._check_causal("lags")
        t = check_time(t, len(self.cost))
        return lag_terms_from(self._fwd, t, self._stack.deltas(t)[self.layer][self.direction])

    def log_total_by_lag(self, weight: str = "weight_hh", gate: str | None = None) -> np.ndarray:
        """As in `GradientMap`; refused as `log_terms` is."""
        self._check_causal("log_total_by_lag")
        return super().log_total_by_lag(weight, gate)

    def truncated(
        self, k: int, pieces: bool = True, weight: str = "weight_hh", gate: str | None = None
    ) -> tuple[float, float]:
        """As in `GradientMap`, all layers being truncated alike; refused where any direction is backward."""
        if not self._stack.one_way:
            raise ValueError("truncated is of networks in one direction; one that reads backwards needs all steps")
        return super().truncated(k, pieces, weight, gate)

    def unscaled_terms(
        self, weight: str = "weight_hh", gate: str | None = None, *, horizon: int | None = None
    ) -> np.ndarray:
        """Not of a network."""
        raise ValueError("unscaled_terms is of one layer alone; a layer of a network has log_terms")

    @property
    def _by_lag(self):
        tapes = tuple(layer[0].tape for layer in self._stack.passes[self.layer :])
        n = tapes[-1].jacobians.preact.shape[3]
        cotangents = self._stack.cotangents
        forward = cotangents._replace(dC_dh=cotangents.dC_dh[:, :n])  # a backward direction is beside it
        return tapes, forward, {"rows": self._stack.rows, "cell_path_only": False}

    def _gathered(self, starts):
        return lag_terms_from(self._fwd, len(self.cost) - 1, self._stack.totals(starts)[self.layer][self.direction])

    @property
    def _block_size(self):
        return self._stack.block_size

    def _reached(self, low, steps):
        return min(low + self._block_size, steps) if self._stack.one_way else steps

    def _blocks(self, question, function, steps, block_size, *arguments, **static):
        for low, results in self._stack.blocks(question, function, steps, block_size):
            yield low, results[self.layer][self.direction]

    def _check_causal(self, name):
        if not self.causal:
            where = "reads backwards" if self.direction else "is below one that reads backwards"
            raise ValueError(
                f"{name} goes by lag, and layer {self.layer}, direction {self.direction} {where}, so that C(t) reaches "
                "steps after t; log_terms_by_copy has the terms by step"
            )


@dataclass(frozen=True, eq=False)
class _Stack:
    """The forward passes of all layers and directions, and what goes back through them together."""

    passes: list[list[ForwardPass]]
    cotangents: Cotangents
    cache: BlockCache
    block_size: int
    kept: dict[bytes, list] = field(default_factory=dict)  # the last totals, of all layers
    last: dict[int, list] = field(default_factory=dict)  # the δ of the last t that was asked for, likewise

    @property
    def one_way(self):
        return len(self.passes[0]) == 1

    @property
    def rows(self):
        return tuple(self.passes[0][0].gate_index("weight_ih", None))

    @cached_property
    def tapes(self):
        return tuple(tuple(each.tape for each in layer) for layer in self.passes)

    def totals(self, starts):
        if (key := starts.tobytes()) not in self.kept:
            self.kept.clear()
            self.kept[key] = stack_totals(self.tapes, self.cotangents, starts, rows=self.rows)
        return self.kept[key]

    @cached_property
    def divergence(self):
        every = [_in_time(divergence(each), d) for layer in self.passes for d, each in enumerate(layer)]
        return np.maximum.reduce(every)

    def deltas(self, t):
        deltas = self.last.get(t)
        if deltas is None:
            deltas = stack_deltas(self.tapes, self.cotangents, t, rows=self.rows)
            self.last.clear()
            self.last[t] = deltas
        return deltas

    def blocks(self, question, function, steps, block_size):
        """(low, results [layer][direction]) of every block, kept for the other layers."""
        options: dict[str, Any] = {"cache": self.cache, "question": f"{question}, {block_size} together"}
        options |= {"of_block": function, "field": question if function is block_sums else "", "rows": self.rows}
        network: Any = (self.tapes, self.cotangents)
        yield from blocks(self.passes[-1][0], stack_block, steps, block_size, *network, **options)


def network_map(
    network: Network,
    inputs: ArrayLike,
    cotangents: ArrayLike,
    *,
    carry: Sequence[Sequence[Sequence[ArrayLike] | None]] | None = None,
    pins: Sequence[Sequence[Mapping[str, ArrayLike] | None]] | None = None,
) -> list[list[LayerMap]]:
    """Compute every dC(t)/dW(s) of all layers and directions of a network, for all t and all steps s.

        h_l(s) = layer l of (h_{l−1}(s)), both directions beside one another,  h_{−1} = inputs, y = h_top
        ‖dC(t)/dW_hh,l(s)‖ = ‖δ_h,l(t,s)‖ ‖h_l(s−1)‖        ‖dC(t)/dW_ih,l(s)‖ = ‖δ_x,l(t,s)‖ ‖h_{l−1}(s)‖

    Args:
        network: `Network`; all layers of one cell, in one direction or all in both.
        inputs: f[T, m].
        cotangents: f[T, n], dC(t)/dy(t) of any cost by the top layer's outputs; in both directions f[T, 2n], those of
            the forward one first.
        carry: [layer][direction], each the initial (h,) or (h, c), or None for zeros.
        pins: [layer][direction], each sigmoid gate -> its value in [0, 1], one number or [T] in the order of time, NaN
            where the network decides; or None. The cotangents stay as they are given.

    Returns:
        [layer][direction] of `LayerMap`; direction 0 is forward, 1 backward.

    Raises:
        ValueError: names the layer, the field, its value and what is valid.

    Source: Werbos 1990; Schuster & Paliwal 1997 (both directions).
    """
    listed = lambda each: isinstance(each, (list, tuple))
    of_weights = lambda layer: listed(layer) and (len(layer) > 2 or all(map(listed, layer)))
    if not listed(network.layers) or not all(map(of_weights, network.layers)):
        raise ValueError("layers must be [layer][direction] of Weights; a single layer in one direction is [[weights]]")
    inputs, cotangents, held = check_network(network.cell, network.layers, inputs, cotangents, carry, pins)
    passes: list[list[ForwardPass]] = []
    x = inputs
    for k, layer in enumerate(network.layers):
        passes.append([])
        for d, weights in enumerate(layer):
            own = {gate: _in_time(value, d) if value.ndim else value for gate, value in held[k][d].items()}
            given: dict[str, Any] = {"carry": None if carry is None else carry[k][d], "pins": own}
            try:
                passes[-1].append(forward_layer(network.cell, weights, _in_time(x, d), **given))
            except ValueError as error:
                raise ValueError(f"layers[{k}][{d}]: {error}") from error
        x = np.concatenate([_outputs(each, d) for d, each in enumerate(passes[-1])], axis=1)
    if cotangents.shape != x.shape:
        raise ValueError(
            f"cotangents has shape {list(cotangents.shape)}; it must be {list(x.shape)}, as the top layer's outputs"
        )
    return _maps(passes, cotangents.astype(x.dtype))


def _outputs(fwd, d):
    return _in_time(np.asarray(fwd.tape.trajectory.after[0]), d)


def _unscaled_unknown(fwd, overflow, underflow):
    own = fwd.tape.cotangents
    tape = fwd.tape._replace(cotangents=own._replace(unscaled=np.full_like(own.dC_dh, np.nan)))
    return fwd._replace(tape=tape, overflow=overflow, underflow=underflow)


def _in_time(by_step, d):
    """What a direction has in its own order of steps, in the order of time."""
    return by_step[::-1] if d else by_step


def _maps(passes, dC_dy):
    cotangents, _ = cotangents_of(GivenCotangents(dC_dy), dC_dy)
    steps, every = len(dC_dy), [each for layer in passes for each in layer]
    first = lambda steps: min((s for s in steps if s is not None), default=None)
    overflow, underflow = first(each.overflow for each in every), first(each.underflow for each in every)
    if len(passes[0]) > 1:
        overflow, underflow = (None if s is None else 0 for s in (overflow, underflow))
    passes = [[_unscaled_unknown(each, overflow, underflow) for each in layer] for layer in passes]
    n = max(each.tape.jacobians.preact.shape[3] for each in every)
    rows = sum(each.tape.jacobians.preact.shape[2] for each in every)
    stack = _Stack(passes, cotangents, BlockCache(steps, rows), min(choose_block_size(n, steps), MAX_BLOCK))
    log_residual = log_norm(cotangents.dC_dh) + np.asarray(cotangents.exponent) * LN2
    log_residual[passes[0][0].limit :] = np.nan

    def one(layer, direction):
        fwd = passes[layer][direction]
        gates = {name: _in_time(np.asarray(gate), direction) for name, gate in fwd.outputs.gates.items()}
        return LayerMap(
            cost=np.full(steps, np.nan, dC_dy.dtype),
            log_residual=log_residual,
            gates=gates,
            overflow=overflow,
            underflow=underflow,
            device=fwd.device,
            _fwd=fwd,
            _mesh=None,
            _cache=stack.cache,
            layer=layer,
            direction=direction,
            outputs=_outputs(fwd, direction),
            _stack=stack,
        )

    return [[one(k, d) for d in range(len(layer))] for k, layer in enumerate(passes)]
