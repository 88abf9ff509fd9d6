"""Measures three networks that were really trained, for a lesson: the sizes of their terms, and no weights.

    python tests/benchmarks/trained_networks.py FOLDER          # writes gradflow/app/lessons/trained.npz; some minutes
    python tests/benchmarks/trained_networks.py FOLDER --check  # PyTorch's autograd on copies of W besides

It needs torch, and Debian's espeak-ng for the voices. The packages with the trained weights are installed into FOLDER
alone, without what they depend on: how each prepares its input is written out below.

Each network is measured on eight inputs, layer by layer: as `trained`; `drawn` anew as PyTorch draws it, eight draws,
with the layers above it, on the same inputs; trained, on `noise`, which is white noise as sound and random letters;
the top layer cut out, on `numbers` ~ N(0, 1) in place of what comes from below; and the encoder's lowest layer `alone`,
without the layers above. `log_delta` is log ‖δ(t,t−u)‖, the error sent back to a layer's recurrent weights and the term
of their bias; `log_state` is log ‖h(t−u−1)‖, which it meets. Their sum is log ‖dC(t)/dW_hh(t−u)‖. `kept` is how open
each unit's forget gate is, of a GRU its update gate: the mean over steps and inputs.
"""

import argparse
import io
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

import gradflow as gf  # noqa: E402
from gradflow.cells import CELLS  # noqa: E402
from gradflow.reading import memory, per_step_factor  # noqa: E402

FILE = ROOT / "gradflow/app/lessons/trained.npz"
PACKAGES = {"encoder": "Resemblyzer==0.1.4", "detector": "silero-vad==6.2.3", "speller": "g2p-en==2.1.0"}
LICENCES = {"encoder": "Apache-2.0", "detector": "MIT", "speller": "Apache-2.0"}
RATE, FRAMES = 16_000, 160  # samples a second; frames that are measured: what the encoder was trained on
VOICES = ("f2", "m1", "f4", "m3", "f1", "m5", "f3", "m7")  # of espeak-ng, English; each is compared with the next
SENTENCES = (
    "The north wind and the sun were disputing which of them was the stronger.",
    "A traveller came along the road, wrapped in a warm cloak that he had brought from home.",
    "They agreed that whoever first made him take it off should be called the stronger.",
    "Then the wind blew as hard as it could, but the man only held the cloak more tightly.",
    "At last the wind gave up, and the sun shone out warmly over the fields.",
    "At once the traveller took off his cloak and sat down in the shade of a tree.",
    "So the wind had to confess that the sun was the stronger of the two of them.",
    "Nobody who was there that day forgot how quietly the whole matter had been settled.",
)
WORDS = {  # 13 letters each, with their phonemes in the CMU Pronouncing Dictionary
    "psychological": "S AY2 K AH0 L AA1 JH IH0 K AH0 L",
    "international": "IH2 N T ER0 N AE1 SH AH0 N AH0 L",
    "communication": "K AH0 M Y UW2 N AH0 K EY1 SH AH0 N",
    "understanding": "AH2 N D ER0 S T AE1 N D IH0 NG",
    "environmental": "IH0 N V AY2 R AH0 N M EH1 N T AH0 L",
    "circumstances": "S ER1 K AH0 M S T AE2 N S AH0 Z",
    "extraordinary": "EH2 K S T R AH0 AO1 R D AH0 N EH2 R IY0",
    "significantly": "S IH0 G N IH1 F IH0 K AH0 N T L IY0",
}
SOUNDS = (  # in the speller's order
    "<pad> <unk> <s> </s> AA0 AA1 AA2 AE0 AE1 AE2 AH0 AH1 AH2 AO0 AO1 AO2 AW0 AW1 AW2 AY0 AY1 AY2 B CH D DH EH0 EH1 "
    "EH2 ER0 ER1 ER2 EY0 EY1 EY2 F G HH IH0 IH1 IH2 IY0 IY1 IY2 JH K L M N NG OW0 OW1 OW2 OY0 OY1 OY2 P R S SH T TH "
    "UH0 UH1 UH2 UW UW0 UW1 UW2 V W Y Z ZH"
)
PHONEMES = SOUNDS.split(" ")
LETTERS = ["<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]


class Case(NamedTuple):
    """A network with one input: the layers to watch, what they read, and the costs of what they give."""

    module: nn.Module  # nn.LSTM or nn.GRU, batch first
    inputs: torch.Tensor  # [1, T, m]
    costs: Callable[..., torch.Tensor]  # (outputs [1, T, n], last h) -> the cost at each t, or of each phoneme


# ------------------------------------------------------------------------------------------------- what is read


def install(folder):
    """The packages, without what they depend on."""
    names = [*PACKAGES.values()]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--upgrade", "--target", folder, *names], check=True
    )


