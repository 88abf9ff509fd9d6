"""What strangers send: texts, links, files and reports of every kind; and how much of it a test run tries."""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from gradflow.app import scenario
from gradflow.app.presets import CUSTOM, PRESETS
from gradflow.app.scenario import Scenario, gate_names
from gradflow.app.url_codec import INITIAL
from gradflow.app.view import CHOICES as VIEW_CHOICES
from gradflow.app.view import RANGES as VIEW_RANGES
from gradflow.app.view import View

WHOLE = "GRADFLOW_WHOLE" in os.environ
RANGES = scenario.RANGES | VIEW_RANGES
CHOICES = scenario.CHOICES | VIEW_CHOICES
NAMES = ("preset", *vars(Scenario()), *vars(View()))

NASTY = (
    "",
    " ",
    "\x00",
    "\r\n",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "Infinity",
    "1e999",
    "-1e999",
    "9" * 400,
    "-0",
    "+1",
    "1_0",
    "0x1",
    "١",
    "½",
    "1,5",
    "None",
    "null",
    "true",
    "True",
    "[]",
    "{}",
    "🙂",
    "👩‍👩‍👧‍👦",
    "שלום",
    "\u202egnp.exe",
    "é",
    "\u0301",
    "\ud800",
    "\ufeff1",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "[x](javascript:alert(1))",
    "![](http://elsewhere.example/x.png)",
    ":red[x] :smile: :material/face: -> $x$ `y` **z**",
    "'; DROP TABLE lags; --",
    "%00%0a",
    "../../etc/passwd",
    "{{7*7}}${7*7}",
    "a" * 10_000,
)


def examples(part, whole):
    """How many examples: a part of them, or with GRADFLOW_WHOLE in the environment all."""
    many = {"max_examples": whole if WHOLE else part, "derandomize": not WHOLE}
    return settings(**many, deadline=None, database=None, suppress_health_check=list(HealthCheck))


texts = st.sampled_from(NASTY) | st.text(st.characters(), max_size=20) | st.floats().map(repr) | st.integers().map(str)


def values(name):
    """Texts for a field of a link: good ones, ones that are off, and any."""
    if name in RANGES:
        low, high, step = RANGES[name]
        inside = st.integers(0, round((high - low) / step)).map(lambda k: f"{low + k * step:.10g}")
        off = st.floats(low - 1, high + 1).map(repr)
        return inside | off | texts | (st.just(INITIAL) if name in scenario.GATE_FIELDS else st.nothing())
    gates = ("all", *dict.fromkeys(gate for cell in CHOICES["cell"] for gate in gate_names(cell)))
    choices = {**CHOICES, "preset": (*PRESETS, CUSTOM), "gate": gates, "text": ("abc", "Ünï")}
    choices["kept"] = ("preset=GRU", "gain=2&cell=gru", "gain=2&gain=3", "gain=99", "x=1", "text=&gain=1")
    return st.sampled_from(choices.get(name, ("true", "false"))).map(str) | texts


@st.composite
def links(draw, names=NAMES, most=6):
    """A link, name -> text: some fields, and names that no link has."""
    chosen = draw(st.lists(st.sampled_from(names), unique=True, max_size=most))
    params = {name: draw(values(name)) for name in chosen}
    return params | draw(st.just({}) | st.dictionaries(texts.map(lambda text: f"x{text[:30]}"), texts, max_size=2))


jsons = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
reports = (
    jsons
    | st.fixed_dictionaries(
        {
            "values": st.dictionaries(st.sampled_from([*NAMES, "x"]), jsons | st.floats() | st.just(10**400)),
            "turn": st.integers() | jsons,
            "held": st.none() | st.sampled_from(NAMES) | jsons,
        },
        optional={"playing": st.none() | st.sampled_from([*RANGES, "x"]) | jsons, "more": jsons},
    )
    | st.fixed_dictionaries(
        {
            "values": st.dictionaries(st.sampled_from([*RANGES]), st.floats(-1, 300)),
            "turn": st.integers(1, 9),
            "held": st.none() | st.sampled_from([*RANGES]),
            "playing": st.none() | st.sampled_from([*RANGES]),
        }
    )
)


@st.composite
def scenarios(draw):
    """Any scenario that a link can carry."""
    values = {name: draw(st.sampled_from(choices)) for name, choices in scenario.CHOICES.items()}
    for name, limits in scenario.RANGES.items():
        steps = round((limits.high - limits.low) / limits.step)
        values[name] = limits.snap(limits.low + draw(st.integers(0, steps)) * limits.step)
    values |= dict.fromkeys(draw(st.sets(st.sampled_from(scenario.GATE_FIELDS))))  # as initialised
    values |= {name: draw(st.booleans()) for name, default in vars(Scenario()).items() if isinstance(default, bool)}
    values["gate"] = draw(st.sampled_from(("all", *scenario.gate_names(values["cell"]))))
    values["text"] = draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=scenario.MAX_HORIZON))
    return Scenario(**values)
