"""The section on the ELBO study: figures and tables show the numbers of the JSON files."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from PIL import Image

from genlab.report.sections import elbo_study
from genlab.report.sections.elbo_study import bound_curves, elbo_parts, gradient_spread, ppca_bounds


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


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures themselves come back, not their PNG files."""
    monkeypatch.setattr(elbo_study, "png", lambda figure: figure)


def curves(axis: Axes) -> dict[str, list[tuple[float, float]]]:
    """The points of every line by its label."""
    lines = {str(line.get_label()): line.get_data() for line in axis.lines}
    return {label: [(float(x), float(y)) for x, y in zip(*data, strict=True)]
            for label, data in lines.items()}  # fmt: skip


def levels(axis: Axes) -> list[float]:
    """The heights of the dashed and dotted lines across the whole panel."""
    return [
        float(line.get_ydata()[0]) for line in axis.lines if line.get_linestyle() in (":", "--")
    ]  # type: ignore[index]


def heights(axis: Axes, k: int) -> list[tuple[float, float]]:
    """Lower and upper end of each band, where it starts at `k`."""
    bands = []
    for band in axis.collections:
        at = np.concatenate([path.vertices for path in band.get_paths()])
        ends = [float(y) for x, y in at if float(x) == k]
        bands.append((min(ends), max(ends)))
    return bands


@pytest.mark.usefixtures("figures")
def test_bounds_of_ppca_stand_below_log_p_and_what_is_left_beside_its_kl() -> None:
    """IWAE-K is 10 - 3 / K here, its errors are 0.1, so that the gap at K = 100 is noise."""
    left, right = ppca_bounds(PPCA).axes  # type: ignore[attr-defined]
    assert curves(left)["exact log p(x)"][0][1] == 10
    assert curves(left)["exact, KL 0.00"] == [(1, 10)]
    assert curves(left)["wide, KL 3.00"] == [(1, 7), (10, 9.7), (100, 9.97)]
    assert heights(left, 1) == [(10, 10), (pytest.approx(6.8), pytest.approx(7.2))]
    (gap,) = [line for line in right.lines if line.get_marker() == "o"]
    assert [*zip(*gap.get_data(), strict=True)] == [(1, 3), (10, pytest.approx(0.3))]
    assert levels(right) == [3]


@pytest.mark.usefixtures("figures")
def test_gradients_have_a_panel_for_each_place_and_a_line_for_each_estimator() -> None:
    figure = gradient_spread(GRADIENTS)
    assert [axis.get_title() for axis in figure.axes] == ["far", "near"]  # type: ignore[attr-defined]
    for axis in figure.axes:  # type: ignore[attr-defined]
        points = [line.lines[0].get_data() for line in axis.containers]
        assert [[*zip(*map(list, xy), strict=True)] for xy in points] == [
            [(1, 1), (2, 2), (4, 4)], [(1, 50), (2, 100), (4, 200)],
        ]  # fmt: skip
        assert [line.get_label() for line in axis.containers] == ["pathwise", "score function"]
        bar = axis.containers[0].lines[2][0].get_segments()[0]  # of two standard errors
        assert bar.tolist() == [[1, pytest.approx(0.8)], [1, pytest.approx(1.2)]]
        assert [tick.get_text() for tick in axis.get_xticklabels()] == ["1", "2", "4"]
        assert axis.get_ylabel() == "gradient variance, 8 samples"


def bars(axis: Axes) -> dict[str, list[tuple[float, float]]]:
    """Start and length of every bar, by part, the runs in their order."""
    return {
        str(part.get_label()): [(patch.get_x(), patch.get_width()) for patch in part.patches]
        for part in axis.containers
        if isinstance(part, BarContainer)
    }


@pytest.mark.usefixtures("figures")
def test_the_parts_of_a_run_stand_end_to_end() -> None:
    left, right = elbo_parts({"a": run(1), "b": run(4)}).axes  # type: ignore[attr-defined]
    assert bars(left) == {
        "mutual information of x and z": [(0, 2), (0, 2)],
        "total correlation": [(2, 2), (2, 2)],
        "dimension-wise KL": [(4, 2), (4, 2)],
    }
    assert bars(right) == {
        "approximation gap: q is a factorised Gaussian": [(0, 1), (0, 4)],
        "amortisation gap: one encoder for all images": [(1, 2), (4, 2)],
    }
    (most,) = [line for line in left.lines if line.get_linestyle() == "--"]
    assert list(most.get_xdata()) == [6.9, 6.9]  # log of the number of images
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["a", "b"]
    assert left.yaxis_inverted()  # the first run stands on top


@pytest.mark.usefixtures("figures")
def test_every_run_has_a_panel_of_its_bounds() -> None:
    """IWAE-K is -90 - 3 / K; log p(x) is -89 with an error of 0.1 and a gap of 0.3 above."""
    figure = bound_curves({f"run {i}": run(1) for i in range(4)})
    assert [axis.get_title() for axis in figure.axes] == [  # type: ignore[attr-defined]
        f"run {i}\nBernoulli" for i in range(4)
    ]
    for axis in figure.axes:  # type: ignore[attr-defined]
        assert curves(axis)["IWAE-K (K = 1: ELBO)"] == [(1, -93), (10, -90.3), (100, -90.03)]
        assert levels(axis) == [-89]
        assert heights(axis, 1) == [(pytest.approx(-93.2), pytest.approx(-92.8))]
        (band,) = axis.patches
        assert band.get_y() == pytest.approx(-89.2)
        assert band.get_height() == pytest.approx(0.2 + 0.2 + 0.3)


@pytest.mark.parametrize(
    ("draw", "content"),
    [
        (ppca_bounds, PPCA),
        (gradient_spread, GRADIENTS),
        (elbo_parts, {"a": run(1), "b": run(1)}),
        (bound_curves, {"a": run(1)}),
    ],
)
def test_the_same_numbers_give_the_same_file(
    draw: Callable[[dict[str, Any]], bytes], content: dict[str, Any]
) -> None:
    picture = draw(content)
    assert Image.open(BytesIO(picture)).format == "PNG"
    assert draw(content) == picture


def test_every_panel_says_how_many_images_it_is_the_mean_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(elbo_study, "png", lambda figure: figure)
    parts: Any = elbo_parts({"a": run(1), "b": run(1, images=20)})
    kl, gap = (axis.get_title() for axis in parts.axes)
    assert kl == "KL(q(z|x) || p(z)), mean over 1,000 images\n(dashed: log of their number)"
    assert gap == "log p(x) - ELBO, mean over 16 to 20 images,\nby annealed importance sampling"
    curves: Any = bound_curves({"a": run(1), "b": run(1, images=20)})
    labels = [axis.get_ylabel() for axis in curves.axes]
    assert labels == ["nats, mean over 16 images", "nats, mean over 20 images"]
    figure: Any = ppca_bounds(PPCA)
    assert figure.axes[0].get_ylabel() == "nats, mean over 16 images"
