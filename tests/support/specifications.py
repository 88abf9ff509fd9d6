"""What a chart's specification reads, and how large its data are."""

import json
import re

from gradflow.app.charts.base import as_json
from gradflow.app.frame import packed
from gradflow.app.frame_route import to_json


def uses(spec, dataset=None):
    """(dataset, field) of everything a specification reads: encodings, and expressions of its marks and signals."""
    dataset = spec.get("data", {}).get("name", dataset)
    for channel in spec.get("encoding", {}).values():
        if "field" in channel:
            yield dataset, channel["field"]
    for field in re.findall(r"datum\.(\w+)", json.dumps([spec.get("mark"), spec.get("encoding")])):
        if field != "value":  # of an axis
            yield dataset, field
    for layer in spec.get("layer", ()):
        yield from uses(layer, dataset)


def looked_up(spec):
    """(dataset, field) of every expression that takes a row of a dataset by number."""
    yield from re.findall(r"data\('(\w+)'\)\[[^\]]*\]\.(\w+)", json.dumps(spec))


def size(tables):
    """Bytes on the wire."""
    return len(to_json(packed(tables)).encode())


def kinds(table, field):
    """What the values of a column are, "number" or another type's name, but for those that are missing."""
    there = [value for value in as_json(table)[field] if value is not None]
    return {"number" if type(value) in (int, float) else type(value).__name__ for value in there}
