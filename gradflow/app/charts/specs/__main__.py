"""Write every specification: python -m gradflow.app.charts.specs"""

import json

from gradflow.app.charts import BUILT
from gradflow.app.charts.specs import every_specification

for name, spec in every_specification().items():
    (BUILT / f"{name}.json").write_text(json.dumps(spec, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
