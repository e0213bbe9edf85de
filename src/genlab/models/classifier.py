"""The domain classifier: a small convolutional network whose features measure generated images.

On digits or faces the features of an ImageNet network say little. A classifier trained on the
data set itself knows what matters there; it takes Inception's place in the Frechet distance, in
KID, precision and recall (penultimate layer) and in the inception score (logits).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.config.families.classifier import ClassifierConfig
from genlab.models.base import Batch, Model
from genlab.nn.unet import group_norm


class Classifier(Model):
    """Convolutions at sides H, H/2, H/4, mean over positions, one hidden layer of features."""

    def __init__(self, config: ClassifierConfig, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__(config, shape, classes)
        c = config.channels
        self.body = nn.Sequential(
            nn.Conv2d(shape[0], c, 3, padding=1),
            group_norm(c),
            nn.SiLU(),
            nn.Conv2d(c, 2 * c, 3, stride=2, padding=1),
            group_norm(2 * c),
            nn.SiLU(),
            nn.Conv2d(2 * c, 4 * c, 3, stride=2, padding=1),
            group_norm(4 * c),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(4 * c * 16, config.features),
            nn.SiLU(),
        ).to(memory_format=torch.channels_last)  # in which it trains a tenth faster
        self.head = nn.Linear(config.features, classes)

    def features(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> features [B, config.features]."""
        features: Tensor = self.body(2 * images - 1)
        return features

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross entropy in nats, and the share of right answers."""
        logits = self.head(self.features(batch.images)).float()
        right = (logits.argmax(dim=1) == batch.labels).float().mean()
        return {"loss": F.cross_entropy(logits, batch.labels), "accuracy": right}
