"""The constant specifications, built by Altair and kept as files beside the charts; see `charts.specification`.

To be written anew, by `python -m gradflow.app.charts.specs`, whenever a specification is changed: a page that only
reads them needs neither Altair nor the seconds and the memory that building takes.
"""

import json
from typing import Any

from gradflow.app.charts import (
    BUILT,
    CHARTS,
    clipping,
    draws,
    laws,
    layers,
    learning,
    stack,
    sums,
    terms,
    trained,
    trained_map,
    turning,
)
from gradflow.app.charts.drawing import enlarged


def every_specification() -> dict[str, dict[str, Any]]:
    """name of a file -> specification."""
    shown = {name: chart.specification() for name, chart in CHARTS.items()}
    return {
        **shown,
        **{f"{name}_on_stage": enlarged(spec) for name, spec in shown.items()},
        "terms_on_stage": enlarged(terms.specification(large=True)),
        "sums_on_stage": enlarged(sums.specification(large=True)),
        "terms_in_file": terms.specification(image=True),
        "clipping": clipping.specification(),
        "layers": layers.specification(),
        "learning": learning.specification(),
        "draws": draws.specification(),
        "laws": laws.specification(),
        "stack": stack.specification(),
        "turning": turning.specification(),
        "trained": trained.specification(),
        "trained_map": trained_map.specification(),
    }


if __name__ == "__main__":
    for name, spec in every_specification().items():
        (BUILT / f"{name}.json").write_text(json.dumps(spec, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
