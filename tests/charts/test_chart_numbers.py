"""The closer charts show what a plain forward pass, differentiated by JAX, says of the same scenario."""

import re
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradflow as gf
from gradflow.app.charts import CHARTS, base, cells, factors, growth, line, sums, unrolled
from gradflow.app.charts.base import as_json, rows
from gradflow.app.measurement import measure
from gradflow.app.presets import PRESETS
from gradflow.app.scenario import CHOICES, Scenario, pinnable_gates
from gradflow.app.view import View
from gradflow.reading import number
from support.oracle import Answer, costs, plain

pytestmark = pytest.mark.slow

LN10 = np.log(10)
LENGTH = 24  # of all, so that the plain pass is compiled once a cell
SCENARIOS = {
    **{cell: Scenario(cell=cell, hidden=4, horizon=LENGTH, gain=1.3) for cell in CHOICES["cell"]},
    "pinned": Scenario(hidden=4, horizon=LENGTH, gates="pinned", forget=0.9, write_every=5),
    "recall": Scenario(hidden=4, horizon=LENGTH, sequence="recall"),
    "cell path": Scenario(hidden=4, horizon=LENGTH, cell_path_only=True),
    "few lags": Scenario(hidden=4, horizon=LENGTH, time=6),
}
FIELDS = gf.Weights._fields
every_scenario = pytest.mark.parametrize("case", SCENARIOS)
every_field = pytest.mark.parametrize("field", FIELDS)


def problem(scenario):
    """The scenario's first steps as the oracle takes them."""
    data, pins = scenario.data(), {name: pin[:LENGTH] for name, pin in scenario.pins().items()}
    return (scenario.weights(), data.inputs[:LENGTH], scenario.readout(), data.targets[:LENGTH]), {"pins": pins}


@cache
def shared_jacobian(cell, truncate):
    """The derivative of every C(t) by weights that all steps share."""

    def by_time(shared, *rest):
        copies = gf.Weights(*(jnp.broadcast_to(field, (LENGTH, *field.shape)) for field in shared))
        return costs(jnp, cell, truncate, copies, *rest)

    return jax.jit(jax.jacrev(by_time))


@cache
def all_gradients(scenario):
    """What JAX gives for the shared weights, in float64: field -> [t, ...]."""
    (weights, *arrays), options = problem(scenario)
    with jax.enable_x64(True):
        _, *rest = plain(scenario.cell, weights, *arrays, **options)
        shared = gf.Weights(*(np.asarray(field, np.float64) for field in weights))
        found = shared_jacobian(scenario.cell, scenario.cell_path_only)(shared, *rest)
        return {name: np.asarray(field) for name, field in found._asdict().items()}


@cache
def all_terms(scenario):
    """Every dC(t)/dW(t−u) from a copy of the weights a step, in float64: field -> [t, u, ...]."""
    arrays, options = problem(scenario)
    with jax.enable_x64(True):
        return Answer(scenario.cell, *arrays, cell_path_only=scenario.cell_path_only, **options).by_lag


def core(scenario):
    """The scenario with what does not change a gradient put aside, to compute each once."""
    return replace(scenario, weight="weight_hh", time=255)


def gradient(measurement, field, t=None):
    """jax.grad of C(t) by the shared field."""
    return all_gradients(core(measurement.scenario))[field][measurement.t if t is None else t]


def terms(measurement, field):
    """Its terms at the chosen t, by lag: [t+1, ...]."""
    t = measurement.t
    return all_terms(core(measurement.scenario))[field][t, : t + 1]


def sizes(measurement, *fields):
    """‖term‖ by lag, of one field or of several together."""
    flat = [terms(measurement, field).reshape(measurement.t + 1, -1) for field in fields]
    return np.linalg.norm(np.concatenate(flat, axis=1), axis=1)


def log10(values):
    """−inf at a zero, without a warning."""
    with np.errstate(divide="ignore"):
        return np.log10(values)


def measured(case, **change):
    """A cell that does not use the weight has its like at the input: `Scenario.weight`."""
    return measure(replace(SCENARIOS[case], **change))


def drawn(name, measurement, view, kept=None):
    frame = CHARTS[name].domain(measurement, view)
    tables = CHARTS[name].data(measurement, view, kept, frame)
    return {dataset: as_json(table) for dataset, table in tables.items()}, frame


