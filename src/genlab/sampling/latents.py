"""Figures of a latent space: traversals, interpolations and attribute vectors.

    traversals     one latent at a time from -3 to 3, the others as encoded from a held-out image
    interpolation  between held-out images of two classes, along a great circle
    attributes     a held-out image of another class, moved along z(class) - z(all)

z ~ N(0, I) of L dimensions lies near a sphere of radius sqrt(L). A straight line between two such
points leaves the sphere, and the decoder was never trained there; a great circle stays on it
(White 2016, arXiv:1609.04468).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlab.data.arrays import Split, alternate_classes
from genlab.data.randomness import generator
from genlab.models.capabilities import Encodes
from genlab.models.latents import ACTIVE, activity, decode, encode
from genlab.sampling.figures import Figure

MAX_ROWS = 10
MAX_IMAGES = 2000  # training images behind activity and attribute vectors
MAX_TRAVERSED = 64  # latents; ten rows would show too small a part of a larger space
TRAVERSAL_VALUES = torch.linspace(-3, 3, 11)
INTERPOLATION_STEPS = torch.linspace(0, 1, 8)
ATTRIBUTE_STRENGTHS = torch.linspace(-2, 2, 9)
FRAMES = 32


def traverse(z: Tensor, dimensions: Tensor, values: Tensor) -> Tensor:
    """Latent traversals: z [L] with one of `dimensions` [R] set to each of `values` [T].

    Returns:
        [R, T, L].
    """
    traversals = z.repeat(len(dimensions), len(values), 1)
    traversals[torch.arange(len(dimensions)), :, dimensions] = values
    return traversals


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Spherical interpolation from a (t = 0) to b (t = 1): a, b [R, L] and t [T] -> [R, T, L].

    The direction moves at constant speed along the great circle (Shoemake 1985), where omega is the
    angle between a and b. The length changes linearly from |a| to |b|. If a and b are parallel, the
    great circle is not unique and the interpolation is linear.
    """
    length_a, length_b = a.norm(dim=1)[:, None, None], b.norm(dim=1)[:, None, None]  # [R, 1, 1]
    a, b, t = a[:, None], b[:, None], t[None, :, None]
    tiny = torch.finfo(a.dtype).tiny
    unit_a, unit_b = a / length_a.clamp(min=tiny), b / length_b.clamp(min=tiny)
    # From chords, which stays accurate for small angles, unlike the arc cosine.
    omega = 2 * torch.atan2((unit_a - unit_b).norm(dim=2), (unit_a + unit_b).norm(dim=2))[..., None]
    circle = (((1 - t) * omega).sin() * unit_a + (t * omega).sin() * unit_b) / omega.sin()
    arc = circle * ((1 - t) * length_a + t * length_b)
    return torch.where(omega.sin() > 1e-3, arc, (1 - t) * a + t * b)


def attribute_vectors(latents: Tensor, labels: Tensor, classes: Tensor) -> Tensor:
    """The mean latent of each of `classes` [C] minus the mean of all: latents [N, L] -> [C, L]."""
    means = torch.stack([latents[labels == label].mean(dim=0) for label in classes])
    return means - latents.mean(dim=0)


def add_attributes(z: Tensor, vectors: Tensor, strengths: Tensor) -> Tensor:
    """z [R, L] moved along the vector of its row [R, L] by each of `strengths` [S], [R, S, L]."""
    return z[:, None] + strengths[None, :, None] * vectors[:, None]


