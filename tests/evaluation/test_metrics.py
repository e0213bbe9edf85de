"""FID, KID, inception score, precision and recall against closed forms."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from genlab.config.study import EvaluationConfig
from genlab.errors import GenLabError
from genlab.evaluation import neighbours
from genlab.evaluation.metrics import (
    Comparison,
    Features,
    feature_metrics,
    measure,
    metrics,
    precision_recall,
)

CONFIG = EvaluationConfig(samples=400, splits=4)
N, DIMENSIONS = 400, 6


def normal(seed: int, n: int = N) -> NDArray[np.float32]:
    """Features [n, DIMENSIONS] from N(0, I), brought to mean 0 exactly."""
    x = np.random.default_rng(seed).standard_normal((n, DIMENSIONS))
    return (x - x.mean(axis=0)).astype(np.float32)


def features(x: NDArray[np.float32], logits: NDArray[np.float32] | None = None) -> Features:
    """`x` as the features of images; without logits of their own, all classes are as likely."""
    return {
        "features": x,
        "logits": np.zeros((len(x), 5), np.float32) if logits is None else logits,
    }


def test_a_set_against_itself_is_perfect() -> None:
    same = features(normal(0))
    result = measure(Comparison(same, same, CONFIG))
    # sqrt of a product of covariances, whose rounding error is some 1e-7 of their trace of 6.
    assert result["fid"] == pytest.approx(0, abs=1e-5)
    assert (result["precision"], result["recall"]) == (1.0, 1.0)


@pytest.mark.parametrize("shift", [0.5, 2.0])
def test_fid_of_a_shift_is_its_squared_length(shift: float) -> None:
    """Equal covariances leave |mu_1 - mu_2|^2 (Dowson & Landau 1982)."""
    x = normal(0)
    result = measure(Comparison(features(x + np.float32(shift)), features(x), CONFIG))
    assert result["fid"] == pytest.approx(DIMENSIONS * shift**2, rel=1e-5)


def test_fid_of_a_scaling_is_a_trace() -> None:
    """Means 0 and covariances C and s^2 C leave tr(C + s^2 C - 2 s C) = (s - 1)^2 tr C."""
    x = normal(0)
    result = measure(Comparison(features(3 * x), features(x), CONFIG))
    assert result["fid"] == pytest.approx(4 * np.trace(np.cov(x.T)), rel=1e-5)


def test_kid_is_the_unbiased_mmd_of_a_cubic_kernel() -> None:
    """One closed expression of all images."""
    x, y = normal(0).astype(float), normal(1).astype(float) + 0.3
    result = measure(Comparison(features(x), features(y), CONFIG))  # type: ignore[arg-type]

    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        return (a @ b.T / DIMENSIONS + 1) ** 3

    def off_diagonal(k: NDArray[np.float64]) -> float:
        return float((k.sum() - np.trace(k)) / (N * (N - 1)))

    expected = off_diagonal(kernel(x, x)) + off_diagonal(kernel(y, y)) - 2 * kernel(x, y).mean()
    assert result["kid"] == pytest.approx(expected, rel=1e-9)


def test_all_are_torch_fidelity_s() -> None:
    """On the same features and logits, and KID with one subset that holds all images."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    x, y = normal(0), normal(1) * 1.2
    logits = normal(2)[:, :5]  # as many classes as `features` has
    result = measure(Comparison(features(x, logits), features(y), CONFIG))
    tensors = [torch.from_numpy(v).double() for v in (x, y)]
    theirs = (
        fid_statistics_to_metric(*map(fid_features_to_statistics, tensors), verbose=False)
        | kid_features_to_metric(*tensors, kid_subsets=1, kid_subset_size=N, verbose=False)
        | isc_features_to_metric(torch.from_numpy(logits), splits=CONFIG.splits)
        | prc_features_to_metric(*tensors, prc_neighborhood=CONFIG.neighbours, verbose=False)
    )
    for name, theirs_name in {
        "fid": "frechet_inception_distance",
        "kid": "kernel_inception_distance_mean",
        "inception_score": "inception_score_mean",
        "inception_score_std": "inception_score_std",
        "precision": "precision",
        "recall": "recall",
    }.items():
        assert result[name] == pytest.approx(theirs[theirs_name], rel=1e-6), name


def test_held_out_images_have_a_distance_and_a_gap_of_their_own() -> None:
    """Samples that repeat training images are nearer to these than to held-out images."""
    training, held_out = features(normal(0)), features(normal(1))
    result = measure(Comparison(training, training, CONFIG, held_out))
    swapped = measure(Comparison(training, held_out, CONFIG, training))
    assert result["fid_held_out"] == swapped["fid"]
    assert result["fid_gap"] > 0 > swapped["fid_gap"]  # type: ignore[operator]
    assert result["fid_inf_low"] < result["fid_inf"] < result["fid_held_out"]  # type: ignore
    without = measure(Comparison(training, training, CONFIG))
    assert [without[name] for name in ("fid_held_out", "fid_gap", "fid_inf")] == [None] * 3


def test_kid_of_two_draws_from_one_distribution_is_0_within_its_error() -> None:
    """It is unbiased, unlike FID, which is some (DIMENSIONS^2 / N) here."""
    result = measure(Comparison(features(normal(0)), features(normal(1)), CONFIG))
    assert result["kid_low"] < 0 < result["kid_high"]
    assert result["fid"] > 0.01


