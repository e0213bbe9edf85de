"""The domain classifier: a small convolutional network whose features measure generated images.

On digits or faces the features of an ImageNet network say little. A classifier trained on the
data set itself knows what matters there; it takes Inception's place in the Frechet distance, in
KID, precision and recall (penultimate layer) and in the inception score (logits).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from genlab.config.families.classifier import ClassifierConfig
from genlab.models.base import Batch, Model
from genlab.nn.trunk import Trunk


class Classifier(Model):
    """A trunk of convolutions whose features are measured, and a linear layer for the class."""

    def __init__(self, config: ClassifierConfig, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__(config, shape, classes)
        self.body = Trunk(shape, config.channels, config.features)
        self.head = nn.Linear(config.features, classes)

    def features(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> features [B, config.features]."""
        features: Tensor = self.body(images)
        return features

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross entropy in nats, and the share of right answers."""
        logits = self.head(self.features(batch.images)).float()
        right = (logits.argmax(dim=1) == batch.labels).float().mean()
        return {"loss": F.cross_entropy(logits, batch.labels), "accuracy": right}
