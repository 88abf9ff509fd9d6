"""`watch` on PyTorch's own layers, with any loss, against autograd by a copy of the weights a step and a layer."""

import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

import gradflow as gf
from support import oracle, pytorch_layer
from support.problems import assert_logs

LENGTHS = (9, 5, 7)
INPUTS, HIDDEN, CLASSES = 2, 3, 4


@pytest.fixture
def torch():
    torch = __import__("torch") if os.environ.get("CI") == "true" else pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch


class Case:
    """A layer, a batch of sequences for it, and a loss over them."""

    def __init__(
        self, torch, kind, layout="time first", given_carry=False, loss="cross-entropy", dtype=None, **options
    ):
        self.torch, self.layout, self.loss = torch, layout, loss
        dtype = dtype or torch.float64
        options |= {"batch_first": layout == "batch first"}
        self.module = getattr(torch.nn, kind)(INPUTS, HIDDEN, dtype=dtype, **options)
        self.cell = {"LSTM": "lstm", "GRU": "gru"}.get(kind, f"rnn-{options.get('nonlinearity', 'tanh')}")
        self.layers, self.directions = self.module.num_layers, 1 + self.module.bidirectional
        self.lengths = LENGTHS if layout == "packed" else LENGTHS[:1] * (1 if layout == "single" else 3)
        self.x = [torch.randn(length, INPUTS, dtype=dtype) for length in self.lengths]
        self.labels = [torch.randint(CLASSES, (length,)) for length in self.lengths]
        self.head = torch.nn.Linear(HIDDEN * self.directions, CLASSES, dtype=dtype)
        draw = lambda: torch.randn(self.layers * self.directions, len(self.x), HIDDEN, dtype=dtype)
        self.carry = [draw() for _ in gf.CELLS[self.cell].carry] if given_carry else None

    def backward(self):
        """Call the layer as its layout asks, and the loss."""
        torch, rnn = self.torch, torch_rnn(self.torch)
        if self.layout == "packed":
            given = rnn.pack_sequence(self.x, enforce_sorted=False)
        elif self.layout == "single":
            given = self.x[0]
        else:
            given = torch.stack(self.x, dim=0 if self.layout == "batch first" else 1)
        carry = self.carry
        if carry is not None:
            carry = [state[:, 0] for state in carry] if self.layout == "single" else carry
            carry = tuple(carry) if self.cell == "lstm" else carry[0]
        output, last = self.module(given) if carry is None else self.module(given, carry)
        h_n = last[0] if self.cell == "lstm" else last
        if self.layout == "packed":
            output, _ = rnn.pad_packed_sequence(output, batch_first=True)
        elif self.layout == "single":
            output, h_n = output[None], h_n[:, None]
        elif self.layout == "time first":
            output = output.transpose(0, 1)
        tops = h_n[-self.directions :].transpose(0, 1).reshape(len(self.x), -1)
        loss = sum(self.of_sequence(b, list(output[b, : len(x)]), tops[b]) for b, x in enumerate(self.x))
        loss.backward()

    def of_sequence(self, b, outputs, top):
        """The loss of one sequence: a mean over its labels, or what its last state of the top layer gives."""
        if self.loss == "h_n":
            return (self.head(top).exp()).sum()
        y = self.torch.stack(outputs)
        return self.torch.nn.functional.cross_entropy(self.head(y), self.labels[b]) + (y[0] * y[-1]).sum()

    def answer(self, b):
        """By one's own copies: C(t) is the part of the loss that enters at t, y(t) · dL/dy(t)."""
        torch, network = self.torch, self.network()
        at = lambda k, d: tuple(state[k * self.directions + d, b].numpy() for state in self.carry)
        zeros = tuple(np.zeros(HIDDEN) for _ in gf.CELLS[self.cell].carry)
        carry = [[at(k, d) if self.carry else zeros for d in range(self.directions)] for k in range(self.layers)]

        def costs(outputs):
            top = torch.cat([outputs[-1][:HIDDEN], outputs[0][HIDDEN:]])
            loss = self.of_sequence(b, outputs, top)
            by = torch.autograd.grad(loss, outputs, retain_graph=True, allow_unused=True)
            return [y @ (torch.zeros_like(y) if d is None else d.detach()) for y, d in zip(outputs, by, strict=True)]

        return pytorch_layer.NetworkAnswer(torch, network, self.x[b].numpy(), carry, costs)

    def network(self):
        """The module's parameters, by their names, with zeros for a missing bias."""
        fields = dict(self.module.named_parameters())

        def weights(k, d):
            end = f"_l{k}" + ("_reverse" if d else "")
            zero = self.torch.zeros(len(fields[f"weight_ih{end}"]))
            own = [fields.get(f"{name}{end}", zero) for name in gf.Weights._fields]
            return gf.Weights(*(each.detach().double().numpy() for each in own))

        return gf.Network(self.cell, [[weights(k, d) for d in range(self.directions)] for k in range(self.layers)])


