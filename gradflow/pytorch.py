"""Watches a PyTorch layer during one backward pass, and records it. PyTorch itself is never imported here."""

from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import numpy as np

from gradflow.network import LayerMap, Network
from gradflow.recording import BatchReading, Recording
from gradflow.weights import Weights

CELLS = {"LSTM": "lstm", "GRU": "gru", "RNN_TANH": "rnn-tanh", "RNN_RELU": "rnn-relu"}  # by a module's `mode`


def watch(module: Any) -> "Watch":
    """Record a backward pass through a PyTorch layer, for any loss, head, batch and padding.

        with gf.watch(model.lstm) as seen:
            loss(model(x), y).backward()
        seen.maps(sequence=0)[-1][0].log_terms()

        dL/dW = Σ_t Σ_s of the terms that enter at t, where dL/dy(t) is not zero, and meet the copy of step s

    The last call through which a gradient came is kept, so that one `watch` serves a whole training loop.

    Args:
        module: nn.RNN, nn.LSTM or nn.GRU: any number of layers, both directions, batch first or not, with or without
            biases; packed sequences; on any device, of which copies are made.

    Returns:
        `Watch`.

    Raises:
        ValueError: what has no elementwise cell (a projection, quantised weights, other modules); when called, what
            gives other numbers a second time (dropout, autocast); when read, a loss that reads c_n or the h_n of a
            lower layer.
    """
    return Watch(module)


