"""Each lesson says what is measured: its verdicts recomputed, its prediction scored, its page from first to last."""

import re
from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import streamlit as st

import gradflow as gf
from gradflow.app import feedforward_demo, live_chart, live_training, measurement, memory, training
from gradflow.app.charts import clipping, draws, truncation
from gradflow.app.charts import layers as net
from gradflow.app.charts.draws import Draws
from gradflow.app.lessons import LESSONS, any_cell, training_problem
from gradflow.app.lessons.clipping_bias import clipped
from gradflow.app.lessons.depth import by_layer
from gradflow.app.lessons.evidence import SEEDS, drawn
from gradflow.app.lessons.moving_lag import mean_shares
from gradflow.app.lessons.record import REMEDY_WORDS, STANCES, WORDS_OF
from gradflow.app.lessons.sum_over_lags import added_up
from gradflow.app.lessons.training_problem import GAINS, outcome
from gradflow.app.lessons.training_problem import LSTM as TRAINED
from gradflow.app.lessons.words import WORDS, explained
from gradflow.app.live_training import TURN
from gradflow.app.measurement import measure
from gradflow.app.presets import PRESETS
from gradflow.app.scenario import CHOICES, GATE_FIELDS, RANGES, Scenario, pinnable_gates
from gradflow.app.training import CHUNK, STEPS, learned_at, variants
from gradflow.app.view import RANGES as VIEW_RANGES
from gradflow.engine import compile_cache
from gradflow.feedforward import draw_net, layer_gradients
from support.apptest_page import notices, open_lessons, press, shown, training_of, view_of, widget
from support.apptest_page import verdict as sentence_of

pytestmark = pytest.mark.slow

every_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.title)


def words(app):
    written = (*app.header, *app.markdown, *app.info, *app.success, *app.subheader, *app.caption)
    return " ".join([*(element.value for element in written), sentence_of(app)])


@every_lesson
def test_the_evidence_of_every_claim_holds(lesson):
    """A claim whose own evidence is against it stops the build; `test_lessons_1_to_5` and on measure otherwise."""
    assert len(SEEDS) >= 8
    for verdict in (*lesson.verdicts, *lesson.remedies):
        true, numbers = verdict.evidence()
        assert true, f"{verdict.word} {verdict.case}: {numbers}"
        assert re.search(r"\d", numbers) and not re.search(r"\b(nan|inf)\b", numbers)


@every_lesson
def test_a_lesson_is_short_and_complete(lesson):
    assert sum(len(text.split()) for text in lesson.asks(lesson.scenario)) <= 150
    assert "$dC(t)/dW(t-u)$" in lesson.text(lesson.scenario), "the picture's own term is not named"
    assert lesson.sources and lesson.verdicts
    shown = [(example.scenario, example.view or lesson.view) for example in lesson.examples]
    assert len({(lesson.scenario, lesson.view), *shown}) == 1 + len(shown)
    stops = {verdict.word for verdict in lesson.verdicts} & {"stops where", "false", "false when"}
    assert (lesson.examples[-1].label == "Show where it stops") == bool(stops)
    for field in lesson.controls:
        assert field in RANGES.keys() | VIEW_RANGES.keys()
        assert field not in ("forget", "input", "output") or field in pinnable_gates(lesson.scenario.cell)
    assert bool(lesson.guess.options) != bool(lesson.guess.range)


@every_lesson
def test_a_verdict_says_true_or_false_of_a_claim_and_holds_or_stops_of_a_statement(lesson):
    assert lesson.stance in STANCES
    assert {verdict.word for verdict in lesson.verdicts} <= WORDS_OF[lesson.stance].keys()
    assert {remedy.word for remedy in lesson.remedies} <= REMEDY_WORDS.keys()
    app = open_lessons(lesson=LESSONS.index(lesson) + 1)
    assert f"[{STANCES[lesson.stance]}] {lesson.claim}" in words(app)


@every_lesson
def test_every_wrong_option_says_why(lesson):
    guess = lesson.guess
    if guess.options:
        found = guess.answer(measure(lesson.scenario))
        assert [k for k, why in enumerate(guess.why) if not why] == [found]
        assert len(guess.why) == len(guess.options)
        assert all(why.count(".") - len(re.findall(r"\d\.\d", why)) == 1 for why in guess.why if why), "one sentence"
    else:
        assert not guess.why


