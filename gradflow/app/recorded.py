"""A person's own network: the recording that the app was started with, and what the page shows of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import RLock
from typing import Any
from weakref import ref

import numpy as np

from gradflow.app import command_line, frame
from gradflow.app.charts import base
from gradflow.app.measurement import Measurement, measurement_of
from gradflow.app.ranges import Range
from gradflow.app.scenario import GATE_FIELDS, RANGES, Scenario, gate_names, pinnable_gates, weight_names
from gradflow.app.url_codec import INITIAL, left_out, write
from gradflow.app.url_codec import read as read_field
from gradflow.app.view import View
from gradflow.caching import COMPILED
from gradflow.cells import CELLS
from gradflow.engine.compile_cache import keep_compiled
from gradflow.network import LayerMap, Network, network_map
from gradflow.reading import number
from gradflow.recording import Recording, load
from gradflow.sequences import drawn
from gradflow.weights import Weights, draw

FRESH = "the same sizes, freshly drawn"
SHOWN = ("terms", "factors", "shares", "all_costs", "truncation")
DIRECTIONS = ("forward", "backward")
GAIN = Range(0.25, 4.0, 0.01)
LIVE = ("time", "lag", "gain", *GATE_FIELDS)  # what a range moves
TURN = RLock()  # of whoever measures: the layers of a network share what is kept


@dataclass(frozen=True)
class Look:
    """What the page shows of a recording; a link carries what differs from `first_look`."""

    sequence: int = 0
    layer: int = 1  # the lowest is 1
    direction: str = "forward"
    weight: str = "weight_hh"
    gate: str = "all"
    show: str = "terms"
    fresh: bool = False  # the second recording stays in grey, or the same sizes freshly drawn
    time: int = 0
    lag: int = 0  # the lag that is lit
    gain: float = 1.0  # times W_hh of the layer, in its direction
    forget: float | None = None  # of a gate of that layer, held at every step; None: as trained
    input: float | None = None
    output: float | None = None
    reset: float | None = None
    update: float | None = None

    @property
    def pins(self) -> dict[str, float]:
        """The gates that are held."""
        return {gate: getattr(self, gate) for gate in GATE_FIELDS if getattr(self, gate) is not None}

    @property
    def changed(self) -> bool:
        """Whether the network is another than was recorded."""
        return bool(self.pins) or self.gain != 1

    @property
    def unchanged(self) -> "Look":
        """The same of the network as it was recorded."""
        return Look(**vars(self) | {"gain": 1.0} | dict.fromkeys(GATE_FIELDS))

    @property
    def view(self) -> View:
        """The same as charts ask for it."""
        return View(closer=True, show=self.show, lag=self.lag)

    def scenario(self, cell: str) -> Scenario:
        """The same as charts ask for it: cell, weight and gate."""
        return Scenario(cell=cell, weight=self.weight, gate=self.gate)


# ------------------------------------------------------------------------------------------------- links


def first_look(recording: Recording, sequence: int = 0) -> Look:
    """What a link without a word shows: the top layer at the last time that sends a gradient."""
    weight = CELLS[cell_of(recording)].used(Look.weight)
    return Look(sequence, len(recording.network.layers), weight=weight, time=recording.last_time(sequence))


def limits(recording: Recording, sequence: int = 0) -> dict[str, Any]:
    """Field of `Look` -> what it may be: a `Range`, a tuple of choices, or None for a flag."""
    cell, layers = cell_of(recording), recording.network.layers
    steps = Range(0, len(recording.inputs[sequence]) - 1, 1)
    return {
        "sequence": Range(0, len(recording.inputs) - 1, 1),
        "layer": tuple(range(1, len(layers) + 1)),
        "direction": DIRECTIONS[: len(layers[0])],
        "weight": weight_names(cell),
        "gate": ("all", *gate_names(cell)),
        "show": SHOWN,
        "fresh": None,
        "time": steps,
        "lag": steps,
        **({"gain": GAIN} if "weight_hh" in weight_names(cell) else {}),
        **{gate: RANGES[gate] for gate in pinnable_gates(cell)},
    }


def read_look(recording: Recording, params: Mapping[str, str]) -> tuple[Look, dict[str, str]]:
    """Read a link. Never raises.

    Returns:
        (Look, notices): name -> a sentence on what could not be taken as it was given.
    """
    values: dict[str, Any] = {}
    look, allowed = first_look(recording), limits(recording)
    unknown = {name: text for name, text in params.items() if name not in allowed}
    notices = dict.fromkeys(unknown, left_out(unknown, allowed)) if unknown else {}
    for name in allowed:
        if name in params:
            values[name], notice = read_field(
                name, str(params[name]), getattr(look, name), allowed[name], optional=name in GATE_FIELDS
            )
            if notice:
                notices[name] = notice.replace(INITIAL, "as trained")
        if name == "sequence":
            look = first_look(recording, values.get(name, 0))
            allowed = limits(recording, look.sequence)
    return replace(look, **values), notices


def link(recording: Recording, look: Look) -> dict[str, str]:
    """What the address bar holds of it: every field that is not as `first_look` has it."""
    first = vars(first_look(recording, look.sequence)) | {"sequence": 0}
    return {name: write(value) for name, value in vars(look).items() if value != first[name]}


# ------------------------------------------------------------------------------------------------- files


def opened(path: str) -> Recording:
    """The recording of a file, read again where the file has changed.

    Raises:
        ValueError: there is no such file, or it is no recording, in one sentence.
    """
    try:
        return _opened(path, Path(path).stat().st_mtime_ns)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error


@lru_cache(maxsize=2)
def _opened(path, changed):
    return load(path)


@lru_cache(maxsize=1)
def freshly_drawn(recording: Recording) -> Recording:
    """A network of the same sizes with weights as PyTorch draws them, on the same inputs, with the same dL/dy(t)."""
    gates = CELLS[cell_of(recording)].gates

    def redrawn(weights, seed):
        n, m = weights.weight_hh.shape[1], weights.weight_ih.shape[1]
        new = draw(gates, n, m, init="pytorch", seed=seed)
        return Weights(*(None if own is None else field for own, field in zip(weights, new, strict=True)))

    layers = [
        tuple(redrawn(Weights(*weights), 2 * k + d) for d, weights in enumerate(layer))
        for k, layer in enumerate(recording.network.layers)
    ]
    return Recording(Network(recording.network.cell, layers), recording.inputs, recording.cotangents)


def beside(recording: Recording, look: Look) -> tuple[Recording, str]:
    """What can stay in grey, and what it is called: the second recording of the command line, or `freshly_drawn`.

    Raises:
        ValueError: the second one cannot stand beside this, in one sentence.
    """
    path = command_line.second()
    if path is None:
        return freshly_drawn(recording), FRESH
    other, name = opened(path), Path(path).name
    kinds = [(cell_of(each), [len(layer) for layer in each.network.layers]) for each in (recording, other)]
    if kinds[0] != kinds[1]:
        (cell, layers), ways = kinds[1], " in both directions" if max(kinds[1][1]) > 1 else ""
        raise ValueError(f"{name} cannot stand beside it: it is of another kind, {cell} of {len(layers)} layers{ways}")
    if look.sequence >= len(other.inputs) or look.time >= len(other.inputs[look.sequence]):
        raise ValueError(f"{name} cannot stand beside it: it has no step {look.time} of example {look.sequence}")
    maps(other, look.unchanged)  # which compares the outputs
    return other, name


def cell_of(recording: Recording) -> str:
    """The name of its cell."""
    cell = recording.network.cell
    return cell if isinstance(cell, str) else cell.name


# ------------------------------------------------------------------------------------------------- measuring


def maps(recording: Recording, look: Look) -> list[list[LayerMap]]:
    """Every layer and direction of the network, with its layer's gates held and its W_hh scaled as the look has it.

    Raises:
        ValueError: the outputs that were recorded are not those of the weights as they were recorded.
    """
    place = look.layer - 1, DIRECTIONS.index(look.direction)
    with TURN:
        recorded = recording.maps(look.sequence)  # which compares the outputs, those of a changed network being others
        if not look.changed:
            return recorded
        return _changed(recording, look.sequence, *place, tuple(look.pins.items()), look.gain)


def layer_map(recording: Recording, look: Look) -> LayerMap:
    """The one of `maps` that is chosen; raises as it does."""
    return maps(recording, look)[look.layer - 1][DIRECTIONS.index(look.direction)]


@lru_cache(maxsize=2)
def _changed(recording, sequence, layer, direction, pins, gain):
    network = recording.network
    layers = [list(each) for each in network.layers]
    weights = Weights(*layers[layer][direction])
    scaled = (np.asarray(weights.weight_hh) * gain).astype(weights.weight_hh.dtype)
    layers[layer][direction] = weights._replace(weight_hh=scaled)
    held: list[list[Any]] = [[None] * len(each) for each in layers]
    held[layer][direction] = dict(pins)
    given = {"carry": None if recording.carry is None else recording.carry[sequence], "pins": held}
    inputs, cotangents = recording.inputs[sequence], recording.cotangents[sequence]
    return network_map(Network(network.cell, layers), inputs, cotangents, **given)


def measure_layer(recording: Recording, look: Look, called: str = "") -> Measurement:
    """What the page shows of one layer, at one time of one sequence; called: what it is beside another.

    Raises:
        ValueError: the outputs that were recorded are not those of the weights; the direction has no lags.
    """
    with TURN:
        return _measured(recording, replace(look, show="", lag=0, fresh=False), called)


@lru_cache(maxsize=3)
def _measured(recording, look, called):
    gmap = layer_map(recording, look)
    scenario = look.scenario(cell_of(recording))
    log_terms, log_sums = _all_times(gmap, **scenario.rows)
    names = labels(recording, look.sequence)
    return measurement_of(scenario, look.time, gmap, gmap.lags(look.time), log_terms, log_sums, names, called)


@lru_cache(maxsize=3)
def _all_times(gmap, weight, gate):
    """(log_terms, log_sums) of a map, which another time alone does not change."""
    log_sums = gmap.log_sums(weight, gate)
    return gmap.log_terms(weight, gate), log_sums


def labels(recording: Recording, sequence: int) -> tuple[str, ...]:
    """The name of each step as it can be drawn, "" where it has none."""
    if recording.labels is None:
        return ("",) * len(recording.inputs[sequence])
    return tuple("".join(map(drawn, label.strip() or label)) for label in recording.labels[sequence])


def openness(recording: Recording, look: Look) -> dict[str, float]:
    """How open each gate of the layer is as it was recorded, over all steps and units."""
    gmap = layer_map(recording, look.unchanged)
    return {gate: float(np.mean(value)) for gate, value in gmap.gates.items()}


def terms_by_layer(recording: Recording, look: Look) -> dict[str, np.ndarray]:
    """Natural logs of the terms of every layer with lags, at one time by lag: "layer 1" -> f64[t+1]."""
    name = lambda gmap: f"layer {gmap.layer + 1}" + (", backward" if gmap.direction else "")
    with TURN:
        of = lambda gmap: gmap.log_terms(**_rows(recording, look))[look.time, : look.time + 1]
        return {name(gmap): of(gmap) for gmap in _with_lags(recording, look)}


def by_layer(recording: Recording, look: Look, at_rest: bool = True) -> list[tuple[str, str, str, str, str]]:
    """(layer, pace, lags that hold 90 %, share of the far half, gradient) of every layer with lags, as words.

    At rest it is asked whether the network is chaotic: then the pace alone is told, and near chaos all is "about".
    """
    told = []
    with TURN:
        of = lambda gmap: gmap.read(look.time, **_rows(recording, look), chaos=at_rest)
        readings = [(gmap.layer + 1, of(gmap)) for gmap in _with_lags(recording, look)]
    for layer, reading in readings:
        pace = _pace(reading)
        numbers = str(reading.memory), f"{100 * reading.far_share:.2g} %", number(reading.log_sum)
        about = "about " if reading.near_chaos else ""
        memory, far, gradient = ["chaotic"] * 3 if reading.chaotic else [f"{about}{each}" for each in numbers]
        told.append((str(layer), pace, memory, far, gradient))
    return told


def _with_lags(recording, look):
    """The maps of every layer and direction whose terms have lags."""
    return [gmap for layer in maps(recording, look) for gmap in layer if gmap.causal]


def without_lags(recording: Recording, look: Look) -> str:
    """The sentence where the terms of what is chosen have no lag, with what else can be chosen."""
    top = len(recording.network.layers)
    return (
        f"A cost reaches later steps of layer {look.layer}, {look.direction}, too, so its terms have no lag. "
        f"Layer {top}, forward, has lags; gf.plot draws the others by step."
    )


def which(recording: Recording, look: Look) -> str:
    """Of which weight, and of which gate's rows."""
    label = CELLS[cell_of(recording)].label
    return ("of all weights" if look.weight == "all" else f"of {look.weight}") + (
        "" if look.gate == "all" else f", rows of the {label(look.gate)} gate"
    )


