"""The domain classifier, which the workflow trains for each data set."""

from __future__ import annotations

import torch
from torch import Tensor

from genlab.config.study import EvaluationConfig
from genlab.errors import GenLabError
from genlab.evaluation.extractors import Extractor
from genlab.models.base import Model
from genlab.models.batches import to_float
from genlab.models.classifier import Classifier


class DomainClassifier(Extractor):
    """Features are the layer before the logits."""

    def __init__(self, model: Model | None, config: EvaluationConfig, device: torch.device) -> None:
        if not isinstance(model, Classifier):
            kind = type(model).__name__
            raise GenLabError(f"the extractor 'classifier' needs a Classifier, not a {kind}")
        self.classifier = model.to(device).eval()

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = self.classifier.features(to_float(pixels))
        return features, self.classifier.head(features)
