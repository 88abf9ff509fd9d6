"""Lessons: judge a claim, test it on the real engine, see it settled with numbers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any, Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from gradflow.app import session
from gradflow.app.components.range_slider import live_ranges
from gradflow.app.errors import notice
from gradflow.app.feedforward_demo import FIELDS, layers
from gradflow.app.lessons import LESSONS, QUESTIONS, TEACHING
from gradflow.app.lessons.record import COLOURS, STANCES, Dots, Guess, Lesson, Trial
from gradflow.app.lessons.trained import MEASURED
from gradflow.app.lessons.words import explained
from gradflow.app.live_chart import draw_chart, draw_picture, get_ready, inject_css
from gradflow.app.live_training import TURN, learning, visitor
from gradflow.app.measurement import Measurement, measure
from gradflow.app.memory import make_room
from gradflow.app.navigation import carrier
from gradflow.app.scenario import Scenario
from gradflow.app.state import Replaced
from gradflow.app.url_codec import short
from gradflow.app.view import View

HERE = Path(__file__).parent
BADGES = {"statement": "blue", "claim": "violet"}  # stance -> colour
Answers = dict[int, float]  # lesson -> what was predicted


def page() -> None:
    number, unknown = chosen()
    answers, unread = read_answers()
    lesson = LESSONS[number - 1]
    asked = {name: text for name, text in session.state().address.items() if name in session.names()}
    if asked in ({}, {"stage": "true"}, {"stage": "false"}):
        session.dispatch(begun(lesson, stage=asked.get("stage") == "true"))
    notices = [*unknown, *unread, *session.read_link("lesson", "answers", *FIELDS)]
    stage = session.state().view.stage
    inject_css(stage)
    st.html(HERE / "lessons.css")
    if stage:
        st.html(HERE / "lessons_stage.css")
    notice(notices)
    carry = path(number, answers)
    with st.container(key="claim"):
        st.header(f"{number}. {lesson.title}", anchor=False)
        st.markdown(f"> :{BADGES[lesson.stance]}-badge[{STANCES[lesson.stance]}] {lesson.claim}")
    revealed = number in answers
    if revealed:
        get_ready(session.state().scenario, "status_before").empty()  # what follows measures before the picture does
    left, right = st.columns([2, 1], gap="medium")
    handout(number)
    with right:
        if revealed:
            settled(lesson, number, answers)
            ranges = st.container(key="lesson_ranges")
        with st.popover("The text", type="tertiary") if stage else st.container():  # on a stage the teacher says it
            prose = st.empty()
        prose.markdown(beside(lesson, session.state().scenario))
        words_used(st, *lesson.asks(session.state().scenario))
        if not revealed:
            ask(lesson, number, answers)
            ranges = st.container(key="lesson_ranges")

    def draw(target):
        with ranges:
            live_ranges("ranges", lesson.controls, play=revealed, target=target)

    def also(measurement, view):
        carry()
        if callable(lesson.prose):
            prose.markdown(beside(lesson, measurement.scenario))
        if remedy is not None:
            truncation(remedy, measurement)

    with left:
        picture = st.container(key="picture")
        if revealed:
            examples(lesson)
    with st.container(key="evidence"):
        if revealed and lesson.shows:
            trained()
        remedy = conclude(lesson) if revealed else None
        rest = st.container()
    with picture:
        draw_picture(draw, also, number, revealed, large=stage)
    with rest:
        if revealed and lesson.ends_in:
            layers() if lesson.ends_in == "layers" else learning(lesson.ends_in)
        if number == len(LESSONS):
            summary(answers)
            questions()


def summary(answers: Answers) -> None:
    """What the lessons have shown, with every prediction; measured once a person opens it."""
    told = st.expander("What you now know", key="summary", on_change="rerun")
    if not told.open:
        return
    with told:
        for number, lesson in enumerate(LESSONS, 1):
            said = "You have not judged this one."
            if number in answers:
                right, yours, truth = judged(lesson, answers[number])
                said = f"You said: {yours}. So it is." if right else f"You said: {yours}. Measured: {truth}."
            st.markdown(f"**{number}. {lesson.title}.** {lesson.conclusion} :gray-badge[{said}]")
        st.markdown("Go on in Explore with any network above, with the questions below, or with a network of your own.")


def questions() -> None:
    """What people ask, with answers whose links open here."""
    with st.expander("Questions people ask"):
        _, _, asked = QUESTIONS.read_text(encoding="utf-8").partition("## ")
        st.markdown(f"##### {asked}".replace("\n## ", "\n##### ").replace("http://localhost:8501/?", "./?"))


def beside(lesson: Lesson, scenario: Scenario) -> str:
    """The text beside the picture; where that shows another network than the lesson's, how it differs comes first."""
    if not lesson.strays(scenario):
        return lesson.text(scenario)
    other = (
        f"**Another network than the lesson's:** {lesson.changes(scenario)}. What follows is about the lesson's own."
    )
    return f"{other}\n\n{lesson.text(lesson.scenario)}"