def _rows(recording, look):
    """The weight and the rows of a gate that are chosen, of every layer."""
    return look.scenario(cell_of(recording)).rows


def _pace(reading):
    """What a step back multiplies the error by, as the sentence has it: over all lags, or over near and far ones."""
    times = lambda factor: f"×{number(np.log(factor))}"
    if reading.pace_steady:
        return times(reading.pace)
    near, far = (
        times(pace) if steady else "no one factor"
        for pace, steady in ((reading.pace_near, reading.pace_near_steady), (reading.pace_far, reading.pace_far_steady))
    )
    return "no one factor" if near == far == "no one factor" else f"near {near}, far {far}"


# ------------------------------------------------------------------------------------------------- frames


def changes(recording: Recording, look: Look) -> str:
    """What is not as it was recorded, in words; "" where nothing is."""
    cell, layers = CELLS[cell_of(recording)], recording.network.layers
    named = lambda gate: f"the {gate} gate" if cell.label(gate) == gate else cell.label(gate)
    of = f" of layer {look.layer}" if len(layers) > 1 else ""
    of += f" ({look.direction})" if len(layers[0]) > 1 else ""
    changed = [f"{named(gate)}{of} held at {value:g}" for gate, value in look.pins.items()]
    changed += [f"W_hh{of} multiplied by {look.gain:g}"] if look.gain != 1 else []
    return " and ".join(filter(None, (", ".join(changed[:-1]), *changed[-1:])))


