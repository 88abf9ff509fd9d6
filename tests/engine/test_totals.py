"""The gradient that training uses, by lag, by copy, truncated, and by every state: PyTorch and closed forms."""

import os

import numpy as np
import pytest

import gradflow as gf
from support import oracle, pytorch_layer
from support.problems import LONG, assert_logs, log_geometric, unit

STEPS, HIDDEN, INPUTS = 11, 3, 2
MASKED, FRESH = (0, 6), (4, 9)
WEIGHTS = (*gf.Weights._fields, "all")


@pytest.fixture
def torch():
    return __import__("torch") if os.environ.get("CI") == "true" else pytest.importorskip("torch")


def draw(cell):
    weights, inputs, readout, targets = oracle.draw(cell, STEPS)
    targets[list(MASKED)] = np.nan
    return {"weights": weights, "inputs": inputs, "readout": readout, "targets": targets}


def costs_of(torch, states, readout, targets):
    miss = torch.stack([h for h, *_ in states]) @ torch.tensor(readout) - torch.tensor(targets)
    return torch.where(miss.isnan(), torch.zeros_like(miss), miss) ** 2 / 2


class Answer:
    """By PyTorch: every term from a copy of the weights a step; totals from one shared copy and the summed loss."""

    def __init__(self, torch, cell, carry, fresh, weights, inputs, readout, targets):
        self.torch, self.cell, self.fresh, self.weights = torch, cell, fresh, weights
        self.inputs, self.readout, self.targets = torch.tensor(inputs), readout, targets
        self.carry = tuple(torch.tensor(state, requires_grad=True) for state in carry)
        copies = pytorch_layer.leaves(torch, weights, STEPS)
        self.states = pytorch_layer.run(torch, cell, copies, self.inputs, self.carry, fresh)
        self.costs = costs_of(torch, self.states, readout, targets)
        self.terms = pytorch_layer.terms(torch, self.costs, copies)

    def total(self, weight, gate=None, detached=()):
        """The entries of the shared weight's gradient, of the rows of one gate or of all."""
        (shared,) = pytorch_layer.leaves(self.torch, self.weights, 1)
        run = pytorch_layer.run(
            self.torch, self.cell, [shared] * STEPS, self.inputs, self.carry, self.fresh, detached=detached
        )
        loss = costs_of(self.torch, run, self.readout, self.targets).sum()
        gradient = gf.Weights(*self.torch.autograd.grad(loss, shared))._asdict()
        rows = slice(None)
        if gate is not None:
            k = gf.CELLS[self.cell].gates.index(gate)
            rows = slice(k * HIDDEN, (k + 1) * HIDDEN)
        return pytorch_layer.joined({name: each[rows].numpy().ravel() for name, each in gradient.items()}, weight)

    def of_lags(self, weight, lags):
        """Σ_t dC(t)/dW(t−u) of every u in `lags`, entries."""
        by_step = pytorch_layer.joined(self.terms, weight)
        return np.stack([sum(by_step[t, t - u] for t in range(u, STEPS)) for u in lags])

    def state_gradients(self, state):
        """‖dC(t)/d carry(s)‖ at [t, s + 1], the initial carry first, before every sequence it begins."""
        at = [self.carry[state], *(each[state] for each in self.states)]
        rows = [self.torch.autograd.grad(cost, at, retain_graph=True, allow_unused=True) for cost in self.costs]
        return np.array([[0 if d is None else float(d.norm()) for d in row] for row in rows])


MORE = [("rnn-tanh", ()), ("lstm", ()), ("gru", FRESH)]
CASES = [("lstm", FRESH), *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE)]


@pytest.fixture
def solved(torch, cell, fresh, float64):
    problem, carry = draw(cell), oracle.draw_carry(cell)
    starts = {"starts": np.isin(np.arange(STEPS), fresh)} if fresh else {}
    gmap = gf.gradient_map(cell, **problem, carry=carry, **starts)
    return gmap, Answer(torch, cell, carry, fresh, **problem)


