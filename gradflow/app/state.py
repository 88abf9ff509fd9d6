"""What a person has set in one visit, as one record, and what each event makes of it: pure functions.

What a page says of its address, its widgets and its ranges may have left it before the server's last change arrived
there. So the record knows which addresses and which reports are its own, and an event that repeats one changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from gradflow.app.presets import CUSTOM, DEFAULT_PRESET, PRESETS, preset_of
from gradflow.app.scenario import RANGES, Scenario, with_init
from gradflow.app.url_codec import left_out, link_params, parse, parse_view, short, to_params, write
from gradflow.app.view import RANGES as VIEW_RANGES
from gradflow.app.view import View

KNOWN = 50  # addresses that a late report is recognised by
PAST = 50  # scenarios that can be gone back to
Params = Mapping[str, str]  # an address bar: name -> text


@dataclass(frozen=True)
class PageState:
    """What is kept of a page as long as the visit lasts."""

    past: tuple[Scenario, ...] = ()  # that can be gone back to
    origin: str | None = None  # the preset that a person started from
    left: Params | None = None  # its address when another page was opened; None while it is open


@dataclass(frozen=True)
class AppState:
    """What a person has set, and what the address bar holds of it."""

    scenario: Scenario = PRESETS[DEFAULT_PRESET]
    view: View = field(default_factory=View)
    page: str = ""  # the title of the open page
    pages: Mapping[str, PageState] = field(default_factory=dict)
    address: Params = field(default_factory=dict)  # that the address bar is to hold
    sent: Params | None = None  # the address that the page has, or will have once all that is on its way has come
    known: tuple[Params, ...] = ()  # the addresses that this page had or was given
    script: str = ""  # of the page that `known` is of
    before: Params = field(default_factory=dict)  # the address before that page was opened
    returned: Params | None = None  # the address at which the open page was left, until it has been read again
    unread: bool = True  # the address may say other than scenario and view: the page has not read it
    reports: Mapping[str, int] = field(default_factory=dict)  # panel of ranges -> its last report that was taken
    notices: tuple[str, ...] = ()  # on values that could not be taken as they were given

    @property
    def here(self) -> PageState:
        """What is kept of the open page."""
        return self.pages.get(self.page, PageState())

    @property
    def origin(self) -> str:
        """The preset that a person started from; after a reload, the one that differs least."""
        return self.here.origin or min(
            [DEFAULT_PRESET, *PRESETS], key=lambda name: _apart(PRESETS[name], self.scenario)
        )

    @property
    def saved(self) -> bool:
        """Whether the address stands for what is set."""
        return _read(tuple(self.address.items())) == (self.scenario, self.view)


class Reported(NamedTuple):
    """A page says what its address bar holds."""

    address: Params
    script: str  # of the page
    navigated: bool  # a person went back or on in the browser's history


class Opened(NamedTuple):
    """A full run of a page begins."""

    page: str


class Read(NamedTuple):
    """A page takes over what its address holds, where that is new."""

    own: tuple[str, ...] = ()  # names that the page reads itself
    repeated: tuple[str, ...] = ()  # names that are there more than once


class Moved(NamedTuple):
    """A panel of ranges reports."""

    panel: str
    report: int  # its number
    values: Mapping[str, Any]


class Brought(NamedTuple):
    """A panel of ranges is drawn; the report that its page brings from another server is in the address already."""

    panel: str
    report: int


class Rested(NamedTuple):
    """All ranges are let go."""


class Chosen(NamedTuple):
    """A widget that is no range has moved."""

    field: str
    value: Any


class Replaced(NamedTuple):
    """Another scenario, or another view, in place of the present one."""

    scenario: Scenario
    view: View | None = None
    undoable: bool = True


class Stepped(NamedTuple):
    """On by so many presets, or back."""

    by: int


class Undone(NamedTuple):
    """Back by one step."""


class Kept(NamedTuple):
    """A scenario stays in grey beside whatever comes; None: none does."""

    scenario: Scenario | None


class Put(NamedTuple):
    """A page gives a name of its own a text; None takes the name out."""

    name: str
    text: str | None


class Sent(NamedTuple):
    """The address was given to the page."""


class Told(NamedTuple):
    """The notices were told."""


Event = (
    Reported
    | Opened
    | Read
    | Moved
    | Brought
    | Rested
    | Chosen
    | Replaced
    | Stepped
    | Undone
    | Kept
    | Put
    | Sent
    | Told
)


def update(state: AppState, event: Event) -> AppState:
    """The state after an event."""
    match event:
        case Reported():
            return _reported(state, event)
        case Opened(page):
            return _opened(state, page)
        case Read(own, repeated):
            state = _adopted(state, own, repeated) if state.unread else state
            preset = preset_of(state.scenario)
            return state if preset == CUSTOM else _with_here(state, origin=preset)
        case Moved(panel, report, values):
            return _moved(state, panel, report, values)
        case Brought(panel, report) if panel not in state.reports:
            return replace(state, reports={**state.reports, panel: report})
        case Rested():
            return state if state.saved else _settled(state)
        case Chosen(field_name, value):
            return _settled(_chosen(state, field_name, value))
        case Replaced(scenario, view, undoable):
            state = replace(state, scenario=scenario, view=view or state.view)
            return _settled(state) if undoable else _addressed(state, encode(state))
        case Stepped(by):
            names = list(PRESETS)
            name = names[(names.index(state.origin) + by) % len(names)]
            return _settled(replace(_with_here(state, origin=name), scenario=PRESETS[name]))
        case Undone() if state.here.past:
            *earlier, scenario = state.here.past
            state = replace(_with_here(state, past=tuple(earlier)), scenario=scenario)
            return _addressed(state, encode(state))
        case Kept(scenario):
            state = replace(state, view=replace(state.view, kept=scenario))
            return _addressed(state, encode(state))
        case Put(name, text):
            changed = {**state.address, name: text}
            return _addressed(state, {name: text for name, text in changed.items() if text is not None})
        case Sent():
            return replace(state, sent=state.address)
        case Told():
            return replace(state, notices=())
    return state


def encode(state: AppState, without: tuple[str, ...] = ()) -> dict[str, str]:
    """What the address bar is to hold: scenario, view, and the names that are the page's own, but for those without."""
    drop = {*names(), *without}
    return {name: text for name, text in state.address.items() if name not in drop} | link(state)


