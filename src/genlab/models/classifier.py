"""The domain classifier: a small convolutional network whose features measure generated images.

On digits or faces the features of an ImageNet network are not informative. A classifier trained on
the data set itself replaces Inception in the Frechet distance, in KID, precision and recall
(penultimate layer) and in the inception score (logits).

On a data set with a single class the classifier learns instead by which of four quarter turns an
image was rotated (RotNet, Gidaris et al. 2018, https://arxiv.org/abs/1803.07728), which requires
features of the image's content.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.config.families.classifier import ClassifierConfig
from genlab.models.base import Batch, Model
from genlab.nn.layers import group_norm

TURNS = 4


class Classifier(Model):
    """Convolutions at sides H, H/2, H/4, pooling to 4 x 4, one hidden layer of features.

    With a single class the logits are those of the quarter turns 0 ... 3.
    """

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
        ).to(memory_format=torch.channels_last)  # trains a tenth faster
        self.head = nn.Linear(config.features, TURNS if classes == 1 else classes)

    def features(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> features [B, config.features]."""
        features: Tensor = self.body(2 * images - 1)
        return features

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross entropy in nats, and accuracy."""
        images, labels = rotate(batch.images) if self.classes == 1 else (batch.images, batch.labels)
        logits = self.head(self.features(images)).float()
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        return {"loss": F.cross_entropy(logits, labels), "accuracy": accuracy}


def rotate(images: Tensor) -> tuple[Tensor, Tensor]:
    """Rotate square images [B, C, H, H] by random quarter turns; return them and the turns [B]."""
    quarters = torch.randint(TURNS, (len(images),), device=images.device)
    rotations = torch.stack([images.rot90(k, (2, 3)) for k in range(TURNS)])
    return rotations[quarters, torch.arange(len(images), device=images.device)], quarters
