"""The constant specifications, built by Altair and kept as files beside the charts; see `charts.specification`.

To be written anew, by `python -m gradflow.charts.specs`, whenever a module here is changed: a page that only reads them
needs neither Altair nor the seconds and the memory that building takes. Read `base` (what they share), then `picture`.
"""

from gradflow.charts.specs import cells, curves, draws, entry, network, picture
from gradflow.charts.specs.base import enlarged

SHOWN = {  # to be chosen by name
    "terms": picture.spec,
    "entry": entry.spec,
    "factors": curves.factors_spec,
    "network": network.spec,
    "growth": curves.growth_spec,
    "cells": cells.spec,
}


def every_specification():
    """name of a file -> specification."""
    shown = {name: spec() for name, spec in SHOWN.items()}
    return {
        **shown,
        **{f"{name}_on_stage": enlarged(spec) for name, spec in shown.items()},
        "terms_on_stage": enlarged(picture.spec(large=True)),
        "entry_on_stage": enlarged(entry.spec(large=True)),
        "terms_in_file": picture.spec(image=True),
        "truncation": curves.truncation_spec(),
        "clipping": curves.clipping_spec(),
        "layers": curves.layers_spec(),
        "learning": curves.learning_spec(),
        "draws": draws.spec(),
    }