def torch_rnn(torch):
    return torch.nn.utils.rnn


def assert_maps(case, maps, b):
    answer = case.answer(b)
    for k, layer in enumerate(maps):
        for d, gmap in enumerate(layer):
            terms = answer.terms(k, d)
            for weight in gf.Weights._fields:
                by_step = terms[weight]
                assert_logs(gmap.log_terms_by_copy(weight), oracle.log_norm(by_step))
            assert gmap.log_total("weight_hh") == pytest.approx(
                float(oracle.log_norm(terms["weight_hh"].sum((0, 1))[None])[0]), abs=1e-9
            )


CASES = {
    "lstm of two layers, batch first": ("LSTM", {"num_layers": 2, "layout": "batch first"}),
    "gru in both directions": ("GRU", {"bidirectional": True}),
    "relu rnn without biases": ("RNN", {"nonlinearity": "relu", "bias": False}),
    "packed": ("LSTM", {"layout": "packed", "given_carry": True}),
    "packed, both directions": ("GRU", {"layout": "packed", "bidirectional": True, "loss": "h_n"}),
    "h_n of two layers": ("LSTM", {"num_layers": 2, "loss": "h_n", "given_carry": True}),
    "h_n of both directions, two layers": ("RNN", {"num_layers": 2, "bidirectional": True, "loss": "h_n"}),
    "a single sequence": ("GRU", {"layout": "single", "given_carry": True}),
}


QUICK = ("packed", "h_n of two layers")


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in CASES]
)
def test_every_layout(torch, name):
    kind, options = CASES[name]
    case = Case(torch, kind, **options)
    with gf.watch(case.module) as seen:
        case.backward()
    b = 1 if options.get("layout") == "packed" else 0
    assert_maps(case, seen.maps(sequence=b), b)