def words_used(where: Any, *texts: str) -> None:
    """What the words of these texts mean, behind a button that names them."""
    found = explained(*texts)
    if found:
        named = ", ".join(each.split("**")[1] for each in found)
        with where.popover(f"Words: {named}", type="tertiary"):
            st.markdown("\n".join(f"- {each}" for each in found))


def chosen() -> tuple[int, list[str]]:
    """The lesson that the address bar names, the first where it names none, and notices."""
    raw = session.state().address.get("lesson", "1")
    if raw in map(str, range(1, len(LESSONS) + 1)):
        return int(raw), []
    session.put("lesson", "1")
    return 1, [f"lesson “{short(raw)}” is not one of 1 to {len(LESSONS)}; it is now 1."]


def read_answers() -> tuple[Answers, list[str]]:
    """What was predicted, lesson -> number, and notices; what cannot be read is left out."""
    raw = session.state().address.get("answers", "")
    answers, wrong = {}, []
    for part in raw.split(",") if raw else ():
        lesson, _, guess = part.partition(":")
        try:
            number, value = int(lesson), float(guess)
        except ValueError:
            number = 0
        if number not in range(1, len(LESSONS) + 1) or number in answers:
            wrong.append(f"“{short(part)}” is not a lesson from 1 to {len(LESSONS)}, once, a colon and a number")
        elif not valid(LESSONS[number - 1].guess, value):
            low, high = LESSONS[number - 1].guess.limits
            wrong.append(f"“{short(part)}” is not between {low:g} and {high:g}")
        else:
            answers[number] = value
    if "answers" in session.state().address and raw != written(answers):
        write_answers(answers)
    return answers, [f"answers: {wrong[0]}; {len(wrong)} left out."] if wrong else []


def valid(guess: Guess, value: float) -> bool:
    low, high = guess.limits
    return low <= value <= high and (not guess.options or value == int(value))


def written(answers: Answers) -> str:
    return ",".join(f"{number}:{value:g}" for number, value in sorted(answers.items()))


def write_answers(answers: Answers) -> None:
    session.put("answers", written(answers))


def open_lesson(number: int) -> None:
    session.put("lesson", str(number))
    session.dispatch(begun(LESSONS[number - 1]))


def begun(lesson: Lesson, stage: bool | None = None) -> Replaced:
    """What puts a lesson's own scenario and view in place of the present ones; stage: as in `seen`."""
    return Replaced(lesson.scenario, seen(lesson.view, stage), undoable=False)


def seen(view: View, stage: bool | None = None) -> View:
    """A view of a lesson, on a stage or not; None: as the present one."""
    return replace(view, stage=session.state().view.stage if stage is None else stage)


def path(number: int, answers: Answers) -> Callable[[], None]:
    """The way from the first lesson to the last, and to Explore, which `carrier` returns."""
    with st.container(horizontal=True, vertical_alignment="center", key="path"):
        last = len(LESSONS)
        back: dict[str, Any] = {"args": (number - 1,), "disabled": number == 1, "shortcut": "PageUp"}
        st.button("◀", on_click=session.callback(open_lesson), help="The lesson before.", **back)
        for k, lesson in enumerate(LESSONS, 1):
            kind: Literal["primary", "secondary"] = "primary" if k == number else "secondary"
            label = f"{k} ✓" if k in answers else str(k)
            st.button(
                label,
                on_click=session.callback(open_lesson),
                args=(k,),
                type=kind,
                help=lesson.title,
                key=f"lesson_{k}",
            )
        on: dict[str, Any] = {"args": (number + 1,), "disabled": number == last, "shortcut": "PageDown"}
        st.button("▶", on_click=session.callback(open_lesson), help="The next lesson.", **on)
        for_class(number)
        session.switch("stage")
        return carrier()


def for_class(number: int) -> None:
    """What a teacher takes along: the lesson's address to scan and to embed, and notes."""
    with st.popover("For class", type="tertiary"):
        code, address = st.columns([1, 2])
        code.html(f'<img class="code" src="{escape(qr_code(address_of(number)))}" alt="The code of this lesson">')
        with address:
            st.caption("This lesson from its beginning, to scan or to send")
            st.code(address_of(number), language=None, wrap_lines=True)
            st.caption("In a slide")
            frame = f'<iframe src="{escape(address_of(number))}&amp;embed=true" width="1280" height="720"></iframe>'
            st.code(frame, language="html", wrap_lines=True)
        st.markdown(notes(number))
        st.caption("The browser prints this lesson as one page, with its code.")


