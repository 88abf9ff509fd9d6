"""Learning for real, on a page: one training at a time in a process, a chunk of it at each run of the fragment."""

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import streamlit as st

from gradflow.app import session
from gradflow.app.errors import error_boundary
from gradflow.app.lessons.training_problem import GAINS, LSTM, RECALL, outcome, started
from gradflow.app.live_chart import draw_chart
from gradflow.app.scenario import RECALL_LAG, Scenario
from gradflow.cells import CELLS
from gradflow.reading import number

HIDDEN = 32
EXPIRES = 10  # s without a chunk, after which a training counts as left
PACE = 0.1  # s between two chunks, for the eye


class Turn:
    """Who trains: one visitor at a time; one that falls silent has left."""

    def __init__(self) -> None:
        self._lock, self._seen = threading.Lock(), 0.0
        self._holder: str | None = None

    def take(self, visitor: str) -> bool:
        """Whether it is this visitor's turn, now or still."""
        with self._lock:
            now = time.monotonic()
            if self._holder not in (None, visitor) and now - self._seen < EXPIRES:
                return False
            self._holder, self._seen = visitor, now
            return True

    def leave(self, visitor: str) -> None:
        """Let the next one train."""
        with self._lock:
            if self._holder == visitor:
                self._holder = None


TURN = Turn()


def visitor() -> str:
    """Who is looking at this page."""
    return session.visit().setdefault("trainee", secrets.token_hex(4))


class Task(NamedTuple):
    """What is trained side by side."""

    says: Callable[[Scenario], str]
    begin: Callable[[Scenario], Any]  # -> Run
    names: Callable[[Scenario], tuple[str, ...]]  # of each network


def _says_biases(scenario):
    return (
        f"Read four random numbers at each of {RECALL_LAG + 1} steps, then say the very first, k = {RECALL_LAG} steps "
        "back. The picture's cell "
        f"({scenario.cell}), with {HIDDEN} units where the picture has {scenario.hidden}, and with its gain, input "
        "gain, initialisation and seed, is trained three times; what differs is the bias of the gate that keeps the "
        "state, and a cell without such a gate is trained once. A gate with bias "
        "$b$ rests at $\\sigma(b)$ and keeps for $1/(1-\\sigma(b)) = 1 + e^b$ steps: 2 for no bias, 3.7 for 1, "
        f"{RECALL_LAG + 1} for log k."
    )


def _begin_biases(scenario):
    from gradflow.app import training

    drawn = {"gain": scenario.gain, "input_gain": scenario.input_gain, "init": scenario.init, "seed": scenario.seed}
    return training.begin(scenario.cell, HIDDEN, RECALL_LAG, **drawn)


def _names_biases(scenario):
    from gradflow.app import training

    return tuple(training.variants(scenario.cell, RECALL_LAG))


def _says_gains(scenario):
    return (
        f"Read four random numbers at each of {RECALL_LAG + 1} steps, then say the very first. The picture's network, "
        f"with its gates and its {scenario.hidden} units, is trained at four gains; shown first is the lesson's own."
    )


TASKS = {  # what `ends_in` of a lesson names
    "biases": Task(_says_biases, _begin_biases, _names_biases),
    "gains": Task(_says_gains, started, lambda scenario: tuple(f"gain {gain:g}" for gain in GAINS)),
}
ALL_ALIKE = (
    "Weights, biases and readout, which is drawn N(0, 1/n), are trained by Adam with a rate of 0.01, without clipping: "
    "600 steps, each on 32 sequences never seen before. Before the first step two things are measured, as medians over "
    "eight such sequences (the sentence over the picture is about one): the **credit**, the share of the terms' total "
    "size (of sizes, without their signs) that lies at the lag of the number asked for; and what a step back "
    "multiplies the error by."
)


def learning(task: str) -> None:
    """Train networks on recall side by side, and draw it live; task: of `TASKS`."""
    st.subheader("Learning for real")
    st.markdown(f"{TASKS[task].says(session.state().scenario)} {ALL_ALIKE}")
    training = _state(task)
    active = training is not None and training["active"]
    st.fragment(partial(_progress, task), run_every=PACE if active else None)()


