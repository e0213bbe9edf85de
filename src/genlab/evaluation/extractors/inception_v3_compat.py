"""Inception v3 with the weights of the original FID, by torch-fidelity."""

from __future__ import annotations

import os

# torch-fidelity loads Inception's weights with the full unpickler; this makes torch refuse
# everything but tensors. It must be set before the weights are read.
os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"

import torch
from torch import Tensor
from torch_fidelity.utils import create_feature_extractor

from genlab.config.evaluators.inception_v3_compat import INCEPTION, Inception
from genlab.config.study import EvaluationConfig
from genlab.errors import GenLabError
from genlab.evaluation.extractors import Extractor
from genlab.models.base import Model

LAYERS = ("2048", "logits_unbiased")
"""torch-fidelity's names of the features and of the logits."""


class InceptionV3(Extractor):
    """Features of the pooling layer, and logits without their biases, as the papers use them."""

    rgb = True

    def __init__(self, model: Model | None, config: EvaluationConfig, device: torch.device) -> None:
        if problems := Inception().problems(config):
            raise GenLabError(f"evaluation.{problems[0]}")
        weights = config.inception_weights
        try:
            self.network = create_feature_extractor(
                INCEPTION,
                list(LAYERS),
                cuda=device.type == "cuda",
                feature_extractor_weights_path=weights,
                verbose=False,
            )
        except Exception as error:  # torch's readers meet a damaged file with any exception at all
            reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
            raise GenLabError(
                f"the extractor '{INCEPTION}' can't be made ({weights or 'its weights are fetched'}"
                f"): {reason}. "
                "Where nothing can be downloaded, set evaluation.inception_weights to a local file "
                "of tensors, or use the extractor 'classifier'"
            ) from None

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = self.network(pixels)
        return features, logits
