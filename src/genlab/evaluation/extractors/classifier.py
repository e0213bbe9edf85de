"""The domain classifier, which the workflow trains for each data set."""

from __future__ import annotations

import torch
from torch import Tensor

from genlab.config.evaluators import CLASSIFIER
from genlab.config.study import EvaluationConfig
from genlab.evaluation.extractors import Extractor, expect
from genlab.models.base import Model
from genlab.models.batches import to_float
from genlab.models.classifier import Classifier


class DomainClassifier(Extractor):
    """Features are the layer before the logits."""

    def __init__(self, model: Model | None, config: EvaluationConfig, device: torch.device) -> None:
        self.classifier = expect(Classifier, model, CLASSIFIER).to(device).eval()

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = self.classifier.features(to_float(pixels))
        return features, self.classifier.head(features)