@pytest.mark.parametrize("block", [1000, 150])
def test_precision_and_recall_are_counted_in_balls(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brute force: who lies within the distance of a neighbour's k-th neighbour."""
    monkeypatch.setattr(neighbours, "BLOCK", block)
    generated, real = normal(0), normal(1) * 1.5
    result = measure(Comparison(features(generated), features(real), CONFIG))

    def share(inside: NDArray[np.float32], of: NDArray[np.float32]) -> float:
        def distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
            return np.sqrt(((a[:, None].astype(float) - b[None].astype(float)) ** 2).sum(-1))

        radius = np.sort(distances(of, of), axis=1)[:, CONFIG.neighbours]
        return float((distances(inside, of) <= radius).any(axis=1).mean())

    # Shares of 400: a tie that rounding breaks the other way would move one by 1/400.
    assert result["precision"] == pytest.approx(share(generated, real), abs=1.5 / N)
    assert result["recall"] == pytest.approx(share(real, generated), abs=1.5 / N)
    assert result["precision"] > result["recall"]  # generated ones lie in the midst of the real


def test_samples_that_dropped_half_of_the_data_lose_recall_not_precision() -> None:
    real = normal(0)
    real[: N // 2] += 20
    half = normal(1)
    result = measure(Comparison(features(half), features(real), CONFIG))
    # A few new points lie outside the balls of the 200 that are near; the other 200 are far from
    # all of the samples, which leaves recall at one half at most.
    assert result["precision"] > 0.8
    assert result["recall"] <= 0.5


def test_of_many_real_images_a_part_of_all_is_looked_at() -> None:
    """They are sorted by class in a data set of folders; the first 10,000 would be most of one."""
    real = np.random.default_rng(0).normal(size=(14_000, 2)).astype(np.float32)
    real[7_000:] += 100
    results = precision_recall.precision_recall(real[7_000:8_000], real, 3)
    precision, recall = (estimate.value for estimate in results)
    # 5,000 of the 10,000 random ones, give or take four standard deviations, can lie near; some
    # of those lie in the gaps between the balls of 1,000 samples, and some samples in theirs.
    assert precision > 0.9
    assert 0.4 < recall < 0.5 + 4 * (0.25 * (4 / 14) / 10_000) ** 0.5
    again = precision_recall.precision_recall(real[7_000:8_000], real, 3)
    assert tuple(estimate.value for estimate in again) == (precision, recall)


@pytest.mark.parametrize(("certainty", "score"), [(0.0, 1.0), (50.0, 5.0)])
def test_the_inception_score_lies_between_1_and_the_number_of_classes(
    certainty: float, score: float
) -> None:
    """exp E KL(p(y|x), p(y)): 1 if all samples look alike, 5 for five equally frequent classes."""
    logits = certainty * np.eye(5, dtype=np.float32)[np.arange(N) % 5]
    result = measure(Comparison(features(normal(0), logits), features(normal(1)), CONFIG))
    # Splits of 100 shuffled images don't hold just 20 of each class, which lowers it by about
    # (classes - 1) / (2 * 100) in the exponent: 2 % of the score.
    assert result["inception_score"] == pytest.approx(score, rel=0.04)


@pytest.mark.parametrize(
    ("samples", "reference", "message"),
    [
        (features(normal(0, 5)), features(normal(1)), "5 samples are too few"),
        (features(normal(0)), features(normal(1, 4)), "4 training images are too few"),
    ],
)
def test_too_few_images_are_refused(samples: Features, reference: Features, message: str) -> None:
    with pytest.raises(GenLabError, match=message) as caught:
        measure(Comparison(samples, reference, CONFIG))
    assert "need at least 7" in str(caught.value)


def test_fewer_images_than_dimensions_are_refused() -> None:
    """Their covariance would be singular."""
    wide = {"features": np.zeros((400, 2048), np.float32), "logits": np.zeros((400, 5))}
    with pytest.raises(GenLabError, match=r"2048 feature dimensions.* need at least 2048"):
        measure(Comparison(wide, wide, CONFIG))


def test_without_class_logits_there_is_no_inception_score() -> None:
    """Logits of something else than classes, and none at all; the other metrics are the same."""
    x, y = normal(0), normal(1)
    expected = measure(Comparison(features(x), features(y), CONFIG))
    none = np.zeros((N, 0), np.float32)
    assert expected["inception_score"] == pytest.approx(1, abs=1e-12)  # rounding
    for result in (
        measure(Comparison(features(x), features(y), CONFIG, classes=False)),
        measure(Comparison(features(x, none), features(y, none), CONFIG)),
    ):
        names = ("inception_score", "inception_score_low", "inception_score_high")
        missing = dict.fromkeys((*names, "inception_score_std", "class_imbalance"))
        assert result == expected | missing


def test_every_column_belongs_to_one_metric_and_is_explained() -> None:
    """Explanations take their numbers from the study; a metric measures all of its columns."""
    names = [column.name for metric in metrics() for column in metric.columns]
    assert len(set(names)) == len(names)
    settings = CONFIG.model_dump() | {"path_images": 64}
    for metric in metrics():
        text = metric.explanation.format(**settings)
        assert text.endswith(".") and "{" not in text
    measured = measure(Comparison(features(normal(0)), features(normal(1)), CONFIG))
    names = [name for metric in feature_metrics() for name in metric.names]
    assert sorted(measured) == sorted(names)


def test_the_facts_of_metrics_need_no_torch() -> None:
    """The league and the page read them, and start in a second."""
    code = (
        "import sys; from genlab.evaluation.metrics import metrics; "
        "assert len(metrics()) > 5; print([m for m in sys.modules if m.startswith('torch')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
