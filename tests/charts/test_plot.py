"""`gf.plot`: what is in its charts, and that they draw."""

import base64
import io
import json
import re
import sys
from functools import cache

import numpy as np
import pytest
import vl_convert
from PIL import Image

import gradflow as gf
from gradflow.app import palette
from support.subprocesses import loaded

pytestmark = pytest.mark.slow

UNITS, INPUTS, STEPS = 4, 2, 30
rng = np.random.default_rng(0)


def draw(*shape):
    return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)


def weights(inputs=INPUTS, gain=1.0):
    rows = 4 * UNITS
    return gf.Weights(draw(rows, inputs), gain * draw(rows, UNITS), draw(rows), draw(rows))


@cache
def one(steps=STEPS):
    return layer(steps)


def layer(steps=STEPS, **options):
    return gf.gradient_map("lstm", weights(), draw(steps, INPUTS), cotangents=draw(steps, UNITS), **options)


@cache
def network(directions=1, steps=STEPS):
    sizes = (INPUTS, UNITS * directions)
    layers = [[weights(inputs) for _ in range(directions)] for inputs in sizes]
    return gf.network_map(gf.Network("lstm", layers), draw(steps, INPUTS), draw(steps, UNITS * directions))


def overflowing():
    linear = gf.Weights(np.float32([[1.0]]), np.float32([[1e6]]))
    x = np.ones((STEPS, 1), np.float32)
    return gf.gradient_map("rnn-linear", linear, x, cotangents=x)


CASES = {
    "one layer": one,
    "one step": lambda: one(steps=1),
    "one gate closed": lambda: layer(pins={"input": np.arange(STEPS) % 3 == 0, "forget": 0.5}),
    "no gradient": lambda: gf.gradient_map(
        "lstm", weights(), draw(STEPS, INPUTS), cotangents=np.zeros((STEPS, UNITS), np.float32)
    ),
    "stacked": network,
    "both directions": lambda: network(2),
    "a layer of a network": lambda: network()[1][0],
    "overflow": overflowing,
}


