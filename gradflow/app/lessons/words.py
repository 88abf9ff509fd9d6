"""The words that a lesson explains where it uses them."""

import re

from gradflow.reading import WORDS as READING

WORDS = {  # explained wherever a lesson uses them
    "cell path": "the way back through an LSTM's cell state c alone, not through its output h, which gates and new "
    "content read",
    "clipping": "a gradient that is longer than a limit is cut to that length",
    "cosine": "1 where two gradients point the same way, 0 where they are at a right angle",
    "draw": "one throw of the dice for weights and inputs",
    "forget bias": "the bias b of an LSTM's forget gate, which rests at σ(b): 0.50 for 0, 0.73 for 1, 0.99 for 4.6; "
    "with b = log k it keeps for about k steps",
    "gain": "the scale of the recurrent weights; twice the gain makes each of them twice as large",
    "horizon": "how many steps the network runs",
    "initialisation": "the weights as they are drawn, before any training",
    "jax.grad": "the derivative that the library JAX takes of a whole run",
    "lstm": "a recurrent cell with gates, numbers from 0 to 1 that multiply what passes",
    "orthogonal": "said of weights that turn the state and keep its length",
    "recurrent": "said of a network that reads one input a step and hands its state on to the next step",
    "truncating": "going back only so many lags, and leaving out what comes from before",
    "update gate": "a GRU's z in h(s) = z h(s−1) + (1−z) · new, as PyTorch has it: 1 keeps; where others write 1−z for "
    "z, 0 keeps",
    "‖δ‖": "the size of the error as it arrives at a layer",
    "‖dC/dW‖": "the size of a gradient: the root of the sum of the squares of its entries",
    **{word: READING[word] for word in ("settles", "grows", "explodes", "cancel", "chaotic")},
}


def explained(*texts: str) -> list[str]:
    """The `WORDS` that these texts use: "**gain**: the scale …" each."""
    used = lambda word: re.search(rf"(?:^|\W){word}s?(?:\W|$)", " ".join(texts), re.IGNORECASE)
    return [f"**{word}**: {meaning}" for word, meaning in WORDS.items() if used(word)]
