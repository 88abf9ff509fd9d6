"""The constant specifications, built by Altair and kept as files beside the charts; see `charts.specification`.

To be written anew, by `python -m gradflow.app.charts.specs`, whenever a module here is changed: a page that only reads
them needs neither Altair nor the seconds and the memory that building takes. Read `base`, then `overview`.
"""

from collections.abc import Callable
from typing import Any

from gradflow.app.charts.specs import cells, draws, line, network, overview, waterfall
from gradflow.app.charts.specs.base import enlarged

SHOWN: dict[str, Callable[[], dict[str, Any]]] = {  # to be chosen by name
    "terms": overview.spec,
    "entry": waterfall.spec,
    "factors": line.factors_spec,
    "network": network.spec,
    "growth": line.growth_spec,
    "cells": cells.spec,
}


def every_specification() -> dict[str, dict[str, Any]]:
    """name of a file -> specification."""
    shown = {name: spec() for name, spec in SHOWN.items()}
    return {
        **shown,
        **{f"{name}_on_stage": enlarged(spec) for name, spec in shown.items()},
        "terms_on_stage": enlarged(overview.spec(large=True)),
        "entry_on_stage": enlarged(waterfall.spec(large=True)),
        "terms_in_file": overview.spec(image=True),
        "truncation": line.truncation_spec(),
        "clipping": line.clipping_spec(),
        "layers": line.layers_spec(),
        "learning": line.learning_spec(),
        "draws": draws.spec(),
    }
