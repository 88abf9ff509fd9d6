"""What a lesson is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from gradflow.fields import Range
from gradflow.look import Look
from gradflow.scenario import Scenario


class Guess(NamedTuple):
    """What a person predicts before anything is shown: one of `options`, or a number of `range`."""

    question: str
    answer: Callable  # measurement -> index of the option, or the number
    options: tuple[str, ...] = ()
    range: Range | None = None
    near: float = 0.0  # a number this close counts as right


class Evidence(NamedTuple):
    """Whether a verdict is true, and the numbers it rests on."""

    true: bool
    numbers: str


class Example(NamedTuple):
    """Another network to look at, by a button."""

    label: str
    scenario: Scenario
    says: str  # what there is to see


class Verdict(NamedTuple):
    """How the claim fares, and in which case."""

    word: str  # "holds", "holds if", "fails when", "fails"; of a remedy "cost of"
    case: str
    evidence: Callable  # () -> Evidence


@dataclass(frozen=True)
class Lesson:
    """One claim, from judging it to knowing where it ends; texts are Markdown."""

    title: str
    claim: str
    prose: str  # 60 to 120 words
    scenario: Scenario
    look: Look
    controls: tuple[str, ...]  # the ranges that stay live
    guess: Guess
    reveal: Callable  # (measurement, look) -> what was measured, in plain words
    conclusion: str
    verdicts: tuple[Verdict, ...]
    examples: tuple[Example, ...]  # the last is the counter-example
    try_this: str
    sources: tuple[tuple[str, str], ...]  # (what, what was taken from it)
    remedies: tuple[Verdict, ...] = ()  # what people do about it, and the bias it costs
    curves: tuple[str, ...] = ()  # of what these change in the gradient: "clipping", "truncation"
    ends_in: str = ""  # what else there is to try: "layers", "learning"


def stops(scenario, says):
    """The counter-example: where the claim stops holding."""
    return Example("Show where it stops", scenario, says)
