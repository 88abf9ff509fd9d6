"""What the page shows of a scenario, measured; with all caches and locks.

Every shape is that of `MAX_HORIZON`, of which the horizon takes the first blocks and slices, as causality allows: one
compilation serves every horizon and every time.
"""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from gradflow.app.scenario import MAX_HORIZON, Scenario
from gradflow.caching import COMPILED
from gradflow.cells import CELLS

if TYPE_CHECKING:
    from gradflow.lags import LagTerms
    from gradflow.maps import GradientMap
    from gradflow.reading import Reading
    from gradflow.weights import Weights

# Scenarios of compiled kinds are measured one after the other: side by side they would all wait for the interpreter's
# lock, and all be late. A kind that is not compiled takes seconds, under a lock of its own: who asks for such a kind
# waits for it. The others go on, except that the engine begins no block of times while it compiles one.
_MEASURE_LOCK, _COMPILE_LOCK = Lock(), Lock()
SLOPE = "slope"  # of the activation, where there are no gates
TRUNCATED_AT = (1, 2, 3, 5, 8, 13, 20, 34, 55, 89, 144, 233)  # steps that truncation keeps, where it is measured
MAX_COMPILED_KINDS = 12  # at about 15 MB each; then all go, and come again from the disk as they are asked for


def measured_kinds() -> frozenset[tuple[str, int, bool]]:
    """The kinds of scenario that are compiled in this process."""
    return frozenset(kind for what, kind, *_ in COMPILED.copy() if what is Scenario)


@dataclass(frozen=True, eq=False)
class Measurement:
    """What the page shows of a scenario, sliced to its horizon T; t is the chosen time; logarithms are natural.

    −inf is an exact zero, NaN marks the rows from the step at which the forward pass overflows.
    """

    scenario: Scenario
    t: int
    log_terms: np.ndarray  # log ‖dC(t)/dW(t−u)‖ at [t, u], f64[T, T]
    log_sums: np.ndarray  # log ‖Σ_u dC(t)/dW(t−u)‖, f64[T]
    log_residual: np.ndarray  # log ‖dC(t)/dh(t)‖, f64[T]
    cost: np.ndarray  # C(t), [T]
    log_row: np.ndarray  # the terms of the chosen t by lag, f64[t+1]
    log_partial: np.ndarray  # log ‖Σ_{u'≤u} dC(t)/dW(t−u')‖, f64[t+1]
    gates: dict[str, np.ndarray]  # mean openness of each sigmoid gate over the units, name -> f[T]
    labels: tuple[str, ...]  # what was read at each step
    overflow: int | None  # first step whose forward pass is not finite
    underflow: int | None  # first step at which a state was flushed to zero
    reading: "Reading"
    lags: "LagTerms"  # the terms of the chosen t, to ask for more: entries, factors, chains
    gmap: "GradientMap"
    called: str = ""  # what it is, beside another; "": told by how its scenario differs

    @property
    def field(self) -> dict[str, Any]:
        """What is chosen, for what needs one field: where all are, weight_hh, or weight_ih in a cell without it."""
        rows = self.scenario.rows
        return rows | ({"weight": CELLS[self.scenario.cell].used("weight_hh")} if rows["weight"] == "all" else {})

    @cached_property
    def strips(self) -> dict[str, np.ndarray]:
        """What is drawn under the terms, in [0, 1], name -> f[T]: the gates, or of a plain RNN its mean slope.

        The slope of the activation is what a step back multiplies by beside the weights.
        """
        if self.gates:
            return self.gates
        (slope,) = self.gmap.slopes.values()
        return {SLOPE: slope[: len(self.cost)].mean(axis=1)}

    @cached_property
    def chaos_checked(self) -> "Reading":
        """The reading, once it is asked whether the forward pass is chaotic; `Reading`."""
        from gradflow.reading import read

        numbers = self.log_row, self.lags.log_delta(**self.scenario.rows), self.log_partial, self.log_sums
        return read(*numbers, self.log_residual, self.overflow, self.underflow, self.t, self.gmap.divergence)

    def said(self, at_rest: bool = True) -> str:
        """The sentence; at rest it is asked whether the network is chaotic, which takes a second forward pass."""
        return (self.chaos_checked if at_rest else self.reading).verdict

    @cached_property
    def chains(self) -> dict[str, np.ndarray]:
        """The chains that are taken for dC(t)/dW(t−u): name -> natural log by lag, f[t+1]."""
        states = ",".join(CELLS[self.scenario.cell].carry)
        return {
            f"‖dh(t)/d{f'({states})' if ',' in states else states}(t−u)‖": self.lags.log_state_sensitivity(),
            "‖dC(t)/dx(t−u)‖": self.lags.log_input_sensitivity(),
        }

    @cached_property
    def log_missing(self) -> np.ndarray:
        """Log ‖Σ_{u≥k}‖ / ‖Σ‖ by the number k of lags kept, f[t+2]; at k = t+1 nothing is missing."""
        with np.errstate(invalid="ignore"):
            return np.append(self.lags.log_tail_sums(**self.scenario.rows), -np.inf) - self.log_partial[-1]

    @cached_property
    def of_all_costs(self) -> "GradientMap":
        """The map of the costs up to the horizon alone, whose totals are those of Σ_t C(t)."""
        if len(self.cost) == len(self.gmap.cost):
            return self.gmap
        from gradflow.maps import gradient_map

        problem = replace(self.scenario, horizon=MAX_HORIZON).problem()
        targets = np.array(problem["targets"])
        targets[len(self.cost) :] = np.nan
        return gradient_map(**problem | {"targets": targets})

    @cached_property
    def total_by_lag(self) -> np.ndarray:
        """log ‖Σ_t dC(t)/dW(t−u)‖ by u, f[T]."""
        return self.of_all_costs.log_total_by_lag(**self.scenario.rows)[: len(self.cost)]

    @cached_property
    def total_by_copy(self) -> np.ndarray:
        """log ‖Σ_t dC(t)/dW(s)‖ by s, f[T]."""
        return self.of_all_costs.log_total_by_copy(**self.scenario.rows)[: len(self.cost)]

    @cached_property
    def log_total(self) -> float:
        """log ‖Σ_t Σ_u dC(t)/dW(t−u)‖."""
        return self.of_all_costs.log_total(**self.scenario.rows)

    @cached_property
    def truncated(self) -> dict[str, np.ndarray]:
        """log of the part of the gradient of all costs that truncation leaves out: "window", "pieces" -> by k.

        At each k of `TRUNCATED_AT` up to the horizon.
        """
        asked = [k for k in TRUNCATED_AT if k <= len(self.cost)]
        missing = lambda k, pieces: self.of_all_costs.truncated(k, pieces, **self.scenario.rows)[0]
        with np.errstate(divide="ignore"):
            return {
                name: np.log([missing(k, pieces) for k in asked])
                for name, pieces in (("window", False), ("pieces", True))
            }

    @cached_property
    def whole(self) -> "Weights":
        """dC(t)/dW of the shared weights, by `jax.grad` alone; `Weights`."""
        from gradflow.engine.reference import whole_gradient

        return whole_gradient(**self.scenario.problem(), t=self.t)

    @cached_property
    def float32(self) -> "Measurement":
        """The same with what plain float32 reports for terms and running sum: −inf a zero, NaN an inf or a NaN."""
        rows = self.scenario.rows
        plain = self.gmap.unscaled_terms(**rows, horizon=len(self.cost))
        return replace(
            self,
            log_terms=np.where(np.tril(np.ones(plain.shape, bool)), _plain_logs(plain), -np.inf),
            log_row=_plain_logs(self.lags.unscaled_terms(**rows)),
            log_partial=_plain_logs(self.lags.unscaled_partial_sums(**rows)),
        )


