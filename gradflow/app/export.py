"""What a person takes away from the page: the scenario as a file and back, its numbers, and the Python behind them.

`to_json` and `from_json` are each other's inverse. A file can come from anyone, so whatever is wrong with one is a
`ValueError` of one sentence.
"""

import json
from dataclasses import asdict, fields
from io import BytesIO

import numpy as np

from gradflow.app.measurement import measure
from gradflow.app.ranges import Range
from gradflow.app.scenario import CHOICES, GATE_FIELDS, RANGES, TEXT_LENGTH, Scenario, defaults, gate_names
from gradflow.app.url_codec import read, short, write

KIND, VERSION = "scenario", 1
LIMIT = 64 * 1024  # bytes of a file that is read

# What the file of numbers holds. A stem ending in "_" stands for one array a gate.
CONTENTS = {
    "log_terms": "log ‖dC(t)/dW(t−u)‖ at [t, u], [T, T]; −inf where u > t",
    "log_sums": "log ‖Σ_u dC(t)/dW(t−u)‖, the gradient of C(t) by the shared weight, [T]",
    "log_residual": "log ‖dC(t)/dh(t)‖, [T]",
    "cost": "C(t), no logarithm, [T]",
    "t": "the chosen time, 0-based",
    "log_row": "the terms of the chosen t by lag, [t+1]",
    "log_partial": "log ‖Σ_{u'≤u} dC(t)/dW(t−u')‖ of the chosen t, [t+1]",
    "gate_": "how open each sigmoid gate is, mean over the units, in [0, 1], [T]",
    "labels": "what was read at each step, [T] texts",
    "overflow": "first step whose forward pass is not finite, −1 if none",
    "underflow": "first step at which a state was flushed to zero, −1 if none",
    "regime": "the name of what δ of the chosen t does from lag to lag",
    "pace": "what one more step back multiplies ‖δ‖ by, fitted to all lags",
    "pace_steady": "whether one factor describes all lags",
    "term_pace": "what one more step back multiplies a term by, fitted to all non-zero terms",
    "memory": "the fewest nearest lags that hold 90 % of Σ‖term‖",
    "far_share": "share of Σ‖term‖ from the lags ≥ (t+1)//2",
    "coherence": "‖Σ term‖ / Σ‖term‖, what is left of the terms when they are added",
    "log_sum": "log ‖Σ term‖ of the chosen t",
    "growth_shape": "how ‖Σ‖ grows with t",
    "growth_slope": "what one more step of horizon adds to its log",
    "growth_power": "it grows like t to this power",
    "growth_by_error_shape": "how ‖Σ‖ / ‖dC(t)/dh(t)‖ grows with t",
    "growth_by_error_slope": "what one more step of horizon adds to its log",
    "growth_by_error_power": "it grows like t to this power",
    "chaotic": "whether a change of the weights in their last digits moves a state by more than a hundredth",
    "near_chaos": "whether it moves one by so much that rounding may move the gradient by some per cent",
    "verdict": "the sentence on the page",
    "scenario": "what was set, as JSON; the page opens it",
}
UNITS = "Logarithms are natural; −inf is an exact zero; NaN follows an overflow of the forward pass."


def to_json(scenario: Scenario) -> str:
    """A scenario as a readable JSON document, every field with its typed value."""
    document = {"gradflow": KIND, "version": VERSION, "scenario": asdict(scenario)}
    return json.dumps(document, ensure_ascii=False, indent=2)