def shown_number(text):
    """A number as it is written on a chart: "+0.0123", "−3.2e-17"."""
    return float(text.replace("−", "-"))


# -------------------------------------------------------------------------------------------- the sum, bar by bar


def entries(field, scenario):
    """Some entries of a field, one in the last block of rows."""
    rows, width = getattr(scenario.weights(), field).shape[0], 4
    places = ((0, 0), (1, 3), (rows - 1, 2)) if field.startswith("weight") else ((0, None), (rows - 2, None))
    assert all((col or 0) < width for _, col in places)
    return places


def bars_of(measurement, view):
    """(names, starts, stops) of the bars, as numbers, and all that is drawn."""
    data, (unit, _, _) = drawn("sums", measurement, view)
    bars = data["bars"]
    return list(bars["name"]), *(np.array(bars[end]) * 10.0**unit for end in ("start", "stop")), bars


@every_scenario
@every_field
def test_the_bars_of_an_entry_end_at_its_gradient(case, field):
    measurement = measured(case, weight=field)
    field = measurement.scenario.weight
    expected = gradient(measurement, field)
    for row, col in entries(field, measurement.scenario):
        names, start, stop, _ = bars_of(measurement, View(row=row, col=col or 0))
        total = expected[row if col is None else (row, col)]
        reach = np.abs([start, stop]).max()
        assert names[-1] == "sum" and start[-1] == 0
        assert stop[-1] == pytest.approx(total, rel=1e-4, abs=1e-5 * reach)
        assert stop[-2] == pytest.approx(stop[-1], abs=1e-6 * reach), "the last bar but one ends where the sum stands"


@every_scenario
@every_field
def test_each_bar_is_a_term_and_starts_where_the_one_before_ended(case, field):
    measurement = measured(case, weight=field)
    field = measurement.scenario.weight
    for row, col in entries(field, measurement.scenario):
        names, start, stop, _ = bars_of(measurement, View(row=row, col=col or 0))
        term = terms(measurement, field)[(slice(None), row, *([] if col is None else [col]))]
        first, reach = min(len(term), sums.FIRST), np.abs([start, stop]).max() + 1e-30
        assert names[:first] == [str(u) for u in range(first)]
        np.testing.assert_allclose((stop - start)[:first], term[:first], rtol=1e-4, atol=1e-5 * reach)
        assert start[0] == 0
        np.testing.assert_array_equal(start[1 : len(names) - 1], stop[: len(names) - 2])


@every_scenario
def test_one_bar_holds_all_that_is_not_among_the_first(case):
    measurement = measured(case, weight="bias_ih")
    names, start, stop, bars = bars_of(measurement, View(row=1))
    lags = measurement.t + 1
    if lags <= sums.FIRST:
        assert names == [*map(str, range(lags)), "sum"]
        return
    assert names == [*map(str, range(sums.FIRST)), f"{sums.FIRST}–{lags - 1}", "sum"]
    rest = terms(measurement, "bias_ih")[sums.FIRST :, 1].sum()
    reach = np.abs([start, stop]).max()
    assert (stop - start)[-2] == pytest.approx(rest, rel=1e-4, abs=1e-5 * reach)
    assert shown_number(bars["words"][-2]) == pytest.approx(rest, rel=0.06, abs=1e-5 * reach)


@every_scenario
def test_the_words_of_the_sum_are_its_number(case):
    measurement = measured(case, weight="bias_hh")
    *_, bars = bars_of(measurement, View(row=2))
    field = measurement.scenario.weight
    assert shown_number(bars["words"][-1]) == pytest.approx(gradient(measurement, field)[2], rel=0.06)
    said = CHARTS["sums"].say(measurement, View(row=2))
    assert f"{field}[2]{', ' if len(gf.CELLS[measurement.scenario.cell].gates) > 1 else ' '}" in said
    assert bars["words"][-1] in said


def test_the_words_of_a_small_term_are_its_number():
    measurement = measure(Scenario(cell="rnn-linear", hidden=1, weight="bias_hh", gain=0.02, horizon=LENGTH))
    *_, bars = bars_of(measurement, View())
    first = measurement.log_row[0]
    size = [abs(shown_number(words)) for words in bars["words"][: sums.FIRST]]
    np.testing.assert_allclose(size, np.exp(first) * 0.02 ** np.arange(sums.FIRST), rtol=0.06)