@dataclass(frozen=True)
class LatentSpace:
    """A model's latent space, with the images that its figures show.

    Attributes:
        model: encoder and decoder, on `device`.
        held_out: the images that are encoded and moved.
        names: names of the classes.
        latents: latents of training images, float32 [N, L].
        classes: their classes, int64 [N].
    """

    model: Encodes
    device: torch.device
    held_out: Split
    names: list[str]
    latents: Tensor
    classes: Tensor

    @classmethod
    def encode(
        cls, model: Encodes, train: Split, held_out: Split, names: list[str], device: torch.device
    ) -> LatentSpace:
        """Encode a random subset of the training images, at most MAX_IMAGES."""
        subset = generator("explore").permutation(len(train.images))[:MAX_IMAGES]
        latents = encode(model, train.images[subset], device)
        return cls(model, device, held_out, names, latents, torch.from_numpy(train.labels[subset]))

    def summary(self) -> dict[str, int]:
        """Numbers of latents, of active latents, and of images that activity is measured on."""
        variance = activity(self.latents)
        return {
            "latents": len(variance),
            "active": int((variance > ACTIVE).sum()),
            "images": len(self.latents),
        }

    def figures(self) -> dict[str, Figure]:
        """All figures that suit the space, by name.

        Traversals need at most MAX_TRAVERSED latents, attributes at least two classes.
        """
        figures = {}
        if self.latents.shape[1] <= MAX_TRAVERSED:
            figures["traversals"] = self.traversals()
        figures["interpolation"] = self.interpolation()
        if len(self.names) > 1:
            figures["attributes"] = self.attributes()
        return figures

    def traversals(self) -> Figure:
        """A row for each of the most active latents; in the film each of them oscillates."""
        variance = activity(self.latents)
        dimensions = variance.argsort(descending=True, stable=True)[:MAX_ROWS]
        (z,) = self._encode(np.array([0]))
        turns = torch.arange(FRAMES) / FRAMES  # one period, so that the film loops seamlessly
        oscillation = TRAVERSAL_VALUES.max() * (2 * torch.pi * turns).sin()
        facts = {
            "held_out": self._describe(np.array([0]))[0],
            "values": TRAVERSAL_VALUES.tolist(),
            "rows": [{"latent": int(j), "variance": float(variance[j])} for j in dimensions],
        }
        rows = self._decode(traverse(z, dimensions, TRAVERSAL_VALUES))
        return Figure(facts, rows, film=self._decode(traverse(z, dimensions, oscillation)))

    def interpolation(self) -> Figure:
        """Pairs of held-out images of two classes, and the decoded interpolation between them."""
        labels = self.held_out.labels
        order = alternate_classes(labels)
        partners = np.roll(order, -len(np.unique(labels)) - 1)  # each of the next class
        pairs = np.stack([order, partners], axis=1)[:MAX_ROWS]  # [R, 2]
        start, end = self._encode(pairs[:, 0]), self._encode(pairs[:, 1])
        between = self._decode(slerp(start, end, INTERPOLATION_STEPS))
        ends = self.held_out.images[pairs]  # [R, 2, C, H, W]
        descriptions = zip(self._describe(pairs[:, 0]), self._describe(pairs[:, 1]), strict=True)
        facts = {
            "steps": INTERPOLATION_STEPS.tolist(),
            "rows": [{"from": a, "to": b} for a, b in descriptions],
        }
        return Figure(facts, np.concatenate([ends[:, :1], between, ends[:, 1:]], axis=1))

    def attributes(self) -> Figure:
        """A row for each class: a held-out image of the next class, moved towards this one."""
        labels = self.held_out.labels
        classes = np.intersect1d(labels, self.classes)[:MAX_ROWS]
        vectors = attribute_vectors(self.latents, self.classes, torch.from_numpy(classes))
        moved = np.array([np.argmax(labels == label) for label in np.roll(classes, -1)])
        rows = zip(classes, self._describe(moved), vectors, strict=True)
        facts = {
            "strengths": ATTRIBUTE_STRENGTHS.tolist(),
            "rows": [
                {"attribute": self.names[label], "held_out": image, "length": float(v.norm())}
                for label, image, v in rows
            ],
        }
        z = add_attributes(self._encode(moved), vectors, ATTRIBUTE_STRENGTHS)
        return Figure(facts, self._decode(z))

    def _encode(self, indices: NDArray[np.int64]) -> Tensor:
        """Latents [R, L] of held-out images."""
        return encode(self.model, self.held_out.images[indices], self.device)

    def _decode(self, z: Tensor) -> NDArray[np.uint8]:
        return decode(self.model, z, self.device)

    def _describe(self, indices: NDArray[np.int64]) -> list[dict[str, Any]]:
        """Number and class of held-out images."""
        labels = self.held_out.labels
        return [{"image": int(i), "class": self.names[labels[i]]} for i in indices]
