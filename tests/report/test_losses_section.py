"""The loss figure: every seed has its own curve and, in the same colour, its held-out losses."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from genlab.report.sections import losses
from genlab.report.sections.losses import loss_curves

LOSSES = {"vae": (0.5, 0.9, 1.4), "ddpm": (3.0, 2.0, 2.5)}
HELD_OUT = pd.DataFrame(
    [
        {"model": model, "seed": seed, "images": images, "loss": loss + 10 / images, "all": on_all}
        for model, losses in LOSSES.items()
        for seed, loss in zip("017", losses, strict=True)
        for images, on_all in ((150, False), (250, False), (300, True))
    ]
)


def test_each_seed_has_its_own_held_out_losses_in_its_own_colour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(losses, "png", lambda figure: figure)
    history = pd.DataFrame(
        [
            {"model": model, "seed": seed, "images": images, "loss": 1.0 + int(seed)}
            for model in ("vae", "ddpm") for seed in "017" for images in (100, 200, 300)
        ]
    )  # fmt: skip
    figure: Any = loss_curves(history, HELD_OUT)
    for axis in figure.axes:
        lines = [(line, list(line.get_ydata())) for line in axis.lines if len(line.get_ydata())]
        curves = {
            str(int(y[0]) - 1): line.get_color() for line, y in lines if line.get_linestyle() == "-"
        }
        held_out = [
            (line.get_linestyle() == "None", tuple(y), line.get_color())
            for line, y in lines
            if line.get_linestyle() != "-"
        ]
        of_model = HELD_OUT[HELD_OUT["model"] == axis.get_title()]
        assert len(set(curves.values())) == 3
        # The point on all images is not joined with the line on the first ones.
        assert sorted(held_out) == sorted(
            (on_all, tuple(points["loss"]), curves[seed])
            for (seed, on_all), points in of_model.groupby(["seed", "all"])
        )
        low, high = axis.get_ylim()
        at_the_end = of_model[of_model["images"] == 300]["loss"]
        assert low < at_the_end.min() and at_the_end.max() < high
        names = [text.get_text() for text in axis.get_legend().get_texts()]
        assert names == ["0", "1", "7", "some held-out images", "all held-out images"]