@pytest.mark.parametrize(("cell", "fresh"), CASES)
def test_totals(solved, cell, fresh):
    gmap, answer = solved
    for weight in WEIGHTS:
        total = answer.total(weight)
        assert gmap.log_total(weight) == pytest.approx(np.log(np.linalg.norm(total)), abs=1e-9)
        by_copy = pytorch_layer.joined(answer.terms, weight).sum(0)
        assert_logs(gmap.log_total_by_copy(weight), oracle.log_norm(by_copy))
        assert_logs(gmap.log_total_by_lag(weight), oracle.log_norm(answer.of_lags(weight, range(STEPS))))
        for gate in gf.CELLS[cell].gates:
            total = answer.total(weight, gate)
            assert gmap.log_total(weight, gate) == pytest.approx(np.log(np.linalg.norm(total)), abs=1e-9)


@pytest.mark.parametrize(("cell", "fresh"), CASES)
@pytest.mark.parametrize("k", [1, 4, STEPS - 1, STEPS + 5])
def test_truncation(solved, cell, fresh, k):
    gmap, answer = solved
    for weight in WEIGHTS:
        total = answer.total(weight)
        detached = answer.total(weight, detached=range(k, STEPS, k))
        window = answer.of_lags(weight, range(min(k, STEPS))).sum(0)
        for pieces, part in ((True, detached), (False, window)):
            error, cosine = gmap.truncated(k, pieces, weight)
            assert error == pytest.approx(np.linalg.norm(total - part) / np.linalg.norm(total), abs=1e-9)
            expected = total @ part / np.linalg.norm(total) / np.linalg.norm(part)
            assert cosine == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("cell", "fresh"), CASES)
def test_state_gradients(solved, cell, fresh):
    gmap, answer = solved
    for state in range(len(gf.CELLS[cell].carry)):
        by_step = answer.state_gradients(state)  # [t, s + 1]
        actual = gmap.log_state_gradients(state)
        assert actual.shape == (STEPS, STEPS + 1)
        for t in range(STEPS):
            lags = t + 1 if t >= min(fresh, default=STEPS) else t + 2  # a later sequence begins with the same carry
            with np.errstate(divide="ignore"):
                assert_logs(actual[t, :lags], np.log(by_step[t, t + 1 :: -1][:lags]))
            assert np.isneginf(actual[t, lags:]).all()


@pytest.mark.parametrize("w", [3.0, 1.0, 0.2])
def test_totals_of_one_linear_unit_in_float32_by_formula(w):
    """dC(t)/db(t−u) = w^u, to 3^119 and 0.2^119, beyond float32 both ways."""
    steps, left = LONG[0], LONG[0] - np.arange(LONG[0])
    gmap = gf.gradient_map(*unit(w, steps))
    assert gmap.cost.dtype == np.float32
    assert_logs(gmap.log_total_by_lag("bias_hh"), np.log(left) + np.arange(steps) * np.log(w), atol=2e-5)
    assert_logs(gmap.log_total_by_copy("bias_hh"), log_geometric(w, left), atol=2e-5)
    total = np.logaddexp.reduce(log_geometric(w, left))
    assert gmap.log_total("bias_hh") == pytest.approx(total, abs=2e-5)
    states = gmap.log_state_gradients()
    assert_logs(states[-1], np.arange(steps + 1) * np.log(w), atol=2e-5)


