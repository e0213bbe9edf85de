"""Latent diffusion (Rombach et al. 2022, arXiv:2112.10752): a DDPM on an autoencoder's latents.

A frozen first stage encodes an image to q(z|x) on a grid (`genlab.models.kl_autoencoder`).
Diffusion acts on its z, normalised so that each channel has mean 0 and standard deviation 1 over
the training images (the paper, appendix G, has one scale for all, measured on the first batch):

    x_0 = (z - shift) scale,    z ~ q(z|x) in training, its mean elsewhere

q(z|x) of all training images is computed once, before the first step. Samples x_0 are decoded. The
cost of a network evaluation depends on the size of the latent, not of the image.

With `text` the network reads a caption of the image (section 3.3), encoded by a transformer that is
trained jointly, or with probability `label_dropout` an empty caption. A denoiser encodes its texts
once, not at every step.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genlab.config.families.latent_diffusion import LatentDiffusionConfig
from genlab.data.tokenizer import PAD
from genlab.models.base import Batch, Words
from genlab.models.batches import in_parts
from genlab.models.ddpm import DDPM
from genlab.models.kl_autoencoder import DiagonalGaussian, KLAutoencoder
from genlab.nn.text import TextEncoder, null_prompt
from genlab.nn.unet import Texts
from genlab.processes.gaussian import Denoiser, padded_rows


class LatentDiffusion(DDPM):
    """A DDPM on the latents of its first stage.

    Attributes:
        shift, scale: float32 [c, 1, 1], normalise the latents to mean 0 and standard deviation 1.
        nothing: int64 [L], the empty prompt.
        training_latents: q(z|x) of all training images, [N, c, h, w], during training.
    """

    config: LatentDiffusionConfig
    first_stage: KLAutoencoder
    shift: Tensor
    scale: Tensor
    nothing: Tensor
    training_latents: DiagonalGaussian | None = None

    def __init__(
        self,
        config: LatentDiffusionConfig,
        shape: tuple[int, int, int],
        classes: int,
        first_stage: KLAutoencoder,
        words: Words | None = None,
    ) -> None:
        context = config.text_width if config.text else 0
        super().__init__(config, shape, classes, first_stage, context=context)
        channels = self.path_shape[0]
        self.register_buffer("shift", torch.zeros(channels, 1, 1))
        self.register_buffer("scale", torch.ones(channels, 1, 1))
        if words is not None:
            layers, heads = config.text_layers, config.text_heads
            sizes = words.vocabulary, words.length, config.text_width
            self.read = TextEncoder(*sizes, layers, heads, std=1.0)
            self.register_buffer("nothing", null_prompt(words.length), persistent=False)

    @property
    def path_shape(self) -> tuple[int, int, int]:
        return self.first_stage.latent_shape

    @torch.no_grad()
    def encode(self, images: Tensor) -> DiagonalGaussian:
        """q(z|x) of images [B, C, H, W] on [0, 1], computed in float32."""
        with torch.autocast(images.device.type, enabled=False):
            return self.first_stage.encode(images.to(self.scale.dtype))

    def to_path(self, images: Tensor) -> Tensor:
        """The normalised mean of q(z|x)."""
        return (self.encode(images).mean - self.shift) * self.scale

    def from_path(self, x: Tensor) -> Tensor:
        return self.first_stage.images_of(x.to(self.scale.dtype) / self.scale + self.shift)

    def observed_on_path(self, observed: Tensor) -> Tensor:
        """A position of the grid counts as observed if all of its pixels are."""
        all_channels = observed.all(dim=1, keepdim=True).float()
        size = self.shape[1] // self.path_shape[1]
        return (-F.max_pool2d(-all_channels, size)).bool().expand(-1, *self.path_shape)

    @torch.no_grad()
    def measure(self, images: NDArray[np.uint8]) -> None:
        """Encode the training images once, and measure shift and scale of their z.

        The variance of z is the variance of the means plus the mean of the variances.
        """
        encoded = [self.encode(part) for part in in_parts(images, self.scale.device)]
        self.training_latents = DiagonalGaussian(
            *(torch.cat(parts) for parts in zip(*encoded, strict=True))
        )
        mean, logvar = (part.double() for part in self.training_latents)
        dims = (0, 2, 3)
        variance = mean.var(dim=dims, correction=0) + logvar.exp().mean(dim=dims)
        self.shift.copy_(mean.mean(dim=dims)[:, None, None])
        self.scale.copy_(variance.rsqrt()[:, None, None])

    def pair(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Normalised z ~ q(z|x) of the images, and noise."""
        if self.training_latents is None or batch.indices is None:
            q = self.encode(batch.images)
        else:
            q = DiagonalGaussian(*(part[batch.indices] for part in self.training_latents))
        x0 = (q.draw() - self.shift) * self.scale
        return x0, torch.randn_like(x0)

    def condition(self, batch: Batch) -> Tensor | None:
        """Captions int64 [B, L] for the network, some of them empty; without `text` labels."""
        if not self.config.text:
            return super().condition(batch)
        if batch.tokens is None:
            raise ValueError("a model with `text` needs captions, but the batch has none")
        return torch.where(self.dropout_mask(batch)[:, None], self.nothing, batch.tokens)

    def predict(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        """The network's output as in other families; `labels` are captions int64 [B, L]."""
        if not self.config.text:
            return super().predict(x, t, labels)
        labels = self.nothing.expand(len(x), -1) if labels is None else labels
        return self.evaluate(x, t, texts=self.encode_texts(labels))

    def encode_texts(self, tokens: Tensor) -> Texts:
        """Encode texts int64 [B, L]."""
        return Texts(self.read(tokens), tokens != PAD)

    def denoiser(self, labels: Tensor | None = None, guidance: float = 1.0) -> Denoiser:
        """Return the network on its path as a denoiser for samplers.

        Args:
            labels: captions int64 [B, L] of the images to draw; None draws without captions. For a
                model without `text` as in other families.
            guidance: guidance scale, see `genlab.processes.gaussian.Denoiser`.
        """
        if not self.config.text:
            return super().denoiser(labels, guidance)
        prompts = self.nothing[None] if labels is None else torch.cat([labels, self.nothing[None]])
        # Each different text is encoded once; the denoiser's labels are numbers of texts.
        unique, numbers = torch.unique(prompts, dim=0, return_inverse=True)
        padded = unique[padded_rows(len(unique), unique.device)]
        texts, null = self.encode_texts(padded), numbers[-1]

        def network(x: Tensor, t: Tensor, which: Tensor | None) -> Tensor:
            which = null.expand(len(x)) if which is None else which
            return self.evaluate(x, t, texts=Texts(*(part[which] for part in texts)))

        text_numbers = None if labels is None else numbers[:-1]
        return replace(super().denoiser(None, guidance), network=network, labels=text_numbers,
                       null=int(null))  # fmt: skip