def strict(text):
    """What a chart holds, with numbers alone: JSON knows neither NaN nor infinity."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(name))


@pytest.mark.parametrize("case", CASES)
def test_it_draws_and_every_label_can_be_read(case):
    chart = strict(gf.plot(CASES[case]()).to_json())
    svg = vl_convert.vegalite_to_svg(chart)
    width, height = map(float, re.search(r'<svg[^>]* width="([\d.]+)" height="([\d.]+)"', svg).groups())
    assert 500 < width < 1000 and 250 < height < 1200
    words = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert "terms" in words
    assert ({"time t", "size of a term"} <= set(words)) == (case not in ("one step", "no gradient"))
    assert not [each for each in words if re.search("NaN|undefined|null|Infinity", each)]
    ticks = [each for each in words if re.fullmatch("1|10⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+", each)]
    assert len(ticks) >= 2


def datasets(chart, part):
    """Every list of records of a part of a chart, in order."""
    if isinstance(part, list):
        return [each for child in part for each in datasets(chart, child)]
    if not isinstance(part, dict):
        return []
    own = [chart["datasets"][part["data"]["name"]]] if "data" in part else []
    return own + [each for name, child in part.items() if name != "datasets" for each in datasets(chart, child)]


def curve(chart, name, row=slice(None)):
    """(at, y) of every record of a curve, as they come."""
    records = [each for values in datasets(chart, chart["vconcat"][row]) for each in values]
    return [(each["at"], each["y"]) for each in records if each.get("curve") == name]


@pytest.mark.parametrize(
    ("t", "weight", "gate"), [(None, "weight_hh", None), (11, "bias_ih", "forget"), (7, "all", None)]
)
def test_its_numbers_are_those_of_the_map(t, weight, gate):
    gmap = one()
    chart = strict(gf.plot(gmap, t, weight, gate).to_json())
    t = STEPS - 1 if t is None else t
    terms = gmap.log_terms(weight, gate)[t, : t + 1] / np.log(10)
    there = np.flatnonzero(np.isfinite(terms))
    at, y = np.array(curve(chart, "terms")).T
    np.testing.assert_array_equal(at, there)
    np.testing.assert_allclose(y, terms[there], atol=1e-6)
    assert len(curve(chart, "exact zero")) == t + 1 - len(there)
    sums = np.array(curve(chart, "their running sum"))[:, 1]
    assert sums[-1] == pytest.approx(gmap.log_sums(weight, gate)[t] / np.log(10), abs=1e-5)
    line, reading = curve(chart, "line through the terms"), gmap.read(t, weight, gate)
    assert bool(line) == reading.term_pace_steady
    if line:
        (first, low), (last, high) = line
        assert 10 ** ((high - low) / (last - first)) == pytest.approx(reading.term_pace, rel=1e-6)


def test_the_image_has_every_term_of_every_time():
    gmap = one()
    chart = strict(gf.plot(gmap).to_json())
    (record,) = (each for records in datasets(chart, chart) for each in records if "url" in each)
    image = Image.open(io.BytesIO(base64.b64decode(record["url"].split(",")[1])))
    pixels, log10 = np.asarray(image), gmap.log_terms() / np.log(10)
    assert pixels.shape == log10.shape
    future = np.triu(np.ones(pixels.shape, bool), 1)
    assert (np.asarray(image.convert("RGBA"))[future][:, 3] == 0).all()
    values = log10[np.isfinite(log10)]
    low, *_, high = chart["vconcat"][0]["hconcat"][1]["layer"][1]["encoding"]["fill"]["scale"]["domain"]
    assert values.min() - 1.1 < low < values.min() and values.max() < high < values.max() + 1.1
    shades = 249 * (log10 - low) / (high - low)
    np.testing.assert_allclose(pixels[np.isfinite(log10)], shades[np.isfinite(log10)], atol=0.51)
    first, last = (np.asarray(image.getpalette()).reshape(-1, 3)[k] for k in (0, 249))
    assert [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in (first, last)] == [palette.VIRIDIS[0], palette.VIRIDIS[-1]]
    zero = np.isneginf(log10) & ~future
    assert zero.any() and len({*pixels[zero]} | {*pixels[future]}) == 2


def test_layers_stand_on_one_scale_the_top_one_first():
    maps = network()
    chart = strict(gf.plot(maps, 20).to_json())
    assert [row["title"]["text"] for row in chart["vconcat"]] == ["layer 2 of 2, the top", "layer 1 of 2"]
    axes = re.findall(r'"scale": \{"domain": \[(-?\d+, -?\d+)\]', json.dumps(chart))
    assert len(set(axes)) == 1 and len(axes) > 2
    y = [y for _, y in curve(chart, "terms")]
    expected = np.concatenate([maps[k][0].log_terms()[20, :21] / np.log(10) for k in (1, 0)])
    np.testing.assert_allclose(y, expected[np.isfinite(expected)], atol=1e-6)


def test_a_recording_is_drawn_by_its_first_sequence():
    layers = [[weights()]]
    inputs, cotangents = [draw(9, INPUTS), draw(9, INPUTS)], [draw(9, UNITS), draw(9, UNITS)]
    recording = gf.Recording(gf.Network("lstm", layers), inputs, cotangents)
    assert curve(gf.plot(recording).to_dict(), "terms") == curve(gf.plot(recording.maps(0)).to_dict(), "terms") != []


def test_a_direction_without_lags_stands_by_step():
    maps = network(2)
    chart = strict(gf.plot(maps, 20).to_json())
    titles = [row["title"]["text"] for row in chart["vconcat"]]
    ways = ("forward", "backward")
    assert titles == [f"{layer}, {way}" for layer in ("layer 2 of 2, the top", "layer 1 of 2") for way in ways]
    terms = curve(chart, "terms", 1)
    by_copy = maps[1][1].log_terms_by_copy()[20] / np.log(10)
    assert [at for at, _ in terms] == list(range(20, STEPS - 1))  # the last step has no state before it
    np.testing.assert_allclose([y for _, y in terms], by_copy[20 : STEPS - 1], atol=1e-6)
    assert not curve(chart, "their running sum", 1)


def test_what_falls_more_than_twenty_decades_is_cut_off():
    closed = gf.Weights(draw(UNITS, INPUTS), 1e-3 * draw(UNITS, UNITS))
    gmap = gf.gradient_map("rnn-tanh", closed, draw(STEPS, INPUTS), cotangents=draw(STEPS, UNITS))
    assert np.isfinite(gmap.log_terms()[-1]).sum() > 20
    assert np.nanmin(np.where(np.isfinite(gmap.log_terms()), gmap.log_terms(), np.nan)) / np.log(10) < -60
    domains = re.findall(r'"domain": \[(-?\d+), (-?\d+)\]', json.dumps(strict(gf.plot(gmap).to_json())))
    assert {int(high) - int(low) for low, high in domains} == {20}


def test_it_is_refused_in_a_sentence():
    maps = network()
    for wrong in ([], maps[0], [[1]], "map", np.zeros((3, 3))):
        with pytest.raises(ValueError, match=r"it must be a GradientMap, or the \[layer\]\[direction\]"):
            gf.plot(wrong)
    with pytest.raises(ValueError, match="t is 30"):
        gf.plot(maps, 30)
    with pytest.raises(ValueError, match="weight is 'W'"):
        gf.plot(maps, weight="W")
    with pytest.raises(ValueError, match="gate is 'reset'"):
        gf.plot(network(2), gate="reset")


def test_without_altair_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(ImportError, match="pip install altair"):
        gf.plot(one())


def test_nothing_of_the_page_is_loaded():
    code = """
import numpy as np, gradflow as gf
x = np.ones((9, 1), np.float32)
gf.plot(gf.gradient_map("rnn-tanh", gf.Weights(x[:1], x[:1]), x, cotangents=x)).to_json()
"""
    assert not loaded({"streamlit", "pandas", "pyarrow", "PIL", "optax"}, code)
