"""What planning counts with is what the sources and the networks really have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from genlab.config.base import build
from genlab.config.families.classifier import ClassifierConfig
from genlab.config.sources import LabelledConfig, source_class
from genlab.config.study import load_model
from genlab.data.sources import digits, scenes, sprites
from genlab.models.base import Facts, build_model
from genlab.models.classifier import Classifier

CONFIG = Path(__file__).parents[2] / "config"
READERS: dict[str, Any] = {"digits": digits, "sprites": sprites, "scenes": scenes}


@pytest.mark.parametrize(
    "values",
    [
        {"source": "digits"},
        {"source": "sprites"},
        {"source": "sprites", "scales": 2, "rotations": 3, "positions": 5, "every": 7, "size": 24},
        {"source": "scenes", "train": 30, "test": 20, "unseen": 10},
    ],
    ids=str,
)
def test_images_and_classes_are_as_many_as_declared(values: dict[str, Any]) -> None:
    config = build(source_class(values["source"]), values, "here")
    source = READERS[values["source"]].read(config, digits.fetch(source_class("digits")(), Path()))
    assert len(source.train.images) == config.train_count
    assert len(source.test.images) == config.held_out
    if isinstance(config, LabelledConfig):
        assert len(source.classes) == config.class_count


@pytest.mark.parametrize(
    ("values", "train", "held_out"),
    [
        ({"source": "torchvision", "dataset": "mnist"}, 60_000, 10_000),
        ({"source": "torchvision", "dataset": "fashion_mnist"}, 60_000, 10_000),
        ({"source": "torchvision", "dataset": "cifar10"}, 50_000, 10_000),
        ({"source": "celeba"}, 162_770, 19_962),
    ],
    ids=str,
)
def test_what_is_downloaded_is_counted_as_published(
    values: dict[str, Any], train: int, held_out: int
) -> None:
    config = build(source_class(values["source"]), values, "here")
    assert (config.train_count, config.held_out) == (train, held_out)


def test_the_classifier_has_as_many_features_as_declared() -> None:
    config = load_model("classifier", {}, CONFIG, "here").model
    assert isinstance(config, ClassifierConfig)
    network = build_model(config, Facts((1, 28, 28), 10), seed=0)
    assert isinstance(network, Classifier)
    features = network.features(torch.zeros(2, 1, 28, 28))
    assert features.shape == (2, config.features) == (2, 64)