def link(state: AppState) -> dict[str, str]:
    """Every field of the scenario, and what of the view differs from the first view."""
    return link_params(state.scenario, state.view)


def names() -> tuple[str, ...]:
    """The names that a link has on every page."""
    return (*to_params(Scenario()), *vars(View()))


def _reported(state, event):
    if event.script != state.script or event.navigated:
        state = replace(state, script=event.script, before=state.address, known=())
    if event.address in state.known:
        return state
    return replace(_addressed(state, event.address), sent=event.address, unread=True)


def _opened(state, page):
    if page == state.page:
        return state
    if state.page:
        state = _with_here(state, left=state.before)
    state = replace(state, page=page)
    return _with_here(replace(state, returned=state.here.left), left=None)


def _adopted(state, own, repeated):
    """Scenario and view of the address, which is tidied, and sentences on how they differ from what it says."""
    given, returned = state.address, state.returned
    (scenario, _, notices), (view, more) = parse(given), parse_view(given)
    state = replace(state, scenario=scenario, view=view, unread=False, returned=None)
    if returned is not None:
        state = _remembered(state, returned)
    clean, known = link(state), (*names(), *own)
    unknown = tuple(name for name in given if name not in known)
    if repeated or any(clean.get(name) != text for name, text in given.items() if name not in own):
        state = _addressed(state, encode(state, unknown))
    said = [*state.notices, *notices, *more]
    said += [
        f"{short(name)} is there more than once; the last one counts, “{short(given[name])}”." for name in repeated
    ]
    if unknown:
        said.append(left_out({name: given[name] for name in unknown}, known))
    return replace(state, notices=tuple(said))


def _moved(state, panel, report, values):
    """The values of a report, once: each the nearest that its range has; what is no number is left as it was."""
    if report == state.reports.get(panel, 0):
        return state
    numbers = {
        name: float(value) for name, value in values.items() if isinstance(value, int | float) and abs(value) < 1e9
    }
    moved, looked = (
        {name: limits[name].snap(value) for name, value in numbers.items() if name in limits}
        for limits in (RANGES, VIEW_RANGES)
    )
    scenario, view = replace(state.scenario, **moved), replace(state.view, **looked)
    return replace(state, scenario=scenario, view=view, reports={**state.reports, panel: report})


def _chosen(state, name, value):
    if name == "preset":
        return replace(_with_here(state, origin=value), scenario=PRESETS[value]) if value in PRESETS else state
    if name == "init":
        return replace(state, scenario=with_init(state.scenario, value))
    params = link(state) | {name: write(value)} | ({"gate": "all"} if name == "cell" else {})
    del params["preset"]  # which these values had
    (scenario, _, notices), (view, more) = parse(params), parse_view(params)
    return replace(state, scenario=scenario, view=view, notices=(*state.notices, *notices, *more))


def _settled(state):
    """What was changed stays: one step to go back to, and the address."""
    state = _remembered(state, state.address)
    return _addressed(state, encode(state))


def _remembered(state, address):
    """The scenario of an address can be gone back to, where it is another."""
    before, _ = _read(tuple(address.items()))
    return state if before == state.scenario else _with_here(state, past=(*state.here.past, before)[-PAST:])


def _addressed(state, address):
    return replace(state, address=address, known=(*state.known, address)[-KNOWN:])


def _with_here(state, **changes):
    return replace(state, pages={**state.pages, state.page: replace(state.here, **changes)})


@lru_cache(maxsize=64)
def _read(items):
    """The scenario and view of an address."""
    return parse(dict(items))[0], parse_view(dict(items))[0]


def _apart(preset, scenario):
    """How far two scenarios are apart: the fields that differ, and by how much of their ranges."""
    now = vars(scenario)
    moved = {name: value for name, value in vars(preset).items() if value != now[name]}
    far = [
        abs(moved[name] - now[name]) / (high - low)
        for name, (low, high, _) in RANGES.items()
        if name in moved and now[name] is not None  # as initialised
    ]
    return len(moved), sum(far)