def elsewhere(lesson, field):
    """The lesson's scenario with one control moved."""
    low, high, _ = RANGES[field]
    value = next(
        value
        for value in (RANGES[field].snap(low + 0.37 * (high - low)), high)
        if value != getattr(lesson.scenario, field)
    )
    return replace(lesson.scenario, **{field: value})


@every_lesson
def test_the_text_follows_the_controls(lesson):
    numbers = lambda text: set(re.findall(r"(?<![\w.−-])\d+(?:\.\d+)?(?![\w]|\.\d)", text))
    for field in set(lesson.controls) & RANGES.keys():
        value = getattr(lesson.scenario, field)
        written = {f"{value:g}", f"{value:.2f}"} - {"0", "1"}  # which are named for what they are
        said = numbers(lesson.text(lesson.scenario)) & written
        assert not said & numbers(lesson.text(elsewhere(lesson, field))), f"{field} stays in the text"


@every_lesson
def test_a_changed_network_is_announced(lesson):
    number = LESSONS.index(lesson) + 1
    app = open_lessons(lesson=number, answers=f"{number}:0")
    assert "Another network" not in words(app)
    for example in lesson.examples:
        changes = lesson.changes(example.scenario)
        assert (f"Changes: {changes}." if changes else "The same, drawn otherwise.") in words(app)
        for name, value in vars(example.scenario).items():
            idle = name in (*GATE_FIELDS, "gates", "write_every", "cell_path_only")  # in some cells
            assert value == getattr(lesson.scenario, name) or name.replace("_", " ") in changes or idle
        press(app, example.label)
        moved_by_hand = all(
            value == getattr(lesson.scenario, name) or name in lesson.controls
            for name, value in vars(example.scenario).items()
        )
        assert (f"**Another network than the lesson's:** {changes}." in words(app)) == (not moved_by_hand)


@every_lesson
def test_the_prediction_is_asked_first_and_then_scored(lesson):
    number, guess = LESSONS.index(lesson) + 1, lesson.guess
    for _ in lesson.trial.run() if lesson.trial else ():
        pass  # what a person is asked before, is done
    app = open_lessons(lesson=number)
    assert lesson.title in words(app) and lesson.claim in words(app)
    assert "Measured" not in words(app) and lesson.conclusion not in words(app)
    measurement = measure(lesson.scenario)
    found = guess.answer(measurement)
    if guess.options:
        app.radio(key=f"guess_{number}").set_value(found).run()
    else:
        low, _, step = guess.range
        app.slider(key=f"guess_{number}").set_value(low + step * round((found - low) / step)).run()
    press(app, "Show what is measured")
    assert not app.exception
    assert len(app.success) == 1 and not app.info
    assert lesson.conclusion in words(app)
    assert lesson.headline(measurement, lesson.view) in words(app)
    for verdict in lesson.verdicts:
        assert verdict.case in words(app)
    assert "not seen here" not in words(app)


@every_lesson
def test_a_wrong_prediction_is_told_what_was_measured(lesson):
    number, guess = LESSONS.index(lesson) + 1, lesson.guess
    found = guess.answer(measure(lesson.scenario))
    wrong = next(k for k in range(len(guess.options)) if k != found) if guess.options else guess.range.high
    app = open_lessons(lesson=number, answers=f"{number}:{wrong:g}")
    assert not app.exception and not app.success
    told = guess.options[found] if guess.options else f"{found:.3g}"
    assert told in app.info[0].value
    press(app, "Judge again")
    assert lesson.conclusion not in words(app)


@every_lesson
def test_the_counter_example_and_the_way_back(lesson):
    number = LESSONS.index(lesson) + 1
    app = open_lessons(lesson=number, answers=f"{number}:0")
    for example in lesson.examples:
        press(app, example.label)
        assert shown(app) == example.scenario
        assert not app.exception
        assert example.says in words(app)
        assert view_of(app) == (example.view or lesson.view)
        assert lesson.headline(measure(example.scenario), view_of(app)) in words(app)
    press(app, "Back to the lesson's example")
    assert (shown(app), view_of(app)) == (lesson.scenario, lesson.view)


def test_compiled_code_is_kept_from_the_first_measurement_on(monkeypatch):
    """JAX looks once, at the first compilation, whether there is a place to keep it."""
    order = []
    monkeypatch.setattr(compile_cache, "keep_compiled", lambda: order.append("keep"))
    monkeypatch.setattr(live_chart, "measure", lambda scenario: order.append("measure") or measure(scenario))
    monkeypatch.setattr(measurement, "COMPILED", set())
    assert not open_lessons(lesson=5, answers="5:2").exception
    assert order[:2] == ["keep", "measure"]


