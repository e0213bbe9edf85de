"""Hyperparameters of latent diffusion (`genlab.models.latent_diffusion`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from genlab.config.base import Depth, Width
from genlab.config.families import DensityKind, FamilyConfig
from genlab.config.families.ddpm import DDPMConfig
from genlab.config.families.kl_autoencoder import KLAutoencoderConfig
from genlab.config.networks import NetworkConfig, UNetConfig, check_heads


class LatentDiffusionConfig(DDPMConfig):
    """A DDPM on the latents of a trained autoencoder, with or without captions."""

    family: Literal["latent_diffusion"] = "latent_diffusion"  # type: ignore[assignment]
    first_stage: str = "kl_autoencoder"
    """Name of the model whose latents are learned, of family kl_autoencoder."""
    text: bool = False
    """Condition the network on a caption of the image, so that it takes prompts."""
    text_width: Width = 64
    """Channels of the text encoder, which is trained jointly."""
    text_layers: Depth = 2
    """Number of transformer blocks of the text encoder."""
    text_heads: Width = 4
    """Number of attention heads of the text encoder; must divide `text_width`."""
    clip: Literal[False] = False
    """Always false: latents have no fixed range."""
    learned_variance: Literal[False] = False
    """Always false: the bound that trains the variance is defined for pixels."""
    network: NetworkConfig = UNetConfig(channels=64, multipliers=(1,), attention=(0,))

    implementation: ClassVar[str] = "genlab.models.latent_diffusion:LatentDiffusion"
    group: ClassVar[str] = "latent diffusion"
    space: ClassVar[Literal["latent"]] = "latent"

    @model_validator(mode="after")
    def _text_fits(self) -> LatentDiffusionConfig:
        if self.text and self.conditional:
            raise ValueError("text: a caption includes the class; remove conditional or text")
        if self.text and self.network.backbone != "unet":
            raise ValueError("text: only the U-Net supports captions; use network.backbone: unet")
        check_heads(self.text_width, self.text_heads, ("text_width", "text_heads"))
        return self

    @property
    def variant(self) -> str:
        parts = [f"latents of {self.first_stage}", super().variant]
        return ", ".join(parts + (["text"] if self.text else []))

    @property
    def likelihoods(self) -> tuple[DensityKind, ...]:
        return ()

    @property
    def no_likelihood(self) -> str:
        return "a density of latents, not of pixels"

    @property
    def takes_prompts(self) -> bool:
        return self.text

    @property
    def first_stage_name(self) -> str:
        return self.first_stage

    def first_stage_problems(self, first: FamilyConfig) -> list[str]:
        if not isinstance(first, KLAutoencoderConfig):
            return [
                f"first_stage: '{self.first_stage}' is of family {first.family}, which has no "
                "latents to denoise; name a model of family kl_autoencoder"
            ]
        return []
