"""The judge: classifies every factor of an image, such as its digit, colour and place.

It is trained on real images only, including half of the images of unseen combinations, so that it
does not mistake them for known ones. No generative model and no CLIP that ranks candidates uses it,
so its judgement of them is independent. It makes errors as well: its accuracy on held-out images
limits what can be measured of any model.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.config.families.judge import JudgeConfig
from genlab.models.base import Batch, Model
from genlab.nn.trunk import Trunk


class Judge(Model):
    """A trunk of convolutions, and a linear layer for each of the `factors`."""

    def __init__(
        self,
        config: JudgeConfig,
        shape: tuple[int, int, int],
        classes: int,
        factors: dict[str, int],
    ) -> None:
        super().__init__(config, shape, classes)
        self.factors = factors
        self.body = Trunk(shape, config.channels, config.features)
        self.head = nn.Linear(config.features, sum(factors.values()))  # the layers of all factors

    def logits(self, images: Tensor) -> dict[str, Tensor]:
        """images [B, C, H, W] on [0, 1] -> for each factor the logits of its values, [B, V]."""
        parts = self.head(self.body(images)).float().split(list(self.factors.values()), dim=1)
        return dict(zip(self.factors, parts, strict=True))

    def predict(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> the likeliest value of each factor, int64 [B, F]."""
        return torch.stack([part.argmax(dim=1) for part in self.logits(images).values()], dim=1)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross entropy in nats, summed over factors; accuracy of each factor and of all."""
        assert batch.factors is not None  # knows_factors
        logits = self.logits(batch.images)
        columns = batch.factors.unbind(dim=1)
        losses = [F.cross_entropy(p, c) for p, c in zip(logits.values(), columns, strict=True)]
        hits = torch.stack([part.argmax(dim=1) for part in logits.values()], 1) == batch.factors
        accuracies = zip(self.factors, hits.float().mean(dim=0), strict=True)
        return {
            "loss": torch.stack(losses).sum(),
            **{f"accuracy/{name}": accuracy for name, accuracy in accuracies},
            "accuracy/all": hits.all(dim=1).float().mean(),
        }
