"""The latent of an autoencoder: what is needed to draw an image."""

from __future__ import annotations

from collections.abc import Mapping

from genlab.config.evaluators import Evaluator
from genlab.config.families import FamilyConfig
from genlab.config.families.autoencoder_latent import AutoencoderLatentConfig


class AutoencoderLatent(Evaluator):
    """The latent of a denoising autoencoder, trained by the workflow."""

    name = "autoencoder-latent"
    trained = True
    section = "evaluation"
    extracts = True
    predicts_classes = False
    explanation = (
        "The latent of a denoising autoencoder that no model of the study builds on. It holds what "
        "is needed to draw an image again: position, slant, thickness, shape."
    )

    def quality(self, held_out: Mapping[str, float], classes: int) -> str:
        error = 255 * held_out["mse"] ** 0.5
        return f"It redraws held-out images with an rms error of {error:.1f} of 255 grey values."

    def dimensions(self, model: FamilyConfig | None) -> int:
        if not isinstance(model, AutoencoderLatentConfig):
            raise TypeError(f"expected the hyperparameters of an autoencoder, got {model!r}")
        return model.latent