@pytest.mark.usefixtures("float64")
def test_a_training_loop_keeps_the_last_pass_and_its_weights(torch, tmp_path):
    """What the optimiser and an evaluation do afterwards changes nothing; a file holds the same."""
    case = Case(torch, "LSTM", num_layers=2, given_carry=True)
    names = [[f"{b}{s}" for s in range(len(x))] for b, x in enumerate(case.x)]
    optimiser = torch.optim.SGD(case.module.parameters(), lr=0.1)
    with gf.watch(case.module) as seen:
        for _ in range(2):
            optimiser.zero_grad()
            case.backward()
            expected = case.answer(2)
            gradient = case.module.weight_hh_l0.grad.clone()
            optimiser.step()
        with torch.no_grad():
            case.module(torch.stack(case.x, dim=1))
    before = seen.maps(sequence=2)[0][0]
    assert_logs(before.log_terms_by_copy(), oracle.log_norm(expected.terms(0, 0)["weight_hh"]))
    seen.save(tmp_path / "seen.npz")
    kept = gf.load(tmp_path / "seen.npz")
    np.testing.assert_array_equal(kept.maps(2)[0][0].log_terms_by_copy(), before.log_terms_by_copy())
    assert repr(kept.read()) == repr(seen.read())  # NaN too
    assert kept.labels is None
    seen.save(tmp_path / "named.npz", labels=names)
    assert gf.load(tmp_path / "named.npz").labels == names
    totals = [each.sum_of_terms("weight_hh") for each in (kept.maps(b)[0][0]._total for b in range(3))]
    summed = sum(np.ldexp(value, exponent[:, None, None]) for value, exponent in totals)
    np.testing.assert_allclose(summed.reshape(-1, HIDDEN), gradient.numpy(), rtol=1e-9, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("packed", [True, False])
def test_readings_of_a_batch(torch, packed, tmp_path):
    """Float32 as it is trained: numbers of each sequence by its own map, quartiles by NumPy."""
    case = Case(torch, "GRU", "packed" if packed else "time first", dtype=torch.float32)
    with gf.watch(case.module) as seen:
        case.backward()
    lengths = LENGTHS if packed else (9, 9, 9)
    reading = seen.read()
    alone = [seen.maps(b)[0][0].read(length - 1) for b, length in enumerate(lengths)]
    assert repr(reading.readings) == repr(tuple(alone))  # NaN too
    paces = [each.pace for each in alone]
    assert reading.median["pace"] == pytest.approx(np.median(paces))
    assert [reading.low["pace"], reading.high["pace"]] == pytest.approx(np.quantile(paces, [0.25, 0.75]).tolist())
    flat = reading.asdict()
    assert {"memory", "memory_low", "memory_high", "log_sum", "coherence_high"} <= set(flat)
    assert flat["pace_low"] == reading.low["pace"] and all(type(value) is float for value in flat.values())
    assert len(seen.read(t=6, weight="bias_hh", gate="new").readings) == (2 if packed else 3)
    seen.save(str(tmp_path / "seen.npz"))
    loaded = gf.load(str(tmp_path / "seen.npz"))
    assert [len(each) for each in loaded.inputs] == list(lengths)
    assert loaded.inputs[0].dtype == np.float32


@pytest.mark.parametrize(("make", "parts"), [
    (lambda torch: torch.nn.LSTM(2, 3, proj_size=1), ("proj_size = 1", "projected")),
    (lambda torch: torch.nn.Linear(2, 3), ("Linear", "nn.LSTM")),
    (lambda torch: torch.nn.LSTMCell(2, 3), ("LSTMCell", "nn.LSTM")),
    (lambda torch: torch.nn.GRU(2, 3).half(), ("weight_ih_l0", "float16", "float32")),
])  # fmt: skip
def test_what_cannot_be_watched_is_explained(torch, make, parts):
    with pytest.raises(ValueError) as error:
        gf.watch(make(torch))
    assert [part for part in parts if part not in str(error.value)] == [], str(error.value)
    assert "\n" not in str(error.value)


def test_a_quantised_module_is_explained(torch):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantised = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(torch.nn.LSTM(2, 3)), {torch.nn.LSTM})[0]
    with pytest.raises(ValueError, match=r"quantised|nn\.LSTM"):
        gf.watch(quantised)


def test_of_a_model_it_names_what_in_it_can_be_watched(torch):
    model = torch.nn.ModuleDict({"embed": torch.nn.Embedding(5, 2), "lstm": torch.nn.LSTM(2, 3)})
    with pytest.raises(ValueError, match=r"^module is ModuleDict; .* its \.lstm can be watched$"):
        gf.watch(model)


def test_a_recording_shows_itself_in_a_line(torch):
    module = torch.nn.LSTM(2, 3, num_layers=2)
    with gf.watch(module) as seen:
        module(torch.ones(7, 4, 2))[0].sum().backward()
    assert repr(seen.recording) == "Recording of 4 sequences of up to 7 steps: lstm, 2 layers of 3 units"


def test_a_pass_that_a_second_one_would_not_repeat_is_explained(torch):
    x = torch.randn(4, 1, 2)
    module = torch.nn.LSTM(2, 3, num_layers=2, dropout=0.5)
    with gf.watch(module), pytest.raises(ValueError, match=r"^module is training with dropout = 0\.5 .* module\.eval"):
        module(x)
    with gf.watch(module.eval()) as seen:
        module(x)[0].sum().backward()
    assert len(seen.maps()) == 2
    module, refused = (
        torch.nn.LSTM(2, 3),
        pytest.raises(ValueError, match=r"^module computes in torch.bfloat16, as under"),
    )
    with torch.autocast("cpu", torch.bfloat16), gf.watch(module), refused:
        module(x)


