"""FID, KID, inception score, precision, recall: against closed forms and torch-fidelity itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from torch_fidelity import calculate_metrics

from genlab.config.base import read_yaml
from genlab.config.study import EvaluationConfig
from genlab.errors import GenLabError
from genlab.evaluation import metrics
from genlab.evaluation.extractors import make_extractor
from genlab.evaluation.metrics import Features, measure, precision_recall
from genlab.evaluation.stages import (
    Images,
    evaluate,
    extract,
    features_origin,
    read_features,
)
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.results.layout import StudyFolder
from genlab.results.spec import read_evaluation

CONFIG = EvaluationConfig(samples=400, kid_subsets=20, kid_subset_size=200, splits=4)
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
    found = measure(same, same, CONFIG)
    # sqrt of a product of covariances, whose rounding error is some 1e-7 of their trace of 6.
    assert found["fid"] == pytest.approx(0, abs=1e-5)
    assert (found["precision"], found["recall"]) == (1.0, 1.0)


@pytest.mark.parametrize("shift", [0.5, 2.0])
def test_fid_of_a_shift_is_its_squared_length(shift: float) -> None:
    """Equal covariances leave |mu_1 - mu_2|^2 (Dowson & Landau 1982)."""
    x = normal(0)
    found = measure(features(x + np.float32(shift)), features(x), CONFIG)
    assert found["fid"] == pytest.approx(DIMENSIONS * shift**2, rel=1e-5)


def test_fid_of_a_scaling_is_a_trace() -> None:
    """Means 0 and covariances C and s^2 C leave tr(C + s^2 C - 2 s C) = (s - 1)^2 tr C."""
    x = normal(0)
    found = measure(features(3 * x), features(x), CONFIG)
    assert found["fid"] == pytest.approx(4 * np.trace(np.cov(x.T)), rel=1e-5)


def test_kid_is_the_unbiased_mmd_of_a_cubic_kernel() -> None:
    """With subsets as large as the sets, every subset is the whole: one closed expression."""
    x, y = normal(0).astype(float), normal(1).astype(float) + 0.3
    config = CONFIG.model_copy(update={"kid_subset_size": N, "kid_subsets": 2})
    found = measure(features(x), features(y), config)  # type: ignore[arg-type]

    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        return (a @ b.T / DIMENSIONS + 1) ** 3

    def off_diagonal(k: NDArray[np.float64]) -> float:
        return float((k.sum() - np.trace(k)) / (N * (N - 1)))

    expected = off_diagonal(kernel(x, x)) + off_diagonal(kernel(y, y)) - 2 * kernel(x, y).mean()
    assert found["kid"] == pytest.approx(expected, rel=1e-9)
    assert found["kid_std"] == pytest.approx(0, abs=1e-9)


def test_kid_of_two_draws_from_one_distribution_is_0_within_its_error() -> None:
    """It is unbiased, unlike FID, which is some (DIMENSIONS^2 / N) here."""
    found = measure(features(normal(0)), features(normal(1)), CONFIG)
    # Subsets of half the set overlap, so the mean over them varies about as much as one subset.
    assert abs(found["kid"]) < 3 * found["kid_std"]
    assert found["fid"] > 0.01


@pytest.mark.parametrize("block", [1000, 150])
def test_precision_and_recall_are_counted_in_balls(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brute force: who lies within the distance of a neighbour's k-th neighbour."""
    monkeypatch.setattr(metrics, "BLOCK", block)
    generated, real = normal(0), normal(1) * 1.5
    found = measure(features(generated), features(real), CONFIG)

    def share(inside: NDArray[np.float32], of: NDArray[np.float32]) -> float:
        def distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
            return np.sqrt(((a[:, None].astype(float) - b[None].astype(float)) ** 2).sum(-1))

        radius = np.sort(distances(of, of), axis=1)[:, CONFIG.neighbours]
        return float((distances(inside, of) <= radius).any(axis=1).mean())

    # Shares of 400: a tie that rounding breaks the other way would move one by 1/400.
    assert found["precision"] == pytest.approx(share(generated, real), abs=1.5 / N)
    assert found["recall"] == pytest.approx(share(real, generated), abs=1.5 / N)
    assert found["precision"] > found["recall"]  # generated ones lie in the midst of the real