def measure(scenario: Scenario) -> Measurement:
    """Compute what the page shows of a scenario, a `Measurement`.

    The first of its `kind` compiles. Who asks meanwhile for a kind that is not compiled, the same or another, waits.
    """
    if scenario.kind in measured_kinds():
        with _MEASURE_LOCK:
            return _measure(scenario)
    with _COMPILE_LOCK:
        kinds = measured_kinds()
        if scenario.kind not in kinds and len(kinds) >= MAX_COMPILED_KINDS:
            from gradflow.engine.compile_cache import forget_compiled

            forget_compiled()
        measurement = _measure(scenario)
        COMPILED.add((Scenario, scenario.kind))
        return measurement


def _plain_logs(values):
    values = np.asarray(values, float)
    with np.errstate(divide="ignore"):
        return np.log(np.where(np.isfinite(values), values, np.nan))


@lru_cache(maxsize=8)
def _measure(scenario):
    horizon, t = scenario.horizon, min(scenario.time, scenario.horizon - 1)
    rows = scenario.rows
    base = replace(scenario, horizon=MAX_HORIZON, time=MAX_HORIZON - 1, weight="weight_hh", gate="all")
    gmap, (log_terms, log_sums) = _gradient_map(base), _all_times(base, horizon, **rows)
    return measurement_of(scenario, t, gmap, _lag_terms(base, t), log_terms, log_sums, base.data().labels[:horizon])


def measurement_of(
    scenario: Scenario,
    t: int,
    gmap: "GradientMap",
    lags: "LagTerms",
    log_terms: np.ndarray,
    log_sums: np.ndarray,
    labels: tuple[str, ...],
    called: str = "",
) -> Measurement:
    """A map at one time, up to as many steps as there are labels; the fields are those of `Measurement`."""
    from gradflow.reading import read

    horizon, rows = len(labels), scenario.rows
    before = lambda step: step if step is not None and step < horizon else None
    overflow, underflow = before(gmap.overflow), before(gmap.underflow)
    log_residual = gmap.log_residual[:horizon]
    log_row, log_partial = lags.log_terms(**rows), lags.log_partial_sums(**rows)
    return Measurement(
        scenario=scenario,
        t=t,
        log_terms=log_terms,
        log_sums=log_sums,
        log_residual=log_residual,
        cost=gmap.cost[:horizon],
        log_row=log_row,
        log_partial=log_partial,
        gates={name: gate[:horizon].mean(axis=1) for name, gate in gmap.gates.items()},
        labels=labels,
        overflow=overflow,
        underflow=underflow,
        reading=read(log_row, lags.log_delta(**rows), log_partial, log_sums, log_residual, overflow, underflow, t),
        lags=lags,
        gmap=gmap,
        called=called,
    )


@lru_cache(maxsize=8)
def _gradient_map(scenario):
    """The map of a scenario, whatever its horizon, time, weight and gate."""
    from gradflow.engine.device import select_device
    from gradflow.maps import gradient_map

    select_device()
    return gradient_map(**scenario.problem())


@lru_cache(maxsize=8)
def _all_times(scenario, horizon, weight, gate):
    """(log_terms, log_sums) of a map, which another time alone does not change."""
    gmap, of = _gradient_map(scenario), {"weight": weight, "gate": gate, "horizon": horizon}
    log_sums = gmap.log_sums(**of)  # before the terms: one sweep gives the sums and the norms of all terms
    return gmap.log_terms(**of), log_sums


@lru_cache(maxsize=8)
def _lag_terms(scenario, t):
    return _gradient_map(scenario).lags(t)