def test_what_the_outputs_do_not_tell_is_explained(torch):
    x, module = torch.randn(4, 1, 2), torch.nn.LSTM(2, 3, num_layers=2)
    with gf.watch(module) as seen:
        pass
    with pytest.raises(ValueError, match=r"^nothing is recorded; call the module and loss\.backward"):
        seen.maps()
    for name, read in (("c_n", lambda last: last[1][-1]), ("h_n of a lower layer", lambda last: last[0][0])):
        with gf.watch(module) as seen:
            read(module(x)[1]).sum().backward()
        with pytest.raises(ValueError, match=rf"^the loss reads {name}, which is no output"):
            seen.maps()
    with gf.watch(module) as seen:
        module(x)[0].sum().backward()
    for changes, message in (
        ({"sequence": 1}, r"^sequence is 1; .* 0 and 0"),
        ({"sequence": True}, "^sequence is True"),
    ):
        with pytest.raises(ValueError, match=message):
            seen.maps(**changes)
    for changes, message in (
        ({"t": 4}, r"^t is 4; the longest sequence has 4 steps"),
        ({"layer": 2}, r"^layer is 2; .* -2 and 1"),
        ({"direction": 1}, r"^direction is 1; .* 0 and 0"),
    ):
        with pytest.raises(ValueError, match=message):
            seen.read(**changes)


def test_outputs_that_differ_are_explained(torch):
    """Weights of a gate order that is another framework's, say: the outputs tell."""
    module = torch.nn.LSTM(2, 3)
    with gf.watch(module) as seen:
        module(torch.randn(4, 1, 2))[0].sum().backward()
    recorded = seen.recording
    swapped = gf.Weights(*(np.roll(field, 3, axis=0) for field in recorded.network.layers[0][0]))
    other = gf.Recording(gf.Network("lstm", [[swapped]]), recorded.inputs, recorded.cotangents, recorded.outputs)
    with pytest.raises(
        ValueError, match=r"^outputs of sequence 0 differ from gradflow's by .* at step \d, more than 0\.0001"
    ):
        other.maps()


def written(tmp_path, **changes):
    """A recording's file with some of its arrays changed, or left out."""
    rng = np.random.default_rng(0)
    arrays = {
        "format": "gradflow recording 1", "cell": "gru", "lengths": np.array([4, 3]),
        "layers.0.0.weight_ih": rng.normal(size=(9, 2)), "layers.0.0.weight_hh": rng.normal(size=(9, 3)),
        "inputs": rng.normal(size=(2, 4, 2)), "cotangents": rng.normal(size=(2, 4, 3)),
    } | changes  # fmt: skip
    np.savez(tmp_path / "a.npz", **{name: each for name, each in arrays.items() if each is not None})
    return tmp_path / "a.npz"


@pytest.mark.parametrize(("changes", "part"), [
    ({"format": "other"}, "it does not say that it is a gradflow recording 1"),
    ({"cell": "lstn"}, "cell is 'lstn'; it must be one of"),
    ({"inputs": None}, "inputs is not there"),
    ({"inputs": np.zeros((2, 4))}, "inputs is of shape [2, 4]"),
    ({"inputs": np.zeros((2, 4, 0))}, "inputs has shape [2, 4, 0]"),
    ({"cotangents": np.full((2, 4, 3), np.nan)}, "cotangents holds nan"),
    ({"cotangents": np.zeros((2, 5, 3))}, "cotangents has shape [2, 5, 3]"),
    ({"lengths": np.array([4, 5])}, "lengths are [4, 5]; each must be a whole number in [1, 4]"),
    ({"lengths": np.array([4.0, 3.0])}, "lengths are [4.0, 3.0]"),
    ({"layers.0.0.weight_ih": None}, "layers.0.0.weight_ih is not there"),
    ({"layers.0.0.weight_hh": None}, "layers.0.0.weight_hh is not there"),
    ({"layers.0.0.weight_hh": np.zeros((0, 0))}, "layers.0.0.weight_hh is of shape [0, 0]"),
    ({"layers.0.0.weight_hh": np.full((9, 3), np.inf)}, "layers.0.0.weight_hh holds inf"),
    ({"carry.0.0": np.zeros((2, 3))}, "carry.0.0 is not there, or not [2, states, n]"),
    ({"cell": np.array(["a"], object)}, "cell.npy is object"),
    ({"labels": np.zeros((2, 4))}, "labels are float64 [2, 4]; they must be texts [2, 4]"),
    ({"labels": np.array([list("abcd")])}, "labels are <U1 [1, 4]; they must be texts [2, 4]"),
    ({"labels": np.full((2, 4), 33 * "a")}, "labels have room for 33 characters; at most 32 are read"),
    ({"labels": np.full(8, 2**21, np.uint32).view("U1").reshape(2, 4)}, "labels.npy holds what is no character"),
    ({"cell": np.full(1, 2**21, np.uint32).view("U1")[0:1]}, "cell.npy holds what is no character"),
    ({"labels": np.array(["a"], object)}, "labels.npy is object"),
])  # fmt: skip
def test_a_file_that_is_no_recording_is_explained(tmp_path, changes, part):
    assert gf.load(written(tmp_path)).maps()[0][0].log_terms().shape == (4, 4)
    path = written(tmp_path, **changes)
    with pytest.raises(ValueError) as error:
        gf.load(path)
    assert part in str(error.value) and str(error.value).startswith(f"{path} is no recording: "), str(error.value)
    assert "\n" not in str(error.value)