def test_pieces_miss_more_than_a_window():
    """One linear unit at 0.9, of which n terms add up to (1 − 0.9^n) / (1 − 0.9); pieces of 20 steps miss 40 %."""
    gmap, t = gf.gradient_map(*unit(0.9, 400)), np.arange(400)
    of_terms = lambda count: np.exp(log_geometric(0.9, count)).sum()
    missed = lambda count: 1 - of_terms(count) / of_terms(t + 1)
    window, pieces = missed(np.minimum(t + 1, 20)), missed(t % 20 + 1)
    assert gmap.truncated(20, False, "bias_hh")[0] == pytest.approx(window, rel=1e-4)
    assert gmap.truncated(20, True, "bias_hh")[0] == pytest.approx(pieces, rel=1e-4)
    assert window == pytest.approx(0.12, abs=0.01) and pieces == pytest.approx(0.39, abs=0.01)


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("options", [
    {"cell_path_only": True},
    {"copies": STEPS, "carry": True},
    {"cell_path_only": True, "copies": STEPS, "carry": True},
])  # fmt: skip
def test_totals_add_up_what_the_oracle_has_term_by_term(options):
    """Of the cell path alone, where each unit has its own exponent, and of untied weights."""
    path = {"cell_path_only": True} if "cell_path_only" in options else {}
    carry = {"carry": oracle.draw_carry("lstm")} if "carry" in options else {}
    weights, *arrays = oracle.draw("lstm", STEPS, copies=options.get("copies"))
    gmap = gf.gradient_map("lstm", weights, *arrays, **path, **carry)
    answer = oracle.Answer("lstm", weights, *arrays, **path, **carry)
    for weight in WEIGHTS:
        terms = answer.terms(weight)  # [t, u, entries]
        total = terms.sum((0, 1))
        assert gmap.log_total(weight) == pytest.approx(oracle.log_norm(total[None])[0], abs=1e-9)
        assert_logs(gmap.log_total_by_lag(weight), oracle.log_norm(terms.sum(0)))
        copies = [sum(terms[t, t - s] for t in range(s, STEPS)) for s in range(STEPS)]
        assert_logs(gmap.log_total_by_copy(weight), oracle.log_norm(np.stack(copies)))
        error, _ = gmap.truncated(3, False, weight)
        left_out = np.linalg.norm(terms[:, 3:].sum((0, 1))) / np.linalg.norm(total)
        assert error == pytest.approx(left_out, abs=1e-9)


def test_after_an_overflow_there_is_no_total():
    weights, inputs, readout, targets = oracle.draw("rnn-linear", steps=60)
    weights = weights._replace(weight_hh=weights.weight_hh * 100)
    gmap = gf.gradient_map(
        "rnn-linear", *(gf.Weights(*map(np.float32, weights)), *map(np.float32, (inputs, readout, targets)))
    )
    assert gmap.overflow is not None
    assert np.isnan(gmap.log_total()) and np.isnan(gmap.truncated(3)).all()
    assert np.isnan(gmap.log_total_by_lag()).all() and np.isnan(gmap.log_total_by_copy()).all()
    states = gmap.log_state_gradients()
    assert np.isnan(states[gmap.overflow :]).all() and not np.isnan(states[: gmap.overflow]).any()


def test_bad_questions_are_explained():
    gmap = gf.gradient_map("lstm", **draw("lstm"))
    for k in (0, -1, 2.5, True, None):
        with pytest.raises(ValueError, match=rf"^k is {k!r}; it must be a whole number of steps, at least 1"):
            gmap.truncated(k)
    for state in (2, -1, "c", True):
        with pytest.raises(ValueError, match=rf"^state is {state!r}; a state of lstm is 0 \(h\) or 1 \(c\)"):
            gmap.log_state_gradients(state)
    for ask in (
        gmap.log_total,
        gmap.log_total_by_lag,
        gmap.log_total_by_copy,
        lambda name: gmap.truncated(2, True, name),
    ):
        with pytest.raises(ValueError, match=r"^weight is 'weight_xh'"):
            ask("weight_xh")


@pytest.mark.slow
def test_another_length_of_pieces_compiles_nothing(compilations):
    gmap = gf.gradient_map("lstm", **draw("lstm"))
    gmap.truncated(2), gmap.truncated(2, False)
    assert compilations
    compilations.clear()
    gmap.truncated(5), gmap.truncated(7, False)
    assert compilations == []
