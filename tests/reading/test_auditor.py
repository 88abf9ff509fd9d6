"""Every field and claim of many readings, measured again; and the faults that were once on the page, put back."""

from dataclasses import fields, replace
from functools import cache
from urllib.parse import parse_qsl

import auditor
import numpy as np
import pytest
from auditor import (
    SUMS,
    Tally,
    audit,
    audit_network,
    audit_scenario,
    cliffs,
    growing,
    line,
    measured,
    regimes,
    run,
    steady,
)

import gradflow as gf
from gradflow.app.measurement import measure
from gradflow.app.presets import PRESETS
from gradflow.app.scenario import Scenario
from gradflow.app.url_codec import parse
from support import oracle
from support.plain_network import FIELDS, GATES, PINNABLE, Network
from support.strategies import WHOLE

pytestmark = pytest.mark.slow

LAGS = np.arange(100)


# ------------------------------------------------------------------------------------------ the measuring, by itself


@pytest.mark.parametrize("variant", ["tied", "untied, two outputs, cell path"])
@pytest.mark.parametrize("cell", gf.CELLS)
def test_the_plain_network_is_the_engine_in_float64(float64, cell, variant):
    other = variant != "tied"
    arrays = oracle.draw(cell, 9, outputs=2 if other else None, copies=9 if other else None)
    arrays[3][3] = np.nan
    now_and_then = np.where(LAGS[:9] % 3 == 1, np.nan, np.linspace(0, 1, 9))
    options = {
        "pins": dict(zip(PINNABLE.get(cell, ()), (0.3, now_and_then), strict=False)),
        "carry": oracle.draw_carry(cell),
        "cell_path_only": cell == "lstm" and other,
    }
    gmap, network = gf.gradient_map(cell, *arrays, **options), Network(cell, *arrays, **options)
    close = lambda one, same: np.testing.assert_allclose(one, same, rtol=0, atol=1e-12)
    for weight in (*FIELDS, "all"):
        for gate in (None, *GATES.get(cell, ("hidden",))):
            log_delta, log_terms, log_sums = network.measure(np.arange(9), weight, gate)
            close(log_sums, gmap.log_sums(weight, gate))
            for t in range(9):
                close(log_terms[t, t::-1], gmap.log_terms(weight, gate)[t, : t + 1])
                if weight != "all":
                    close(log_delta[t, t::-1], gmap.lags(t).log_factors(weight, gate)[0])


def test_a_line_and_its_standard_error():
    x = np.array([0.0, 1.0, 2.0, 3.0])
    fit = line(2 * x + np.array([1.0, -1.0, -1.0, 1.0]))  # the disturbance is orthogonal to 1 and to x
    assert fit.slope == pytest.approx(2) and fit.rms == pytest.approx(1)
    assert fit.error == pytest.approx(1 / np.sqrt(1.25) / np.sqrt(2))


def test_one_factor_where_one_fits():
    level = np.log(0.9) * LAGS
    assert steady(level)[1] == {True}
    assert steady(level[:7])[1] == {False}  # seven lags
    assert steady(np.where(LAGS == 50, -np.inf, level))[1] == {False}  # a zero within
    assert steady(np.append(level, -np.inf))[1] == {True}  # a zero at the end
    assert steady(level + 1.2 * (-1.0) ** LAGS)[1] == {False}  # rms 1.2, ln 3 = 1.1
    assert steady(level + 1.1 * (-1.0) ** LAGS)[1] == {True, False}
    bent = np.where(LAGS < 50, 0.06, -0.06) * (LAGS - 50)  # rms 0.87; each half turns by 3, ln 4 = 1.4
    assert steady(level + bent)[1] == {False}


@pytest.mark.parametrize(
    ("row", "names"),
    [
        (-0.2 * LAGS, {"vanishing"}),
        (0.2 * LAGS, {"exploding"}),
        (0.005 * LAGS, {"constant"}),
        (0.03 * LAGS, {"exploding"}),  # ×20 in all
        (0.01 * LAGS, {"constant", "exploding"}),  # a change of 0.99
        (4.0 * (-1.0) ** LAGS, {"mixed"}),
        (np.full(100, -np.inf), {"mixed"}),
    ],
)
def test_regimes_of_known_rows(row, names):
    assert regimes(row)[0] == names


