"""The feature spaces that need no download, through the stages and through `genlab.evaluate`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tiny import stripes

import genlab.api
from genlab.config.evaluators import CLASSIFIER, extractor, extractors
from genlab.config.pretrained import Pretrained
from genlab.config.study import EvaluationConfig
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.base import Model
from genlab.results.layout import StudyFolder
from genlab.results.spec import read_study
from genlab.workflow.feature_files import features_origin, read_features
from genlab.workflow.features import features, load_extractor
from genlab.workflow.train import train

SPACES = [name for name, facts in extractors().items() if not isinstance(facts, Pretrained)]


def test_the_default_study_measures_in_all_of_them() -> None:
    assert set(EvaluationConfig().extractors) == set(SPACES)


def test_one_job_extracts_all_features_of_a_row(tiny_study: Callable[..., StudyFolder]) -> None:
    """Trained spaces are trained first; fitted ones are fitted to the training images.

    An image's features do not depend on its batch.
    """
    budget = {"images": 128, "batch_size": 32}
    trained = {extractor(name).key: budget for name in SPACES if extractor(name).trained}
    at = tiny_study(evaluation={"samples": 64, "extractors": SPACES, **trained})
    study = read_study(at.config)
    assert set(study.evaluators) == {name for name in SPACES if extractor(name).trained}
    for name, entry in study.evaluators.items():
        run = at.run("stripes", name, 0)
        train(run, cpu=True)
        held_out = read_json(run.summary)["held_out"]
        assert entry.training.images == 128
        assert extractor(name).quality(held_out, classes=2).endswith(".")
    images = at.data("stripes").images("test")
    features(at, "stripes", images, at.folder / "features", cpu=True)
    for name, dimensions in study.features.items():
        origin = features_origin(at, "stripes", name, images)
        result = read_features(at.folder / "features" / f"{name}.npz", origin)
        n, f = result["features"].shape
        assert n == 64
        assert 8 <= f <= dimensions
        assert np.isfinite(result["features"]).all()
        assert result["logits"].shape == (64, 2 if name == CLASSIFIER else 0)
        extract = load_extractor(at, "stripes", name, torch.device("cpu"))
        with torch.no_grad():
            alone = extract(torch.from_numpy(np.array(read_array(images)[3:4])))[0]
        # Another batch size may sum in another order, in float32.
        np.testing.assert_allclose(alone, result["features"][3:4], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", SPACES)
def test_evaluate_measures_in_each_of_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training images score better than their negatives."""
    images = stripes(96, seed=0)[0][:, None]
    fit: Callable[..., Model] = genlab.api.fit
    tiny: dict[str, Any] = {"channels": 4, "images_seen": 640, "batch_size": 32}

    def small(*args: Any, **kwargs: Any) -> Model:
        return fit(*args, **kwargs, **tiny)

    monkeypatch.setattr(genlab.api, "fit", small)
    good, bad = (
        genlab.evaluate(samples, images, extractor=name, device="cpu", splits=2)["fid"]
        for samples in (images[:80], (images[:80] // 2))
    )
    assert good is not None
    assert bad is not None
    assert good < bad


def test_the_page_warns_of_a_classifier_that_is_often_wrong() -> None:
    facts = extractor(CLASSIFIER)
    assert facts.quality({"accuracy": 0.983}, 10) == "98.3 % of held-out images right."
    assert facts.warning({"accuracy": 0.983}, 10) == ""
    assert facts.warning({"accuracy": 0.85}, 10).startswith("Fewer than 90 % are right, so its")
    assert "chance is 25 %" in facts.quality({"accuracy": 0.983}, 1)


def test_how_well_the_other_trained_spaces_do_is_told_in_their_own_terms() -> None:
    assert "95.0 % of views" in extractor("contrastive").quality({"accuracy": 0.95}, 10)
    assert "error of 25.5 of" in extractor("autoencoder-latent").quality({"mse": 0.01}, 10)
