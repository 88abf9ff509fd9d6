"""One record of what a person has set, `scenario` and `view`, which all widgets show and the address bar holds.

What a person moves replaces it and is written to the address bar, all in one entry of the browser's history: a
discrete widget at once, a live range when the finger has let go. What comes from there, by a first visit, a link, or
the back button, a full run takes over.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from gradflow.app import url_state
from gradflow.app.errors import guarded
from gradflow.app.labels import LABELS
from gradflow.app.presets import CUSTOM, DEFAULT_PRESET, PRESETS, preset_of
from gradflow.app.scenario import RANGES, Scenario, with_init
from gradflow.app.url_codec import link_params, parse, parse_view, short, to_params, write
from gradflow.app.view import View

if TYPE_CHECKING:
    from gradflow.app.lessons.record import Lesson

PAST = 50  # scenarios that can be gone back to
MENTIONED = 5  # unknown names that a notice repeats


def read_link(*own: str) -> list[str]:
    """Adopt what the address bar says, where it is news, and tidy it; to be called by each full run.

    Args:
        own: names in the address bar that the page reads itself.

    Returns:
        One sentence for each value that could not be used as it was, also of a control that was moved.
    """
    said = [*st.session_state.pop("notices", ())]
    if st.session_state.news:
        said += _adopt(url_state.read(), own)
        st.session_state.news = False
    url_state.send()
    preset = preset_of(st.session_state.scenario)
    if preset != CUSTOM:
        _here()["origin"] = preset
    return said


def _adopt(given, own):
    """Take over scenario and view; how they differ from what was given, in sentences."""
    st.session_state.scenario, _, notices = parse(given)
    st.session_state.view, more = parse_view(given)
    if (before := st.session_state.pop("returned_to", None)) is not None:
        _remember(parse(before)[0])
    clean, known = link(), (*names(), *own)
    unknown = [name for name in given if name not in known]
    repeated = [name for name in given if len(st.query_params.get_all(name)) > 1]
    if repeated or any(clean.get(name) != text for name, text in given.items() if name not in own):
        write_link(without=unknown)
    said = [*notices, *more]
    said += [
        f"{short(name)} is there more than once; the last one counts, “{short(given[name])}”." for name in repeated
    ]
    if unknown:
        named = ", ".join(f"“{short(f'{name}={given[name]}')}”" for name in unknown[:MENTIONED])
        others = f" and {len(unknown) - MENTIONED} more" if len(unknown) > MENTIONED else ""
        said.append(f"A link here has no {named}{others}, only {', '.join(known)}; the rest is left out.")
    return said


def link() -> dict[str, str]:
    """What the address bar holds: every field of the scenario, and what of the view differs from the first view."""
    return link_params(st.session_state.scenario, st.session_state.view)


def names() -> tuple[str, ...]:
    """The names that a link has on every page."""
    return (*to_params(Scenario()), *vars(View()))


def write_link(without: Iterable[str] = ()) -> None:
    """Bring the address bar up to date; names that are not ours stay, but for those."""
    drop = (*names(), *without)
    others = {name: text for name, text in url_state.read().items() if name not in drop}
    url_state.write(others | link())


def change(**values: object) -> None:
    """Replace fields of scenario and view; `parse` keeps them valid, and the next full run says how."""
    params = link() | {name: write(value) for name, value in values.items()}
    del params["preset"]  # which these values had
    st.session_state.scenario, _, notices = parse(params)
    st.session_state.view, more = parse_view(params)
    st.session_state.notices = (*notices, *more)


def settle() -> None:
    """What was changed stays: one step to go back to, and the address bar."""
    _remember(parse(url_state.read())[0])
    write_link()


def _remember(before):
    """A scenario that was there before can be gone back to."""
    if before != st.session_state.scenario:
        _here()["past"] = [*past(), before][-PAST:]


def past() -> list[Scenario]:
    return _here().get("past", [])


def _here():
    """What is kept of a page as long as the visit lasts: "past" and "origin"."""
    return st.session_state.setdefault("visited", {}).setdefault(st.session_state.page, {})


def go_to(scenario: Scenario, view: View | None = None) -> None:
    """Put another scenario in place of the present one, and another view, if there is one."""
    st.session_state.scenario, st.session_state.view = scenario, view or st.session_state.view
    settle()


def show_lesson(lesson: "Lesson") -> None:
    """Put a lesson's scenario and view in place of the present ones."""
    st.session_state.scenario, st.session_state.view = lesson.scenario, lesson.view
    write_link()