@pytest.mark.parametrize(
    ("row", "pace", "shape"),
    [
        (0.1 * LAGS, 1.1, "exponential"),
        (0.1 * LAGS, 1.0, "unclear"),  # p above 4, and δ does not grow
        (np.log(LAGS + 1) * 2, 1.0, "polynomial"),
        (np.log(LAGS + 1), 1.0, "linear"),
        (np.log(LAGS + 1) / 2, 1.0, "sublinear"),
        (np.log(1 - 0.8 ** (LAGS + 1)), 0.8, "bounded"),
        (-np.log(LAGS + 1), 1.0, "fading"),
        (np.where(LAGS > 92, 0.0, -np.inf), 1.0, "unclear"),  # seven rows
        (3 * (-1.0) ** LAGS, 1.0, "unclear"),
    ],
)
def test_growth_of_known_rows(row, pace, shape):
    assert growing(row, np.log(pace)).shapes == {shape}


def test_numbers_of_a_sentence():
    _, seen = of(Scenario())
    said = lambda sentence, *claims: {f.said for f in auditor._numbers(sentence, claims, seen) if not f.ok}
    assert said("by 0.832, W's gradient is 1.8e+46 at t = 99", ("pace", 0.83222), ("sum", 106.5075)) == set()
    assert said("by 0.833", ("pace", 0.83222)) == {"0.833"}
    assert said("is 1.9e+46", ("sum", 106.5075)) == {"1.9e+46"}
    assert said("2.7 % of them", ("cancels", 0.0271)) == set()
    assert said("to the power −0.64", ("power", -0.638)) == set()
    assert said("to the power 0.64", ("power", -0.638)) == {"0.64"}
    assert said("×1.10 or so") == {"1.10"}


# ----------------------------------------------------------------------------------------------- where float32 ends


def audited(link):
    """(the reading at rest, `Measured`) of a linked scenario."""
    return of(parse(dict(parse_qsl(link)))[0])


def judged_of(link):
    """(what is said of a linked scenario, the kinds that are false, those that are so by rounding alone)."""
    reading, found, _ = audit_scenario(parse(dict(parse_qsl(link)))[0])
    kinds = lambda ok: {one.kind for one in found if one.ok == ok}
    return {kind for kind, _ in reading.claims}, kinds(False), kinds("rounding")


@pytest.mark.parametrize(
    "link",
    [
        "cell=rnn-tanh&gain=5.071&input_gain=0.056&init=pytorch&time=248&sequence=sunspots&seed=818&weight=all",
        "cell=gru&update=0.915&gain=11.917&input_gain=0.76&time=108&sequence=sentence&seed=634&weight=bias_hh",
    ],
)
def test_near_chaos_nothing_is_said_that_rounding_moves(link):
    said, false, _ = judged_of(link + "&horizon=256")
    assert not false
    assert "near_chaos" in said and not said & {"sum", "far_share", "cancels", "power", "sum_rate", "reach"}


def test_a_unit_that_never_mixes_may_be_all_that_is_left():
    """On the cell path, where one unit forgets late and the other early: the first is 1e-50 of the other, then all."""
    weights = [np.zeros(shape, np.float32) for shape in ((8, 1), (8, 2), (8,), (8,))]
    weights[0][2:4, 0] = 2, -2  # the forget gates
    weights[2][4:6] = 0.5  # what they take in
    late = np.arange(180) >= 120
    problem = {
        **{"cell": "lstm", "weights": weights, "cell_path_only": True},
        "inputs": np.where(late, 1, -1)[:, None].astype(np.float32),
        **{"readout": np.ones(2, np.float32), "targets": np.ones(180, np.float32)},
    }
    for weight, gate in (("bias_hh", None), ("weight_ih", "cell")):
        seen = measured(gf.gradient_map(**problem), problem, 179, 180, weight, gate)
        np.testing.assert_allclose(seen.own.log_terms, seen.rows.log_terms, rtol=0, atol=1e-4)
        np.testing.assert_allclose(seen.own.log_sum, seen.rows.log_sum, rtol=0, atol=1e-4)
    assert np.ptp(seen.own.log_terms[130:171]) < 6  # ×0.88 a step: by the other unit alone it would be ×0.12