@pytest.mark.parametrize(("room", "kept"), [(0, False), (1e6, True)])
def test_where_the_process_holds_too_much_a_lesson_gives_up_what_it_compiled(monkeypatch, room, kept):
    """And draws its picture all the same: what that needs is compiled once more."""
    other = Scenario(cell="rnn-linear", hidden=2)
    measure(other)
    st.cache_resource.clear()
    monkeypatch.setattr(memory, "ROOM", room)
    app = open_lessons(lesson=5, answers="5:2")
    assert not app.exception and not app.error and shown(app) == LESSONS[4].scenario and sentence_of(app)
    assert (other.kind in measurement.measured_kinds()) == kept and LESSONS[
        4
    ].scenario.kind in measurement.measured_kinds()


def test_the_lessons_lead_from_first_to_last():
    app = open_lessons()
    for number in range(1, len(LESSONS)):
        assert f"{number}. " in app.header[0].value
        app.button(key=f"lesson_{number + 1}").click().run()
        assert shown(app) == LESSONS[number].scenario
    assert not app.exception


@pytest.mark.parametrize("raw", ["0", str(len(LESSONS) + 1), "x", "", "١", "1.5", "-1"])
def test_an_unknown_lesson_is_the_first_and_says_so(raw):
    app = open_lessons(lesson=raw)
    (notice,) = notices(app)
    assert app.header[0].value.startswith("1. ") and f"lesson “{raw}” is not one of 1 to {len(LESSONS)}" in notice
    assert app.query_params["lesson"] == "1"


@pytest.mark.parametrize(
    "raw", ["x", "1", "1:", f"{len(LESSONS) + 1}:1", "1:7", "1:nan", "2:-1", ",,:", "1:0.5", "2:1e999"]
)
def test_unreadable_answers_are_dropped_with_a_notice(raw):
    app = open_lessons(lesson=1, answers=raw)
    assert not app.exception and not app.info and not app.success
    (notice,) = notices(app)
    assert notice.startswith("answers: “") and notice.endswith(f" {raw.count(',') + 1} left out.")
    assert app.query_params["answers"] == ""


def test_what_is_set_in_a_link_stays():
    app = open_lessons(lesson=2, gain="0.9", cell="rnn-linear", hidden="1", weight="bias_hh")
    assert shown(app).gain == 0.9


# ---------------------------------------------------------------------------------------------- learning for real


@pytest.fixture
def turn():
    """Nobody trains, before and after."""
    yield TURN
    TURN.__init__()


