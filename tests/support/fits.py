"""Straight lines through logarithms."""

import numpy as np


def line(logs):
    """(slope, value at 0) of the line through the entries that are finite, by their index."""
    index = np.flatnonzero(np.isfinite(logs))
    return np.polyfit(index, np.asarray(logs)[index], 1)


def factor_per_step(logs):
    """exp of that slope."""
    return np.exp(line(logs)[0])
