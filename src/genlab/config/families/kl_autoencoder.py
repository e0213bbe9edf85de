"""Hyperparameters of the KL autoencoder (`genlab.models.kl_autoencoder`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import NonNegativeFloat

from genlab.config.autoencoders import AutoencoderConfig
from genlab.config.base import Width
from genlab.config.evaluators import CLASSIFIER
from genlab.config.families import FamilyConfig
from genlab.config.families.classifier import ClassifierConfig


class KLAutoencoderConfig(AutoencoderConfig):
    """An autoencoder with a grid of latents and a very small KL weight."""

    family: Literal["kl_autoencoder"] = "kl_autoencoder"
    latent: Width = 4
    kl: NonNegativeFloat = 1e-6
    """Weight of KL(q(z|x) || N(0, 1)) relative to -log p(x|z), both in nats per image; 1 is the
    bound of a VAE."""
    perceptual: NonNegativeFloat = 0.0
    """Weight of the mean squared distance between the features of an image and of its
    reconstruction in the study's domain classifier; above 0 the classifier is trained first."""

    implementation: ClassVar[str] = "genlab.models.kl_autoencoder:KLAutoencoder"

    @property
    def variant(self) -> str:
        parts = [f"{self.latent} latents, side / {self.shrinks}, {self.likelihood}"]
        parts += ["perceptual, in the features of the classifier"] if self.perceptual else []
        return ", ".join(parts)

    @property
    def no_likelihood(self) -> str:
        return "no prior of its latents"

    @property
    def first_stage_name(self) -> str | None:
        return CLASSIFIER if self.perceptual else None

    @property
    def trained_on(self) -> tuple[str, ...]:
        return (CLASSIFIER,) if self.perceptual else ()

    def first_stage_problems(self, first: FamilyConfig) -> list[str]:
        if not isinstance(first, ClassifierConfig):
            return [
                f"perceptual: '{CLASSIFIER}' is of family {first.family}, which has no features"
            ]
        return []