def test_a_training_runs_to_its_end_and_reports_its_outcome(turn):
    app = press(open_lessons(lesson=8, answers="8:2"), "Train")
    for _ in range(STEPS // CHUNK + 2):
        if not training_of(app)["active"]:
            break
        app.run()
    assert not app.exception
    state = training_of(app)
    assert state["done"] and state["losses"].shape == (3, STEPS)
    said = words(app)
    for name, at in zip(variants("lstm", 20), learned_at(state["losses"]), strict=True):
        assert re.search(rf"\*\*{name}\*\*: credit \S+, a step back ×\S+; ", said)
        assert (f"learned by step {at}" if at else "not learned after 600 steps") in said
    assert "Train again" in [button.label for button in app.button]
    assert turn.take("another"), "the turn was not passed on"


def test_a_training_can_be_stopped_and_started_again(turn):
    app = press(press(open_lessons(lesson=8, answers="8:2"), "Train"), "Stop")
    steps = training_of(app)["losses"].shape[1]
    assert not training_of(app)["active"] and 0 < steps < STEPS
    assert training_of(app.run())["losses"].shape[1] == steps
    app = press(app, "Train again")
    assert training_of(app)["losses"].shape[1] == CHUNK


def test_one_training_at_a_time(turn):
    assert turn.take("another")
    app = press(open_lessons(lesson=8, answers="8:2"), "Train")
    assert any(info.value.startswith("Waiting") for info in app.info)
    assert training_of(app)["losses"].shape[1] == 0
    turn.leave("another")
    assert training_of(app.run())["losses"].shape[1] == CHUNK


def test_the_ninth_lesson_trains_the_network_of_the_picture_at_four_gains(turn):
    app = open_lessons(lesson=9, answers="9:1")
    said = words(app)
    for gain, at in zip(GAINS, outcome(*TRAINED, 0).learned_at, strict=True):
        assert re.search(rf"\*\*gain {gain:g}\*\*: credit \S+, a step back ×\S+; ", said)
        assert (at is not None) == (gain < 8)
    assert "lstm, normal weights, seed 0, forget gate at 0.95" in said
    app = press(app, "Train again")
    assert training_of(app)["losses"].shape == (4, CHUNK)
    at_eight = jax.tree.map(lambda fields: fields[2], training_of(app)["run"].networks)
    assert at_eight.weights.weight_hh.shape == (128, 32)
    app = press(press(app, "Stop"), "Show where it stops")
    app = press(app, "Train again")
    assert training_of(app)["run"].cell.name == "rnn-linear"


def test_another_lessons_training_is_not_shown(turn):
    app = press(press(open_lessons(lesson=8, answers="8:2,9:1"), "Train"), "Stop")
    assert "forget bias log k" in words(app)
    app.button(key="lesson_9").click().run()
    assert "**gain 4**" in words(app) and "forget bias log k" not in words(app)


@pytest.fixture
def short_trials(monkeypatch):
    """Nothing has been trained, and a training is one chunk."""
    st.cache_resource.clear()
    monkeypatch.setattr(training, "STEPS", CHUNK)
    monkeypatch.setattr(training_problem, "_KNOWN", {})
    monkeypatch.setattr(any_cell, "_CHOSEN", {})
    yield
    st.cache_resource.clear()


@pytest.mark.parametrize("number", [k for k, lesson in enumerate(LESSONS, 1) if lesson.trial])
def test_a_long_computation_is_asked_for_and_done_once(turn, short_trials, number):
    lesson = LESSONS[number - 1]
    waiting = [verdict.case for verdict in lesson.verdicts if verdict.waits]
    app = open_lessons(lesson=number, answers=f"{number}:1")
    assert not lesson.trial.done() and lesson.trial.says in words(app)
    assert not [case for case in waiting if case in words(app)]
    assert turn.take("another")
    app = press(app, lesson.trial.label)
    assert any(info.value.startswith("Somebody else is training") for info in app.info) and not lesson.trial.done()
    turn.leave("another")
    app = press(app, lesson.trial.label)
    assert not app.exception and lesson.trial.done()
    assert all(case in words(app) for case in waiting)
    assert lesson.trial.label not in [button.label for button in app.button]
    assert turn.take("another"), "the turn was not passed on"


def test_a_silent_session_loses_its_turn_to_train(turn, monkeypatch):
    assert turn.take("one") and not turn.take("two")
    turn.leave("two")  # who has nothing to leave
    assert not turn.take("two")
    now = live_training.time.monotonic()
    monkeypatch.setattr(live_training.time, "monotonic", lambda: now + live_training.EXPIRES + 1)
    assert turn.take("two") and not turn.take("one")


@every_lesson
def test_a_word_is_explained_where_it_is_used(lesson):
    for _ in lesson.trial.run() if lesson.trial else ():
        pass
    number = LESSONS.index(lesson) + 1
    asked, told = words(open_lessons(lesson=number)), words(open_lessons(lesson=number, answers=f"{number}:0"))
    used = lambda word, *texts: f" {word} " in re.sub(r"[^\w‖/]+", " ", f" {' '.join(texts)} ").lower()
    for word, meaning in WORDS.items():
        if used(word.lower(), *lesson.asks(lesson.scenario)):
            assert meaning in asked
        if used(word.lower(), *(verdict.case for verdict in (*lesson.verdicts, *lesson.remedies)), lesson.conclusion):
            assert meaning in told


@pytest.mark.parametrize("lesson", [lesson for lesson in LESSONS if lesson.draws], ids=lambda lesson: lesson.title)
def test_single_draws_are_drawn_and_described(lesson):
    number = LESSONS.index(lesson) + 1
    groups = [Draws(*group) for group in lesson.draws.groups()]
    app = open_lessons(lesson=number, answers=f"{number}:0")
    assert f"{lesson.draws.says} {draws.say(groups, log=lesson.draws.log, beyond=lesson.draws.beyond)}" in words(app)


def test_every_word_that_is_explained_is_used():
    texts = []
    for lesson in LESSONS:
        texts += [*lesson.asks(lesson.scenario), lesson.conclusion, lesson.try_this, *lesson.guess.why]
        texts += [example.says for example in lesson.examples]
        for verdict in (*lesson.verdicts, *lesson.remedies):
            texts += [verdict.case, verdict.evidence().numbers]
    assert len(explained(*texts)) == len(WORDS)
    assert explained("drawn again") == [] and len(explained("Eight draws")) == 1


# -------------------------------------------------------------------------------------- the net of the fifth lesson


def test_the_net_is_the_one_of_the_link_and_follows_its_controls():
    app = open_lessons(lesson=5, answers="5:2", activation="tanh", depth="12", width="4", scale="1.3", net_seed="7")
    assert net.say(layer_gradients("tanh", 12, 4, gain=1.3, seed=7)) in words(app)
    widget(app, "depth").set_value(31).run()
    assert app.query_params["depth"] == "31"
    assert net.say(layer_gradients("tanh", 31, 4, gain=1.3, seed=7)) in words(app)
    widget(app, "depth").set_value(feedforward_demo.FIELDS["depth"][0]).run()
    assert "depth" not in app.query_params and not app.exception


@pytest.mark.parametrize("name, raw", [("activation", "swish"), ("depth", "x"), ("width", "17"), ("scale", "nan")])
def test_an_invalid_net_becomes_the_default_with_a_notice(name, raw):
    app = open_lessons(lesson=5, answers="5:2", **{name: raw})
    assert not app.exception
    (notice,) = notices(app)
    assert name in notice and raw in notice
    assert name not in app.query_params or app.query_params[name] != raw
    usual = {field: default for field, (default, *_) in feedforward_demo.FIELDS.items()}
    said = net.say(layer_gradients(usual["activation"], usual["depth"], usual["width"]))
    assert said in words(app)


def test_a_depth_below_two_becomes_two_with_a_notice():
    app = open_lessons(lesson=5, answers="5:2", depth="1")
    (notice,) = notices(app)
    assert "depth “1” is below 2; it is now 2." in notice and app.query_params["depth"] == "2"
    assert net.say(layer_gradients("sigmoid", 2, 16)) in words(app)


def test_the_curves_of_a_net_are_those_of_backpropagation_by_hand():
    drawn, depth = draw_net(64, 16, 0.9, 3), 9
    states = [drawn.input]
    for weight in drawn.weights[:depth]:
        states.append(np.tanh(weight @ states[-1]))
    delta = drawn.readout * (drawn.readout @ states[-1] - drawn.target)
    expected = {}
    for below in range(depth):
        delta = delta * (1 - states[depth - below] ** 2)
        met = states[depth - below - 1]
        expected[below] = [np.linalg.norm(met), np.linalg.norm(delta), np.linalg.norm(np.outer(delta, met))]
        delta = drawn.weights[depth - below - 1].T @ delta
    table = net.data(layer_gradients("tanh", depth, 16, gain=0.9, seed=3))["curves"]
    x, curve, y = (table[name] for name in ("x", "curve", "y"))
    for below, sizes in expected.items():
        np.testing.assert_allclose(y[x == below][np.argsort(curve[x == below])], np.log10(sizes), atol=2e-4)


def test_a_net_with_a_dead_layer_and_one_that_overflows_say_so():
    dead = layer_gradients("relu", 20, 4)
    assert "exact zero" in net.say(dead) and net.data(dead)["frame"]["alarm"] == [net.say(dead)]
    broken = dead._replace(log_terms=np.full(20, np.nan), overflow=6)
    assert "layer 7" in net.say(broken)


def test_flat_gradients_are_explained_only_where_the_error_fades():
    assert "flat" in net.say(layer_gradients("relu", 20, 64))
    assert "flat" not in net.say(layer_gradients("sigmoid", 20, 64))
    assert "flat" not in net.say(layer_gradients("linear", 20, 64))


# ------------------------------------------------------------------------------------------------------ clipping


def test_clipping_by_hand():
    rows = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 30.0]])
    changed, cosine = clipped(rows, 1)  # the median norm is 2: the last becomes (0, 2)
    np.testing.assert_allclose(changed, 28 / np.hypot(1, 32))
    np.testing.assert_allclose(cosine, (1 + 32 * 4) / np.hypot(1, 32) / np.hypot(1, 4))
    assert clipped(rows, 100) == (0, pytest.approx(1))


