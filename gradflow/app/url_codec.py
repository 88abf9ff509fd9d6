"""What a field of a link may hold, and how its text is read: one value, or one sentence on why not."""

import math
from typing import NamedTuple

INITIAL = "initial"  # the text of None: as initialised


class Range(NamedTuple):
    """The values of a numeric control, ends included."""

    low: float
    high: float
    step: float

    def snap(self, value):
        """The nearest allowed value."""
        steps = round((min(max(value, self.low), self.high) - self.low) / self.step)
        value = min(self.low + steps * self.step, self.high)
        return value if isinstance(self.step, int) else round(value, 6)


def write(value):
    """A value as the text a link carries; `read` gives it back, to the last digit."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return INITIAL
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def read(name, raw, default, allowed, optional=False):
    """A field's value from its text.

    Args:
        name: of the field, for the notice.
        raw: the text.
        default: the value it has when it is missing; a flag's default is a bool.
        allowed: a `Range`, a tuple of choices, or None for a flag.
        optional: a number that may be None.

    Returns:
        (value, notice): the default where the text is of no use, the nearest end where the number is beyond it, the
        nearest step where it is between two; the notice is None or one sentence.
    """
    if not isinstance(allowed, Range):
        by_text = {write(choice): choice for choice in ((False, True) if allowed is None else allowed)}
        if raw in by_text:
            return by_text[raw], None
        return default, f"{name} “{short(raw)}” is not one of {', '.join(by_text)}; it is now {write(default)}."
    if optional and raw == INITIAL:
        return None, None
    try:
        number = float(raw)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        between = f"a number between {allowed.low:g} and {allowed.high:g}" + (f" or {INITIAL}" if optional else "")
        return default, f"{name} “{short(raw)}” is not {between}; it is now {write(default)}."
    snapped = allowed.snap(number)
    if not allowed.low <= number <= allowed.high:
        where = "above" if number > allowed.high else "below"
        return snapped, f"{name} “{short(raw)}” is {where} {snapped:g}; it is now {snapped:g}."
    if math.isclose(snapped, number, abs_tol=1e-9):
        return snapped, None
    return snapped, f"{name} “{short(raw)}” is between two steps of {allowed.step:g}; it is now {snapped:g}."


def short(text):
    """At most 40 characters of a text, all of which can be drawn, for a notice."""
    drawn = "".join(letter if letter.isprintable() else "�" for letter in text[:40])
    return drawn if len(text) <= 40 else drawn + "…"
