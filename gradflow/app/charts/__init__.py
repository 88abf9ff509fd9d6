"""The charts, by name: of each its specification, its data, the frame that can be held still, and its message.

Read `base` (what they share), then `terms` (the first view), `sums`, `factors`, `growth`, `unrolled`, `cells`,
`shares`, `all_costs`, `truncation`; a new chart is one entry of `CHARTS`, under its file's name. What stands under a
lesson is a file of its own as well: `clipping`, `layers`, `learning`, `draws`, `laws`, `turning`, `trained`,
`trained_map`, and under a network of one's own `stack`. Altair, in which `drawing` and the specifications are written,
is imported only where `specs` builds them.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from gradflow.app.charts import all_costs, base, cells, factors, growth, shares, sums, terms, truncation, unrolled
from gradflow.app.measurement import Measurement
from gradflow.app.view import View
from gradflow.caching import threadsafe_cache

__all__ = ["BUILT", "CHARTS", "Chart", "file_specification", "specification"]

BUILT = Path(__file__).parent / "built"  # by `specs`


class Chart(NamedTuple):
    """A way to look at a measurement."""

    domain: Callable[[Measurement, View], base.Domain]  # (measurement, view) -> the frame that holds it
    data: Callable[..., base.Tables]  # (measurement, view, kept, domain) -> name -> table
    say: Callable[[Measurement, View], str]  # (measurement, view) -> its message, with numbers
    specification: Callable[..., dict[str, Any]]  # builds it, which `specs` did beforehand
    widest: Callable[..., base.Domain] = base.widest  # (*frames) -> the frame that holds them all
    # (*frames) -> one for all of them in which each can still be told from another
    bounded: Callable[..., base.Domain] = base.bounded

    def frame(self, view: View, *measurements: Measurement | None) -> base.Domain:
        """The frame that holds these measurements; None among them is nothing."""
        return self.widest(*(self.domain(each, view) for each in measurements if each))

    def sweep_frame(self, view: View, *measurements: Measurement | None) -> base.Domain:
        """The frame that stands while these and what lies between them pass; what lies beyond is drawn at its edge."""
        return self.bounded(*(self.domain(each, view) for each in measurements if each))


CHARTS = {
    "terms": Chart(terms.domain, terms.data, terms.say, terms.specification),
    "sums": Chart(sums.domain, sums.data, sums.say, sums.specification, sums.widest, sums.bounded),
    "factors": Chart(factors.domain, factors.data, factors.say, factors.specification),
    "unrolled": Chart(unrolled.domain, unrolled.data, unrolled.say, unrolled.specification),
    "growth": Chart(growth.domain, growth.data, growth.say, growth.specification),
    "cells": Chart(cells.domain, cells.data, cells.say, cells.specification),
    "shares": Chart(shares.domain, shares.data, shares.say, shares.specification),
    "all_costs": Chart(all_costs.domain, all_costs.data, all_costs.say, all_costs.specification),
    "truncation": Chart(truncation.domain, truncation.data, truncation.say, truncation.specification),
}


@threadsafe_cache
def specification(name: str, large: bool = False) -> dict[str, Any]:
    """The specification of a chart on the page; large: for a stage."""
    return json.loads((BUILT / f"{name}{'_on_stage' if large else ''}.json").read_text("utf-8"))


def file_specification(name: str) -> dict[str, Any]:
    """The specification of a chart in a file, which holds the map as well."""
    return specification("terms_in_file" if name == "terms" else name)
