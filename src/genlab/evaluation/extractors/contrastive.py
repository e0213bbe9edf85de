"""The contrastive encoder, which the workflow trains for each data set."""

from __future__ import annotations

import torch
from torch import Tensor

from genlab.config.study import EvaluationConfig
from genlab.evaluation.extractors import Extractor, expect
from genlab.models.base import Model
from genlab.models.batches import to_float
from genlab.models.contrastive import Contrastive


class ContrastiveEncoder(Extractor):
    """Features are the layer before the projection head."""

    def __init__(self, model: Model | None, config: EvaluationConfig, device: torch.device) -> None:
        self.encoder = expect(Contrastive, model, "contrastive").to(device).eval()

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = self.encoder.features(to_float(pixels))
        return features, features[:, :0]