@pytest.mark.parametrize(
    "link",
    [
        "reset=0.99&update=0.85&gain=10.076&input_gain=0.43&horizon=256&write_every=22&seed=814&weight=bias_ih",
        "reset=0.23&update=0.16&gain=9.476&input_gain=1.91&horizon=149&write_every=30&sequence=impulse&seed=967&weight=all",
    ],
)
def test_no_number_is_given_to_a_change_in_which_no_digit_is_left(link):
    """Of a saturated GRU's h(s−1) and new, which are alike to the last digit, δ is the rounding of their difference."""
    reading, found, _ = audit_scenario(parse(dict(parse_qsl(f"cell=gru&init=identity&{link}")))[0])
    said = dict(reading.claims)
    assert "cliff" not in said and f"by more than seven decades at lag {said['decades']}" in reading.verdict
    assert not [one for one in found if one.kind in said and one.ok in (False, "rounding")]


def test_a_zero_to_which_delta_falls_by_decades_is_not_called_exact():
    """The output gate's δ, beneath 1e-38 of the cell's δ where 28 steps of a shut write gate end; float64 has it."""
    reading, seen = audited(
        "forget=0.19&input=0.3&output=0.03&gain=5.344&input_gain=1.38&init=pytorch&horizon=151&write_every=28"
        "&sequence=recall&seed=802&gate=output"
    )
    assert seen.rows.zeros == 1  # lag t alone, where there is no state before
    said = dict(reading.claims)
    assert "zero_lags" not in said and "exact zero" not in reading.verdict and "reach" in said


def test_where_a_state_underflows_no_law_of_the_sum_is_told():
    """A ReLU network after an impulse: from step 249 on its states are 1e-38 and flushed one by one."""
    said, false, _ = judged_of(
        "cell=rnn-relu&gain=1.05&input_gain=0.836&init=chrono&horizon=256&time=15&sequence=impulse&seed=440&weight=all"
    )
    assert not false
    assert {"pace", "sum", "reach"} <= said and not said & SUMS


BENEATH = {
    "a derivative, tanh′ of c = 70": "forget=0.21&input=0.855&output=0.625&gain=10.772&input_gain=1.88&init=identity"
    "&horizon=256&time=211&sequence=sentence&seed=74&weight=weight_ih&cell_path_only=true",
    "the only unit that is read, of c = 70": "forget=0.995&input=0.78&output=0.465&gain=1.638&input_gain=0.23"
    "&init=shift&horizon=183&seed=557&gate=cell&cell_path_only=true",
    "a unit beside others that W does not mix": "cell=rnn-tanh&gain=9.758&input_gain=1.56&init=identity&hidden=64"
    "&horizon=136&seed=792&weight=bias_hh",
    "units that hand on from one to the next": "forget=0.95&input=0.655&output=0.875&gain=1.5&input_gain=0.52"
    "&init=shift&horizon=256&sequence=sentence&seed=71&weight=weight_ih&gate=cell",
    "the state of a GRU beside the new one": "cell=gru&reset=0.965&update=0.9&gain=7.668&input_gain=2.41&init=identity"
    "&horizon=256&time=118&write_every=17&seed=573&weight=bias_hh",
}


@pytest.mark.parametrize("name", BENEATH)
def test_what_lies_beneath_float32_is_measured(name):
    reading, seen = audited(BENEATH[name])
    np.testing.assert_allclose(seen.own.log_terms, seen.rows.log_terms, rtol=0, atol=1e-4)
    assert not [one for one in audit(reading, seen) if one.ok in (False, "rounding")]


# ---------------------------------------------------------------------------------------------------- many at random


def test_what_is_said_of_random_networks_is_so():
    """All of it; but that float64 ends is told apart, as a column of its own. The command lists every example."""
    tally = run(300, 60 if WHOLE else 20, large=("rnn-tanh", "lstm"))  # each cell and size compiles
    print(tally.table())
    judged = sum(count[True] + count[False] for count in tally.counts.values())
    assert judged > 10_000
    assert not tally.false, tally.table()
    assert sum(count["rounding"] for count in tally.counts.values()) <= judged / 500, tally.table()
    assert not tally.too_silent, tally.table()


def test_silence_is_noticed():
    tally = Tally()
    for scenario in PRESETS.values():
        tally.speaks(replace(of(scenario)[0], claims=()), True)
    assert tally.too_silent == ["a pace, or near and far", "a behaviour of the sum"]


