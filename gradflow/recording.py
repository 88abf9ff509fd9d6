"""A recording of one backward pass: the weights, what came in, and where the gradient of the loss entered.

This is all that the engine needs, for any loss and head: dL/dW is the sum of the terms that enter at each t. `watch`
makes recordings of PyTorch's layers; of other frameworks the arrays are handed over, as FRAMEWORKS.md says.
"""

import math
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

import numpy as np

from gradflow.cells import CELLS
from gradflow.network import LayerMap, Network, network_map
from gradflow.reading import Reading
from gradflow.weights import Weights

FORMAT = "gradflow recording 1"
ROOM = 2**30  # bytes of a file's arrays
KEPT = 4  # sequences whose maps are kept: of a large network each takes tens of megabytes
LABEL = 32  # characters of the name of a step
ALIKE = 1e-4  # by which outputs may differ from ours, where they are of size one


class BatchReading(NamedTuple):
    """The `Reading` of each sequence, and of their numbers the median and the middle half."""

    readings: tuple[Reading, ...]
    low: dict[str, float]  # name of a number in `Reading` -> its first quartile
    median: dict[str, float]
    high: dict[str, float]  # third quartile

    def asdict(self) -> dict[str, float]:
        """All in one, for a logger: {"pace": median, "pace_low": …, "pace_high": …, …}."""
        named = (("", self.median), ("_low", self.low), ("_high", self.high))
        return {f"{name}{end}": value for name in self.median for end, numbers in named for value in [numbers[name]]}