def test_samples_that_dropped_half_of_the_data_lose_recall_not_precision() -> None:
    real = normal(0)
    real[: N // 2] += 20
    half = normal(1)
    found = measure(features(half), features(real), CONFIG)
    # A few new points lie outside the balls of the 200 that are near; the other 200 are far from
    # all of the samples, which leaves recall at one half at most.
    assert found["precision"] > 0.8
    assert found["recall"] <= 0.5


def test_of_many_real_images_a_part_of_all_is_looked_at() -> None:
    """They are sorted by class in a data set of folders; the first 10,000 would be most of one."""
    real = np.random.default_rng(0).normal(size=(14_000, 2)).astype(np.float32)
    real[7_000:] += 100
    precision, recall = precision_recall(real[7_000:8_000], real, 3)
    # 5,000 of the 10,000 that are drawn, give or take four standard deviations, can lie near; some
    # of those lie in the gaps between the balls of 1,000 samples, and some samples in theirs.
    assert precision > 0.9
    assert 0.4 < recall < 0.5 + 4 * (0.25 * (4 / 14) / 10_000) ** 0.5
    assert precision_recall(real[7_000:8_000], real, 3) == (precision, recall)


@pytest.mark.parametrize(("certainty", "score"), [(0.0, 1.0), (50.0, 5.0)])
def test_the_inception_score_lies_between_1_and_the_number_of_classes(
    certainty: float, score: float
) -> None:
    """exp E KL(p(y|x) || p(y)): 1 if no class is told apart, 5 if five as likely ones are."""
    logits = certainty * np.eye(5, dtype=np.float32)[np.arange(N) % 5]
    found = measure(features(normal(0), logits), features(normal(1)), CONFIG)
    # Splits of 100 shuffled images don't hold just 20 of each class, which lowers it by about
    # (classes - 1) / (2 * 100) in the exponent: 2 % of the score.
    assert found["inception_score"] == pytest.approx(score, rel=0.04)


@pytest.mark.parametrize(
    ("samples", "reference", "said"),
    [
        (features(normal(0, 199)), features(normal(1)), "199 samples are too few"),
        (features(normal(0)), features(normal(1, 150)), "150 reference images are too few"),
    ],
)
def test_too_few_images_are_refused(samples: Features, reference: Features, said: str) -> None:
    with pytest.raises(GenLabError, match=said) as caught:
        measure(samples, reference, CONFIG)
    assert "need at least 200" in str(caught.value)


def test_fewer_images_than_dimensions_are_refused() -> None:
    """Their covariance would be singular."""
    wide = {"features": np.zeros((400, 2048), np.float32), "logits": np.zeros((400, 5))}
    with pytest.raises(GenLabError, match=r"2048 feature dimensions.* need at least 2048"):
        measure(wide, wide, CONFIG)


def images(path: Path) -> Images:
    return Images(read_array(path), rgb=False)


def test_our_numbers_are_torch_fidelity_s(trained_study: StudyFolder) -> None:
    """Its public function, told the registered extractor and the images, says the same."""
    at = trained_study
    row, data = at.run("stripes", "ddpm", 0).samples("ddim-3"), at.data("stripes")
    make_extractor("classifier", at.classifier("stripes"), None, cuda=False)  # registers it
    config = read_evaluation(at.evaluation)
    theirs = calculate_metrics(
        input1=images(row.samples),
        input2=images(data.images("train")),
        feature_extractor="classifier",
        feature_extractor_weights_path=str(at.classifier("stripes").folder),
        fid=True, kid=True, isc=True, prc=True, cuda=False, verbose=False, save_cpu_ram=True,
        isc_splits=config.splits, kid_subsets=config.kid_subsets,
        kid_subset_size=config.kid_subset_size, prc_neighborhood=config.neighbours,
    )  # fmt: skip
    ours = read_json(row.run.metrics)["ddim-3"]["classifier"]
    for name, theirs_name in {
        "fid": "frechet_inception_distance",
        "kid": "kernel_inception_distance_mean",
        "kid_std": "kernel_inception_distance_std",
        "inception_score": "inception_score_mean",
        "inception_score_std": "inception_score_std",
        "precision": "precision",
        "recall": "recall",
    }.items():
        # Theirs are computed in float32, ours in float64; batches of 64 and of 100.
        assert ours[name] == pytest.approx(theirs[theirs_name], rel=1e-3, abs=1e-5), name
    assert (ours["samples"], ours["reference_images"]) == (32, 96)


def test_real_images_are_near_and_noise_is_far(trained_study: StudyFolder) -> None:
    found = read_json(trained_study.run("stripes", "floor", 0).metrics)
    real, noise = found["real"]["classifier"], found["noise"]["classifier"]
    assert real["fid"] < 0.1 * noise["fid"]
    assert real["kid"] < 0.1 * noise["kid"]
    assert real["precision"] > 0.8 > noise["precision"]
    # Two classes, so 2 at best; noise is of no class.
    assert 1 <= noise["inception_score"] < real["inception_score"] <= 2
    assert read_json(trained_study.classifier("stripes").summary)["held_out"]["accuracy"] == 1.0


def test_features_are_the_classifier_s_own(trained_study: StudyFolder, tmp_path: Path) -> None:
    from genlab.models.batches import to_float
    from genlab.workflow.models import load_trained

    at = trained_study
    pixels = torch.from_numpy(np.array(read_array(at.data("stripes").images("test"))))
    classifier: Any = load_trained(at.classifier("stripes"))
    with torch.no_grad():
        expected = classifier.features(to_float(pixels))
    images = at.data("stripes").images("test")
    extract(at, "stripes", "classifier", images, tmp_path / "x.npz")
    origin = features_origin(at, "stripes", "classifier", images)
    found = read_features(tmp_path / "x.npz", origin)
    # The same network on the same pixels; batches may add up in another order.
    assert np.allclose(found["features"], expected.numpy(), atol=1e-5)
    assert np.allclose(found["logits"], classifier.head(expected).detach().numpy(), atol=1e-5)


def test_evaluate_finds_the_rows_by_itself(trained_study: StudyFolder) -> None:
    run = trained_study.run("stripes", "ddpm", 0)
    before = read_json(run.metrics)
    run.metrics.unlink()
    evaluate(run)
    assert read_json(run.metrics) == before


def test_damaged_features_are_named(trained_study: StudyFolder, genlab: Callable[..., Any]) -> None:
    run = trained_study.run("stripes", "ddpm", 0)
    path = run.samples("ddim-3").features("classifier")
    path.write_bytes(path.read_bytes()[:100])
    ended = genlab("evaluate", "--run", run.folder)
    assert ended.status == 1
    assert ended.err.startswith(f"error: {path}: not a whole file of features (")


def test_too_few_samples_are_refused_by_the_command(
    trained_study: StudyFolder, genlab: Callable[..., Any]
) -> None:
    config = read_yaml(trained_study.evaluation) | {"samples": 99, "kid_subset_size": 99}
    trained_study.evaluation.write_text(yaml.safe_dump(config))
    ended = genlab("evaluate", "--run", trained_study.run("stripes", "ddpm", 0).folder)
    assert ended.status == 1
    assert "error: evaluation: 32 samples are too few" in ended.err