@every_scenario
@pytest.mark.parametrize("field", (*FIELDS, "all"))
def test_the_whole_matrix_ends_at_the_size_of_its_gradient_beside_the_sizes_of_its_terms(case, field):
    measurement = measured(case, weight=field)
    chosen = FIELDS if field == "all" else (measurement.scenario.weight,)
    size = sizes(measurement, *chosen)
    total = np.sqrt(sum(np.sum(gradient(measurement, name) ** 2) for name in chosen))
    names, start, stop, bars = bars_of(measurement, View(whole=True, row=3))
    assert names[-2:] == ["Σ‖·‖", "‖Σ‖"] and (start[-2:] == 0).all()
    assert stop[-1] == pytest.approx(total, rel=1e-4)
    assert stop[-2] == pytest.approx(size.sum(), rel=1e-4)
    first = min(len(size), sums.FIRST)
    np.testing.assert_allclose(stop[:first], size.cumsum()[:first], rtol=1e-4)
    assert shown_number(bars["words"][-1]) == pytest.approx(total, rel=0.06)


@every_scenario
@every_field
def test_an_entry_beyond_the_weight_is_its_last(case, field):
    measurement = measured(case, weight=field)
    shape = getattr(measurement.scenario.weights(), field).shape
    corner = View(row=shape[0] - 1, col=shape[-1] - 1)
    beyond = View(row=255, col=63)
    assert drawn("sums", measurement, beyond) == drawn("sums", measurement, corner)


