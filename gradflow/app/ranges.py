"""The values that a numeric control can take."""

from typing import NamedTuple


class Range(NamedTuple):
    """The values of a numeric control, ends included."""

    low: float
    high: float
    step: float

    def snap(self, value: float) -> float:
        """The nearest allowed value."""
        steps = round((min(max(value, self.low), self.high) - self.low) / self.step)
        value = min(self.low + steps * self.step, self.high)
        return value if isinstance(self.step, int) else round(value, 6)