@dataclass(frozen=True, eq=False)
class Recording:
    """One backward pass through a network, of a batch of sequences.

    Attributes:
        network: `Network`, with the weights of that pass.
        inputs: of each sequence, f[T, m].
        cotangents: of each sequence, dL/dy(t) of the top layer's outputs, f[T, n], in both directions f[T, 2n].
        outputs: of each sequence, y(t) as the framework had it, which ours are compared with; None: not known.
        carry: of each sequence, [layer][direction] of (h,) or (h, c); None: zeros.
        labels: of each sequence, what each step reads as a text of at most 32 characters, T of them: letters, tokens;
            None: steps have no names.
    """

    network: Network
    inputs: Sequence[np.ndarray]
    cotangents: Sequence[np.ndarray]
    outputs: Sequence[np.ndarray] | None = None
    carry: Sequence[Sequence[Sequence[Sequence[np.ndarray]]]] | None = None
    labels: Sequence[Sequence[str]] | None = None
    _maps: dict[int, list[list[LayerMap]]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Raises ValueError: not as many sequences of the one as of the other, one that is no [T, …], or bad labels."""
        for name in ("inputs", "cotangents", "outputs", "labels"):
            given = getattr(self, name)
            if given is not None and len(given) != len(self.inputs):
                raise ValueError(
                    f"{name} is of {len(given)} sequences, and inputs of {len(self.inputs)}; there must be as many"
                )
            shapes = [np.shape(each) for each in given] if given is not None and name != "labels" else []
            if wrong := [list(shape) for shape in shapes if len(shape) != 2]:
                raise ValueError(
                    f"{name} has a sequence of shape {wrong[0]}; each must be [T, …], a single one in a list"
                )
        for b, own in enumerate(() if self.labels is None else self.labels):
            _check_labels(b, own, len(self.inputs[b]))

    def __repr__(self) -> str:
        layers, cell = self.network.layers, self.network.cell
        units = np.shape(layers[-1][0][1])[1]
        ways = ", both directions" if len(layers[0]) > 1 else ""
        longest = max(map(len, self.inputs), default=0)
        return (
            f"Recording of {len(self.inputs)} sequences of up to {longest} steps: "
            f"{cell if isinstance(cell, str) else cell.name}, {len(layers)} layers of {units} units{ways}"
        )

    def maps(self, sequence: int = 0) -> list[list[LayerMap]]:
        """Compute every dC(t)/dW(s) of one sequence, where C(t) stands for the part of the loss that enters at t.

        Args:
            sequence: which of the batch, in [0, B−1].

        Returns:
            [layer][direction] of `LayerMap`, as `network_map` gives them.

        Raises:
            ValueError: a sequence that is not there, or outputs that differ from the recorded ones by more than 1e-4.
        """
        if isinstance(sequence, bool) or sequence not in range(len(self.inputs)):
            raise ValueError(
                f"sequence is {sequence!r}; it must be a whole number between 0 and {len(self.inputs) - 1}"
            )
        if sequence not in self._maps:
            carry = None if self.carry is None else self.carry[sequence]
            maps = network_map(self.network, self.inputs[sequence], self.cotangents[sequence], carry=carry)
            if self.outputs is not None:
                _compare(sequence, np.asarray(self.outputs[sequence]), maps[-1])
            if len(self._maps) >= KEPT:
                del self._maps[next(iter(self._maps))]  # the oldest
            self._maps[sequence] = maps
        return self._maps[sequence]

    def read(
        self,
        t: int | None = None,
        weight: str = "weight_hh",
        gate: str | None = None,
        *,
        layer: int = -1,
        direction: int = 0,
    ) -> BatchReading:
        """What the numbers of one t mean, sequence by sequence and over the batch.

        Args:
            t: the time; of each sequence the last at which a gradient enters, if None. Shorter ones are left out.
            weight, gate: as in `GradientMap.log_terms`.
            layer, direction: which; the last layer is the top.

        Returns:
            `BatchReading`.

        Raises:
            ValueError: an unknown weight, gate, layer or direction; a t that no sequence reaches; a direction of which
                costs are read later.
        """
        layers, directions = len(self.network.layers), len(self.network.layers[0])
        for name, value, first, count in (("layer", layer, -layers, layers), ("direction", direction, 0, directions)):
            if isinstance(value, bool) or value not in range(first, count):
                raise ValueError(f"{name} is {value!r}; it must be a whole number between {first} and {count - 1}")
        times = [self.last_time(b) if t is None else t for b in range(len(self.inputs))]
        reached = [b for b, time in enumerate(times) if time < len(self.inputs[b])]
        if not reached:
            longest = max(len(each) for each in self.inputs)
            raise ValueError(
                f"t is {t!r}; the longest sequence has {longest} steps, so it must be at most {longest - 1}"
            )
        readings = tuple(self.maps(b)[layer][direction].read(times[b], weight, gate) for b in reached)
        of = [name for name, value in vars(readings[0]).items() if type(value) in (int, float)]
        numbers = np.array([[getattr(each, name) for name in of] for each in readings], float)
        quartiles = (np.percentile(numbers, percent, axis=0) for percent in (25, 50, 75))
        return BatchReading(readings, *(dict(zip(of, map(float, each), strict=True)) for each in quartiles))

    def last_time(self, sequence: int = 0) -> int:
        """The last time at which a gradient enters a sequence; its last step where none does."""
        entered = np.flatnonzero(np.any(np.asarray(self.cotangents[sequence]) != 0, axis=1))
        return int(entered[-1]) if len(entered) else len(self.inputs[sequence]) - 1

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as NPZ, without pickle: layers.{l}.{d}.weight_ih …, inputs and cotangents [B, T, …], lengths [B].

        With labels [B, T], where there are any.

        Raises:
            ValueError: a cell of one's own, which no file can hold.
        """
        cell = self.network.cell
        name = getattr(cell, "name", cell)
        if name not in CELLS or cell not in (name, CELLS[name]):
            raise ValueError(
                f"cell is {name!r}, and not gradflow's own; a file holds no code, so its cell must be one of "
                + ", ".join(CELLS)
            )
        arrays: dict[str, Any] = {"format": FORMAT, "cell": name}
        for k, layer in enumerate(self.network.layers):
            for d, weights in enumerate(layer):
                named = Weights(*weights)._asdict()
                arrays |= {f"layers.{k}.{d}.{name}": each for name, each in named.items() if each is not None}
                if self.carry is not None:
                    arrays[f"carry.{k}.{d}"] = np.stack([np.stack(each[k][d]) for each in self.carry])
        arrays["lengths"] = np.array([len(each) for each in self.inputs])
        for name in ("inputs", "cotangents", "outputs"):
            if getattr(self, name) is not None:
                arrays[name] = _padded(getattr(self, name))
        if self.labels is not None:
            longest = max(map(len, self.labels))
            arrays["labels"] = np.array([[*own, *[""] * (longest - len(own))] for own in self.labels], str)
        with open(path, "wb") as file:
            np.savez(file, **arrays)


def load(path: str | os.PathLike[str]) -> Recording:
    """Read a recording that `Recording.save` wrote; nothing in it is executed.

    Raises:
        ValueError: the file is none, in one sentence.
    """
    try:
        return _recording(_arrays(path))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        reason = str(error).split("\n")[0] or "it is cut short"
        raise ValueError(f"{os.fspath(path)} is no recording: {reason}; Recording.save writes one") from error


def _check_labels(sequence, labels, steps):
    if len(labels) != steps:
        raise ValueError(f"labels of sequence {sequence} are {len(labels)}; there must be one a step, {steps}")
    for s, label in enumerate(labels):
        if not isinstance(label, str) or len(label) > LABEL:
            given = f"{label!r:.40}" if not isinstance(label, str) else f"a text of {len(label)} characters"
            raise ValueError(
                f"labels of sequence {sequence} hold {given} at step {s}; each must be a text of at most {LABEL} "
                "characters"
            )


def _compare(sequence, outputs, top):
    ours = np.concatenate([each.outputs for each in top], axis=1)
    if outputs.shape != ours.shape:
        raise ValueError(
            f"outputs of sequence {sequence} have shape {list(outputs.shape)}; ours have {list(ours.shape)}"
        )
    away = np.abs(outputs - ours).max(axis=1) / max(1.0, float(np.abs(ours).max()))
    worst = int(np.argmax(np.where(np.isnan(away), np.inf, away)))
    if not away[worst] <= ALIKE:
        raise ValueError(
            f"outputs of sequence {sequence} differ from gradflow's by {away[worst]:.1e} at step {worst}, more than "
            f"{ALIKE:g}; look at the weights (were they changed after this pass?), the initial state, the activation "
            "and the precision (on CUDA, torch.backends.cudnn.allow_tf32 = False)"
        )


def _padded(sequences):
    """[B, T, …], with zeros after the end of each."""
    longest = max(map(len, sequences))
    pad = lambda a: np.pad(np.asarray(a), [(0, longest - len(a)), (0, 0)])
    return np.stack(list(map(pad, sequences)))


def _arrays(path):
    """Every array of an NPZ file, none larger than what the file says it holds."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        size = sum(each.file_size for each in members)
        if size > ROOM or len(members) > 4096:
            raise ValueError(f"it holds {len(members)} arrays of {size} bytes; at most 4096 of {ROOM} bytes are read")
        return {each.filename.removesuffix(".npy"): _array(archive, each) for each in members}


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as opened:
        file: IO[bytes] = opened
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{member.filename} is of NPY version {version}; it must be 1.0 or 2.0")
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_columns, dtype = header(file)
        size, there = math.prod(shape) * dtype.itemsize, member.file_size - file.tell()
        if dtype.kind not in "fiU" or size != there:
            raise ValueError(f"{member.filename} is {dtype} {list(shape)}, of {size} bytes; there are {there}")
        data = np.frombuffer(file.read(size), dtype) if size else np.zeros(0, dtype)
        if dtype.kind == "U" and size and data.view(np.dtype("u4").newbyteorder(dtype.byteorder)).max() > 0x10FFFF:
            raise ValueError(f"{member.filename} holds what is no character")
        return data.reshape(shape, order="F" if by_columns else "C")


def _recording(arrays):
    if str(arrays.get("format", "")) != FORMAT:
        raise ValueError(f"it does not say that it is a {FORMAT}")
    cell = str(arrays.get("cell", ""))
    if cell not in CELLS:
        raise ValueError(f"cell is {cell!r}; it must be one of {', '.join(CELLS)}")
    for name, rank in (("inputs", 3), ("cotangents", 3), ("lengths", 1)):
        if name not in arrays or arrays[name].ndim != rank:
            given = "not there" if name not in arrays else f"of shape {list(arrays[name].shape)}"
            raise ValueError(f"{name} is {given}; it must have {rank} axes")
    for name, each in arrays.items():
        if each.dtype.kind == "f" and not np.isfinite(each).all():
            raise ValueError(f"{name} holds {each[~np.isfinite(each)][0]}; every number must be finite")
    lengths = arrays["lengths"].tolist()
    sized = {name: arrays[name] for name in ("inputs", "cotangents", "outputs") if name in arrays}
    steps = arrays["inputs"].shape[1]
    if not lengths or any(not isinstance(each, int) or not 1 <= each <= steps for each in lengths):
        raise ValueError(f"lengths are {lengths[:8]}; each must be a whole number in [1, {steps}]")
    for name, each in sized.items():
        if each.ndim != 3 or each.shape[:2] != (len(lengths), steps) or 0 in each.shape:
            raise ValueError(f"{name} has shape {list(each.shape)}; it must be [{len(lengths)}, {steps}, …]")
    cut = lambda name: [each[:length] for each, length in zip(arrays[name], lengths, strict=True)]
    layers = _layers(arrays)
    outputs = cut("outputs") if "outputs" in arrays else None
    carry, labels = _carry(arrays, layers, len(lengths)), _labels(arrays, lengths, steps)
    return Recording(Network(cell, layers), cut("inputs"), cut("cotangents"), outputs, carry, labels)


def _labels(arrays, lengths, steps):
    """Of each sequence its texts, None where there are none."""
    if (labels := arrays.get("labels")) is None:
        return None
    if labels.dtype.kind != "U" or labels.shape != (len(lengths), steps):
        raise ValueError(
            f"labels are {labels.dtype} {list(labels.shape)}; they must be texts [{len(lengths)}, {steps}]"
        )
    if labels.dtype.itemsize > 4 * LABEL:
        raise ValueError(f"labels have room for {labels.dtype.itemsize // 4} characters; at most {LABEL} are read")
    return [own[:length].tolist() for own, length in zip(labels, lengths, strict=True)]


def _layers(arrays):
    """[layer][direction] of `Weights`, as far as they go on."""
    layers: list[tuple[Weights, ...]] = []
    while f"layers.{len(layers)}.0.weight_ih" in arrays:
        names = [f"layers.{len(layers)}.{d}" for d in (0, 1) if f"layers.{len(layers)}.{d}.weight_ih" in arrays]
        fields = [[arrays.get(f"{name}.{each}") for each in Weights._fields] for name in names]
        for name, (weight_ih, weight_hh, *_) in zip(names, fields, strict=True):
            if weight_hh is None or weight_hh.ndim != 2 or weight_ih.ndim != 2 or 0 in weight_hh.shape:
                given = "not there" if weight_hh is None else f"of shape {list(weight_hh.shape)}"
                raise ValueError(f"{name}.weight_hh is {given}; it must be [G·n, n], and weight_ih [G·n, m]")
        layers.append(tuple(Weights(*each) for each in fields))
    if not layers:
        raise ValueError("layers.0.0.weight_ih is not there")
    return layers


def _carry(arrays, layers, count):
    """[sequence][layer][direction] of (h,) or (h, c)."""
    names = [[f"carry.{k}.{d}" for d in range(len(layer))] for k, layer in enumerate(layers)]
    if not any(name in arrays for layer in names for name in layer):
        return None
    for name in (name for layer in names for name in layer):
        if name not in arrays or arrays[name].ndim != 3 or len(arrays[name]) != count:
            raise ValueError(f"{name} is not there, or not [{count}, states, n]")
    return [[[tuple(arrays[name][b]) for name in layer] for layer in names] for b in range(count)]
