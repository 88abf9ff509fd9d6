"""Every chart as a file: the bytes are what they say, and the words and images are in them."""

import base64
import io
from functools import cache
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from gradflow.app.charts import CHARTS, file_specification, render
from gradflow.app.charts.terms_panels import SUMS, TERMS
from gradflow.app.measurement import measure
from gradflow.app.scenario import Scenario
from gradflow.app.view import View

pytestmark = pytest.mark.slow

LOOK = View(closer=True, lag=3, chains=True)
SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
WORDS = {
    "terms": (TERMS.title, SUMS.title, "Gates at step t−u: how open", "forget", "lag u (steps back)"),
    "sums": ("One weight's gradient, copy by copy", "weight_hh[0, 0], input gate", "sum"),
    "factors": ("What a term is made of", "their product, the term", "‖h(s−1)‖, read going forward"),
    "unrolled": ("What C(29) sends back to each copy of W", "C(t)", "W"),
    "growth": ("The gradient W gets at each time t", "linear", "time t"),
    "shares": ("How far back the terms reach", "the terms", "lag u (steps back)"),
    "all_costs": ("The gradient of all costs, Σ over t of dC(t)/dW", "‖all of it‖"),
    "truncation": ("What truncation leaves out of the gradient", "all of it", "steps kept, k"),
    "cells": ("Each term by lag, cell by cell", "rnn-tanh", "gru", "δ ×"),
}
every_chart = pytest.mark.parametrize("name", CHARTS)


@cache
def measurement():
    return measure(Scenario(hidden=4, horizon=30))


@cache
def file(name, form):
    """A chart as a file, as the page writes it."""
    chart = CHARTS[name]
    image = {"image": True} if name == "terms" else {}
    data = chart.data(measurement(), LOOK, None, chart.domain(measurement(), LOOK), **image)
    return render.convert(file_specification(name), data, form)


@every_chart
def test_a_png_is_an_image_in_which_something_is_drawn(name):
    drawn = Image.open(io.BytesIO(file(name, "png")))
    drawn.load()
    assert drawn.format == "PNG"
    assert drawn.width >= 2 * render.WIDTH and drawn.height > 600, "twice the pixels, for print"
    pixels = np.asarray(drawn.convert("RGB")).reshape(-1, 3)
    assert (pixels == 255).all(axis=1).mean() > 0.3, "on white"
    assert len(np.unique(pixels, axis=0)) > 20, "in colours"


@every_chart
def test_an_svg_holds_the_words_of_its_chart(name):
    root = ElementTree.fromstring(file(name, "svg"))
    assert root.tag == f"{SVG}svg"
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    for words in WORDS[name]:
        assert any(text.startswith(words) for text in texts), f"{words} is not in {texts}"
    assert not {"NaN", "undefined", "null"} & set(texts)


@every_chart
def test_an_svg_stays_inside_its_width(name):
    root = ElementTree.fromstring(file(name, "svg"))
    width, height = (float(root.get(side)) for side in ("width", "height"))
    assert render.WIDTH <= width < render.WIDTH + 120
    assert 300 < height < 700


def test_the_first_view_has_the_map_and_the_gates_inside():
    root = ElementTree.fromstring(file("terms", "svg"))
    urls = [image.get(f"{XLINK}href") or image.get("href") for image in root.iter(f"{SVG}image")]
    assert len(urls) == 2
    sizes = [Image.open(io.BytesIO(base64.b64decode(url.partition("base64,")[2]))).size for url in urls]
    assert (30, 30) in sizes, "the map, t × u"


def test_an_unknown_form_is_refused_before_anything_is_drawn():
    with pytest.raises(ValueError, match="form is 'pdf'; it must be one of png, svg"):
        render.convert(file_specification("sums"), {}, "pdf")


def test_every_chart_has_expected_words():
    assert WORDS.keys() == CHARTS.keys()
