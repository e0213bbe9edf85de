"""The laboratory's figures: pictures of what the JSON says, the same for the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from genlab.report import elbo_figures
from genlab.report.elbo_figures import bound_curves, elbo_parts, gradient_spread, ppca_bounds


def number(value: float, error: float = 0.1) -> dict[str, float]:
    return {"value": value, "error": error}


def curve(top: float) -> list[dict[str, float]]:
    return [{"k": k, **number(top - 3 / k)} for k in (1, 10, 100)]


def run(gap: float, images: int = 16) -> dict[str, Any]:
    names = ("mutual_information", "total_correlation", "dimension_wise_kl")
    return {
        "likelihood": "Bernoulli",
        "decomposition": {**{name: number(2) for name in names}, "log_images": 6.9, "images": 1000},
        "bounds": {"curve": curve(-90), "images": images},
        "annealing": {
            "images": images,
            "log_p": number(-89),
            "approximation_gap": number(gap),
            "amortisation_gap": number(2),
        },
        "simulated": {"gap": number(0.3)},
    }


PPCA = {
    "images": 16,
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


def test_every_panel_says_how_many_images_it_is_the_mean_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(elbo_figures, "png", lambda figure: figure)
    parts: Any = elbo_parts({"a": run(1), "b": run(1, images=20)})
    kl, gap = (axis.get_title() for axis in parts.axes)
    assert kl == "KL(q(z|x) || p(z)), mean of 1,000 images; dashed: log of that"
    assert gap == "log p(x) - ELBO, mean of 16 to 20 images, by annealing"
    curves: Any = bound_curves({"a": run(1), "b": run(1, images=20)})
    labels = [axis.get_ylabel() for axis in curves.axes]
    assert labels == ["nats, mean of 16 images", "nats, mean of 20 images"]
    known: Any = ppca_bounds(PPCA)
    assert known.axes[0].get_ylabel() == "nats, mean of 16 images"
