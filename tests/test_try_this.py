"""What each lesson invites to try can be done, with the controls at hand."""

from dataclasses import replace

import pytest

from gradflow.lessons import LESSONS
from gradflow.look import RANGES as LOOK_RANGES
from gradflow.scenario import RANGES

TRIES = {}  # title -> test


def tries(title):
    """Register the test of a lesson's “Try this”: it is called with the lesson."""
    return lambda test: TRIES.setdefault(title, test)


def moved(lesson, start=None, **values):
    """The lesson's scenario, or that of one of its examples, after its own controls were set to these values."""
    for name, value in values.items():
        low, high, _ = RANGES[name]
        assert name in lesson.controls and low <= value <= high
    return replace(start or lesson.scenario, **values)


def looked(lesson, **values):
    """The lesson's look after its own controls were set to these values."""
    for name, value in values.items():
        low, high, _ = LOOK_RANGES[name]
        assert name in lesson.controls and low <= value <= high
    return replace(lesson.look, **values)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.title)
def test_it_can_be_done(lesson):
    TRIES[lesson.title](lesson)