def from_json(data: bytes | str) -> Scenario:
    """Read what `to_json` wrote.

    Args:
        data: the file, bytes or text; at most 64 kB of UTF-8. A missing field has its default, see `scenario.defaults`.

    Returns:
        `Scenario`.

    Raises:
        ValueError: names what is wrong, its value and what is valid.
    """
    document = _parsed(data)
    if not isinstance(document, dict):
        raise _refusal("the file", _shown(document), "an object with gradflow, version and scenario")
    at = lambda name: _shown(document[name]) if name in document else "missing"
    marks = {"gradflow": KIND, "version": VERSION}
    for name, only in marks.items():
        if at(name) != _shown(only):
            raise _refusal(name, at(name), f"{_shown(only)}, the only one known")
    _refuse_unknown("the file", document, (*marks, "scenario"))
    given = document.get("scenario")
    if not isinstance(given, dict):
        raise _refusal("scenario", at("scenario"), f"an object with any of {', '.join(vars(Scenario()))}")
    _refuse_unknown("scenario", given, vars(Scenario()))
    first = lambda name: _value(name, given.get(name, getattr(Scenario, name)), getattr(Scenario, name))
    cell, missing = first("cell"), defaults(first("init"))
    return Scenario(**missing | {name: _value(name, raw, missing[name], cell) for name, raw in given.items()})


def archive(scenario: Scenario, /, **arrays: np.ndarray) -> bytes:
    """Everything the page shows of a scenario, as an .npz file that `np.load` opens without pickle.

    Args:
        scenario: `Scenario`; it is measured.
        arrays: more to put into the file, name -> array.

    Returns:
        bytes. The names are those of `CONTENTS`, and `readme`, which says what each is.

    Raises:
        ValueError: a name that is taken, or an array of Python objects.
    """
    m = measure(scenario)
    reading = m.chaos_checked
    growths = {"growth": reading.growth, "growth_by_error": reading.growth_by_error}
    found = {
        **vars(m),
        **vars(reading),
        **{f"{of}_{name}": value for of, growth in growths.items() for name, value in growth._asdict().items()},
        "overflow": -1 if m.overflow is None else m.overflow,
        "underflow": -1 if m.underflow is None else m.underflow,
        "scenario": to_json(scenario),
    }
    own = {name: found[name] for name in CONTENTS if name in found}
    own |= {f"gate_{name}": openness for name, openness in m.gates.items()}
    about = [f"{name}{'*' if name.endswith('_') else ''}: {what}" for name, what in CONTENTS.items()]
    own["readme"] = "\n".join([UNITS, *about, *([f"Beside these: {', '.join(arrays)}"] if arrays else [])])
    for name in arrays:
        if name in own or name in ("file", "allow_pickle"):  # the latter two are NumPy's own arguments
            raise ValueError(f"{name} is taken; another array must not be named file, allow_pickle, {', '.join(own)}")
    file = BytesIO()
    np.savez_compressed(file, allow_pickle=False, **own, **arrays)
    return file.getvalue()


def python(scenario: Scenario) -> str:
    """The Python that computes what the page shows of a scenario, to be pasted into a fresh interpreter.

    Returns:
        Lines without blocks, which an interactive session takes as they are. They print the terms at the nearest
        lags, their sum and what the verdict rests on, each after its name, and the verdict.
    """
    values, horizon = asdict(scenario), scenario.horizon
    given = [
        f"{field.name}={values[field.name]!r}" for field in fields(Scenario) if values[field.name] != field.default
    ]
    call, others = ", ".join(given), "every other field" if given else "every field"
    if len(call) > 60:
        call = "".join(f"\n    {line}," for line in given) + "\n"
    rows = f"{scenario.weight!r}, gate={None if scenario.gate == 'all' else scenario.gate!r}"
    path = ", cell_path_only=True" if scenario.truncated else ""
    return f"""\
# Start Python where gradflow can be imported, for example in its repository.
import numpy as np
import gradflow as gf
from gradflow import reading
from gradflow.app.measurement import measure
from gradflow.app.scenario import Scenario

np.seterr(invalid='ignore')  # numbers are NaN from the step on at which the forward pass overflows

scenario = Scenario({call})  # {others} has its default
T = scenario.horizon  # {horizon} steps
t = min(scenario.time, T - 1)  # {min(scenario.time, horizon - 1)}, 0-based

# The layer and its sequence. Steps after the horizon change nothing before it.
weights = scenario.weights()  # weight_ih, weight_hh, bias_ih, bias_hh in PyTorch's shapes
data = scenario.data()
inputs, targets = data.inputs[:T], data.targets[:T]
pins = {{gate: values[:T] for gate, values in scenario.pins().items()}}  # NaN: the network decides

# Every dC(t)/dW(t-u) by lag u, as the natural logarithm of its norm; -inf is an exact zero.
lags = gf.lag_terms({scenario.cell!r}, weights, inputs, scenario.readout(), targets, t, pins=pins{path})
terms = lags.log_terms({rows})
total = lags.log_partial_sums({rows})[-1]
sent_back = lags.log_delta({rows})

print('lags:', len(terms), 'of which not zero:', np.isfinite(terms).sum())
print('log of the terms at lags 0, 1, 2 ...:', *(f'{{term:.6g}}' for term in terms[:6]))
print(f'log of the sum of their norms: {{np.logaddexp.reduce(terms):.6g}}')
print(f'log of the norm of their sum: {{total:.6g}}, which is the log of', reading.number(total))
print(f'pace of the error sent back, from one lag to the next: {{reading.per_step_factor(sent_back).factor:.6g}}')
print('nearest lags that hold 90 % of the norms:', 0 if np.isnan(total) else reading.memory(terms))

# The sentence on the page.
print(measure(scenario).chaos_checked.verdict)
"""