def biases(recording: Recording, look: Look) -> str:
    """What to write into a PyTorch layer for gates that rest where they are held; "" where nothing would do.

    σ(b) = f        b = log(f / (1 − f))
    """
    layer = Weights(*recording.network.layers[look.layer - 1][DIRECTIONS.index(look.direction)])
    gates, n = CELLS[cell_of(recording)].gates, layer.weight_hh.shape[1]
    if layer.bias_ih is None:
        return ""
    name = f"l{look.layer - 1}" + ("_reverse" if look.direction == "backward" else "")
    told = []
    for gate, value in look.pins.items():
        if 0 < value < 1:
            first = n * gates.index(gate)
            bias = math.log(value / (1 - value))
            told.append(f"`bias_ih_{name}.data[{first}:{first + n}] = {bias:.2f}`")
    if not told:
        return ""
    return f"A gate rests at f with a bias of log(f / (1 − f)): in PyTorch {', '.join(told)}, and bias_hh there 0."


def headline(recording: Recording, look: Look, verdict: str) -> str:
    """The sentence over the picture, which says of what network it is."""
    changed = changes(recording, look)
    begin = f"With {changed}, which is not how it was recorded" if changed else "On your recording"
    return f"{begin}: {verdict[0].lower()}{verdict[1:]}"