def test_the_gate_named_with_an_entry_is_the_one_whose_row_it_is():
    measurement = measured("lstm")
    for row in range(16):
        gate = gf.CELLS["lstm"].gates[row // 4]
        assert sums.entry_name(measurement, View(row=row, col=1)) == f"weight_hh[{row}, 1], {gate} gate"


def test_a_gate_is_called_as_its_cell_labels_it():
    """A GRU's update gate at 1 keeps the old state: the page calls it keep, an entry and the whole matrix alike."""
    measurement = measured("gru", gate="update")
    row = gf.CELLS["gru"].gates.index("update") * measurement.scenario.hidden
    assert sums.entry_name(measurement, View(row=row, col=1)) == f"weight_hh[{row}, 1], keep gate"
    whole = View(whole=True)
    (frame,) = rows(sums.data(measurement, whole, None, sums.domain(measurement, whole))["frame"])
    assert frame["title"].endswith("of weight_hh, keep gate")


@every_scenario
@pytest.mark.parametrize("whole", [False, True])
def test_the_axis_holds_every_bar_and_its_foot_and_is_not_far_too_long(case, whole):
    measurement = measured(case)
    for row in (0, 2):
        _, start, stop, _ = bars_of(measurement, View(row=row, whole=whole))
        unit, floor, ceiling = sums.domain(measurement, View(row=row, whole=whole))
        values = np.array([*start, *stop]) / 10.0**unit
        if not values.any():
            assert (unit, floor, ceiling) == (0, 0, 1)
            continue
        assert floor <= 0 <= ceiling
        assert floor < values.min() or values.min() == 0 == floor
        assert values.max() < ceiling or values.max() == 0 == ceiling
        assert ceiling - floor < 2.5 * (values.max() - values.min()) + 1e-9


def test_the_axis_ends_at_one_of_a_few_lengths():
    values = np.exp(np.linspace(-3, 3, 50)).tolist()
    found = set()
    for value in values:
        sign, log = np.ones(1, np.int8), np.log([value])
        lags = type("Lags", (), {"entry": lambda *_, pair=(sign, log): pair})()
        measurement = type("One", (), {"lags": lags, "field": {"weight": "bias_hh"}, "scenario": Scenario()})()
        found.add(sums.domain(measurement, View())[2])
    assert found <= set(sums.LENGTHS)


@pytest.mark.parametrize("time", [3, LENGTH - 1])
def test_the_lit_bar_is_that_of_the_lag(time):
    measurement = measured("lstm", time=time)
    for lag in range(time + 1):
        data, _ = drawn("sums", measurement, View(closer=True, lag=lag))
        assert data["frame"]["lit"] == [min(lag, sums.FIRST)]
    assert drawn("sums", measurement, View(lag=2))[0]["frame"]["lit"] == [-1]


def test_a_lag_beyond_t_lights_the_last_bar_of_a_lag():
    data, _ = drawn("sums", measured("lstm", time=3), View(closer=True, lag=200))
    assert data["frame"]["lit"] == [3]


def test_the_kept_sum_stands_at_its_own_ends():
    measurement, kept = measured("lstm"), measured("lstm", seed=1)
    view = View(row=1, col=1)
    frame = sums.widest(sums.domain(measurement, view), sums.domain(kept, view))
    bars = sums.data(measurement, view, kept, frame)["bars"]
    own = sums.data(kept, view, None, frame)["bars"]
    np.testing.assert_allclose(bars["kept"], own["stop"], rtol=1e-6)


# ------------------------------------------------------------------------------------------------------- curves


def lines(data):
    """Style and colour -> f[...] in log10; NaN where nothing is drawn."""
    found = {}
    for curve, y, stroke in zip(*(data["curves"][name] for name in ("curve", "y", "stroke")), strict=True):
        colour, style = line.STROKES[stroke]
        found.setdefault((curve, style, colour), []).append(np.nan if y is None else y)
    return {(style, colour): np.array(line) for (_, style, colour), line in found.items()}


def points(data):
    """Shape and colour -> {x: y in log10}."""
    found = {(shape, colour): {} for colour, shape in line.POINTS}
    for x, y, stroke in zip(*(data["points"][name] for name in ("x", "y", "stroke")), strict=True):
        colour, shape = line.POINTS[stroke - len(line.STROKES)]
        found[shape, colour][x] = y
    return found


FACTORS = [(case, field) for case in SCENARIOS for field in FIELDS]


@pytest.mark.parametrize(("case", "field"), FACTORS)
def test_the_two_factors_multiply_to_the_term(case, field):
    measurement = measured(case, weight=field)
    found = lines(drawn("factors", measurement, View())[0])
    sent, met = found["solid", base.BLUE], found["dashed", base.PURPLE]
    expected = log10(sizes(measurement, measurement.scenario.weight))
    seen = np.isfinite(sent) & np.isfinite(met)
    np.testing.assert_array_equal(seen, np.isfinite(expected))
    np.testing.assert_allclose((sent + met)[seen], expected[seen], atol=1e-4)
    np.testing.assert_allclose(found["dotted", base.GREY][seen], expected[seen], atol=1e-4)


@every_scenario
def test_what_a_term_meets_is_the_state_the_input_or_one(case):
    scenario, met = SCENARIOS[case], {}
    for field in FIELDS:
        data, _ = drawn("factors", measured(case, weight=field), View())
        met[field] = lines(data)["dashed", base.PURPLE]
    t = measured(case).t
    inputs = scenario.data().inputs[t::-1]
    np.testing.assert_allclose(met["weight_ih"], np.log10(np.linalg.norm(inputs, axis=1)), atol=1e-5)
    np.testing.assert_allclose([met["bias_ih"], met["bias_hh"]], 0, atol=1e-12)
    assert np.isnan(met["weight_hh"][t]) or "weight_hh" in gf.CELLS[scenario.cell].unused, "h(−1) is zero"


@every_scenario
def test_relative_divides_what_is_sent_by_the_error(case):
    measurement = measured(case)
    (sent, met, term), (absolute, same, whole) = (
        factors.factors(measurement, View(relative=relative)) for relative in (True, False)
    )
    scenario, t = measurement.scenario, measurement.t
    error = measurement.cost[t]  # ½ e², and dC/dh = e · readout
    size = np.log(np.sqrt(2 * error) * np.linalg.norm(scenario.readout()))
    np.testing.assert_array_equal(met, same)
    for divided, full in ((sent, absolute), (term, whole)):
        here = np.isfinite(full)
        np.testing.assert_array_equal(here, np.isfinite(divided))
        np.testing.assert_allclose(full[here] - divided[here], size, atol=1e-4)


MET = {"weight_hh": "h(s−1)", "weight_ih": "the input x(s)", "bias_ih": "the constant 1", "bias_hh": "the constant 1"}


@pytest.mark.parametrize("case", ["lstm", "mingru"])
@pytest.mark.parametrize("weight", [*MET, "all"])
def test_what_a_term_meets_is_named_by_its_weight(case, weight):
    measurement = measured(case, weight=weight)
    flat = np.zeros(measurement.t + 1)  # as of an input that is one-hot
    measurement = replace(measurement, lags=SimpleNamespace(log_factors=lambda **_: (flat - 1, flat)))
    (frame, _), said = drawn("factors", measurement, View()), factors.say(measurement, View())
    own = gf.CELLS[case].used("weight_hh" if weight == "all" else weight)
    assert f"what it meets, {MET[own]}, {'stays' if own.startswith('bias') else 'goes from'}" in said
    assert said.startswith(f"Of {own}: from lag 0" if weight == "all" else "From lag 0")
    assert frame["frame"]["title"] == [f"What a term {f'of {own} ' if weight == 'all' else ''}is made of"]


def test_above_the_first_layer_what_weight_ih_meets_is_the_output_of_the_layer_below():
    measurement = replace(measured("lstm", weight="weight_ih"), gmap=SimpleNamespace(layer=1))
    data, _ = drawn("factors", measurement, View())
    assert "what it meets, layer 1's output, goes from" in factors.say(measurement, View())
    assert "‖layer 1's output‖, read going forward" in data["names"]["name"]
    assert "‖layer 1's output‖" in data["frame"]["subtitle"][0]
    lowest = replace(measurement, gmap=SimpleNamespace(layer=0))
    assert "the input x(s)" in factors.say(lowest, View())


def test_the_words_of_a_lag_are_its_two_factors_and_their_product():
    measurement = measured("gru")
    data, _ = drawn("factors", measurement, View())
    delta, other, term = factors.factors(measurement, View())
    for u, words in enumerate(data["columns"]["words"]):
        assert (
            words == f"lag {u} (step {measurement.t - u}): {number(delta[u])} × {number(other[u])} = {number(term[u])}"
        )


@pytest.mark.parametrize("case", [case for case in SCENARIOS if case != "recall"])
@every_field
def test_the_thin_curve_is_the_size_of_the_gradient_at_each_time(case, field):
    measurement = measured(case, weight=field)
    found = lines(drawn("growth", measurement, View())[0])
    thin, thick = found["thin", base.PURPLE], found["solid", base.BLUE]
    for t in range(0, LENGTH, 4):
        size = np.linalg.norm(gradient(measurement, measurement.scenario.weight, t))
        if size == 0:
            assert np.isnan(thin[t]) and np.isnan(thick[t])
            continue
        error = np.sqrt(2 * measurement.cost[t]) * np.linalg.norm(measurement.scenario.readout())
        assert thin[t] == pytest.approx(np.log10(size), abs=1e-4)
        assert thick[t] == pytest.approx(np.log10(size / error), abs=1e-3)


def test_there_is_no_sum_before_the_first_target():
    found = lines(drawn("growth", measured("recall"), View())[0])
    for stroke in (("thin", base.PURPLE), ("solid", base.BLUE)):
        np.testing.assert_array_equal(np.isfinite(found[stroke]), np.arange(LENGTH) >= 20)


@pytest.mark.parametrize("name", ["Vanishing", "Constant", "Exploding"])
def test_one_unit_s_sum_is_the_geometric_series(name):
    preset = replace(PRESETS[name], horizon=60)
    curve = lines(drawn("growth", measure(preset), View())[0])["solid", base.BLUE]
    expected = [np.log10(sum(preset.gain**u for u in range(t + 1))) for t in range(60)]
    np.testing.assert_allclose(curve, expected, atol=1e-4)


@pytest.mark.parametrize("length", [4, 20, 61, 100])
def test_the_three_shapes_meet_the_curve_at_a_quarter(length):
    values = np.log(np.arange(1, length + 1.0)) + 3
    shapes = growth.references(values)
    start = length // 4
    for shape in shapes.values():
        assert shape[start] == pytest.approx(np.median(values[max(0, start - 2) : start + 3]))
    bounded, linear, exponential = (np.exp(shape - shape[start]) for shape in shapes.values())
    t = np.arange(length)
    np.testing.assert_allclose(bounded, 1)
    np.testing.assert_allclose(linear, (t + 1) / (start + 1))
    np.testing.assert_allclose(exponential, 1.1 ** (t - start))


def test_a_reference_passes_over_what_is_no_number():
    values = np.full(40, 2.0)
    values[[8, 10, 12]] = np.nan, -np.inf, np.nan
    assert all(shape[10] == 2.0 for shape in growth.references(values).values())
    assert all(np.isnan(shape).all() for shape in growth.references(np.full(40, np.nan)).values())


# ------------------------------------------------------------------------------------------------------ network


@every_scenario
def test_an_arrow_is_as_wide_as_its_term_is_large(case):
    measurement = measured(case)
    data, domain = drawn("unrolled", measurement, View())
    arrows = data["arrows"]
    size, wide = sizes(measurement, measurement.scenario.weight)[arrows["lag"]], np.array(arrows["wide"])
    assert ((wide > 0) == (size > 0)).all()
    order = np.argsort(size)
    assert (np.diff(wide[order]) >= -1e-9).all()
    assert (np.diff(wide[order])[np.diff(np.log(np.maximum(size[order], 1e-30))) > 0.01] > 0).all()
    assert wide.max() <= unrolled.BROAD
    np.testing.assert_array_equal(np.array(arrows["head"]) > 0, wide > 0)
    there = size > 0
    np.testing.assert_allclose(
        wide[there], np.interp(np.log10(size[there]), domain, (0.75, unrolled.BROAD)), rtol=1e-4, atol=1e-4
    )


@every_scenario
def test_the_last_dozen_steps_are_drawn_from_right_to_left(case):
    measurement = measured(case)
    data, _ = drawn("unrolled", measurement, View())
    lags = list(range(min(unrolled.STEPS, measurement.t + 1)))
    assert len(lags) <= 12
    assert data["units"]["lag"] == data["arrows"]["lag"] == lags
    assert data["units"]["x"] == data["arrows"]["to"] == [unrolled.STEPS - 1 - u for u in lags]
    assert data["units"]["name"] == [str(measurement.t - u) for u in lags]
    size = sizes(measurement, measurement.scenario.weight)[lags]
    np.testing.assert_allclose([float(text) for text in data["units"]["term"]], size, rtol=0.06)
    assert [x for x in data["columns"]["x"] if x is not None] == data["units"]["x"]


@pytest.mark.parametrize("time", [0, 4, LENGTH - 1])
def test_a_gate_stands_at_its_step_and_is_as_open_as_there(time):
    opening = {"forget": 0.9, "input": 0.7, "output": 0.4}
    scenario = replace(SCENARIOS["pinned"], **opening, time=time)
    data, _ = drawn("unrolled", measure(scenario), View())
    gates = data["gates"]
    steps = [time - int(lag) for lag in gates["lag"]]
    places = list(zip(gates["dx"], gates["dy"], strict=True))
    by_place = {place: name for name, place in unrolled.BESIDE.items() if name in opening}
    assert len(places) == 3 * min(unrolled.STEPS, time + 1)
    for step, place, x, found in zip(steps, places, gates["x"], gates["open"], strict=True):
        name, write = by_place[place], step % 5 == 0
        shut = (name == "forget" and write) or (name == "input" and not write)
        assert found == pytest.approx(0 if shut else opening[name], abs=1e-6)
        assert x == unrolled.STEPS - 1 - (time - step)


def test_a_learned_gate_is_as_open_as_the_measurement_says():
    measurement = measured("gru", time=9)
    data, _ = drawn("unrolled", measurement, View())
    gates = data["gates"]
    for name in ("reset", "update"):
        here = [
            k for k, place in enumerate(zip(gates["dx"], gates["dy"], strict=True)) if place == unrolled.BESIDE[name]
        ]
        np.testing.assert_allclose([gates["open"][k] for k in here], measurement.gates[name][9::-1], rtol=1e-6)


@pytest.mark.parametrize("cell", ["rnn-tanh", "rnn-linear"])
def test_a_plain_network_has_no_gates(cell):
    assert drawn("unrolled", measured(cell), View())[0]["gates"]["open"] == []


def test_the_earlier_copies_hold_the_rest_of_the_terms():
    measurement = measured("lstm")
    data, _ = drawn("unrolled", measurement, View())
    size = sizes(measurement, "weight_hh")
    part = 100 * size[unrolled.STEPS :].sum() / size.sum()
    (words,) = data["frame"]["earlier"]
    count, percent = words.split(" earlier copies hold ")
    assert int(count) == LENGTH - unrolled.STEPS
    assert float(percent.split(" %")[0]) == pytest.approx(part, rel=0.06)


# ------------------------------------------------------------------------------------------- cells side by side


@pytest.mark.parametrize("cell, gates", [("lstm", ["forget", "input"]), ("gru", ["update"])])
def test_the_strips_of_a_gated_cell_are_as_open_as_its_pins(cell, gates):
    """A pinned gate is open by its value, except that one write in so many steps shuts or opens it."""
    scenario = Scenario(hidden=4, horizon=LENGTH, gates="pinned", forget=0.8, update=0.8, input=0.6, write_every=5)
    measurement, view = measure(scenario), View(show="cells")
    drawn = cells.data(measurement, view, None, cells.domain(measurement, view))[cell]
    for gate in gates:
        foot = pinnable_gates(cell).index(gate) + 1
        strip = np.flatnonzero(drawn["foot"] == foot)
        strip = strip[np.argsort(drawn["lag"][strip])]
        opened = (foot - drawn["open"][strip]) * cells.STRIP / cells.OPEN
        pins = Scenario(**vars(scenario) | {"cell": cell}).pins()[gate][:LENGTH]
        np.testing.assert_allclose(opened, pins[::-1], atol=1e-6)
        assert len(set(pins)) == 2, "nothing is written"


@pytest.mark.parametrize("cell", ["gru", "mingru"])
def test_the_gate_that_keeps_is_called_so(cell):
    measurement = measure(Scenario(cell=cell, hidden=4, horizon=LENGTH))
    words = unrolled.data(measurement, View(), None, unrolled.domain(measurement, View()))["columns"]["words"]
    for text in (unrolled.say(measurement, View()), *words):
        assert re.search(r"\bkeep \d\.\d\d", text) and "update" not in text


# ------------------------------------------------------------------------------------------ shares and all costs


@every_scenario
def test_the_shares_are_tail_sums_of_sizes(case):
    measurement = measured(case)
    by_lag = sizes(measurement, measurement.scenario.weight)
    curve = lines(drawn("shares", measurement, View())[0])["solid", base.BLUE]
    np.testing.assert_allclose(curve, np.cumsum(by_lag[::-1])[::-1] / by_lag.sum(), rtol=1e-4, atol=1e-5)


def all_costs(measurement, kept=lambda t, u: True):
    """(Σ_t dC(t)/dW(t−u) by u, Σ_t dC(t)/dW(s) by s), of the terms of t and u that are kept."""
    terms = all_terms(core(measurement.scenario))[measurement.scenario.weight]
    by_lag, by_copy = np.zeros((2, LENGTH, *terms.shape[2:]))
    for t in range(LENGTH):
        for u in range(t + 1):
            if kept(t, u):
                by_lag[u] += terms[t, u]
                by_copy[t - u] += terms[t, u]
    return by_lag, by_copy


@every_scenario
def test_all_costs_by_lag_and_by_copy(case):
    measurement = measured(case)
    by_lag, by_copy = all_costs(measurement)
    found = lines(drawn("all_costs", measurement, View())[0])
    norms = lambda each: log10(np.linalg.norm(each.reshape(len(each), -1), axis=1))
    for at, expected in ((("solid", base.BLUE), by_lag), (("dashed", base.PURPLE), by_copy)):
        expected = norms(expected)
        np.testing.assert_allclose(found[at][expected > -9], expected[expected > -9], atol=2e-4)
    total = log10(np.linalg.norm(by_lag.sum(0)))
    np.testing.assert_allclose(found["dotted", base.GREY], total, atol=2e-4)
    assert f"The gradient of all costs is {number(total * LN10)}." in CHARTS["all_costs"].say(measurement, View())


@pytest.mark.parametrize("case", ["lstm", "gru", "rnn-tanh", "pinned"])
def test_what_truncation_leaves_out_of_all_costs(case):
    measurement = measured(case)
    whole = all_costs(measurement)[0].sum(0)
    found = points(drawn("truncation", measurement, View())[0])
    for k in (1, 3, 8, 20):
        for kind, kept in (
            (("diamond", base.ORANGE), lambda t, u, k=k: u <= t % k),
            (("circle", base.PURPLE), lambda t, u, k=k: u < k),
        ):
            left = np.linalg.norm(whole - all_costs(measurement, kept)[0].sum(0)) / np.linalg.norm(whole)
            shown = 10.0 ** found[kind].get(k, np.nan)
            assert (left < 2e-6 and np.isnan(shown)) or shown == pytest.approx(left, rel=2e-3, abs=1e-6)
            if k == 20:
                said = number(np.log(left)) if left > 1e-6 else "less than 1e-6"
                assert said in CHARTS["truncation"].say(measurement, View())


def test_truncation_shows_of_all_costs_what_was_measured_and_joins_nothing():
    measurement, kept = measured("lstm"), measured("lstm", seed=3)
    data, _ = drawn("truncation", measurement, View(), kept)
    assert lines(data).keys() == {("thin", base.GREY), ("dotted", base.GREY), ("solid", base.BLUE)}
    for kind in (("diamond", base.ORANGE), ("circle", base.PURPLE), ("circle", base.GREY), ("diamond", base.GREY)):
        assert points(data)[kind].keys() <= {1, 2, 3, 5, 8, 13, 20} and len(points(data)[kind]) > 4


def test_a_legend_keeps_clear_of_points():
    """A few points weigh as much as the line that would join them."""
    k = np.arange(41.0)
    high = np.where(np.isin(k, (1, 20, 40)), -0.5, np.nan)
    curves = [("line", np.where(k < 20, np.nan, -11.0), base.BLUE, "solid"), ("points", high, base.ORANGE, "diamond")]
    curves += [("low", np.where(k < 20, -11.0, np.nan), base.BLUE, "solid")]
    named = {"title": "", "subtitle": "", "lit": -1, "words": [], "length": 41}
    assert line.tables(None, curves, (-5, 0), **named)["frame"]["legend_low"] == [True]


def truncated_with_costs_at(times):
    """A measurement of a network whose cost is there at these times alone, at the last of them."""
    only = np.full(64, -np.inf)
    only[list(times)] = 0.0
    measurement = replace(measure(Scenario(hidden=4, horizon=64, time=times[-1])), log_residual=only)
    left = {name: np.log([0.5] * 6 + [share, 0.5]) for name, share in (("window", 0.125), ("pieces", 0.25))}
    vars(measurement)["truncated"] = left  # at 1, 2, 3, 5, 8, 13, 20, 34
    return measurement


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ((40,), "missing where it goes back 20 steps, and 0.250 where the state is detached every 20 steps, as usual: "
                "it then goes back 1 step."),
        ((45,), "as usual: it then goes back 6 steps."),
        ((59,), "as usual: it then goes back 20 steps."),
        ((19, 39, 59), "as usual."),
        ((19, 39, 50), "as usual: some then go back fewer."),
        (tuple(range(64)), "as usual: most then go back fewer."),
    ],
)  # fmt: skip
def test_what_truncation_says_of_the_costs_that_there_are(times, words):
    said = CHARTS["truncation"].say(truncated_with_costs_at(times), View())
    assert said.endswith(words)
    whose = "all costs together," if len(times) > 1 else f"the only cost, at t = {times[0]},"
    assert f"Of the gradient of {whose} " in said


