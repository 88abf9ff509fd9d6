"""What clipping by norm costs, for lesson 3: one batch keeps its direction, the mean step over many may not."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from gradflow.app.lessons.evidence import SEEDS, spread
from gradflow.app.lessons.record import Evidence
from gradflow.app.scenario import Scenario

LIMITS = 2.0 ** np.arange(-4, 4.5, 0.5)  # of clipping, in medians of ‖g‖ over batches
SEQUENCES, BATCH, STEPS = 512, 32, 60


@lru_cache(maxsize=1)
def _sequences():
    each = [Scenario(seed=seed).data() for seed in range(SEQUENCES)]
    return np.stack([data.inputs[:STEPS] for data in each]), np.stack([data.targets[:STEPS] for data in each])


@lru_cache(maxsize=2 * len(SEEDS))
def batches(scenario: Scenario) -> tuple[np.ndarray, float]:
    """dC(t)/dW_hh after 60 steps, for the same weights.

    Returns:
        (the mean over each batch of 32 of 512 sequences, f64[16, ·]; the share of the longest of the 512 gradients in
        the sum of their squares).
    """
    from gradflow.engine.reference import whole_gradients

    inputs, targets = _sequences()
    found = whole_gradients(scenario.cell, scenario.weights(), inputs, scenario.readout(), targets, STEPS - 1)
    each = np.reshape(found.weight_hh, (SEQUENCES, -1)).astype(float)
    squares = np.sum(each**2, axis=1)
    return each.reshape(-1, BATCH, each.shape[1]).mean(axis=1), float(squares.max() / squares.sum())


def clipped(rows: np.ndarray, limit: float) -> tuple[float, float]:
    """Clipping by norm, over batches: (what it changes, cosine).

    Compared are the means of g min(1, c / ‖g‖) and of g, the rows, with c so many times the median of ‖g‖. What it
    changes is the norm of their difference over that of the latter.

    Source: Pascanu et al. 2013, algorithm 1, with each row the gradient of a batch.
    """
    norms = np.linalg.norm(rows, axis=1)
    full = np.mean(rows, axis=0)
    cut = np.mean(rows * np.minimum(1, limit * np.median(norms) / norms)[:, None], axis=0)
    size = np.linalg.norm(full)
    return float(np.linalg.norm(cut - full) / size), float(cut @ full / size / np.linalg.norm(cut))


def by_gain(gain: float) -> list[tuple[np.ndarray, float]]:
    """What `batches` gives for each of `SEEDS` draws of an LSTM's weights."""
    return [batches(Scenario(gain=gain, horizon=STEPS, seed=seed)) for seed in SEEDS]


def clipping_curve(gain: float) -> tuple[np.ndarray, np.ndarray]:
    """By limit, of `LIMITS`: (log of what clipping changes, cosine), medians over `SEEDS` draws of the weights."""
    found = np.median([[clipped(rows, limit) for limit in LIMITS] for rows, _ in by_gain(gain)], axis=0)
    with np.errstate(divide="ignore"):  # nothing is changed
        return np.log(found[:, 0]), found[:, 1]


def one_batch() -> Evidence:
    """Whether a clipped batch keeps its direction, `Evidence`."""
    cosines = [clipped(row[None], 0.5)[1] for rows, _ in by_gain(8.0) for row in rows]
    return Evidence(
        min(cosines) > 1 - 1e-9, f"gain 8, {len(cosines)} batches of 32, cut to half: cosine {min(cosines):.4f}"
    )


def mean_step(gain: float) -> Callable[[], Evidence]:
    """What becomes of the mean over many batches, each cut to their median length: () -> `Evidence`."""

    def evidence():
        draws = by_gain(gain)
        cosines = [clipped(rows, 1.0)[1] for rows, _ in draws]
        shares = [share for _, share in draws]
        most = sum(share > 0.5 for share in shares)
        true = np.median(cosines) > 0.95 and not most if gain < 2 else np.median(cosines) < 0.8 and most > 5
        return Evidence(
            bool(true),
            f"gain {gain:g}, 512 sequences in batches of 32, eight draws of the weights: cosine {spread(cosines)}; of "
            f"the sum of all squared lengths the longest of the 512 gradients makes {spread(shares)}, more than half "
            f"in {most} of 8 draws",
        )

    return evidence
