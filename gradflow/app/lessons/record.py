"""What a lesson is made of."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from gradflow.app.counterexample import difference
from gradflow.app.measurement import Measurement
from gradflow.app.ranges import Range
from gradflow.app.scenario import Scenario
from gradflow.app.view import View

STANCES = {"statement": "A statement", "claim": "A claim people make: is it so?"}  # said before the quoted sentence
WORDS_OF = {  # stance -> what a verdict on it may say -> its colour
    "statement": {"holds": "green", "holds when": "green", "stops where": "red", "does not say": "blue"},
    "claim": {"true": "green", "true when": "green", "false": "red", "false when": "red"},
}
REMEDY_WORDS = {"cost of": "orange"}
COLOURS = {word: colour for words in (*WORDS_OF.values(), REMEDY_WORDS) for word, colour in words.items()}


class Guess(NamedTuple):
    """What a person predicts before anything is shown: one of `options`, or a number of `range`."""

    question: str
    answer: Callable[[Measurement], float]  # measurement -> index of the option, or the number
    options: tuple[str, ...] = ()
    range: Range | None = None
    near: float = 0.0  # a number this close counts as right
    why: tuple[str, ...] = ()  # one sentence an option on why it is not so; "" for the right one

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the largest that can be predicted."""
        return self.range[:2] if self.range else (0, len(self.options) - 1)


class Evidence(NamedTuple):
    """Whether a verdict is true, and the numbers it rests on."""

    true: bool
    numbers: str


class Example(NamedTuple):
    """Another network to look at, by a button."""

    label: str
    scenario: Scenario
    says: str  # what there is to see
    view: View | None = None  # None: the lesson's


class Verdict(NamedTuple):
    """How the sentence fares, and in which case."""

    word: str  # of `WORDS_OF`, those of the lesson's stance; of a remedy one of `REMEDY_WORDS`
    case: str
    evidence: Callable[[], Evidence]  # () -> Evidence
    waits: bool = False  # for the lesson's `Trial`


class Trial(NamedTuple):
    """What takes so long that a person is asked first; the verdicts and the dots that wait rest on it."""

    says: str  # what will be done, and how long that takes
    label: str  # of the button
    done: Callable[[], bool]  # () -> whether it is, in this process
    run: Callable[[], Iterator[float]]  # () -> iterator of the part that is done, from 0 to 1


class Dots(NamedTuple):
    """Single draws as dots under the verdicts, where a median would hide that there are two kinds of them."""

    groups: Callable[
        [], Iterable[tuple[str, str, tuple[float, ...]]]
    ]  # () -> ((label, kind, values), …), the fields of `charts.draws.Draws`
    title: str  # of the chart
    axis: str
    log: bool = False  # the values are natural logarithms
    reference: float | None = None  # a plain number, drawn as a dashed line
    says: str = ""  # what there is to see
    beyond: str = "overflow"  # what an infinite value is called
    waits: bool = False  # for the lesson's `Trial`


@dataclass(frozen=True)
class Lesson:
    """One sentence, from judging it to knowing where it ends; texts are Markdown."""

    title: str
    stance: str  # of `STANCES`
    claim: str  # the sentence
    prose: str | Callable[[Scenario], str]  # or scenario -> text, where it has numbers that a control moves
    scenario: Scenario
    view: View
    controls: tuple[str, ...]  # the ranges that stay live
    guess: Guess
    reveal: Callable[[Measurement, View], str]  # (measurement, view) -> what was measured, in plain words
    conclusion: str
    verdicts: tuple[Verdict, ...]
    examples: tuple[Example, ...]  # the last is the counter-example
    try_this: str
    sources: tuple[tuple[str, str], ...]  # (what, what was taken from it)
    remedies: tuple[Verdict, ...] = ()  # what people do about it, and the bias it costs
    # "clipping", "truncation": what these change, beside the remedies; "laws", "turning": beside the draws
    curves: tuple[str, ...] = ()
    draws: Dots | None = None
    reveal_in_chaos: Callable[[Measurement, View], str] | None = (
        None  # what takes the place of `reveal` there; None: the reading's own sentence
    )
    trial: Trial | None = None
    shows: str = ""  # a chart of its own under the picture, once it is revealed: "trained"
    ends_in: str = ""  # what else there is to try: "layers", or to train: "biases", "gains"

    def text(self, scenario: Scenario) -> str:
        """The prose beside the picture of this scenario."""
        return self.prose(scenario) if callable(self.prose) else self.prose

    def asks(self, scenario: Scenario) -> tuple[str, ...]:
        """All that is read before something is revealed."""
        return self.claim, self.text(scenario), self.guess.question, *self.guess.options

    def headline(self, measurement: Measurement, view: View, at_rest: bool = True) -> str:
        """The sentence over the picture; where nothing moves it is asked whether the network is chaotic, or nearly."""
        reading = measurement.chaos_checked if at_rest else measurement.reading
        if measurement.overflow is not None or (reading.near_chaos and not self.reveal_in_chaos):
            return reading.verdict
        reveal = self.reveal_in_chaos if reading.chaotic and self.reveal_in_chaos else self.reveal
        return reveal(measurement, view)

    def changes(self, scenario: Scenario) -> str:
        """How a scenario differs from the lesson's own, in words: "gain 1.00 → 12.00"; "" where nothing does."""
        return "" if scenario == self.scenario else difference(self.scenario, scenario, most=None)

    def strays(self, scenario: Scenario) -> bool:
        """Whether it differs in more than the lesson's controls can move, so that its text is of another network."""
        mine = {*self.controls, "time"}  # a click on the map moves the time
        before, after = vars(self.scenario), vars(scenario)
        return any(before[name] != after[name] for name in before if name not in mine)


def stops(scenario: Scenario, says: str, label: str = "Show where it stops") -> Example:
    """The counter-example: where the sentence stops being so; or, under another label, what it does not say."""
    return Example(label, scenario, says)
