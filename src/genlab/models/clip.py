"""CLIP: embeds images and captions in one space, where matching pairs have similar directions.

Radford et al. 2021 (arXiv:2103.00020), section 2.3 and figure 3. Here it ranks and scores the
images drawn for a prompt.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.config.families.clip import CLIPConfig
from genlab.data.tokenizer import END
from genlab.models.base import Batch, Model, Words
from genlab.nn.collectives import whole_batch
from genlab.nn.text import TextEncoder
from genlab.nn.trunk import Trunk

FIRST_SCALE, LARGEST_SCALE = 1 / 0.07, 100.0  # exp(t) of figure 3, at first and at most
# Adam changes a weight by about the learning rate a step, and a short training has few steps.
# Learning t / FASTER instead of t lowers the temperature faster. Until it is low, digits of similar
# colours and places hardly affect the loss, and the encoder does not learn to distinguish them.
FASTER = 10.0


class CLIP(Model):
    """An encoder of images and one of captions, each projected to unit vectors [B, E]."""

    def __init__(
        self, config: CLIPConfig, shape: tuple[int, int, int], classes: int, words: Words
    ) -> None:
        super().__init__(config, shape, classes)
        self.image_encoder = Trunk(shape, config.channels, config.features)
        self.text_encoder = TextEncoder(
            words.vocabulary, words.length, config.width, config.layers, config.heads
        )
        self.image_projection = nn.Linear(config.features, config.embedding, bias=False)
        self.text_projection = nn.Linear(config.width, config.embedding, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE) / FASTER))

    @property
    def batch_size_matters(self) -> bool:
        return True

    def embed_images(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> unit vectors [B, E]."""
        return F.normalize(self.image_projection(self.image_encoder(images)).float(), dim=1)

    def embed_texts(self, tokens: Tensor) -> Tensor:
        """tokens int64 [B, L] -> unit vectors [B, E], from the state at the text's END."""
        states = self.text_encoder(tokens)  # [B, L, width]
        end = (tokens == END).int().argmax(dim=1)
        end_states = states[torch.arange(len(tokens), device=tokens.device), end]
        return F.normalize(self.text_projection(end_states).float(), dim=1)

    def score(self, images: Tensor, tokens: Tensor) -> Tensor:
        """The cosine [B] between each image and its own caption."""
        return (self.embed_images(images) * self.embed_texts(tokens)).sum(dim=1)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Symmetric cross entropy over the batch in nats (figure 3), and retrieval accuracy.

        Images of a batch may share a caption. Then each of the equal captions is correct for each
        of these images, and they share the target evenly.
        """
        assert batch.tokens is not None  # reads_captions
        if self.training:
            # Clamps the parameter: clamping in the formula would leave it without a gradient.
            with torch.no_grad():
                self.log_scale.clamp_(max=math.log(LARGEST_SCALE) / FASTER)
        images, texts = self.embed_images(batch.images), self.embed_texts(batch.tokens)  # [B, E]
        tokens = batch.tokens
        if self.training:  # with those of all processes
            images, texts, tokens = map(whole_batch, (images, texts, tokens))
        cosines = images @ texts.T  # [B, B]
        scale = (FASTER * self.log_scale.float()).exp()
        logits = scale * cosines
        same = (tokens[:, None] == tokens).all(dim=2)
        target = same / same.sum(dim=1, keepdim=True)
        hits = same.gather(1, logits.argmax(dim=1, keepdim=True))
        return {
            "loss": (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2,
            "accuracy": hits.float().mean(),
            "temperature": 1 / scale.detach(),
        }
