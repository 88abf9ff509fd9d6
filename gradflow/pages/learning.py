"""Learning for real, on a page: one training at a time in a process, a chunk of it at each run of the fragment."""

import secrets
import threading
import time

import numpy as np
import streamlit as st

from gradflow.messages import apology, regret
from gradflow.pages.live_picture import draw_chart
from gradflow.reading import number
from gradflow.scenario import RECALL_LAG

HIDDEN = 32
EXPIRES = 10  # s without a chunk, after which a training counts as left
PACE = 0.1  # s between two chunks, for the eye


class Turn:
    """Who trains: one visitor at a time; one that falls silent has left."""

    def __init__(self):
        self._lock, self._holder, self._seen = threading.Lock(), None, 0.0

    def take(self, visitor):
        """Whether it is this visitor's turn, now or still."""
        with self._lock:
            now = time.monotonic()
            if self._holder not in (None, visitor) and now - self._seen < EXPIRES:
                return False
            self._holder, self._seen = visitor, now
            return True

    def leave(self, visitor):
        """Let the next one train."""
        with self._lock:
            if self._holder == visitor:
                self._holder = None


TURN = Turn()


def learning():
    """Train the present scenario's cell on recall, three biases of its keeping gate side by side, and draw it live."""
    st.subheader("Learning for real")
    st.markdown(
        f"Read {RECALL_LAG + 1} random inputs, then say the first one. The cell of the picture, its gain and its draw "
        f"with {HIDDEN} units, is trained with three biases of the gate that keeps its state; Adam, 600 steps, every "
        "batch new. How much credit reaches the first input is measured before the first step."
    )
    training = st.session_state.get("training")
    active = training is not None and training["active"]
    st.fragment(_progress, run_every=PACE if active else None)()


def _progress():
    """The training as far as it is; one that breaks is given up, or it would break ten times a second."""
    with apology():
        try:
            _train()
        except Exception:
            if st.session_state.pop("training", None) is None:
                raise
            TURN.leave(st.session_state.trainee)
            regret()
            st.rerun()  # the whole page, which alone stops the clock


def _train():
    from gradflow import training

    state = st.session_state.get("training")
    visitor = st.session_state.setdefault("trainee", secrets.token_hex(4))
    if state is None or not state["active"]:
        if st.button("Train" if state is None else "Train again", type="primary"):
            _start(st.session_state.scenario)
            st.rerun()  # the whole page, which alone sets the pace of this fragment
    elif st.button("Stop"):
        _stop()
        st.rerun()
    if state is None:
        return
    if state["active"]:
        if not TURN.take(visitor):
            st.info("Waiting: somebody else is training on this server.")
            return
        _step(training, state)
    _draw(training, state)
    if state["active"] and state["done"]:
        _stop()
        st.rerun()


def _start(scenario):
    from gradflow import training

    run = training.begin(
        scenario.cell, HIDDEN, RECALL_LAG, gain=scenario.gain, input_gain=scenario.input_gain, seed=scenario.seed
    )
    names = tuple(training.variants(scenario.cell, RECALL_LAG))
    st.session_state.training = {
        "active": True,
        "done": False,
        "run": run,
        "names": names,
        "of": f"{scenario.cell}, gain {scenario.gain:g}, draw {scenario.seed}",
        "credit": None,
        "losses": np.empty((len(names), 0)),
    }


def _stop():
    st.session_state.training["active"] = False
    TURN.leave(st.session_state.trainee)


def _step(training, state):
    """One chunk, and before the first what credit there is."""
    if state["credit"] is None:
        state["credit"] = training.credit(state["run"])
    state["run"], losses = training.advance(state["run"])
    state["losses"] = np.concatenate([state["losses"], np.asarray(losses)], axis=1)
    state["done"] = state["losses"].shape[1] >= training.STEPS


def _draw(training, state):
    from gradflow.charts import learning as chart

    chunks = training.chunk_means(state["losses"])
    points = training.STEPS // training.CHUNK
    datasets = chart.data(dict(zip(state["names"], chunks, strict=True)), training.CHANCE, points)
    draw_chart("learning", datasets)
    st.caption(f"Trained: {state['of']}.")
    for name, said in sentences(training, state).items():
        st.markdown(f"**{name}**: {said}")


def sentences(training, state):
    """What each variant has made of it so far: name -> words with numbers."""
    steps = state["losses"].shape[1]
    learned = training.learned_at(state["losses"]) if steps else [None] * len(state["names"])
    said = {}
    for name, at, share, losses in zip(state["names"], learned, state["credit"], state["losses"], strict=True):
        last = float(losses[-training.CHUNK :].mean())
        if not np.isfinite(last):
            result = "it has blown up"
        elif at is None:
            result = f"not learned after {steps} steps, loss {last:.3f} (chance {training.CHANCE:g})"
        else:
            result = f"learned by step {at}, loss {last:.3f}"
        said[name] = f"{number(share)} of the credit reached the first input; {result}."
    return said
