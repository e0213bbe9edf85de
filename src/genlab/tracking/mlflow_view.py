"""A saved view of MLflow's interface: quality against cost of all runs, before all other charts.

MLflow stores a view in a tag of its experiment, as JSON. Its `state` is the state of the page, as
JSON that is compressed by zlib. An address names the view by its key.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

KEY = "quality-against-cost"
TITLE = "Quality against cost"
RUNS = 100
"""Most runs that a chart shows."""
QUALITY = "best/fdr"
COSTS = ("best/ms_per_image", "train_seconds")


def save_view(client: Any, experiment: Any) -> None:
    """Write the view to an experiment of the store."""
    state = {
        "compareRunCharts": [*map(_scatter, COSTS), _bars()],
        "compareRunSections": [_visible_part(uuid=KEY, name=TITLE, isReordered=True)],
        "isAccordionReordered": True,  # what MLflow adds comes below
        "runsHiddenMode": "SHOWALL",
        "hideEmptyCharts": True,
    }
    payload = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    time = experiment.creation_time
    view = {"name": TITLE, "createdAt": time, "updatedAt": time, "state": f"deflate;{payload}"}
    tag = f"mlflow.sharedViewState.{KEY}"
    client.set_experiment_tag(experiment.experiment_id, tag, json.dumps(view))


def _scatter(cost: str) -> dict[str, Any]:
    """Quality over a cost, a dot for each run."""
    x, y = ({"key": key, "type": "METRIC"} for key in (cost, QUALITY))
    return _chart(cost, type="SCATTER", xaxis=x, yaxis=y)


def _bars() -> dict[str, Any]:
    """Quality, a bar for each run."""
    return _chart(QUALITY, type="BAR", metricKey=QUALITY, displayName=QUALITY)


def _chart(uuid: str, **settings: Any) -> dict[str, Any]:
    return _visible_part(uuid=uuid, metricSectionId=KEY, runsCountToCompare=RUNS, **settings)


def _visible_part(**settings: Any) -> dict[str, Any]:
    """A part of the page that is neither deleted nor made by MLflow itself."""
    return {"display": True, "deleted": False, "isGenerated": False, **settings}
