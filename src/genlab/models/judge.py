"""The judge: tells every factor of a picture, its digit, its colour, its place ...

It is trained on real images alone, half of those of unseen combinations among them so that it takes
none of these for one that it knows, and neither a generative model nor the CLIP that ranks
candidates ever asks it, so that its word on them is impartial. It errs as well: its accuracy on
held-out images bounds what can be said of any model.
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
        self.head = nn.Linear(config.features, sum(factors.values()))  # all layers side by side

    def logits(self, images: Tensor) -> dict[str, Tensor]:
        """images [B, C, H, W] on [0, 1] -> for each factor the logits of its values, [B, V]."""
        parts = self.head(self.body(images)).float().split(list(self.factors.values()), dim=1)
        return dict(zip(self.factors, parts, strict=True))

    def predict(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> the likeliest value of each factor, int64 [B, F]."""
        return torch.stack([part.argmax(dim=1) for part in self.logits(images).values()], dim=1)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross entropy in nats, summed over factors; the share right of each, and of all."""
        assert batch.factors is not None  # knows_factors
        logits = self.logits(batch.images)
        columns = batch.factors.unbind(dim=1)
        losses = [F.cross_entropy(p, c) for p, c in zip(logits.values(), columns, strict=True)]
        right = torch.stack([part.argmax(dim=1) for part in logits.values()], 1) == batch.factors
        shares = zip(self.factors, right.float().mean(dim=0), strict=True)
        return {
            "loss": torch.stack(losses).sum(),
            **{f"accuracy/{name}": share for name, share in shares},
            "accuracy/all": right.all(dim=1).float().mean(),
        }