def test_the_curves_of_clipping_fall_to_nothing_where_no_gradient_is_longer():
    table = clipping.data()["curves"]
    mild, wild = (table["y"][table["curve"] == curve] for curve in (0, 1))
    assert np.isnan(mild[-1]) and np.isfinite(wild).all()
    assert (np.diff(wild) <= 1e-6).all() and (wild[1:] >= np.nan_to_num(mild[1:], nan=-9)).all()


def test_what_truncation_leaves_out_is_drawn_and_said():
    app = open_lessons(lesson=8, answers="8:2")
    measurement = measure(LESSONS[7].scenario)
    assert truncation.say(measurement) in words(app)
    rows, cols = measurement.scenario.weights().weight_hh.shape
    entries = (measurement.lags.entry("weight_hh", row, col) for row in range(rows) for col in range(cols))
    by_lag = np.array([sign * np.exp(log) for sign, log in entries])
    whole = np.linalg.norm(by_lag.sum(axis=1))
    for kept in (0, 1, 7, 40):
        missing = np.linalg.norm(by_lag[:, kept:].sum(axis=1))
        assert np.exp(measurement.log_missing[kept]) == pytest.approx(missing / whole, rel=1e-3)
    assert measurement.log_missing[-1] == -np.inf


# ------------------------------------------------------------------------------ the lessons' own numbers, otherwise