@dataclass(frozen=True, kw_only=True)
class Request(frame.Request):
    """What a frame of a recording is asked for."""

    recording: Recording
    look: Look

    @property
    def compiled(self) -> bool:
        """Whether a run has drawn the same, but for what moves."""
        return _kind(self) in COMPILED

    @property
    def limits(self) -> Mapping[str, Range]:
        """The ranges that can be swept."""
        return limits(self.recording, self.look.sequence)

    def measured(self, **changes: Any) -> Measurement:
        """As `frame.Request`."""
        return measure_layer(self.recording, replace(self.look, **changes))

    @property
    def kept(self) -> Measurement | None:
        """What stays in grey, with its own gates and gains; None too where it cannot, as `beside` says."""
        if not self.look.fresh:
            return None
        try:
            other, called = beside(self.recording, self.look)
        except ValueError:
            return None
        return measure_layer(other, self.look.unchanged, called)

    def said(self, measurement: Measurement) -> str:
        """As `frame.Request`."""
        return headline(self.recording, self.look, measurement.said(not self.moving))

    def params(self, axes: base.Domain, overflowed: bool) -> dict[str, Any]:
        """As `frame.Request`, for `read`."""
        asked = {"page": "network", "link": link(self.recording, self.look), "dark": self.dark}
        return asked | {"axes": axes, "overflowed": overflowed}


def ask(recording: Recording, look: Look, **how: Any) -> Request:
    """The request of a look; how: what else `frame.Request` has."""
    return Request(scenario=look.scenario(cell_of(recording)), view=look.view, recording=recording, look=look, **how)


def read(given: Mapping[str, Any]) -> Request:
    """What the page asks for while something moves there, null being as trained; raises as `frame.read` does."""
    path = command_line.recording()
    if path is None:
        raise ValueError("this server has no recording")
    recording = opened(path)
    look, _ = read_look(recording, {str(name): str(text) for name, text in given["link"].items() if text is not None})
    return ask(recording, look, **frame.read_moving(given, "dark", "overflowed"))


def draw_frame(request: Request) -> dict[str, Any]:
    """As `frame.frame`."""
    with TURN:
        keep_compiled()
        record = frame.frame(request)
        COMPILED.add(_kind(request))
        return record


def _kind(request):
    still = {name: value for name, value in vars(request.look).items() if name not in LIVE}
    return Look, ref(request.recording), *still.values()
