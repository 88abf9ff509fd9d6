"""Lessons: judge a claim, test it on the real engine, see it settled with numbers."""

import streamlit as st

from gradflow import controls
from gradflow.fields import short
from gradflow.lessons import LESSONS
from gradflow.messages import notice, safely
from gradflow.pages.learning import learning
from gradflow.pages.live_picture import HERE, begin, draw_chart, dress

WORDS = {"holds": "green", "holds if": "orange", "fails when": "red", "fails": "red", "cost of": "orange"}


def page():
    dress()
    st.html(HERE / "lessons.css")
    number, unknown = chosen()
    answers, unread = read_answers()
    lesson = LESSONS[number - 1]
    if not st.query_params.keys() & {*controls.names()}:
        controls.show_lesson(lesson)
    notice([*unknown, *unread, *controls.read_link("lesson", "answers")])
    path(number, answers)
    st.header(f"{number}. {lesson.title}", anchor=False)
    st.markdown(f"> {lesson.claim}")
    revealed = number in answers
    text, right = st.columns([1, 2], gap="medium")
    with text:
        st.markdown(lesson.prose)
        ranges = st.container(key="lesson_ranges")
        measured = settled(lesson, number, answers) if revealed else ask(lesson, number, answers)

    def draw(target):
        with ranges:
            controls.live_ranges("ranges", lesson.controls, target=target)

    def also(measurement, look):
        if revealed:
            measured.markdown(f"**Measured now.** {lesson.reveal(measurement, look)}")
        if revealed and lesson.remedies:
            truncation(remedy, measurement)

    with right:
        picture = st.container(key="picture")
    remedy = conclude(lesson) if revealed else None
    with picture:
        begin(draw, also, quiet=not revealed)
    if revealed and lesson.trains:
        learning(lesson.scenario)


def chosen():
    """The lesson that the address bar names, the first where it names none, and notices."""
    raw = st.query_params.get("lesson", "1")
    if raw in map(str, range(1, len(LESSONS) + 1)):
        return int(raw), []
    st.query_params["lesson"] = "1"
    return 1, [f"lesson “{short(raw)}” is not one of 1 to {len(LESSONS)}; it is now 1."]


def read_answers():
    """What was predicted, lesson -> number, and notices; what cannot be read is left out."""
    raw = st.query_params.get("answers", "")
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
            low, high = limits(LESSONS[number - 1].guess)
            wrong.append(f"“{short(part)}” is not between {low:g} and {high:g}")
        else:
            answers[number] = value
    if "answers" in st.query_params and raw != written(answers):
        write_answers(answers)
    return answers, [f"answers: {wrong[0]}; {len(wrong)} left out."] if wrong else []


def limits(guess):
    return (0, len(guess.options) - 1) if guess.options else guess.range[:2]


def valid(guess, value):
    low, high = limits(guess)
    return low <= value <= high and (not guess.options or value == int(value))


def written(answers):
    return ",".join(f"{number}:{value:g}" for number, value in sorted(answers.items()))


def write_answers(answers):
    st.query_params["answers"] = written(answers)


def open_lesson(number):
    st.query_params["lesson"] = str(number)
    controls.show_lesson(LESSONS[number - 1])


def path(number, answers):
    """The way from the first lesson to the last, and to Explore."""
    with st.container(horizontal=True, vertical_alignment="center", key="path"):
        last = len(LESSONS)
        back = {"args": (number - 1,), "disabled": number == 1, "shortcut": "PageUp"}
        st.button("◀", on_click=safely(open_lesson), help="The lesson before.", **back)
        for k, lesson in enumerate(LESSONS, 1):
            kind = "primary" if k == number else "secondary"
            label = f"{k} ✓" if k in answers else str(k)
            st.button(label, on_click=safely(open_lesson), args=(k,), type=kind, help=lesson.title, key=f"lesson_{k}")
        on = {"args": (number + 1,), "disabled": number == last, "shortcut": "PageDown"}
        st.button("▶", on_click=safely(open_lesson), help="The next lesson.", **on)
        if st.button("Open in Explore", type="tertiary"):
            st.switch_page("gradflow/pages/explore.py", query_params=controls.link())


def ask(lesson, number, answers):
    """The prediction, and the button that ends the waiting."""
    guess = lesson.guess
    st.markdown(f"**Your prediction.** {guess.question}")
    how = {"label": guess.question, "label_visibility": "collapsed", "key": f"guess_{number}"}
    if guess.options:
        value = st.radio(options=range(len(guess.options)), format_func=guess.options.__getitem__, index=None, **how)
    else:
        low, high, step = guess.range
        value = st.slider(min_value=low, max_value=high, value=(low + high) / 2, step=step, **how)

    def reveal():
        write_answers(answers | {number: float(value)})

    st.button("Show what is measured", on_click=safely(reveal), type="primary", disabled=value is None)


def settled(lesson, number, answers):
    """The prediction against the measurement; the container for what is measured now."""
    guess, said = lesson.guess, answers[number]
    found = guess.answer(lesson.scenario.measure())
    if guess.options:
        right, yours, truth = said == found, guess.options[int(said)], guess.options[found]
    else:
        right, yours, truth = abs(said - found) <= guess.near, f"{said:g}", f"{found:.3g}"
    st.markdown(f"**Your prediction.** {guess.question}")
    if right:
        st.success(f"You said {yours}. Measured: {truth}." if not guess.options else f"You said: {yours}. So it is.")
    else:
        st.info(f"You said: {yours}. Measured: {truth}.")

    def again():
        write_answers({k: value for k, value in answers.items() if k != number})

    measured = st.container()
    st.markdown(lesson.conclusion)
    st.button("Judge again", on_click=safely(again), help="Hides the measurement, for the next room.")
    return measured


def conclude(lesson):
    """Where the claim holds and where it stops, each with its numbers; the container for what truncation does."""
    st.subheader("How the claim fares")
    st.caption("The sentence at the top, measured. Median of eight draws of weights and inputs (lowest to highest).")
    with st.spinner("Measuring over eight draws. This happens once."):
        rows, remedies = verdicts(lesson.title)
    tell(rows)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Show where it stops", on_click=safely(controls.go_to), args=(lesson.counter,))
        st.button("Back to the lesson's example", on_click=safely(controls.show_lesson), args=(lesson,))
        st.markdown(lesson.counter_says)
    st.markdown(f"**Try this.** {lesson.try_this}")
    if remedies:
        st.subheader("What people do about it")
        tell(remedies)
    remedy = st.container()
    with st.expander("Sources"):
        st.markdown("\n".join(f"- {what}: {taken}." for what, taken in lesson.sources))
    return remedy


def tell(rows):
    for word, case, numbers in rows:
        st.markdown(f":{WORDS[word]}[**{word}**] {case}  \n{numbers}")


def truncation(where, measurement):
    """What truncated backpropagation leaves out of the present gradient, as a curve over the lags it keeps."""
    from gradflow.charts import truncation

    with where:
        draw_chart(truncation.spec(), truncation.data(measurement), "truncation")
        st.markdown(truncation.say(measurement))


@st.cache_resource(max_entries=len(LESSONS), show_spinner=False)
def verdicts(title):
    """The verdicts and the remedies of a lesson with what they rest on, measured once: (word, case, numbers) each."""
    lesson = next(lesson for lesson in LESSONS if lesson.title == title)

    def found(verdict):
        true, numbers = verdict.evidence()
        return verdict.word, verdict.case, numbers if true else f"not seen here: {numbers}"

    return [*map(found, lesson.verdicts)], [*map(found, lesson.remedies)]


page()
