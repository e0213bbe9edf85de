"""The latent of a denoising autoencoder, which the workflow trains for each data set."""

from __future__ import annotations

import torch
from torch import Tensor

from genlab.config.study import EvaluationConfig
from genlab.evaluation.extractors import Extractor, expect
from genlab.models.autoencoder_latent import DenoisingAutoencoder
from genlab.models.base import Model
from genlab.models.batches import to_float


class AutoencoderLatent(Extractor):
    """Features are the latent of the image, with no pixel masked."""

    def __init__(self, model: Model | None, config: EvaluationConfig, device: torch.device) -> None:
        self.autoencoder = expect(DenoisingAutoencoder, model, "autoencoder-latent")
        self.autoencoder.to(device).eval()

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = self.autoencoder.encode(to_float(pixels))
        return features, features[:, :0]
