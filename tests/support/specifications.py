"""What a chart's specification reads, and how large its data are."""

import json
import re

import pyarrow as pa


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
    sink = pa.BufferOutputStream()
    for table in tables.values():
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue().size