class Watch:
    """What `watch` gives: a context, and after it a `Recording` with its methods."""

    def __init__(self, module: Any) -> None:
        kind = type(module).__name__
        if getattr(module, "mode", None) not in CELLS or not hasattr(module, "register_forward_hook"):
            inside = [name for name, each in _modules(module) if name and getattr(each, "mode", None) in CELLS]
            within = f"; its .{' and .'.join(inside)} can be watched" if inside else ""
            raise ValueError(f"module is {kind}; it must be an nn.RNN, nn.LSTM or nn.GRU{within}")
        if getattr(module, "proj_size", 0):
            raise ValueError(f"module has proj_size = {module.proj_size}; a projected lstm has no elementwise cell")
        for name in _names(module)[0][0]:
            weight: Any = getattr(module, name, None)
            if not hasattr(weight, "is_floating_point") or not weight.is_floating_point() or weight.element_size() < 4:
                given = getattr(weight, "dtype", "no tensor")
                raise ValueError(f"{name} of {kind} is {given}; weights must be float32 or float64, and not quantised")
        self._module = module
        self._recorded: Any = None  # the last `_Call` that a gradient came to, and its `Recording`
        self._kept: Any = None
        self._hook: Any = None

    def __enter__(self) -> Self:
        self._hook = self._module.register_forward_hook(self._called, with_kwargs=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hook.remove()

    @property
    def recording(self) -> Recording:
        """The last pass through which a gradient came.

        Raises:
            ValueError: there was none; or the loss reads c_n or a lower layer's h_n.
        """
        if self._recorded is None:
            raise ValueError(
                "nothing is recorded; call the module and loss.backward() inside the with block, gradients enabled"
            )
        if self._kept is None:
            self._kept = self._recorded.recording()
        return self._kept

    def maps(self, sequence: int = 0) -> list[list[LayerMap]]:
        """As `Recording.maps`."""
        return self.recording.maps(sequence)

    def read(
        self,
        t: int | None = None,
        weight: str = "weight_hh",
        gate: str | None = None,
        *,
        layer: int = -1,
        direction: int = 0,
    ) -> BatchReading:
        """As `Recording.read`."""
        return self.recording.read(t, weight, gate, layer=layer, direction=direction)

    def save(self, path: str, labels: Sequence[Sequence[str]] | None = None) -> None:
        """As `Recording.save`.

        Args:
            path: of the file.
            labels: of each sequence of the last pass, what each step reads, as in `Recording`.
        """
        replace(self.recording, labels=labels).save(path)

    def _called(self, module, args, kwargs, output):
        """After each call of the module: copies, and hooks on what gradients may come to."""
        result, last = output
        data = result.data if hasattr(result, "batch_sizes") else result
        if not data.requires_grad:
            return
        if module.training and module.dropout and module.num_layers > 1:
            raise ValueError(
                f"module is training with dropout = {module.dropout} between its layers, which a second pass draws "
                "anew; watch it with dropout = 0, or after module.eval()"
            )
        if data.element_size() < 4:
            raise ValueError(
                f"module computes in {data.dtype}, as under autocast, where gradients are rounded and may carry a "
                "scale; watch it in float32"
            )
        call = _Call(module, args, kwargs, result, data)
        h_n, *c_n = last if module.mode == "LSTM" else (last,)
        for name, tensor in (("output", data), ("h_n", h_n), *(("c_n", each) for each in c_n)):
            if tensor.requires_grad:
                tensor.register_hook(self._gradient(call, name))

    def _gradient(self, call, name):
        def add(gradient):
            if gradient is None:  # what the loss does not read
                return
            call.gradients[name] = call.gradients.get(name, 0) + _host(gradient)
            self._recorded, self._kept = call, None

        return add


class _Call:
    """One call of a module: copies of all that went in and came out, and the gradients that come back."""

    def __init__(self, module, args, kwargs, result, data):
        given = dict(zip(("input", "hx"), args, strict=False)) | kwargs
        self.cell, self.directions = CELLS[module.mode], 1 + module.bidirectional
        self.layers = [
            tuple(Weights(*(_host(getattr(module, name)) for name in names)) for names in layer)
            for layer in _names(module)
        ]
        packed, hx = hasattr(result, "batch_sizes"), given.get("hx")
        self.places = _places(result, data, module.batch_first, packed)
        entered = given["input"].data if packed else given["input"]
        self.inputs, self.outputs = self._by_sequence(_host(entered)), self._by_sequence(_host(data))
        states = () if hx is None else (hx if module.mode == "LSTM" else (hx,))
        self.initial = [self._by_state(_host(state)) for state in states]
        self.gradients: dict[str, Any] = {}

    def recording(self):
        """The call as a `Recording`."""
        at = self.gradients
        cotangents = self._by_sequence(at["output"]) if "output" in at else [np.zeros_like(y) for y in self.outputs]
        top = (len(self.layers) - 1) * self.directions
        h_n = self._by_state(at["h_n"]) if "h_n" in at else None
        if np.any(at.get("c_n", 0)) or (h_n is not None and np.any(h_n[:top])):
            what = "c_n" if np.any(at.get("c_n", 0)) else "h_n of a lower layer"
            raise ValueError(f"the loss reads {what}, which is no output; let it read output or the top layer's h_n")
        if h_n is not None:
            n = h_n.shape[-1]
            for b, own in enumerate(cotangents):
                own[-1, :n] += h_n[top, b]
                if self.directions == 2:
                    own[0, n:] += h_n[top + 1, b]
        return Recording(Network(self.cell, self.layers), self.inputs, cotangents, self.outputs, self._carry())

    def _carry(self):
        """[sequence][layer][direction] of (h,) or (h, c); None for zeros."""
        if not self.initial:
            return None
        at = lambda k, d, b: tuple(state[k * self.directions + d, b] for state in self.initial)
        layers, directions = range(len(self.layers)), range(self.directions)
        return [[[at(k, d, b) for d in directions] for k in layers] for b in range(len(self.inputs))]

    def _by_sequence(self, a):
        """A copy of each sequence's [T, …] out of what the module takes or gives."""
        flat = a.reshape(-1, a.shape[-1])
        return [flat[place] for place in self.places]

    def _by_state(self, a):
        """[layers · directions, B, n]."""
        return a if a.ndim == 3 else a[:, None]


def _modules(module):
    """(name, module) of everything inside a module of PyTorch; of anything else nothing."""
    named = getattr(module, "named_modules", None)
    return named() if callable(named) else ()


def _names(module):
    """The names of the four parameters, [layer][direction]; without biases the first two."""
    fields = Weights._fields if module.bias else Weights._fields[:2]
    ends = ("", "_reverse")[: 1 + module.bidirectional]
    return [[[f"{name}_l{k}{end}" for name in fields] for end in ends] for k in range(module.num_layers)]


def _places(result, data, batch_first, packed):
    """Where each sequence's steps are among all rows of the flattened data, in the order of the batch."""
    if packed:
        sizes = _host(result.batch_sizes)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        places = [starts[: int((sizes > j).sum())] + j for j in range(int(sizes[0]))]
        order = range(len(places)) if result.unsorted_indices is None else _host(result.unsorted_indices)
        return [places[j] for j in order]
    rows = np.arange(data.numel() // data.shape[-1]).reshape(tuple(data.shape[:-1]))
    if rows.ndim == 1:
        return [rows]
    return list(rows if batch_first else rows.T)


def _host(tensor):
    return np.array(tensor.detach().cpu().numpy())