def _parsed(data):
    """Any JSON value; all its numbers are floats, and no object names a key twice."""
    data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(data) > LIMIT:
        raise _refusal("the file", f"{len(data)} bytes long", f"at most {LIMIT} bytes (64 kB)")
    try:
        return json.loads(data.decode("utf-8-sig"), parse_int=float, object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise _refusal("the file", f"not UTF-8 at byte {error.start}", "JSON text in UTF-8") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise _refusal("the file", f"not JSON ({where})", "what the page saved") from None
    except RecursionError:
        raise _refusal("the file", "nested too deeply", "an object in an object") from None


def _unique(pairs):
    found = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{_shown(name)} is there twice, again as {_shown(value)}; it must be there once")
        found[name] = value
    return found


def _refuse_unknown(where, given, known):
    for name in given:
        if name not in known:
            raise ValueError(
                f"{_shown(name)} is {_shown(given[name])}; {where} has no such field, only {', '.join(known)}"
            )


def _value(name, raw, default, cell=Scenario.cell):
    """One field, if it has the type of its default and is allowed exactly as it is."""
    choices = ("all", *gate_names(cell)) if name == "gate" else CHOICES.get(name)
    allowed = choices or RANGES.get(name)
    kind = type(default) if isinstance(default, (bool, str)) else float
    if raw is None and name in GATE_FIELDS:
        return None
    if type(raw) is kind and (allowed or kind is bool):
        value, notice = read(name, write(raw), default, allowed)
        if notice is None:
            return value
    elif type(raw) is kind and isinstance(raw, str) and raw.encode("utf-8", "ignore").decode() == raw:
        return raw
    if isinstance(allowed, Range):
        valid = f"a number between {allowed.low:g} and {allowed.high:g} in steps of {allowed.step:g}"
        if type(raw) is float and raw == raw:
            valid += f", the nearest is {allowed.snap(raw):g}"
        if name in GATE_FIELDS:
            valid += ", or null: as initialised"
    elif allowed:
        valid = f"one of {', '.join(map(write, allowed))}"
    else:
        valid = "true or false" if kind is bool else f"a text of 1 to {TEXT_LENGTH} whole characters"
    raise _refusal(name, _shown(raw), valid)


def _refusal(name, given, valid):
    return ValueError(f"{name} is {given}; it must be {valid}")


def _shown(value):
    """A JSON value for a sentence: at most 40 characters, all of which can be drawn."""
    if isinstance(value, (list, dict)):
        return "an object" if isinstance(value, dict) else "a list"
    return "null" if value is None else short(repr(value) if isinstance(value, str) else write(value))