def _state(task):
    """The training of this task as far as it is; None where there is none."""
    state = session.visit().get("training")
    if state is not None and state["task"] == task:
        return state
    if state is not None and state["active"]:
        _stop()  # of another lesson
    if task != "gains":
        return None
    found = outcome(*LSTM, RECALL.seed)  # what the lesson's question was measured with
    ready = _started(task, RECALL) | {"losses": found.losses, "credit": np.log(found.credit), "pace": found.pace}
    return ready | {"active": False, "done": True, "run": None}


def _progress(task):
    """The training as far as it is; one that breaks is given up, or it would break ten times a second."""
    with error_boundary(session.link):
        try:
            _train(task)
        except Exception:
            if session.visit().pop("training", None) is None:
                raise
            TURN.leave(visitor())
            session.record_error()
            st.rerun()  # the whole page, which alone stops the clock


def _train(task):
    from gradflow.app import training

    state = _state(task)
    if state is None or not state["active"]:
        if st.button("Train" if state is None else "Train again", type="primary"):
            scenario = session.state().scenario
            session.visit()["training"] = _started(task, scenario) | {"run": TASKS[task].begin(scenario)}
            st.rerun()  # the whole page, which alone sets the pace of this fragment
    elif st.button("Stop"):
        _stop()
        st.rerun()
    if state is None:
        return
    if state["active"]:
        if not TURN.take(visitor()):
            st.info("Waiting: somebody else is training on this server.")
            return
        first = state["losses"].shape[1] == 0  # the only chunk that may have to compile
        with st.spinner("Getting ready to train this cell. This happens once.") if first else nullcontext():
            _step(training, state)
    _draw(training, state)
    if state["active"] and state["done"]:
        _stop()
        st.rerun()


def _started(task, scenario):
    """A training before its first step, but for its `Run`."""
    names = TASKS[task].names(scenario)
    drawn = f"{scenario.cell}, {scenario.init} weights, seed {scenario.seed}"
    return {
        "task": task,
        "active": True,
        "done": False,
        "names": names,
        "of": drawn + (f", gain {scenario.gain:g}" if task == "biases" else _gate(scenario)),
        "credit": None,
        "pace": None,
        "losses": np.empty((len(names), 0)),
    }


def _gate(scenario):
    """The gate that keeps the state, as text."""
    cell = CELLS[scenario.cell]
    return f", {cell.label(cell.keep_gate)} gate at {scenario.at_rest(cell.keep_gate):.2f}" if cell.keep_gate else ""


def _stop():
    session.visit()["training"]["active"] = False
    TURN.leave(visitor())


def _step(training, state):
    """One chunk, and before the first what there is to measure."""
    if state["credit"] is None:
        state["credit"], state["pace"] = training.credit(state["run"]), training.pace(state["run"])
    state["run"], losses = training.advance(state["run"])
    state["losses"] = np.concatenate([state["losses"], np.asarray(losses)], axis=1)
    state["done"] = state["losses"].shape[1] >= training.STEPS


def _draw(training, state):
    from gradflow.app.charts import learning as chart

    chunks = training.chunk_means(state["losses"])
    points = training.STEPS // training.CHUNK
    datasets = chart.data(dict(zip(state["names"], chunks, strict=True)), training.CHANCE, points)
    draw_chart("learning", datasets)
    st.caption(f"Trained: {state['of']}. Chance is {training.CHANCE:g}, learned is below {training.LEARNED:g}.")
    for name, said in sentences(training, state).items():
        st.markdown(f"**{name}**: {said}")


def sentences(training: ModuleType, state: dict[str, Any]) -> dict[str, str]:
    """What each network has made of it so far: name -> words with numbers."""
    steps = state["losses"].shape[1]
    learned = training.learned_at(state["losses"]) if steps else [None] * len(state["names"])
    said = {}
    each = zip(state["names"], learned, state["credit"], state["pace"], state["losses"], strict=True)
    for name, at, share, pace, losses in each:
        last = float(losses[-training.CHUNK :].mean())
        ends = f"loss {last:.3f}" if last < 100 else f"loss {number(np.log(last))}"
        if not np.isfinite(last):
            result = "it has blown up"
        elif at is None:
            result = f"not learned after {steps} steps, {ends}"
        else:
            result = f"learned by step {at}, {ends}"
        before = f"credit {number(share)}, a step back ×{number(np.log(pace))}" if share > -np.inf else "no credit"
        said[name] = f"{before}; {result}."
    return said