def test_a_broken_or_greedy_file_is_explained(tmp_path):
    whole = written(tmp_path).read_bytes()
    greedy = tmp_path / "greedy.npz"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296,), }\n"
    with zipfile.ZipFile(greedy, "w") as archive:  # asks for 32 GiB
        archive.writestr("inputs.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    files = {
        "cut.npz": whole[: len(whole) // 2],
        "empty.npz": b"",
        "text.npz": b"weights",
        "greedy.npz": greedy.read_bytes(),
    }
    for at in range(0, len(whole), len(whole) // 60):
        files[f"flipped{at}.npz"] = whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :]
    refused = 0
    for name, content in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        try:
            gf.load(path)
        except ValueError as error:
            refused += 1
            assert str(error).startswith(f"{path} is no recording: ") and "\n" not in str(error)
        else:
            assert name.startswith("flipped")
    assert refused > 30


def test_arrays_of_any_framework_make_a_recording(tmp_path):
    """Without PyTorch: weights, inputs and dL/dy(t), as `gradient_map` has them from the same arrays."""
    weights, inputs, *_ = oracle.draw("gru", 7)
    cotangents = np.random.default_rng(1).normal(size=(7, 3))
    made = gf.Recording(gf.Network("gru", [(weights,)]), [inputs], [cotangents])
    made.save(tmp_path / "made.npz")
    assert Path(tmp_path / "made.npz").exists()
    expected = gf.gradient_map("gru", weights, inputs, cotangents=cotangents)
    for recording in (made, gf.load(tmp_path / "made.npz")):
        assert_logs(recording.maps()[0][0].log_terms("all"), expected.log_terms("all"), atol=1e-5)
        assert repr(recording.read(5).readings) == repr((recording.maps()[0][0].read(5),))  # NaN too


def recorded_with(labels):
    draw = np.random.default_rng(1).normal
    weights = gf.Weights(draw(size=(3, 2)), draw(size=(3, 3)))
    inputs, cotangents = ([draw(size=(length, k)) for length in (5, 3)] for k in (2, 3))
    return gf.Recording(gf.Network("rnn-tanh", [[weights]]), inputs, cotangents, labels=labels)


@pytest.mark.parametrize(
    "labels", [["hello", "the"], [["Ġtoken", "", "\n", 32 * "a", "é𝄞"], np.array(["a", "b", "c"])], None]
)
def test_labels_are_kept_in_the_file(tmp_path, labels):
    """A text is a sequence of letters; of sequences of unequal length each has its own."""
    recorded_with(labels).save(tmp_path / "a.npz")
    kept = gf.load(tmp_path / "a.npz").labels
    assert kept == (None if labels is None else [list(each) for each in labels])


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["hello"], "labels is of 1 sequences, and inputs of 2"),
        (["hello", "them"], "labels of sequence 1 are 4; there must be one a step, 3"),
        ([[0, 1, 2, 3, 4], "the"], "labels of sequence 0 hold 0 at step 0; each must be a text of at most 32"),
        (["hello", ["a", "b", 33 * "c"]], "labels of sequence 1 hold a text of 33 characters at step 2"),
    ],
)
def test_labels_that_are_none_are_explained(labels, said):
    with pytest.raises(ValueError) as error:
        recorded_with(labels)
    assert str(error.value).startswith(said) and "\n" not in str(error.value)