# -------------------------------------------------------------------------------------------------------- the presets


@cache
def of(scenario):
    """(the reading at rest, `Measured`) of a scenario."""
    measurement = measure(scenario)
    seen = measured(measurement.gmap, scenario.problem(), measurement.t, scenario.horizon, **scenario.rows)
    return measurement.chaos_checked, seen


@cache
def of_cliff(index):
    _, problem, *ask = cliffs()[index]
    gmap = gf.gradient_map(**problem)
    return gmap.read(*ask, chaos=True), measured(gmap, problem, ask[0], len(problem["inputs"]), *ask[1:])


def false_of(reading, seen):
    return {finding.kind for finding in audit(reading, seen) if finding.ok is False}


PROMISES = {
    "LSTM at initialisation": lambda said: said["regime"] == "vanishing" and "settles" in said,
    "GRU": lambda said: said["regime"] == "vanishing" and "settles" in said,
    "minGRU": lambda said: said["regime"] == "vanishing" and "settles" in said,
    "Vanishing": lambda said: said["regime"] == "vanishing" and "settles" in said,
    "Constant": lambda said: said["pace"] == pytest.approx(1) and "grows" in said,
    "Exploding": lambda said: said["regime"] == "exploding" and "explodes" in said,
    "LSTM that explodes": lambda said: "explodes" in said,
    "Chaotic LSTM": lambda said: "chaotic" in said,
    "LSTM that remembers": lambda said: said.get("far_share", 0) > 0.1 or said.get("reach", 0) > 50,
    "Ignores ten inputs": lambda said: said["zero_lags"] == 89 or "only_lag" in said,
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_what_its_name_promises_and_nothing_false(name):
    reading, seen = of(PRESETS[name])
    assert not false_of(reading, seen)
    assert PROMISES[name](dict(reading.claims)), reading.verdict


# ------------------------------------------------------------------------- the faults that were found, put back again


def claim(*claims, **changed):
    """A reading that makes these claims in the place of its own of the same kind, with fields changed."""

    def put_back(reading):
        new = tuple(
            (kind, getattr(reading, value[1:]) if str(value).startswith(".") else value) for kind, value in claims
        )
        kinds = {kind for kind, _ in new}
        kept = tuple(one for one in reading.claims if one[0] not in kinds)
        return replace(reading, claims=kept + new, **{name: get(reading) for name, get in changed.items()})

    return put_back


def instead(*claims, **changed):
    """The same, with no other claim."""
    return lambda reading: claim(*claims, **changed)(replace(reading, claims=()))


TERM_FOR_DELTA = {"pace": lambda r: r.term_pace}
RELU = Scenario(cell="rnn-relu", gain=1.5)
LINEAR = Scenario(cell="rnn-linear")
TURNING = Scenario(cell="rnn-linear", init="orthogonal")
IMPULSE = Scenario(sequence="impulse")
FADING = Scenario(cell="rnn-linear", init="orthogonal", gain=0.9, sequence="impulse")
FAULTS = {  # what was wrong: (of what, put back, the kinds that must be found false)
    "growth of one said of the other": (
        PRESETS["Exploding"],
        lambda r: claim(("sum_rate", r.growth_by_error.rate))(r),
        {"sum_rate"},
    ),
    "growth of one in the field of the other": (
        PRESETS["Exploding"],
        claim(growth=lambda r: r.growth_by_error),
        {".growth.rate", ".growth.power"},
    ),
    "growth of one said of the other, ReLU": (RELU, claim(("sum_rate", 1.73)), {"sum_rate"}),
    "an exact zero for the last term": (
        Scenario(),
        claim(("pace", 0.0), term_pace=lambda r: 0.0),
        {"pace", ".term_pace"},
    ),
    "a lag carries everything": (PRESETS["Ignores ten inputs"], claim(("only_lag", 11)), {"only_lag"}),
    "a lag carries all of a share": (PRESETS["Ignores ten inputs"], claim(("top_lag", (11, 1.0))), {"top_lag"}),
    "a lag carries everything before the first write": (
        replace(PRESETS["Ignores ten inputs"], time=8),
        instead(("top_lag", (0, 1.0))),
        {"top_lag", "silent"},
    ),
    "one factor of a wavy row": (Scenario(gain=12.0), claim(("pace", 1.09)), {"pace"}),
    "one factor where there is none": (
        Scenario(write_every=32),
        claim(("pace", ".pace"), pace_steady=lambda r: True),
        {"pace", ".pace_steady"},
    ),
    "the terms' factor said as the pace, ReLU": (
        RELU,
        claim(("pace", ".term_pace"), ("regime", "constant"), regime=lambda r: "constant", **TERM_FOR_DELTA),
        {"pace", "regime", ".pace", ".regime"},
    ),
    "the terms' factor said as the pace, linear": (
        LINEAR,
        claim(("pace", ".term_pace"), ("regime", "constant"), **TERM_FOR_DELTA),
        {"pace", "regime", ".pace"},
    ),
    "the terms' factor said as the pace, orthogonal": (
        TURNING,
        claim(("pace", ".term_pace"), ("regime", "vanishing"), **TERM_FOR_DELTA),
        {"pace", "regime", ".pace"},
    ),
    "the terms' factor said as the pace, one unit after an impulse": (
        Scenario(cell="rnn-linear", hidden=1, gain=0.8, sequence="impulse"),
        claim(("pace", ".term_pace"), ("regime", "constant"), **TERM_FOR_DELTA),
        {"pace", "regime", ".pace"},
    ),
    "level terms, though δ must vanish": (FADING, claim(("pace", 1.0), ("regime", "constant")), {"pace", "regime"}),
    "a number in chaos": (Scenario(gain=12.0, horizon=256), claim(("sum", ".log_sum")), {"sum"}),
    "chaos not noticed": (
        Scenario(gain=12.0, horizon=256),
        instead(
            *(("sum", ".log_sum"), ("coherence", ".coherence")),
            **{"chaotic": lambda r: False, "near_chaos": lambda r: False},
        ),
        {".chaotic"},  # its numbers are those of one run, and right for that
    ),
    "chaos claimed of a calm network": (Scenario(), instead(("chaotic", True), chaotic=lambda r: True), {".chaotic"}),
    "a fading sum settles": (IMPULSE, claim(("settles", "growth_by_error")), {"settles"}),
    "a growing sum settles": (TURNING, claim(("settles", "growth_by_error")), {"settles"}),
    "a settled sum explodes": (Scenario(), claim(("explodes", "growth_by_error")), {"explodes"}),
    "a regime of two lags": (
        Scenario(horizon=2, weight="bias_hh"),
        claim(("pace", ".pace"), ("regime", ".regime"), pace_steady=lambda r: True),
        {"pace", "regime", ".pace_steady"},
    ),
    "three lags have a pace": (Scenario(horizon=3, weight="bias_hh"), claim(("pace", 0.147)), {"pace"}),
    "terms that add up cancel": (Scenario(), claim(("cancels", ".coherence")), {"cancels"}),
    "an exponential of one wavy horizon": (
        Scenario(forget=0.97, horizon=40, seed=10),
        claim(("explodes", "growth_by_error"), ("sum_rate_by_error", 1.06)),
        {"explodes", "sum_rate_by_error"},
    ),
    "a power of what grows by a factor": (replace(PRESETS["Constant"], gain=1.037), claim(("power", 2.37)), {"power"}),
    "a power that is called steady": (
        replace(PRESETS["Constant"], gain=1.037),
        claim(growth_by_error=lambda r: r.growth_by_error._replace(power_steady=True, log_change=1.0)),
        {".growth_by_error.power_steady", ".growth_by_error.log_change"},
    ),
    "a growth of another size": (
        replace(PRESETS["Constant"], gain=1.037),
        claim(("log_change", np.log(20))),
        {"log_change"},
    ),
    "a level δ vanishes": (
        Scenario(cell="rnn-linear", init="identity", hidden=64, horizon=150),
        claim(("pace", 0.987), ("regime", "vanishing"), pace=lambda r: 0.987),
        {"pace", "regime", ".pace"},
    ),
    "a factor over a cliff": (0, claim(("pace", ".pace"), pace_steady=lambda r: True), {"pace", ".pace_steady"}),
    "a cliff in another place": (0, claim(("cliff", (29, 11.0))), {"cliff"}),
    "no zeros behind a shut gate": (1, claim(("zero_lags", 1), zero_lags=lambda r: 1), {"zero_lags", ".zero_lags"}),
    "the words hold what the padding holds": (
        2,
        claim(("far_share", 0.5), ("reach", 60), memory=lambda r: 60),
        {"far_share", "reach", ".memory"},
    ),
    "a number that nothing claims": (
        Scenario(),
        lambda r: replace(r, verdict=r.verdict + " Each step multiplies by 0.713."),
        {"sentence"},
    ),
    "a kind that nobody knows": (Scenario(), claim(("healthy", True)), {"kinds"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_put_back_is_found(fault):
    what, put_back, kinds = FAULTS[fault]
    reading, seen = of_cliff(what) if isinstance(what, int) else of(what)
    before = false_of(reading, seen)
    assert not before & kinds
    assert kinds <= false_of(put_back(reading), seen)


# ------------------------------------------------------------------------------------------ any field, any claim wrong

SHAPES = {"fading", "bounded", "sublinear", "linear", "polynomial", "exponential", "unclear"}
EXAMPLES = (
    Scenario(),
    RELU,
    TURNING,
    IMPULSE,
    PRESETS["Exploding"],
    PRESETS["Ignores ten inputs"],
    Scenario(write_every=32),
    Scenario(cell="rnn-tanh", gain=0.5, weight="all"),
    Scenario(cell="gru", weight="bias_ih", gate="new", horizon=60, time=40),
)


def wrong(name, value):
    """The value, off by a little more than is allowed, or turned into each other thing."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 20, value - 20] if name in ("memory", "reach") else [value + 1]
    if name in ("log_sum", "sum"):
        return [value + 0.012, value - 0.012]
    if isinstance(value, float):
        tiny_share = value < 1e-3 and name in ("far_share", "coherence", "cancels")
        return [value + 1e-3] if tiny_share else [value * 1.015, value * 0.985]
    if isinstance(value, tuple):
        return [(value[0] + 1, value[1]), (value[0], value[1] * 1.03)]
    names = {"vanishing", "constant", "exploding", "mixed"}
    return sorted(names - {value}) if value in names else []


def right(reading, seen):
    """The kinds that are judged, and true."""
    found = audit(reading, seen)
    return {f.kind for f in found if f.ok} - {f.kind for f in found if not f.ok}


@pytest.mark.parametrize("scenario", EXAMPLES, ids=auditor.link)
def test_no_field_may_be_off(scenario):
    reading, seen = of(scenario)
    judged, tried = right(reading, seen), 0
    for name in (each.name for each in fields(reading)):
        for value in wrong(name, getattr(reading, name)) if f".{name}" in judged else ():
            assert f".{name}" in false_of(replace(reading, **{name: value}), seen), (name, value)
            tried += 1
    for name in ("growth", "growth_by_error"):
        growth = getattr(reading, name)
        for shape in {"fading", "bounded", "sublinear", "linear", "polynomial", "exponential", "unclear"} - {
            growth.shape
        }:
            if f".{name}.shape" in judged:
                other = replace(reading, **{name: growth._replace(shape=shape)})
                assert f".{name}.shape" in false_of(other, seen), (name, shape)
    assert tried >= 10


@pytest.mark.parametrize("scenario", EXAMPLES, ids=auditor.link)
def test_no_claim_may_be_off(scenario):
    reading, seen = of(scenario)
    judged, tried = right(reading, seen), 0
    for index, (kind, value) in enumerate(reading.claims):
        if kind not in judged:
            continue
        others = [(other, value) for other in sorted(SUMS - {kind})] if kind in SUMS else []
        for one in others + [(kind, each) for each in wrong(kind, value)]:
            claims = (*reading.claims[:index], one, *reading.claims[index + 1 :])
            assert one[0] in false_of(replace(reading, claims=claims), seen), one
            tried += 1
    assert tried >= 4


@pytest.mark.parametrize("index", range(3))
def test_cliffs_and_padding_say_where_the_terms_are(index):
    name, problem, *ask = cliffs()[index]
    reading, found, where = audit_network(name, problem, *ask)
    said = {kind for kind, _ in reading.claims}
    assert not [one for one in found if one.ok is False], where
    assert said & {"reach", "far_share", "top_lag", "only_lag"}, reading.verdict
    assert "pace" not in said or index > 0, reading.verdict
    if index == 1:
        assert reading.zero_lags == 10 and "zero_lags" in said
