"""Learning for real: does a cell learn to recall one number after k steps, and does the bias of one gate decide it?

    reads x(0) … x(k) ~ N(0, 1), of m numbers each, says x₀(0) at t = k:    C = ½ (readout · h(k) − x₀(0))²

With one cost, only the term at lag k tells W_ih what to do with x(0). One draw is trained several times side by side:
with several biases of the gate that keeps the state (`begin`), or as whatever differs (`begin_with`). Every batch is
new, so every loss is one on unseen sequences.

Another task asks for a marked number: x₁ is 1 at one random step s and 0 elsewhere, and the target is x₀(s). There a
gate has to choose by the input (`openings`).

Use it in this order: begin; before the first step `credit` (how much of the gradient reaches x(0)), `pace` (what a
step back does to the error) and `agreement` (whether sequences ask for the same); `advance` up to `STEPS`, or `train`,
which takes all of them; `learned_at`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gradflow.cells import CELLS, Cell, Pin
from gradflow.engine.device import select_device
from gradflow.engine.unroll import input_preact, step
from gradflow.lags import lag_terms
from gradflow.maps import gradient_maps
from gradflow.reading import per_step_factor
from gradflow.weights import Weights, draw

STEPS = 600  # of Adam, a whole run
CHUNK = 25  # steps of one `advance`
BATCH = 32  # sequences a step
INPUTS = 4  # numbers m read a step where nothing else is said, the first of which is asked for
CHANCE = 0.5  # the mean cost of always saying 0
LEARNED = CHANCE / 2  # a mean cost below it is no chance
ADAM = optax.adam(0.01)


class Network(NamedTuple):
    """What is trained; a leading axis [V] on every field holds V variants."""

    weights: Weights
    readout: jax.Array | np.ndarray  # [n]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Run:
    """The state of one training, V variants side by side."""

    cell: Cell = field(metadata={"static": True})
    lag: int = field(metadata={"static": True})
    networks: Network  # [V, ...]
    optimizer: optax.OptState
    key: jax.Array
    step: jax.Array  # i32[], steps taken
    limit: float = field(metadata={"static": True}, default=math.inf)  # of ‖gradient of a batch‖: longer ones are cut
    marked: bool = field(metadata={"static": True}, default=False)  # which number is asked for: a marked one


def variants(cell: str, lag: int) -> dict[str, float]:
    """What starts side by side: the bias of the gate that keeps the state, for 1 / (1 − σ(b)) = 1 + eᵇ steps.

    Args:
        cell: a name in `CELLS`; one without such a gate has one variant, the draw as it is.
        lag: k, steps from the number to its recall, at least 2.

    Returns:
        name of the variant -> b: 0, no bias; 1; and log k, which keep for 2, 3.7 and 1 + k steps.

    Raises:
        ValueError: names the argument, its value and what is valid.

    Source: Jozefowicz et al. 2015 (1); Tallec & Ollivier 2018, who spread b ~ log U(1, T − 1) over the units with −b
    on the input gate: log k is the upper end of that spread, and here for the forget gate alone.
    """
    if cell not in CELLS:
        raise ValueError(f"cell is {cell!r}; it must be one of {', '.join(CELLS)}")
    _check_whole("lag", lag, 2)
    gate = CELLS[cell].keep_gate
    if gate is None:
        return {"no gate": 0.0}
    biases = {"0": 0.0, "1": 1.0, "log k": math.log(lag)}
    return {f"{CELLS[cell].label(gate)} bias {label}": bias for label, bias in biases.items()}


def begin(
    cell: str,
    hidden: int = 32,
    lag: int = 20,
    *,
    gain: float = 1.0,
    input_gain: float = 1.0,
    init: str = "normal",
    seed: int = 0,
) -> Run:
    """Draw the networks to train: the same in every variant, but for the one bias.

    Args:
        cell, lag: as in `variants`.
        hidden: n, units, at least 1.
        gain, input_gain, init: as in `gradflow.weights.draw`; the gains at least 0.
        seed: of the weights, the readout ~ N(0, 1/n) and the batches; a whole number, at least 0.

    Returns:
        `Run`, float32, before its first step.

    Raises:
        ValueError: as in `variants`.
    """
    biases = variants(cell, lag).values()
    _check_whole("hidden", hidden, 1)
    _check_whole("seed", seed, 0)
    for name, value in (("gain", gain), ("input_gain", input_gain)):
        if not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value!r}; it must be a finite number, at least 0")
    gates, keep_gate = CELLS[cell].gates, CELLS[cell].keep_gate or ""
    draw_one = partial(draw, gates, hidden, INPUTS, init=init, gain=gain, input_gain=input_gain, seed=seed)
    weights = [draw_one(biases={keep_gate: bias}) for bias in biases]
    readout = np.random.default_rng([seed, 1]).standard_normal(hidden).astype(np.float32) / np.float32(hidden**0.5)
    return begin_with(cell, [Network(w, readout) for w in weights], lag, seed=seed)


def begin_with(cell: str, networks: list[Network], lag: int = 20, *, seed: int = 0, marked: bool = False) -> Run:
    """Begin with these V networks, whatever differs between them.

    Args:
        cell, lag: as in `variants`.
        networks: of one shape, for m inputs a step; where a number is marked, at least 2.
        seed: of the batches.
        marked: ask for the marked number instead of the first.

    Returns:
        `Run`, before its first step.
    """
    select_device()
    stacked = jax.tree.map(lambda *each: jnp.stack(each), *networks)
    return Run(CELLS[cell], int(lag), stacked, ADAM.init(stacked), jax.random.key(seed), jnp.int32(0), marked=marked)


@jax.jit
def advance(run: Run) -> tuple[Run, jax.Array]:
    """Take `CHUNK` steps of Adam (0.01), each on a new batch for all variants; compiled once for a cell, n and k.

    Returns:
        (run, losses f32[V, CHUNK]): the mean cost of each batch, before the step it leads to. A variant that blows
        up stays NaN, the others go on.
    """
    loss = lambda network, batch: jax.vmap(lambda inputs: _cost(run, network, inputs))(batch).mean()
    learn = jax.vmap(jax.value_and_grad(loss), in_axes=(0, None))

    def step(run, _):
        losses, slopes = learn(run.networks, next_batch(run))
        if run.limit < math.inf:
            clip = optax.clip_by_global_norm(run.limit)
            slopes = jax.vmap(lambda each: clip.update(each, optax.EmptyState())[0])(slopes)
        with jax.numpy_dtype_promotion("standard"):  # optax raises a decay to the number of steps, an integer
            updates, optimizer = ADAM.update(slopes, run.optimizer)
        networks = optax.apply_updates(run.networks, updates)
        return replace(run, networks=networks, optimizer=optimizer, step=run.step + 1), losses

    run, losses = jax.lax.scan(step, run, length=CHUNK)
    return run, losses.T


def train(run: Run) -> Iterator[np.ndarray]:
    """Take all `STEPS`, one `advance` after the other.

    Yields:
        the losses so far, f32[V, steps taken], after each.
    """
    losses = np.empty((len(run.networks.readout), 0), np.float32)
    while losses.shape[1] < STEPS:
        run, chunk = advance(run)
        losses = np.concatenate([losses, np.asarray(chunk)], axis=1)
        yield losses


def chunk_means(losses: np.ndarray) -> np.ndarray:
    """Losses f[V, S] as the mean of each `CHUNK` of steps, f[V, S / CHUNK]."""
    return np.reshape(losses, (len(losses), -1, CHUNK)).mean(axis=2)


def learned_at(losses: np.ndarray) -> list[int | None]:
    """The end of the first `CHUNK` of losses f[V, S] whose mean is below `LEARNED`: V steps, None where none is."""
    below = chunk_means(losses) < LEARNED  # [V, S / CHUNK]
    return [CHUNK * (int(chunks.argmax()) + 1) if chunks.any() else None for chunks in below]


def credit(run: Run) -> np.ndarray:
    """How much of the gradient of W_ih comes from x(0), the input that is asked for.

        share = ‖dC(k)/dW_ih(0)‖ / Σ_u ‖dC(k)/dW_ih(k−u)‖        sizes alone, whatever their signs

    Returns:
        log share, f64[V], the median over 8 sequences of the next batch; −inf: exactly none, NaN: it has blown up.
    """
    return _median(run, _log_share)


def pace(run: Run) -> np.ndarray:
    """What a step back multiplies the error δ(k, k−u) by, exp of the slope of log ‖δ‖ over the k + 1 lags.

    Returns:
        f64[V], the median over 8 sequences of the next batch; NaN: it has blown up, or passes nothing on.
    """
    return np.exp(_median(run, lambda lags: per_step_factor(lags.log_terms("bias_ih")).slope))


def agreement(run: Run, sequences: int = 2048) -> np.ndarray:
    """Whether sequences ask W_ih for the same: the mean of the directions of their terms at lag k.

        √N ‖mean_i e_i‖,   e_i = dC_i(k)/dW_ih(0) / ‖dC_i(k)/dW_ih(0)‖       1: no more than chance; √N: all the same

    Args:
        run: as it stands.
        sequences: N, a multiple of `BATCH`.

    Returns:
        f64[V]; NaN where a network has blown up, or passes nothing on.
    """
    batches = (replace(run, step=run.step + 10**6 + k) for k in range(sequences // BATCH))  # none that it trains on
    each = (np.asarray(_directions(run, next_batch(batch)), float) for batch in batches)
    total = sum(each, np.zeros(()))  # [V, G·n, m]
    return np.sqrt((total**2).sum((1, 2)) / sequences)


def next_batch(run: Run) -> jax.Array:
    """The sequences of a run's next step, f32[BATCH, k+1, m] ~ N(0, 1), x₁ the mark where there is one.

    They depend on its seed and step alone.
    """
    key, steps, m = jax.random.fold_in(run.key, run.step), run.lag + 1, run.networks.weights.weight_ih.shape[-1]
    inputs = jax.random.normal(key, (BATCH, steps, m), jnp.float32)
    if not run.marked:
        return inputs
    marks = jax.random.randint(jax.random.fold_in(key, 1), (BATCH,), 0, steps)
    return inputs.at[:, :, 1].set(jax.nn.one_hot(marks, steps))


def openings(run: Run) -> dict[str, tuple[np.ndarray, ...]]:
    """How open each sigmoid gate of each unit is at the mark, and at all other steps; means over the next batch.

    Returns:
        gate -> (f[V, n] at the mark, f[V, n] elsewhere).
    """
    networks, batch = jax.device_get((run.networks, next_batch(run)))
    at = batch[:, :, 1] == 1  # [BATCH, k+1]
    said: dict[str, list] = {}
    for v in range(len(networks.readout)):
        weights, readout = jax.tree.map(lambda fields, v=v: fields[v], networks)
        targets = np.zeros(run.lag + 1, np.float32)
        same = {"cell": run.cell, "weights": weights, "readout": readout, "targets": targets}
        maps = gradient_maps([same | {"inputs": inputs} for inputs in batch])
        for gate in run.cell.pinnable:
            opened = np.stack([one.gates[gate] for one in maps])  # [BATCH, k+1, n]
            said.setdefault(gate, []).append((opened[at].mean(0), opened[~at].mean(0)))
    return {gate: tuple(map(np.stack, zip(*each, strict=True))) for gate, each in said.items()}


def _median(run, of):
    """of(`LagTerms` of the one cost) for each variant, f64[V]: the median over 8 sequences of the next batch."""
    networks, batch = jax.device_get((run.networks, next_batch(run)[:8]))
    each = [jax.tree.map(lambda fields, v=v: fields[v], networks) for v in range(len(networks.readout))]
    return np.array([np.median([_of_lags(run, network, inputs, of) for inputs in batch]) for network in each])


def _of_lags(run, network, inputs, of):
    if not np.isfinite(network.readout).all():
        return np.nan
    targets = np.append(np.full(run.lag, np.nan, np.float32), inputs[0, 0])  # one cost, at t = k
    return of(lag_terms(run.cell, network.weights, inputs, network.readout, targets, run.lag))


def _log_share(lags):
    terms = lags.log_terms("weight_ih")
    with np.errstate(invalid="ignore"):  # NaN stays NaN
        return -np.inf if terms[-1] == -np.inf else terms[-1] - np.logaddexp.reduce(terms)


@jax.jit
def _directions(run, batch):
    """The sum over a batch of dC(k)/dW_ih(0), of the copy that reads x(0), each as a unit vector: f[V, G·n, m]."""

    def total(network):
        apart = lambda inputs: jax.grad(lambda first: _cost(run, network, inputs, first))
        slopes = jax.vmap(lambda inputs: apart(inputs)(network.weights.weight_ih))(batch)
        return (slopes / jnp.linalg.norm(slopes, axis=(1, 2), keepdims=True)).sum(0)

    return jax.vmap(total)(run.networks)


def _cost(run, network, inputs, first=None):
    """C of one sequence, inputs [k+1, m]; first: the copy of W_ih that reads x(0), where it is another."""
    cell, (weights, readout) = run.cell, network
    target = inputs[:, 0] @ inputs[:, 1] if run.marked else inputs[0, 0]
    free = {gate: Pin(jnp.bool_(False), jnp.float32(0)) for gate in cell.pinnable}

    def one(carry, x, weights=weights):
        return step(cell, weights, input_preact(weights, x), carry, free)[1], None

    carry, read = tuple(jnp.zeros_like(readout) for _ in cell.carry), inputs
    if first is not None:
        carry, read = one(carry, inputs[0], weights._replace(weight_ih=first))[0], inputs[1:]
    (h, *_), _ = jax.lax.scan(one, carry, read)
    return (readout @ h - target) ** 2 / 2


def _check_whole(name, value, low):
    if not isinstance(value, (int, np.integer)) or value < low:
        raise ValueError(f"{name} is {value!r}; it must be a whole number, at least {low}")