def speech(text, voice, espeak):
    """A sentence as espeak-ng says it, from its first sound on, f64 at `RATE`; as loud as the encoder makes it."""
    said = subprocess.run([*espeak, "-v", f"en-us+{voice}", "--stdout", text], capture_output=True, check=True).stdout
    start = said.index(b"data") + 8  # what --stdout writes has no length in its head
    samples = np.frombuffer(said[start : start + (len(said) - start) // 2 * 2], "<i2") / 2**15
    with wave.open(io.BytesIO(said)) as header:
        spectrum = np.fft.rfft(samples)
        count = round(len(samples) * RATE / header.getframerate())
    sound = np.fft.irfft(spectrum[: count // 2 + 1], count) * count / len(samples)
    sound = sound[np.argmax(np.abs(sound) > 0.02) :]
    return sound * max(1.0, 10 ** (-30 / 20) / np.sqrt(np.mean(sound**2)))


def noise(count, seed):
    """White noise, as loud as speech."""
    return np.random.default_rng(seed).normal(0, 10 ** (-30 / 20), count)


def mel(sound):
    """The encoder's input, f32[frames, 40]: librosa's `melspectrogram` with its windows of 25 ms, a step of 10 ms."""
    size, step, bands = 400, 160, 40
    padded = np.pad(sound, size // 2)
    starts = range(0, len(padded) - size + 1, step)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    power = np.abs(np.fft.rfft([padded[k : k + size] * window for k in starts])) ** 2
    # Slaney's scale: linear below 1 kHz, logarithmic above, 27 steps to the factor 6.4
    to_mel = lambda f: f * 3 / 200 if f < 1000 else 15 + np.log(f / 1000) * 27 / np.log(6.4)
    to_hz = lambda m: np.where(m < 15, m * 200 / 3, 1000 * np.exp((m - 15) * np.log(6.4) / 27))
    edges = to_hz(np.linspace(0, to_mel(RATE / 2), bands + 2))[:, None]
    frequencies = np.fft.rfftfreq(size, 1 / RATE)
    rising, falling = (
        (frequencies - edges[:-2]) / np.diff(edges, axis=0)[:-1],
        (edges[2:] - frequencies) / np.diff(edges, axis=0)[1:],
    )
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])
    return (power @ filters.T).astype(np.float32)


# ------------------------------------------------------------------------------------------------- the three networks


def speaker_encoder(folder, sounds, seed=None):
    """The `Case` of each sound: 1 − cosine of the embedding, at each frame, to that of the next voice."""
    lstm, linear = _drawn(seed, lambda: (nn.LSTM(40, 256, 3, batch_first=True), nn.Linear(256, 256)))
    if seed is None:
        state = torch.load(folder / "resemblyzer/pretrained.pt", map_location="cpu", weights_only=True)["model_state"]
        for name, module in (("lstm.", lstm), ("linear.", linear)):
            module.load_state_dict(
                {key.removeprefix(name): each for key, each in state.items() if key.startswith(name)}
            )
    embed = lambda outputs: F.normalize(F.relu(linear(outputs)), dim=-1)
    mels = [torch.tensor(mel(sound)[:FRAMES])[None] for sound in sounds]
    with torch.no_grad():
        whole = [embed(lstm(each)[0][:, -1]) for each in mels]
    others = whole[1:] + whole[:1]
    return [
        Case(lstm, own, lambda outputs, last, other=other: 1 - (embed(outputs) * other).sum(-1)[0])
        for own, other in zip(mels, others, strict=True)
    ]


def voice_detector(folder, sounds, seed=None):
    """The `Case` of each sound: binary cross-entropy at each frame of 32 ms, against whether there is sound in it."""
    model = torch.jit.load(str(folder / "silero_vad/data/silero_vad.jit"))
    lstm, head = _drawn(seed, lambda: (nn.LSTM(128, 128, batch_first=True), nn.Linear(128, 1)))
    state = model._model.decoder.state_dict()
    if seed is None:
        lstm.load_state_dict({f"{name}_l0": state[f"rnn.{name}"] for name in gf.Weights._fields})
        head.load_state_dict({"weight": state["decoder.2.weight"][..., 0], "bias": state["decoder.2.bias"]})
    cases = []
    for sound in sounds:
        frames = torch.tensor(sound[: FRAMES * 512].reshape(FRAMES, 512), dtype=torch.float32)
        before = torch.cat([torch.zeros(1, 64), frames[:-1, -64:]])
        with torch.no_grad():
            own = model._model
            read = own.encoder(own.stft(torch.cat([before, frames], 1)))[..., 0][None]
            if seed is None:
                _same_as_package(model, frames, torch.sigmoid(head(F.relu(lstm(read)[0])))[0, :, 0])
        labels = (frames.square().mean(1) > 1e-2 * frames.square().mean()).float()
        cases.append(
            Case(
                lstm,
                read,
                lambda outputs, last, labels=labels: F.binary_cross_entropy_with_logits(
                    head(F.relu(outputs))[0, :, 0], labels, reduction="none"
                ),
            )
        )
    return cases


def _same_as_package(model, frames, ours):
    model.reset_states()
    theirs = torch.cat([model(frame[None], RATE)[0] for frame in frames])
    away = float((ours - theirs).abs().max())
    assert away < 1e-4, f"the detector's probabilities differ by {away}"


def speller(folder, words, seed=None):
    """The `Case` of each word: the encoder's GRU, and the cross-entropy of each of its phonemes, the decoder above.

    The phonemes before are given to the decoder, as in its training. The embeddings are the trained ones.
    """
    stored = {name: torch.tensor(each) for name, each in np.load(folder / "g2p_en/checkpoint20.npz").items()}
    modules = lambda: (nn.GRU(256, 256, batch_first=True), nn.GRU(256, 256, batch_first=True), nn.Linear(256, 74))
    encoder, decoder, head = _drawn(seed, modules)
    if seed is None:
        for module, name in ((encoder, "enc"), (decoder, "dec")):
            rename = {"w_ih": "weight_ih_l0", "w_hh": "weight_hh_l0", "b_ih": "bias_ih_l0", "b_hh": "bias_hh_l0"}
            module.load_state_dict({new: stored[f"{name}_{old}"] for old, new in rename.items()})
        head.load_state_dict({"weight": stored["fc_w"], "bias": stored["fc_b"]})
    cases = []
    for letters, phonemes in words:
        read = stored["enc_emb"][[LETTERS.index(letter) for letter in (*letters, "</s>")]][None]
        due = torch.tensor([PHONEMES.index(each) for each in ("<s>", *phonemes.split(), "</s>")])
        given, due = stored["dec_emb"][due[:-1]][None], due[1:]

        def costs(outputs, last, given=given, due=due):
            return F.cross_entropy(head(decoder(given, last)[0])[0], due, reduction="none")

        cases.append(Case(encoder, read, costs))
    return cases


def _drawn(seed, modules):
    torch.manual_seed(0 if seed is None else seed)
    return modules()


# ------------------------------------------------------------------------------------------------- the measurement


def watched(case):
    """The maps of a case, [layer]."""
    with gf.watch(case.module) as seen:
        outputs, last = case.module(case.inputs)
        case.costs(outputs, last).sum().backward()
    return [layer[0] for layer in seen.maps()]


def last_row(layer):
    """(log ‖δ‖, log ‖h‖) by lag at the last time, f32[T] each."""
    return [each.astype(np.float32) for each in layer.lags(len(layer.cost) - 1).log_factors("weight_hh")]


def triangle(layer):
    """log ‖δ(t,t−u)‖ at [t, u], u ≤ t, row after row."""
    log_delta = layer.log_terms("bias_hh")
    return log_delta[np.tril_indices(len(log_delta))].astype(np.float32)


def measured(name, cases, maps=False, first=0):
    """Arrays by key: "0.trained.log_delta" and log_state, f32[inputs, T]; kept, f32[n]; of the first input the map.

    first: which layer of the network the lowest of these is.
    """
    found = [watched(case) for case in cases]
    arrays = {}
    for k in range(len(found[0])):
        rows, key = np.array([last_row(layers[k]) for layers in found]), f"{first + k}.{name}"
        arrays |= {f"{key}.log_delta": rows[:, 0], f"{key}.log_state": rows[:, 1]}
        keep = CELLS[watched_cell(cases[0])].keep_gate
        arrays[f"{key}.kept"] = np.mean([layers[k].gates[keep] for layers in found], axis=(0, 1)).astype(np.float32)
        if maps:
            arrays[f"{key}.map"] = triangle(found[0][k])
    return arrays


def watched_cell(case):
    return {"LSTM": "lstm", "GRU": "gru"}[case.module.mode]


def cut_out(case, layer):
    """That layer of a case's module as a module of its own."""
    whole = case.module
    module = type(whole)(whole.input_size if layer == 0 else whole.hidden_size, whole.hidden_size, batch_first=True)
    module.load_state_dict({f"{name}_l0": getattr(whole, f"{name}_l{layer}").detach() for name in gf.Weights._fields})
    return module


def on_numbers(case, seed):
    """The top layer alone, on numbers drawn from N(0, 1) in place of what comes from below."""
    module = cut_out(case, case.module.num_layers - 1)
    size = 1, case.inputs.shape[1], module.input_size
    return Case(module, torch.randn(size, generator=torch.Generator().manual_seed(seed)), case.costs)


def alone(case, seed):
    """The lowest layer without those above, read by one drawn readout: C(t) = w·h(t), w ~ N(0, 1/n)."""
    module = cut_out(case, 0)
    readout = torch.randn(module.hidden_size, generator=torch.Generator().manual_seed(seed)) / module.hidden_size**0.5
    return Case(module, case.inputs, lambda outputs, last: (outputs @ readout)[0])


def measure(folder, espeak):
    """All arrays of the file."""
    said = [speech(f"{first} {second}", voice, espeak) for first, second, voice in zip(
        SENTENCES, SENTENCES[1:] + SENTENCES[:1], VOICES, strict=True)]  # fmt: skip
    pause = np.zeros(RATE // 2)
    spaced = [np.concatenate([each[: 2 * RATE], pause, each[2 * RATE :]]) for each in said]
    hiss = [noise(FRAMES * 512, seed) for seed in range(len(said))]
    letters = np.random.default_rng(0).choice(LETTERS[3:], (len(WORDS), 13))
    kinds = {
        "encoder": (speaker_encoder, said, hiss),
        "detector": (voice_detector, spaced, hiss),
        "speller": (speller, [*WORDS.items()], [*zip(letters, WORDS.values(), strict=True)]),
    }
    arrays = {}
    for name, (make, inputs, noisy) in kinds.items():
        maps, cases = name != "speller", make(folder, inputs)
        top = cases[0].module.num_layers - 1
        found = measured("trained", cases, maps)
        found |= measured("drawn", [make(folder, inputs, k + 1)[k] for k in range(len(inputs))], maps)
        found |= measured("noise", make(folder, noisy))
        found |= measured("numbers", [on_numbers(case, k) for k, case in enumerate(cases)], first=top)
        if top:
            found |= measured("alone", [alone(case, k) for k, case in enumerate(cases)])
        arrays |= {f"{name}.{key}": each for key, each in found.items()}
        print(name, "measured")
    return arrays


def report(arrays):
    """One line a network, layer and case: pace of ‖δ‖ and memory of the terms, medians with lowest and highest."""
    for key in arrays:
        if key.endswith("log_delta"):
            delta, state = arrays[key], arrays[key.replace("log_delta", "log_state")]
            paces = [per_step_factor(row).factor for row in delta]
            held = [memory(row) for row in delta + state]
            three = lambda values, form: f"{np.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"
            print(f"{key:30} pace {three(paces, '.4f')}, memory {three(held, '.0f')} of {delta.shape[1]}")


# ------------------------------------------------------------------------------------------------- an independent check


def check(folder, espeak):
    """Terms by autograd with a copy of every weight a step and layer, in float64 up to the embedding: log ‖term‖."""
    said = [speech(SENTENCES[0], voice, espeak) for voice in VOICES[:2]]
    case = speaker_encoder(folder, said)[0]
    maps = watched(case)
    case.module.double()
    for t in (20, FRAMES - 1):
        terms = _copied(case, t)
        for k, layer in enumerate(maps):
            ours = layer.log_terms("weight_hh")[t, :t]  # at lag t no state is there
            print(f"t = {t}, layer {k}: log terms differ by at most {np.abs(ours - terms[k][:t]).max():.1e}")


def _copied(case, t):
    """log ‖dC(t)/dW_hh,l(t−u)‖, [layer][lag], of an LSTM whose weights are copied for each step."""
    lstm, layers = case.module, range(case.module.num_layers)
    each = lambda name, k: getattr(lstm, f"{name}_l{k}").detach()
    copies = [[each("weight_hh", k).clone().requires_grad_() for _ in range(t + 1)] for k in layers]
    x = list(case.inputs[0].double())
    for k in layers:
        h = c = torch.zeros(lstm.hidden_size, dtype=torch.float64)
        above = []
        for s in range(t + 1):
            a = each("weight_ih", k) @ x[s] + each("bias_ih", k) + copies[k][s] @ h + each("bias_hh", k)
            i, f, g, o = a.chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            above.append(h)
        x = above
    cost = case.costs(torch.stack(x)[None].float(), None)[t]
    cost.backward()
    return [[float(copy.grad.norm().log()) for copy in of[::-1]] for of in copies]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the packages go")
    parser.add_argument("--espeak", nargs="+", default=["espeak-ng"], help="the command, with options")
    parser.add_argument("--check", action="store_true", help="compare with PyTorch's autograd, and write nothing")
    asked = parser.parse_args()
    if not (asked.folder / "resemblyzer").exists():
        install(asked.folder)
    if asked.check:
        check(asked.folder, asked.espeak)
        return
    arrays = measure(asked.folder, asked.espeak)
    report(arrays)
    said = {f"{name}.package": f"{package.replace('==', ' ')}, {LICENCES[name]}" for name, package in PACKAGES.items()}
    np.savez_compressed(FILE, **said, **arrays)
    print(f"{FILE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