def undo() -> None:
    """Go back one step."""
    *earlier, st.session_state.scenario = past()
    write_link()
    _here()["past"] = earlier


def keep(scenario: Scenario | None) -> None:
    """Let a scenario stay in grey beside whatever comes; None lets it go."""
    values = vars(st.session_state.view) | {"kept": scenario}
    st.session_state.view = View(**values)
    write_link()


def origin() -> str:
    """The preset that a person started from; after a reload, the one that differs least: in fields, then by size."""
    if "origin" in _here():
        return _here()["origin"]
    now = vars(st.session_state.scenario)

    def apart(name):
        moved = {field: value for field, value in vars(PRESETS[name]).items() if value != now[field]}
        far = [
            abs(moved[f] - now[f]) / (high - low)
            for f, (low, high, _) in RANGES.items()
            if f in moved and now[f] is not None  # as initialised
        ]
        return len(moved), sum(far)

    return min([DEFAULT_PRESET, *PRESETS], key=apart)


def next_preset(step: int) -> None:
    """Go on to the next preset, or back."""
    names = list(PRESETS)
    _here()["origin"] = name = names[(names.index(origin()) + step) % len(names)]
    go_to(PRESETS[name])


def choice(widget: Callable, field: str, options: Sequence, value: object, **how: Any) -> Any:
    """A widget that chooses among options."""
    first = {"index": options.index(value)} if widget is st.selectbox else {"default": value}
    return widget(options=options, **first, **described(field, value), **how)


def switch(field: str, **how: Any) -> bool:
    """A switch of the view or the scenario."""
    record = st.session_state.scenario if hasattr(st.session_state.scenario, field) else st.session_state.view
    value = getattr(record, field)
    return st.toggle(value=value, **described(field, value), **how)


def described(field: str, value: object) -> dict[str, Any]:
    """What every widget of a field is given that is to show a value: its words, its key, what follows when it moves."""
    label, sentence = LABELS[field]
    return {"label": label, "help": sentence, **keyed(field, value, _chosen)}


def keyed(field: str, value: object, chosen: Callable[[str, Any], None]) -> dict[str, Any]:
    """The key of the widget of a field that is to show a value, and what follows when it moves: chosen(field, value).

    A widget that is to show another value than it last had is another widget, which starts with that value. So nothing
    need be told to a page that may miss it, and what the page still reports of the old widget is no one's move.
    """
    turns = st.session_state.setdefault("turns", Counter())
    if field not in turns or showing(field) != value:
        turns[field] += 1
    key = _key(field)

    def moved():
        if key == _key(field):
            chosen(field, st.session_state[key])

    return {"key": key, "on_change": guarded(moved)}


def showing(field: str) -> Any:
    """The value that the widget of a field has; None where there is none."""
    return st.session_state.get(_key(field))


def _key(field):
    turn = st.session_state.get("turns", {}).get(field, 1)
    return field if turn == 1 else f"{field} {turn}"


def _chosen(field, value):
    """A discrete widget moved."""
    if field == "preset":
        if value in PRESETS:
            st.session_state.scenario, _here()["origin"] = PRESETS[value], value
    elif field == "cell":
        change(cell=value, gate="all")
    elif field == "init":
        st.session_state.scenario = with_init(st.session_state.scenario, value)
    else:
        change(**{field: value})
    settle()
