"""Latent diffusion (Rombach et al. 2022, arXiv:2112.10752): a DDPM on an autoencoder's latents.

A frozen first stage encodes an image to q(z|x) on a grid (`genlab.models.kl_autoencoder`). What
walks the path is its z, of which each channel is brought to mean 0 and standard deviation 1 over
the training images (the paper, appendix G, has one scale for all, measured on the first batch):

    x_0 = (z - shift) scale,    z ~ q(z|x) in training, its mean elsewhere

q(z|x) of all training images is found once, before the first step. What comes out of the path is
decoded: an evaluation of the network costs a latent's size, whatever that of the image.

With `text` the network reads a caption of the image (section 3.3), encoded by a transformer that is
trained along, or, `label_dropout` of the time, that of no text. A denoiser encodes its texts once,
and not at every step.
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
from genlab.models.kl_autoencoder import KLAutoencoder, Posterior
from genlab.nn.text import TextEncoder, null_prompt
from genlab.nn.unet import Texts
from genlab.processes.gaussian import Denoiser, in_eights


class LatentDiffusion(DDPM):
    """A network on the path of the latents of its first stage.

    Attributes:
        shift, scale: float32 [c, 1, 1], which bring the latents to mean 0 and deviation 1.
        nothing: int64 [L], the prompt of no text.
    """

    config: LatentDiffusionConfig
    first_stage: KLAutoencoder
    shift: Tensor
    scale: Tensor
    nothing: Tensor
    known: Posterior | None = None
    """Of all training images, [N, c, h, w], while it is trained."""

    def __init__(
        self,
        config: LatentDiffusionConfig,
        shape: tuple[int, int, int],
        classes: int,
        first_stage: KLAutoencoder,
        words: Words | None = None,
    ) -> None:
        super().__init__(config, shape, classes, first_stage)
        channels = self.path_shape[0]
        self.register_buffer("shift", torch.zeros(channels, 1, 1))
        self.register_buffer("scale", torch.ones(channels, 1, 1))
        if words is not None:
            layers, heads = config.text_layers, config.text_heads
            sizes = words.vocabulary, words.length, config.text_width
            self.read = TextEncoder(*sizes, layers, heads, spread=1.0)
            self.register_buffer("nothing", null_prompt(words.length), persistent=False)

    @property
    def path_shape(self) -> tuple[int, int, int]:
        return self.first_stage.latent_shape

    @property
    def context(self) -> int:
        return self.config.text_width if self.config.text else 0

    @torch.no_grad()
    def posterior(self, images: Tensor) -> Posterior:
        """q(z|x) of images [B, C, H, W] on [0, 1], that of a float32 encoder."""
        with torch.autocast(images.device.type, enabled=False):
            return self.first_stage.encode(images.to(self.scale.dtype))

    def to_path(self, images: Tensor) -> Tensor:
        """The mean of q(z|x), to scale."""
        return (self.posterior(images).mean - self.shift) * self.scale

    def from_path(self, x: Tensor) -> Tensor:
        return self.first_stage.images_of(x.to(self.scale.dtype) / self.scale + self.shift)

    def known_on_path(self, known: Tensor) -> Tensor:
        """A place of the grid is known where all the pixels that it stands for are."""
        all_channels = known.all(dim=1, keepdim=True).float()
        size = self.shape[1] // self.path_shape[1]
        return (-F.max_pool2d(-all_channels, size)).bool().expand(-1, *self.path_shape)

    @torch.no_grad()
    def measure(self, images: NDArray[np.uint8]) -> None:
        """Encode the training images once, and measure shift and scale of all their z.

        The variance of z is that of the means and the mean of the variances.
        """
        found = [self.posterior(part) for part in in_parts(images, self.scale.device)]
        self.known = Posterior(*(torch.cat(parts) for parts in zip(*found, strict=True)))
        mean, logvar = (part.double() for part in self.known)
        over = (0, 2, 3)
        variance = mean.var(dim=over, correction=0) + logvar.exp().mean(dim=over)
        self.shift.copy_(mean.mean(dim=over)[:, None, None])
        self.scale.copy_(variance.rsqrt()[:, None, None])

    def pair(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """z ~ q(z|x) of the images, to scale, and noise."""
        if self.known is None or batch.indices is None:
            found = self.posterior(batch.images)
        else:
            found = Posterior(*(part[batch.indices] for part in self.known))
        x0 = (found.draw() - self.shift) * self.scale
        return x0, torch.randn_like(x0)

    def drop(self, batch: Batch) -> Tensor | None:
        """What the network is told: captions int64 [B, L], some of them of no text; or labels."""
        if not self.config.text:
            return super().drop(batch)
        if batch.tokens is None:
            raise ValueError("a model with `text` is trained on captions, but the batch has none")
        return torch.where(self.dropped(batch)[:, None], self.nothing, batch.tokens)

    def predict(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        """The network's answer, as in other families, with captions int64 [B, L] for `labels`."""
        if not self.config.text:
            return super().predict(x, t, labels)
        labels = self.nothing.expand(len(x), -1) if labels is None else labels
        return self.answer(x, t, texts=self.texts(labels))

    def texts(self, tokens: Tensor) -> Texts:
        """Texts int64 [B, L], encoded."""
        return Texts(self.read(tokens), tokens != PAD)

    def denoiser(self, labels: Tensor | None = None, guidance: float = 1.0) -> Denoiser:
        """The network on its path, as the samplers see it.

        Args:
            labels: captions int64 [B, L] of the images to draw; without any where they are None.
                Of a model without text as in other families.
            guidance: see `genlab.processes.gaussian.Denoiser`.
        """
        if not self.config.text:
            return super().denoiser(labels, guidance)
        asked = self.nothing[None] if labels is None else torch.cat([labels, self.nothing[None]])
        # Each text once; what the denoiser is told are their numbers.
        different, numbers = torch.unique(asked, dim=0, return_inverse=True)
        filled = different[in_eights(len(different), different.device)]
        texts, null = self.texts(filled), numbers[-1]

        def network(x: Tensor, t: Tensor, which: Tensor | None) -> Tensor:
            which = null.expand(len(x)) if which is None else which
            return self.answer(x, t, texts=Texts(*(part[which] for part in texts)))

        told = None if labels is None else numbers[:-1]
        return replace(super().denoiser(None, guidance), network=network, labels=told,
                       null=int(null))  # fmt: skip