def handout(number: int) -> None:
    """What is on paper alone: where this page is."""
    address = address_of(number)
    st.html(
        f'<div class="handout"><img src="{escape(qr_code(address))}" alt="The code of this lesson">'
        f"<span>{escape(address)}</span></div>"
    )


def address_of(number: int) -> str:
    """A link to a lesson as it begins."""
    return f"{st.context.url or ''}?lesson={number}"


@lru_cache(maxsize=64)
def qr_code(text: str) -> str:
    """A text as a QR code, a data URL of an image."""
    import segno

    return segno.make(text, error="m").svg_data_uri(scale=4, border=2, light="white")


def notes(number: int) -> str:
    """What `TEACHING.md` says of a lesson: Markdown."""
    _, _, rest = TEACHING.read_text(encoding="utf-8").partition(f"## Lesson {number}\n")
    return rest.partition("\n## ")[0].strip()


def ask(lesson: Lesson, number: int, answers: Answers) -> None:
    """The prediction, and the button that ends the waiting."""
    guess = lesson.guess
    st.markdown(f"**Your prediction.** {guess.question}")
    how: dict[str, Any] = {"label": guess.question, "label_visibility": "collapsed", "key": f"guess_{number}"}
    value: float | None
    if guess.range is None:
        value = st.radio(options=range(len(guess.options)), format_func=guess.options.__getitem__, index=None, **how)
    else:
        low, high, step = guess.range
        value = st.slider(min_value=low, max_value=high, value=type(step)((low + high) / 2), step=step, **how)

    def reveal():
        if value is not None:
            write_answers(answers | {number: float(value)})

    st.button("Show what is measured", on_click=session.callback(reveal), type="primary", disabled=value is None)


def settled(lesson: Lesson, number: int, answers: Answers) -> None:
    """The prediction against the measurement."""
    guess, said = lesson.guess, answers[number]
    with st.spinner("Measuring. This happens once."):
        right, yours, truth = judged(lesson, said)
    st.markdown(f"**Your prediction.** {guess.question}")
    if right:
        st.success(f"You said {yours}. Measured: {truth}." if not guess.options else f"You said: {yours}. So it is.")
    else:
        why = f" {guess.why[int(said)]}" if guess.why else ""
        st.info(f"You said: {yours}. Measured: {truth}.{why}")

    def again():
        write_answers({k: value for k, value in answers.items() if k != number})

    st.markdown(f"**What follows.** {lesson.conclusion}")
    st.markdown(f"**Try this.** {lesson.try_this}")
    st.button("Judge again", on_click=session.callback(again))


def judged(lesson: Lesson, said: float) -> tuple[bool, str, str]:
    """Whether a prediction is right, what it says, and what is measured."""
    guess, found = lesson.guess, lesson.guess.answer(measure(lesson.scenario))
    if guess.options:
        return said == found, guess.options[int(said)], guess.options[int(found)]
    return abs(said - found) <= guess.near, f"{said:g}", f"{found:.3g}"


def examples(lesson: Lesson) -> None:
    """Other networks for the picture above, the way back, and what each changes."""
    with st.container(key="examples"):
        with st.container(horizontal=True):
            for label, scenario, _, view in lesson.examples:
                st.button(label, on_click=session.on(Replaced(scenario, seen(view or lesson.view))))
            st.button("Back to the lesson's example", type="tertiary", on_click=session.on(begun(lesson)))
        for label, scenario, says, _ in lesson.examples:
            changes = lesson.changes(scenario)
            changed = f"Changes: {changes}." if changes else "The same, drawn otherwise."
            st.markdown(f"**{label}.** {says} :small[{changed}]")