def test_the_whole_gradient_of_every_cell():
    for cell in CHOICES["cell"]:
        measurement = measure(Scenario(cell=cell, horizon=40))
        total = float(np.linalg.norm(getattr(measurement.whole, measurement.scenario.weight)))
        assert np.log(total) == pytest.approx(measurement.reading.log_sum, abs=1e-4)


def test_the_whole_gradient_needs_one_shared_weight():
    problem = Scenario().problem()
    copies = gf.Weights(*(np.stack([field] * 256) for field in problem["weights"]))
    from gradflow.engine.reference import whole_gradient

    with pytest.raises(ValueError, match="shared"):
        whole_gradient(**problem | {"weights": copies}, t=9)


def test_the_entry_that_is_added_up_is_that_of_the_whole_gradient():
    total, whole = added_up(measure(PRESETS["GRU"]))
    assert total == pytest.approx(whole, rel=1e-4)


def test_the_mean_shares_of_a_made_up_map():
    """Written every second step: five times are two whole periods, and the first period has no earlier state."""
    sizes = np.array([[9, 0, 0, 0, 0], [9, 9, 0, 0, 0], [1, 1, 2, 0, 0], [0, 3, 0, 1, 0], [9, 9, 9, 9, 9]], float)
    with np.errstate(divide="ignore"):
        made_up = SimpleNamespace(log_terms=np.log(sizes), cost=np.ones(5), scenario=Scenario(write_every=2))
    np.testing.assert_allclose(mean_shares(made_up), [0.125, 0.5, 0.25, 0.125], atol=1e-12)


def test_the_mean_shares_of_a_lesson_are_equal():
    shares = mean_shares(measure(LESSONS[6].scenario))
    assert shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(shares[:12], 1 / 12, atol=1e-12)


def test_what_a_layer_down_multiplies_by_is_that_of_backpropagation_by_hand():
    depth, width, found = 16, 64, []
    for seed in SEEDS:
        net = draw_net(depth, width, 1.0, seed)
        states, delta = [net.input], net.readout  # but for the error, which is a factor of every layer
        for weight in net.weights[:depth]:
            states.append(weight @ states[-1])
        logs = []
        for weight, state in zip(net.weights[:depth][::-1], states[-2::-1], strict=True):
            logs.append(np.log([np.linalg.norm(delta), np.linalg.norm(delta) * np.linalg.norm(state)]))
            delta = weight.T @ delta
        found.append(np.exp(np.polyfit(range(depth), logs, 1)[0]))
    assert by_layer("linear", depth, width) == pytest.approx(np.median(found, axis=0), rel=1e-3)


def test_drawn_differs_by_seed_alone():
    assert [measurement.scenario.seed for measurement in drawn(Scenario())] == list(SEEDS)


def test_the_last_lesson_ends_in_what_is_known_and_every_prediction():
    app = open_lessons(lesson=len(LESSONS), answers="1:1,2:3")
    assert "What you now know" in [each.label for each in app.expander]
    app.session_state["summary"] = True
    app.run()
    said = words(app)
    for lesson in LESSONS:
        assert f"{lesson.title}.** {lesson.conclusion}" in said
    assert f"You said: {LESSONS[0].guess.options[1]}. So it is." in said and "You said: 3. Measured: 5." in said
    assert said.count("You have not judged this one.") == len(LESSONS) - 2
