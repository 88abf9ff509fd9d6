"""The charts, by name: each a constant specification, its data, the frame that can be held still, and its message.

Read `base` (what they share), then `picture` (the first view), `entry`, `curves`, `network`, `cells`; a new chart is
one entry of `CHARTS`. What stands under a lesson is a file of its own: `truncation`, `clipping`, `layers`, `learning`.
"""

from collections.abc import Callable
from typing import NamedTuple

from gradflow.charts import base, cells, curves, entry, network, picture
from gradflow.once import once

__all__ = ["CHARTS", "Chart", "file_specification", "specification"]


class Chart(NamedTuple):
    """A way to look at a measurement."""

    spec: Callable  # () -> dict, constant
    domain: Callable  # (measurement, look) -> the frame that holds it
    data: Callable  # (measurement, look, kept, domain) -> name -> Arrow table
    say: Callable  # (measurement, look) -> its message, with numbers
    widest: Callable = base.widest  # (*frames) -> the frame that holds them all

    def frame(self, look, *measurements):
        """The frame that holds these measurements; None among them is nothing."""
        return self.widest(*(self.domain(each, look) for each in measurements if each))


CHARTS = {
    "terms": Chart(picture.spec, picture.domain, picture.data, picture.say),
    "entry": Chart(entry.spec, entry.domain, entry.data, entry.say, entry.widest),
    "factors": Chart(curves.factors_spec, curves.factors_domain, curves.factors_data, curves.factors_say),
    "network": Chart(network.spec, network.domain, network.data, network.say),
    "growth": Chart(curves.growth_spec, curves.growth_domain, curves.growth_data, curves.growth_say),
    "cells": Chart(cells.spec, cells.domain, cells.data, cells.say),
}


@once
def specification(name, large=False):
    """The specification of a chart on the page; large: for a stage."""
    spec = picture.spec(large=large) if name == "terms" else CHARTS[name].spec()
    return base.enlarged(spec) if large else spec


def file_specification(name):
    """The specification of a chart in a file, which holds the map as well."""
    return picture.spec(image=True) if name == "terms" else CHARTS[name].spec()