def conclude(lesson: Lesson) -> DeltaGenerator | None:
    """Where the claim holds and where it stops, each with its numbers; where truncation is drawn, if it is."""
    st.subheader(f"How the {lesson.stance} fares")
    st.caption("The sentence at the top, measured. Where weights and inputs are drawn: the median (lowest to highest).")
    if lesson.trial:
        trial(lesson.trial)
    with st.spinner("Measuring over many draws. This happens once."):
        rows, remedies, groups = verdicts(lesson.title, lesson.trial is None or lesson.trial.done())
    words = st.container()
    tell(rows)
    if "laws" in lesson.curves:
        laws()
    if groups and lesson.draws:
        dots(lesson.draws, groups, f"draws_{LESSONS.index(lesson) + 1}")
    if "turning" in lesson.curves:
        turning()
    remedy = None
    if remedies:
        st.subheader("What people do about it")
        told, drawn = st.columns(2, gap="medium")
        with told:
            tell(remedies)
        with drawn:
            if "clipping" in lesson.curves:
                clipping()
            remedy = st.container() if "truncation" in lesson.curves else None
    said = [lesson.conclusion, lesson.try_this, *lesson.guess.why, *(example.says for example in lesson.examples)]
    words_used(words, *said, *(" ".join(row) for row in (*rows, *remedies)))
    with st.expander("Sources"):
        st.markdown("\n".join(f"- {what}: {taken}." for what, taken in lesson.sources))
    return remedy


def trial(what: Trial) -> None:
    """The button of what takes long, until it is done; a click anywhere stops it, and what is done stays."""
    if what.done():
        return
    st.markdown(what.says)
    if not st.button(what.label, type="primary"):
        return
    if not TURN.take(visitor()):
        st.info("Somebody else is training on this server. Try again in half a minute.")
        return
    try:
        bar = st.progress(0.0, what.label)
        for part in what.run():
            TURN.take(visitor())
            bar.progress(part, what.label)
    finally:
        TURN.leave(visitor())
    st.rerun()


def tell(rows: Iterable[tuple[str, str, str]]) -> None:
    for word, case, numbers in rows:
        st.markdown(f":{COLOURS[word]}[**{word}**] {case}  \n{numbers}")


def dots(told: Dots, groups: Sequence, key: str) -> None:
    """Single draws, one dot each, and what there is to see."""
    from gradflow.app.charts import draws

    groups = [draws.Draws(*group) for group in groups]
    how: dict[str, Any] = {"title": told.title, "axis": told.axis, "log": told.log, "reference": told.reference}
    draw_chart("draws", draws.data(groups, beyond=told.beyond, **how), key=key)
    st.markdown(f"{told.says} {draws.say(groups, log=told.log, beyond=told.beyond)}")


def trained() -> None:
    """What was measured of trained networks: by lag for each layer, and the map of one."""
    from gradflow.app.charts import trained, trained_map

    st.subheader("As trained, and freshly drawn")
    st.caption(MEASURED)
    draw_chart("trained", trained.data())
    st.markdown(trained.say())
    draw_chart("trained_map", trained_map.data())
    st.markdown(trained_map.say())


def clipping() -> None:
    """What clipping by norm changes in the mean gradient, as a curve over the limit."""
    from gradflow.app.charts import clipping

    draw_chart("clipping", clipping.data())


def laws() -> None:
    """How three sums grow where the state is kept."""
    from gradflow.app.charts import laws
    from gradflow.app.lessons.growing_sum import sums_at_one

    draw_chart("laws", laws.data(sums_at_one()))
    st.markdown(laws.say(sums_at_one()))


def turning() -> None:
    """Terms that turn, put end to end."""
    from gradflow.app.charts import turning
    from gradflow.app.lessons.growing_sum import TWO_UNITS

    rotation, reflection = map(measure, TWO_UNITS)
    draw_chart("turning", turning.data(rotation, reflection))
    st.markdown(turning.say(rotation, reflection))


def truncation(where: DeltaGenerator, measurement: Measurement) -> None:
    """What truncated backpropagation leaves out of the present gradient, as a curve over the lags it keeps."""
    from gradflow.app.charts import truncation

    with where:
        view = session.state().view
        draw_chart("truncation", truncation.data(measurement, view, None, truncation.domain(measurement, view)))
        st.markdown(truncation.say(measurement))


@st.cache_resource(max_entries=2 * len(LESSONS), show_spinner=False)
def verdicts(title: str, all_done: bool = True) -> tuple[list, list, list]:
    """What a lesson's verdicts, its remedies and its dots rest on, measured once; not all_done: what waits is left out.

    Returns:
        (verdicts, remedies, groups): (word, case, numbers) of each of the former, the groups of `Dots`.
    """
    lesson = next(lesson for lesson in LESSONS if lesson.title == title)

    def found(verdict):
        true, numbers = verdict.evidence()
        return verdict.word, verdict.case, numbers if true else f"not seen here: {numbers}"

    now = [verdict for verdict in lesson.verdicts if all_done or not verdict.waits]
    groups = list(lesson.draws.groups()) if lesson.draws and (all_done or not lesson.draws.waits) else []
    measured = [*map(found, now)], [*map(found, lesson.remedies)], groups
    make_room()
    return measured


page()
