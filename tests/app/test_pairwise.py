"""Every control at its ends, in every pair and in any order: all charts finite, no "nan" in any text, an empty log.

A run walks a part of it; with GRADFLOW_WHOLE in the environment all of it.
"""

import json
import logging
import random
import re
from itertools import combinations, islice, product

import pytest

from gradflow.app.presets import PRESETS
from gradflow.app.scenario import GATE_FIELDS, Scenario, gate_names
from gradflow.app.url_codec import INITIAL, link_params, parse, parse_view
from gradflow.app.view import View
from support.apptest_page import MORE, checked, open_explore, shown, view_of
from support.strategies import CHOICES, RANGES, WHOLE
from support.wording import missing_number

pytestmark = pytest.mark.slow


def ends():
    """Field -> its extreme values, as a link has them."""
    flags = {name for name, value in (vars(Scenario()) | vars(View())).items() if isinstance(value, bool)}
    found = {name: (limits.low, limits.high) for name, limits in RANGES.items()} | CHOICES
    found |= dict.fromkeys(flags, ("false", "true"))
    found["gate"] = tuple(dict.fromkeys(gate for cell in CHOICES["cell"] for gate in ("all", *gate_names(cell))))
    found |= {gate: (*found[gate], INITIAL) for gate in GATE_FIELDS}
    found["text"] = ("a", "🙂א\u0301<b>" * 64)
    found["kept"] = ("cell=gru&hidden=4&init=keras", "cell=rnn-linear&gain=12&horizon=256&hidden=4")
    if not WHOLE:
        found["hidden"] = (4,)  # each size is another compilation
    return {name: tuple(map(str, values)) for name, values in found.items()}


def pairwise(fields, seed=0):
    """Rows, field -> value, in which every two values of every two fields meet: of 20 random rows the best, and on."""
    chance = random.Random(seed)
    pairs = lambda row: set(combinations(sorted(row.items()), 2))
    missing = set()
    for a, b in combinations(sorted(fields), 2):
        missing |= {((a, one), (b, other)) for one, other in product(fields[a], fields[b])}
    while missing:
        wanted = dict(chance.choice(sorted(missing)))
        rows = [{name: chance.choice(values) for name, values in fields.items()} | wanted for _ in range(20)]
        row = max(rows, key=lambda row: len(pairs(row) & missing))
        missing -= pairs(row)
        yield row


def drawn(proto):
    """The tables of a chart; None where a component has none."""
    (data,) = json.loads(proto.json, parse_constant=pytest.fail)
    return data.get("record", {}).get("tables")


def inspect(at):
    """Every number of every chart is finite, every text is in words."""
    charts = 0
    for element in (*at.main, *at.sidebar):
        proto = element.proto
        if element.type == "bidi_component" and (tables := drawn(proto)):
            charts += 1
            for dataset, (_, columns) in tables.items():
                for name, column in columns.items():
                    values = [value for value in column if value is not None]
                    numbers = [value for value in values if not isinstance(value, str)]
                    assert all(abs(value) < 1e30 for value in numbers), (dataset, name)
                    assert not any(missing_number(value) for value in values if isinstance(value, str)), name
        elif element.type != "code":  # the Python speaks of inf
            told = proto.json if element.type == "bidi_component" else str(proto)  # and so does the component's code
            said = re.sub("<.*?>", " ", told)
            assert not missing_number(said), said
    assert charts


@pytest.fixture
def walker(caplog):
    """The page with everything open; at the end nothing is in the log."""
    at = open_explore(closer="true")
    at.session_state["definitions"] = True
    yield at
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    assert not [text for text in said if "missing ScriptRunContext" not in text]


def test_every_pair_of_extreme_values(walker):
    for row in islice(pairwise(ends()), None if WHOLE else 10):
        if row["stage"] == "true" and row["closer"] == "false":
            row |= {"closer": "true"}  # the chart alone is the same
        walker.query_params.clear()
        walker.query_params.update(row)
        inspect(checked(walker.run()))
        assert (shown(walker), view_of(walker)) == (parse(row)[0], parse_view(row)[0])


def test_a_random_walk_over_extreme_values(walker):
    """Held, let go and swept, from link to link and preset to preset."""
    chance, fields = random.Random(1), ends()
    turn, held, playing = 0, None, None
    for _ in range(1500 if WHOLE else 25):
        if chance.random() < 0.3:
            row = link_params(shown(walker), view_of(walker))
            row |= {name: chance.choice(fields[name]) for name in chance.sample(sorted(fields), 3)}
            walker.query_params.clear()
            walker.query_params.update({name: text for name, text in row.items() if name != "preset"})
            held = playing = None
        elif chance.random() < 0.1:
            walker.query_params.clear()
            walker.query_params.update({"preset": chance.choice(list(PRESETS)), "closer": "true"})
            held = playing = None
        else:
            moving = chance.choice(sorted(RANGES.keys() - {"seed"}))
            held = chance.choice((None, moving))
            playing = held if held and moving not in ("time", "lag", "row", "col") and chance.random() < 0.3 else None
            turn += 1
            values = {moving: chance.choice(RANGES[moving][:2])}
            report = {"values": values, "held": held, "playing": playing, "turn": turn}
            walker.session_state["more_ranges" if moving in MORE else "ranges"] = {"moved": report}
        inspect(checked(walker.run()))


def test_the_inspection_finds_what_it_looks_for():
    for text in ("×nan per step", "sum -inf", "is nan.", "−inf"):
        assert missing_number(text)
    for text in ("finance", "infinite", "nano", "unfit", "inf or NaN for 3", "NaN where it gives up"):
        assert not missing_number(text)