# ------------------------------------------------------------------------------------------------ under the terms


@pytest.mark.parametrize(
    ("cell", "slope"),
    [
        ("rnn-tanh", lambda h: 1 - h**2),
        ("rnn-sigmoid", lambda h: h * (1 - h)),
        ("rnn-relu", lambda h: np.float64(h > 0)),
        ("rnn-linear", np.ones_like),
    ],
)
def test_a_plain_rnn_has_the_slope_of_its_activation(cell, slope):
    measurement = measured(cell)
    problem = measurement.scenario.problem()
    (h,) = gf.states(cell, problem["weights"], problem["inputs"])
    assert [*measurement.strips] == ["slope"]
    np.testing.assert_allclose(measurement.strips["slope"], slope(np.float64(h[:LENGTH])).mean(1), atol=1e-5)
    frame = CHARTS["terms"].data(measurement, View(), None, (-10, 0))["frame"]
    assert frame["name0"] == ["slope"] and frame["strips_title"] == ["Activation at step t−u: mean slope"]


def test_a_gated_cell_has_its_gates():
    assert measured("lstm").strips is measured("lstm").gates
    (frame,) = rows(CHARTS["terms"].data(measured("gru"), View(), None, (-10, 0))["frame"])
    assert frame["strips_title"] == "Gates at step t−u: how open" and (frame["name0"], frame["name1"]) == (
        "reset",
        "keep",
    )
