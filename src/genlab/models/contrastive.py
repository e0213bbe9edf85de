"""SimCLR: an encoder that learns without labels (Chen et al. 2020, arXiv:2002.05709).

Two random views of each image, cropped, blurred and changed in contrast, are to be recognised as
views of the same image among those of all others in the batch. The encoder's features, before the
projection head, then hold what an image shows and leave out what the views differ by.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.config.families.contrastive import ContrastiveConfig
from genlab.models.base import Batch, Model
from genlab.nn.collectives import whole_batch
from genlab.nn.trunk import Trunk

SMALLEST_CROP, LARGEST_CROP = 0.7, 1.1  # side of a crop, in sides of the image
LARGEST_SHIFT, LARGEST_TURN = 0.15, 0.3  # of its centre, in sides, and of the crop, in radians
CONTRAST, BRIGHTNESS, NOISE = 0.3, 0.1, 0.03  # the largest change of each; white is 1


class Contrastive(Model):
    """An encoder f of images, and a projection head g that only the loss uses."""

    config: ContrastiveConfig

    def __init__(
        self, config: ContrastiveConfig, shape: tuple[int, int, int], classes: int
    ) -> None:
        super().__init__(config, shape, classes)
        self.body = Trunk(shape, config.channels, config.features)
        self.head = nn.Sequential(
            nn.Linear(config.features, config.features),
            nn.SiLU(),
            nn.Linear(config.features, config.projection),
        )

    @property
    def batch_size_matters(self) -> bool:
        return True

    def features(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> h = f(x), [B, config.features]."""
        features: Tensor = self.body(images)
        return features

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The loss in nats, and how often a view's other one is the nearest of all views."""
        views = torch.cat([augment(batch.images), augment(batch.images)])
        z = self.head(self.features(views)).float()  # [2B, projection]
        if self.training:  # with the views of all processes
            z = torch.cat([whole_batch(view) for view in z.chunk(2)])
        return nt_xent(z, self.config.temperature)


def nt_xent(z: Tensor, temperature: float) -> dict[str, Tensor]:
    """Normalised temperature-scaled cross entropy, equation 1 of the paper, mean over all views.

        l(i, j) = -log exp(sim(z_i, z_j) / tau) / sum_(k != i) exp(sim(z_i, z_k) / tau)

    with the cosine sim, j the other view of i.

    Args:
        z: [2B, D]; rows i and i + B belong to the same image.

    Returns:
        `loss` in nats, and `accuracy`, the share of i for which j has the largest cosine.
    """
    n = len(z)
    unit = F.normalize(z, dim=1)
    logits = (unit @ unit.T / temperature).masked_fill(
        torch.eye(n, dtype=torch.bool, device=z.device), -torch.inf
    )
    partner = torch.arange(n, device=z.device).roll(n // 2)
    accuracy = (logits.argmax(dim=1) == partner).float().mean()
    return {"loss": F.cross_entropy(logits, partner), "accuracy": accuracy}


def augment(images: Tensor) -> Tensor:
    """A random view of each image [B, C, H, W] on [0, 1].

    It never mirrors: `training.horizontal_flip` does where that suits the data.
    """
    return jitter(blur(crop(images)))


def uniform(images: Tensor, low: float, high: float) -> Tensor:
    """A number for each image, [B, 1, 1, 1]."""
    return low + (high - low) * torch.rand(len(images), 1, 1, 1, device=images.device)


def crop(images: Tensor) -> Tensor:
    """A rectangle of random sides, place and turn, scaled to the whole; the border is repeated."""
    turn = uniform(images, -LARGEST_TURN, LARGEST_TURN)
    rotation = torch.cat([turn.cos(), -turn.sin(), turn.sin(), turn.cos()], dim=1)
    sides = [uniform(images, SMALLEST_CROP, LARGEST_CROP) for _ in range(2)]
    # Coordinates run from -1 to 1, so a shift of one side is 2.
    shift = [uniform(images, -2 * LARGEST_SHIFT, 2 * LARGEST_SHIFT) for _ in range(2)]
    linear = rotation.reshape(-1, 2, 2) * torch.cat(sides, dim=1).reshape(-1, 1, 2)
    theta = torch.cat([linear, torch.cat(shift, dim=1).reshape(-1, 2, 1)], dim=2)  # [B, 2, 3]
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def blur(images: Tensor) -> Tensor:
    """A mixture of the image and its mean over 3 x 3 pixels, of random weights."""
    smooth = F.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
    return torch.lerp(images, smooth, uniform(images, 0.0, 1.0))


def jitter(images: Tensor) -> Tensor:
    """Random contrast, brightness and grain."""
    contrast = uniform(images, 1 - CONTRAST, 1 + CONTRAST)
    brightness = uniform(images, -BRIGHTNESS, BRIGHTNESS)
    noise = uniform(images, 0.0, NOISE) * torch.randn_like(images)
    return (contrast * images + brightness + noise).clamp(0, 1)
