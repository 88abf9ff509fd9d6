"""A person's own network: the recording that the app was started with, and what the page shows of it."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from gradflow.app.measurement import Measurement
from gradflow.app.scenario import Scenario
from gradflow.cells import CELLS
from gradflow.engine.compile_cache import keep_compiled
from gradflow.network import Network
from gradflow.reading import number, read
from gradflow.recording import Recording, load
from gradflow.weights import Weights, draw

FRESH = "the same sizes, freshly drawn"


def opened(path: str) -> Recording:
    """The recording of a file, read again where the file has changed.

    Raises:
        ValueError: there is no such file, or it is no recording, in one sentence.
    """
    try:
        changed = Path(path).stat().st_mtime_ns
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    return _opened(path, changed)


@lru_cache(maxsize=1)
def _opened(path, changed):
    return load(path)


@lru_cache(maxsize=1)
def freshly_drawn(recording: Recording) -> Recording:
    """A network of the same sizes with weights as PyTorch draws them, on the same inputs, with the same dL/dy(t)."""
    gates = CELLS[cell_of(recording)].gates

    def drawn(weights, seed):
        n, m = weights.weight_hh.shape[1], weights.weight_ih.shape[1]
        new = draw(gates, n, m, init="pytorch", seed=seed)
        return Weights(*(None if own is None else field for own, field in zip(weights, new, strict=True)))

    layers = [
        tuple(drawn(Weights(*weights), 2 * k + d) for d, weights in enumerate(layer))
        for k, layer in enumerate(recording.network.layers)
    ]
    return Recording(Network(recording.network.cell, layers), recording.inputs, recording.cotangents)


@lru_cache(maxsize=8)
def measure_layer(
    recording: Recording, sequence: int, layer: int, direction: int, time: int, weight: str, gate: str, called: str = ""
) -> Measurement:
    """What the page shows of one layer, at one time of one sequence; called: what it is beside another.

    Raises:
        ValueError: the outputs that were recorded are not those of the weights; the direction has no lags.
    """
    keep_compiled()
    gmap = recording.maps(sequence)[layer][direction]
    # Charts ask a scenario for cell, weight and gate alone.
    scenario = Scenario(cell=cell_of(recording), weight=weight, gate=gate)
    rows = scenario.rows
    lags = gmap.lags(time)
    log_row, log_partial, log_sums = lags.log_terms(**rows), lags.log_partial_sums(**rows), gmap.log_sums(**rows)
    numbers = log_row, lags.log_delta(**rows), log_partial, log_sums, gmap.log_residual
    return Measurement(
        scenario=scenario,
        t=time,
        log_terms=gmap.log_terms(**rows),
        log_sums=log_sums,
        log_residual=gmap.log_residual,
        cost=gmap.cost,
        log_row=log_row,
        log_partial=log_partial,
        gates={name: gate.mean(axis=1) for name, gate in gmap.gates.items()},
        labels=("",) * len(gmap.cost),
        overflow=gmap.overflow,
        underflow=gmap.underflow,
        reading=read(*numbers, gmap.overflow, gmap.underflow, time),
        lags=lags,
        gmap=gmap,
        called=called,
    )


def terms_by_layer(recording: Recording, sequence: int, time: int, weight: str) -> dict[str, np.ndarray]:
    """Natural logs of the terms of every layer with lags, at one time by lag: "layer 1" -> f64[t+1]."""
    name = lambda gmap: f"layer {gmap.layer + 1}" + (", backward" if gmap.direction else "")
    return {name(gmap): gmap.log_terms(weight)[time, : time + 1] for gmap in _with_lags(recording, sequence)}


def _with_lags(recording, sequence):
    """The maps of every layer and direction whose terms have lags."""
    return [gmap for layer in recording.maps(sequence) for gmap in layer if gmap.causal]


def cell_of(recording: Recording) -> str:
    """The name of its cell."""
    cell = recording.network.cell
    return cell if isinstance(cell, str) else cell.name


def by_layer(recording: Recording, sequence: int, time: int, weight: str) -> list[tuple[str, str, str, str, str]]:
    """(layer, pace, lags that hold 90 %, share of the far half, gradient) of every layer with lags, as words."""
    told = []
    for gmap in _with_lags(recording, sequence):
        reading = gmap.read(time, weight)
        pace = f"×{number(np.log(reading.pace))}" if np.isfinite(reading.pace) else "none"
        if not reading.pace_steady:
            pace = f"{pace}, not steady"
        far = f"{100 * reading.far_share:.2g} %"
        told.append((str(gmap.layer + 1), pace, str(reading.memory), far, number(reading.log_sum)))
    return told
