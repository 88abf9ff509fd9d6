"""What is shown while the process compiles: the first view as it was measured beforehand, and said to be that."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from gradflow.app import first_view, live_chart, measurement, sidebar
from gradflow.app.charts import terms
from gradflow.app.frame_route import to_json
from gradflow.app.scenario import Scenario
from gradflow.app.view import View
from support.apptest_page import open_explore, record, verdict


def test_what_is_stored_is_what_is_measured_here_to_the_digits_shown():
    kept, here = json.loads(first_view.FILE.read_text("utf-8")), json.loads(to_json(first_view.measured()))
    assert first_view.style() == here["style"] == terms.IMAGE_LAYOUTS[False].style()
    assert first_view.target() == here["target"]
    kept, here = kept["record"], here["record"]
    assert kept.keys() == here.keys() and kept["images"].keys() == here["images"].keys()
    for name in kept.keys() - {"tables", "images"}:
        assert kept[name] == here[name], name
    assert kept["tables"].keys() == here["tables"].keys()
    for name, (_, columns) in kept["tables"].items():
        for column, values in columns.items():
            others = here["tables"][name][1][column]
            numbers = [value for value in values if isinstance(value, float)]
            assert len(values) == len(others)
            assert [value for value in values if not isinstance(value, float)] == [
                value for value in others if not isinstance(value, float)
            ], (name, column)
            assert numbers == pytest.approx([value for value in others if isinstance(value, float)], abs=1e-3)
    for name, image in kept["images"].items():
        drawn, again = (pixels(each[name]) for each in (kept["images"], here["images"]))
        assert drawn.shape == again.shape and np.mean(drawn != again) < 0.01, image[:40]


def pixels(image):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(image.partition(",")[2]))).convert("RGBA"))


def test_nothing_but_the_first_view_is_stored():
    assert first_view.stored(Scenario(seed=1), View(), False) is None
    assert first_view.stored(Scenario(), View(closer=True), False) is None
    for dark in (False, True):
        found = first_view.stored(Scenario(), View(), dark)
        assert found["tables"]["frame"][1]["dark"] == [dark]
        assert found["sentence"][1].endswith(first_view.NOTE)


def test_it_is_shown_first_and_then_the_measured_one(monkeypatch):
    drawn, picture = [], live_chart.picture
    note = lambda key, spec, given, request=None: (drawn.append(given), picture(key, spec, given, request))
    clicked, panels = [], sidebar.live_panels
    also = lambda first, more, target: (clicked.append(target), panels(first, more, target))
    monkeypatch.setattr(live_chart, "picture", note)
    monkeypatch.setattr(sidebar, "live_panels", also)
    monkeypatch.setattr(measurement, "COMPILED", set())
    at = open_explore()
    assert clicked[0] == first_view.target() and json.loads(to_json(clicked[-1])) == clicked[0]
    first, last = drawn[0], drawn[-1]
    assert len(drawn) == 2 and first_view.NOTE in first["sentence"][1]
    assert first_view.NOTE not in verdict(at) and last["sentence"] == record(at)["sentence"]
    drawn.clear()
    open_explore(seed=3)
    assert not any(first_view.NOTE in each["sentence"][1] for each in drawn)
