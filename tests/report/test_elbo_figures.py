"""The laboratory's figures: pictures of what the JSON says, the same for the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from genlab.report.elbo_figures import bound_curves, elbo_parts, gradient_spread, ppca_bounds


def number(value: float, error: float = 0.1) -> dict[str, float]:
    return {"value": value, "error": error}


def curve(top: float) -> list[dict[str, float]]:
    return [{"k": k, **number(top - 3 / k)} for k in (1, 10, 100)]


def run(gap: float) -> dict[str, Any]:
    names = ("mutual_information", "total_correlation", "dimension_wise_kl")
    return {
        "likelihood": "Bernoulli",
        "decomposition": {**{name: number(2) for name in names}, "log_images": 6.9},
        "bounds": {"curve": curve(-90)},
        "annealing": {
            "log_p": number(-89),
            "approximation_gap": number(gap),
            "amortisation_gap": number(2),
        },
        "simulated": {"gap": number(0.3)},
    }


PPCA = {
    "log_p": 10.0,
    "posteriors": [
        {"posterior": "exact", "kl": 0.0, "bounds": [{"k": 1, **number(10, 0)}]},
        {"posterior": "wide", "kl": 3.0, "bounds": curve(10)},
    ],
}
GRADIENTS = {
    "samples": 8,
    "rows": [
        {"latent": latent, "place": place, "estimator": name, "variance": v * latent,
         "variance_error": 0.1}
        for latent in (1, 2, 4) for place in ("far", "near")
        for name, v in (("pathwise", 1.0), ("score function", 50.0))
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("draw", "content", "changed"),
    [
        (ppca_bounds, PPCA, {**PPCA, "log_p": 10.5}),
        (gradient_spread, GRADIENTS, {**GRADIENTS, "rows": GRADIENTS["rows"][:-4]}),  # type: ignore[index]
        (elbo_parts, {"a": run(1), "b": run(1)}, {"a": run(1), "b": run(4)}),
        (bound_curves, {str(i): run(1) for i in range(4)}, {"a": run(1)}),
    ],
)
def test_a_figure_is_a_picture_of_its_numbers(
    draw: Callable[[dict[str, Any]], bytes], content: dict[str, Any], changed: dict[str, Any]
) -> None:
    picture = draw(content)
    pixels = np.asarray(Image.open(BytesIO(picture)).convert("RGB"))
    assert pixels.shape[1] > 300 and len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20
    assert draw(content) == picture  # the same bytes for the same numbers
    assert draw(changed) != picture
