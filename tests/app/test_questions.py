"""Questions people ask: every figure is measured again, and every link opens what it says."""

import math
import re
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest

from gradflow.app.lessons import QUESTIONS
from gradflow.app.measurement import measure
from gradflow.app.scenario import RECALL_LAG, gate_names
from gradflow.app.url_codec import parse, parse_view
from gradflow.reading import number, share
from gradflow.weights import spectrum
from support.apptest_page import checked, new_page, notices, shown, view_of

TEXT = QUESTIONS.read_text("utf-8")
SECTIONS = {int(part.split(".")[0]): part for part in re.split(r"^## (?=\d)", TEXT, flags=re.MULTILINE)[1:]}


def links(section):
    """The parameters of every link into the app."""
    found = re.findall(r"\]\(http://localhost:8501/\?(.*?)\)", section)
    return [dict(parse_qsl(query)) for query in found]


def figures(section):
    """What is set in bold, and so measured."""
    return re.findall(r"\*\*(.+?)\*\*", section)


def pace(m):
    return number(math.log(m.reading.pace))


def memory(m):
    return str(m.reading.memory)


def far(m):
    return number(math.log(m.reading.far_share))


def ratio(log_a, log_b):
    return number(log_a - log_b)


def total(m):
    return number(m.reading.log_sum)


def whole(m):
    """‖dC(t)/dW‖ of the one shared weight, by automatic differentiation alone."""
    return number(math.log(np.linalg.norm(np.asarray(getattr(m.whole, m.scenario.weight), float))))


def missing(m, kept=20):
    return number(m.log_missing[kept])


def credit(m):
    """The share of the terms' total size at the lag that the recall task asks for."""
    return number(math.log(share(m.log_row)[RECALL_LAG]))


def stretch(m):
    sigma, radius = spectrum(m.scenario.weights(), gate_names(m.scenario.cell))["hidden"]
    return f"{sigma:.2f}", f"{radius:.2f}"


MEASURED = {  # question -> (measurement of each link …) -> its figures in the order in which they stand
    1: lambda m: [pace(m)],
    2: lambda m, cell_path: [pace(m), pace(cell_path)],
    3: lambda m: [ratio(m.log_partial[-1], m.log_row[0])],
    4: lambda short, long: [credit(short), credit(long)],
    5: lambda m: [str(np.isfinite(m.log_row).sum()), total(m), whole(m)],
    6: lambda m: [ratio(m.log_partial[-1], m.log_row[0]), far(m)],
    7: lambda m: [memory(m), far(m)],
    8: lambda kept, new: [pace(kept), pace(new)],
    9: lambda m: [pace(m)],
    10: lambda short, long: [missing(short), missing(long)],
    11: lambda m: [*stretch(m), pace(m)],
    12: lambda tanh, relu: [total(tanh), total(relu)],
    13: lambda m: [str(sum(range(len(m.cost) + 1)))],
    14: lambda zero, one, three: [memory(zero), memory(one), memory(three)],
    15: lambda m: [pace(m)],
    16: lambda m: [ratio(m.log_partial[-1], m.log_row[0]), ratio(m.log_row[99], m.log_row[0])],
    17: lambda a, b: [memory(a), memory(b)],
    18: lambda m: [str(m.overflow)],
    19: lambda m: [ratio(m.log_row[0], m.log_partial[-1])],
    20: lambda m: [pace(m), number(math.log(m.reading.coherence))],
    21: lambda m: [total(m), far(m)],
    22: lambda m: [pace(m)],
    23: lambda half, open_: [ratio(m.log_row[40], m.log_row[0]) for m in (half, open_)],
}


def test_every_question_has_an_answer_with_a_figure_a_link_and_where_it_was_asked():
    assert [*SECTIONS] == [*MEASURED] == [*range(1, len(SECTIONS) + 1)] and len(SECTIONS) >= 20
    for section in SECTIONS.values():
        title, answer, *rest = section.strip().split("\n\n")
        assert title.endswith("?") and figures(answer) and links(section)
        assert len(re.findall(r"[.!?](?= [A-Z‖δ]|$)", answer.replace("\n", " "))) == 2, f"not two sentences: {answer}"
        (below,) = rest
        assert below.startswith("[Open it") and "asked" in below


@pytest.mark.slow
@pytest.mark.parametrize("question", SECTIONS)
def test_every_figure_is_measured_again(question):
    measured = []
    for params in links(SECTIONS[question]):
        scenario, _, notices = parse(params)
        assert not notices and not parse_view(params)[1]
        measured.append(measure(scenario))
    assert MEASURED[question](*measured) == figures(SECTIONS[question])


@pytest.mark.slow
@pytest.mark.parametrize("question", SECTIONS)
def test_every_link_opens_what_it_says(question):
    for params in links(SECTIONS[question]):
        at = new_page()
        at.query_params.update(params)
        checked(at.run())
        assert not notices(at) and (shown(at), view_of(at)) == (parse(params)[0], parse_view(params)[0])


def test_every_address_is_one_of_the_web():
    for section in SECTIONS.values():
        for address in re.findall(r"\]\((.*?)\)", section):
            parts = urlsplit(address)
            assert parts.scheme in ("http", "https") and parts.netloc and " " not in address
