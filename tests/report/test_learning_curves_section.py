"""Learning curves on the page: rankings by brute force, times and slopes of known curves."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from scipy.stats import linregress
from tiny import make_study, write_costs

from genlab.io.files import read_json, write_json
from genlab.report.sections import learning_curves as section
from genlab.report.sections import memorisation_time
from genlab.report.sections.learning_curves import Agreement, agreements, quality_curves
from genlab.report.sections.memorisation_time import (
    COPYING,
    crossing,
    fit_slope,
    memorisation_plot,
    run_times,
    slopes,
)
from genlab.report.study import ReportedStudy
from genlab.results.layout import StudyFolder
from genlab.results.origin import run_origin, write_measured
from genlab.results.spec import read_curve, read_study
from genlab.workflow.league import league
from genlab.workflow.report import report


def curves(values: dict[str, list[float]], seed: str = "0") -> pd.DataFrame:
    """Points at shares .25, .5 and 1, where `values` holds the FD of each model."""
    shares = (0.25, 0.5, 1.0)
    return pd.DataFrame(
        [
            {"dataset": "digits", "model": model, "seed": seed, "row": "ddim", "share": share,
             "images": 1000 * share, "seconds": 10 * share, "copied": 0.0, "fid_held_out": fd,
             "fid": fd, "fid_gap": 0.0}
            for model, distances in values.items()
            for share, fd in zip(shares, distances, strict=True)
        ]
    )  # fmt: skip


def test_a_ranking_that_stays_is_settled_and_one_that_turns_is_not() -> None:
    points = curves({"a": [9, 3, 1], "b": [8, 4, 2], "c": [7, 5, 3]})
    assert agreements(points) == [
        Agreement(0.25, -1.0, [("b", "a"), ("c", "a"), ("c", "b")]),
        Agreement(0.5, 1.0, []),
    ]


def test_tau_is_concordant_minus_discordant_pairs() -> None:
    random = np.random.default_rng(0)
    values = {f"m{i}": random.random(3).tolist() for i in range(7)}
    for k, agreement in enumerate(agreements(curves(values))):
        signs = [
            np.sign((values[a][k] - values[b][k]) * (values[a][2] - values[b][2]))
            for a, b in combinations(values, 2)
        ]
        assert agreement.tau == pytest.approx(np.mean(signs))
        assert len(agreement.swapped) == signs.count(-1)


def test_models_rank_by_their_mean_over_seeds() -> None:
    """Model b is worse with one seed and much better with the other."""
    first = curves({"a": [5, 5, 5], "b": [6, 6, 6]})
    second = curves({"a": [5, 5, 5], "b": [6, 6, 1]}, seed="1")
    assert agreements(pd.concat([first, second]))[1].swapped == [("a", "b")]


def test_one_model_has_no_ranking() -> None:
    assert [one.tau for one in agreements(curves({"a": [3, 2, 1]}))] == [None, None]


def test_every_run_is_a_line_against_images_and_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(section, "png", lambda figure: figure)
    values = {"a": [9.0, 3.0, 1.0], "b": [8.0, 4.0, 2.0]}
    both = pd.concat([curves(values), curves(values, seed="1")])
    figure: Any = quality_curves(both)
    by_images, by_seconds = figure.axes
    assert [len(axis.lines) for axis in figure.axes] == [4, 4]
    assert by_images.lines[0].get_xydata().tolist() == [[250, 9], [500, 3], [1000, 1]]
    assert by_seconds.lines[0].get_xydata().tolist() == [[2.5, 9], [5, 3], [10, 1]]
    plt.close(figure)


def test_a_data_set_with_too_few_images_for_a_distance_has_no_curves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_config: Path
) -> None:
    many = curves({"vae": [3.0, 2.0, 1.0]})
    few = many.assign(dataset="few", **{section.RANKED_BY: np.nan})
    monkeypatch.setattr(section, "learning_curves", lambda study: pd.concat([few, many]))
    at = make_study(tmp_path / "results", tiny_config, {})
    study = ReportedStudy(at, read_study(at.config), pd.DataFrame())
    content = section.LearningCurvesSection().read(study)
    assert [plot["dataset"] for plot in content["plots"]] == ["digits"]


def test_a_curve_crosses_a_level_between_two_points() -> None:
    """Linear in log time: half of the way from 100 to 10,000 is 1,000."""
    assert crossing([1, 100, 10_000], [0, 0, 1], 0.5) == pytest.approx(1000)
    assert crossing([1, 100, 10_000], [0, 0, 1], 1) == pytest.approx(10_000)
    assert crossing([1, 100, 10_000], [0, 0, 1], 2) is None  # never
    assert crossing([1, 100, 10_000], [3, 0, 4], 2) is None  # before the first point


def test_the_slope_and_its_interval_are_those_of_a_linear_regression() -> None:
    random = np.random.default_rng(0)
    n = np.repeat([250, 500, 1000, 2000], 2)
    times = 40 * n**1.1 * np.exp(0.2 * random.standard_normal(8))
    slope, peer = fit_slope(n, times), linregress(np.log(n), np.log(times))
    assert slope is not None
    assert (slope.b, slope.log_a) == pytest.approx((peer.slope, peer.intercept))
    half = 2.4469118 * peer.stderr  # the 97.5 % point of Student's t with 6 degrees of freedom
    assert (slope.low, slope.high) == pytest.approx((peer.slope - half, peer.slope + half))
    assert fit_slope([250, 250, 500, 500], [1, 2, 3, 4]) is None


def invented_run(n: int, seed: str) -> pd.DataFrame:
    """A run that draws good samples from 2,000 images on and copies from 100 n on."""
    images = np.geomspace(500, 1e6, 60)
    copied = np.clip(COPYING + 0.1 * np.log(images / (100 * n)), 0, 1)
    quality = np.where(images < 2000, 100.0, 5.0)
    return pd.DataFrame({"n": n, "seed": seed, "images": images, "copied": copied,
                         "fid_held_out": quality})  # fmt: skip


def test_exponents_of_known_curves_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    points = pd.concat([invented_run(n, seed) for n in (100, 400, 1600) for seed in "01"])
    times = run_times(points)
    assert times["copying"].tolist() == pytest.approx(list(100 * times["n"]))
    assert times["good"].nunique() == 1
    assert 1700 < times["good"].iloc[0] < 2100
    fitted = slopes(times)
    assert fitted["copying"] is not None and fitted["good"] is not None
    assert fitted["copying"].b == pytest.approx(1)
    assert fitted["good"].b == pytest.approx(0, abs=1e-9)
    monkeypatch.setattr(memorisation_time, "png", lambda figure: figure)
    figure: Any = memorisation_plot(points)
    assert [len(axis.lines) for axis in figure.axes] == [6, 6 + 1, 2 + 2]
    plt.close(figure)


def test_a_run_that_never_copies_has_no_time_and_no_slope() -> None:
    times = run_times(pd.concat([invented_run(n, "0") for n in (100, 400, 10**6)]))
    assert times["copying"].isna().tolist() == [False, False, True]
    assert slopes(times)["copying"] is None


@pytest.fixture
def page(trained_study: StudyFolder) -> str:
    """The page of the trained tiny study, with a curve of each model written by hand."""
    at = trained_study
    write_costs(at)
    text = at.config.read_text()
    at.config.write_text(text.replace("curves: null", "curves: {shares: [0.5, 1.0], samples: 32}"))
    for model, distances in {"vae": [9.0, 2.0], "ddpm": [8.0, 3.0]}.items():
        run = at.run("stripes", model, 0)
        write_json(run.cost, read_json(run.cost) | {"seconds_at": {"0.5": 1.0}})
        points = [
            {"share": share, "images": 256 * share, "copied": 0.1,
             "quality": {"classifier": {"fid": fd, "fid_held_out": fd, "fid_gap": 0.5, "kid": 0.0}}}
            for share, fd in zip((0.5, 1.0), distances, strict=True)
        ]  # fmt: skip
        content = {"row": "prior", "samples": 32, "points": points}
        write_measured(run.curve, content, run_origin(run))
    league(at)
    report(at)
    return at.report.read_text()


def test_the_page_says_who_changed_places(page: str) -> None:
    part = page[page.index('<section id="learning-curves">') :].partition("</section>")[0]
    assert "Is the ranking settled?" in part
    assert ">50 %</th>" in part and ">-1.00</td>" in part
    assert "ddpm and vae" in part
    assert part.count("<img") == 2
    # Both are without bias, so the sets of real images need not have one size.
    assert "FD∞ to the held-out images minus FD∞ to the training images" in part
    assert 'id="memorisation-time"' not in page


def test_a_study_draws_curves_where_it_says_so(tmp_path: Path, tiny_config: Path) -> None:
    at = make_study(tmp_path / "results", tiny_config, {})
    assert not at.run("stripes", "ddpm", 0).curve_config.exists()
    at = make_study(tmp_path / "results", tiny_config, {"curves": {}})
    spec = read_curve(at.run("stripes", "ddpm", 0).curve_config)
    assert (spec.row, spec.shares[-1], spec.samples) == ("ddim-3", 1.0, 1000)
