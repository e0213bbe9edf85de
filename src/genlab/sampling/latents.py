"""The stage `explore`: walks through the latent space of any model that has one, as pictures.

    traversals     one latent at a time from -3 to 3, the others as a held-out image has them
    interpolation  from one held-out image to another of another class, on a great circle
    attributes     a held-out image of another class, moved along z(class) - z(all)

z ~ N(0, I) of L dimensions lies near a sphere of radius sqrt(L). A straight line between two such
points leaves it, where the decoder has never been; a great circle doesn't (White 2016,
arXiv:1609.04468).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from genlab.data.arrays import rank_in_class
from genlab.data.pictures import save_grid, tile
from genlab.data.randomness import generator
from genlab.io.arrays import read_array
from genlab.io.files import read_json, replacing
from genlab.models.capabilities import Encodes
from genlab.models.devices import pick_device
from genlab.models.latents import ACTIVE, activity, as_encoder, decode, encode
from genlab.models.store import load_model
from genlab.results.layout import RunFolder
from genlab.results.origin import run_origin, write_measured
from genlab.tracking.record import leave_record

ROWS = 10  # of every figure, at most
MOST = 2000  # training images behind activity and attribute vectors
FEW = 64  # latents; of more, ten rows show next to nothing
VALUES = torch.linspace(-3, 3, 11)
STEPS = torch.linspace(0, 1, 8)
STRENGTHS = torch.linspace(-2, 2, 9)
FRAMES, MILLISECONDS = 32, 80


def traverse(z: Tensor, dimensions: Tensor, values: Tensor) -> Tensor:
    """z [L] with one of `dimensions` [R] at a time set to each of `values` [T], [R, T, L]."""
    walks = z.repeat(len(dimensions), len(values), 1)
    walks[torch.arange(len(dimensions)), :, dimensions] = values
    return walks


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Spherical interpolation from a (t = 0) to b (t = 1): a, b [R, L] and t [T] -> [R, T, L].

    The direction moves evenly on the great circle (Shoemake 1985), omega being the angle between
    a and b; the length goes evenly from |a| to |b|. Where there is no one great circle (a and b
    are parallel) the line is straight.
    """
    length_a, length_b = a.norm(dim=1)[:, None, None], b.norm(dim=1)[:, None, None]  # [R, 1, 1]
    a, b, t = a[:, None], b[:, None], t[None, :, None]
    tiny = torch.finfo(a.dtype).tiny
    unit_a, unit_b = a / length_a.clamp(min=tiny), b / length_b.clamp(min=tiny)
    # From chords, which stays accurate where the angle is small, unlike an arc cosine.
    omega = 2 * torch.atan2((unit_a - unit_b).norm(dim=2), (unit_a + unit_b).norm(dim=2))[..., None]
    circle = (((1 - t) * omega).sin() * unit_a + (t * omega).sin() * unit_b) / omega.sin()
    arc = circle * ((1 - t) * length_a + t * length_b)
    return torch.where(omega.sin() > 1e-3, arc, (1 - t) * a + t * b)


def attribute_vectors(latents: Tensor, labels: Tensor, classes: Tensor) -> Tensor:
    """The mean of each of `classes` [C] less the mean of all: latents [N, L] -> [C, L]."""
    means = torch.stack([latents[labels == label].mean(dim=0) for label in classes])
    return means - latents.mean(dim=0)


def add_attributes(z: Tensor, vectors: Tensor, strengths: Tensor) -> Tensor:
    """z [R, L] moved along the vector of its row [R, L] by each of `strengths` [S], [R, S, L]."""
    return z[:, None] + strengths[None, :, None] * vectors[:, None]


def save_film(path: Path, rows: NDArray[np.uint8], side: int = 56) -> None:
    """Write uint8 images [R, T, C, H, W] as a GIF of T frames, the R rows side by side.

    Greys are rounded to 32 levels, and colours to 64, which keeps the file small.
    """
    zoom = max(1, round(side / rows.shape[3]))
    frames = []
    for images in rows.swapaxes(0, 1):
        sheet = tile(images, columns=len(images))
        if sheet.shape[2] == 1:
            frame = Image.fromarray(sheet[..., 0] // 8 * 8 + sheet[..., 0] // 32)
        else:
            frame = Image.fromarray(sheet).quantize(64, dither=Image.Dither.NONE)
        size = (frame.width * zoom, frame.height * zoom)
        frames.append(frame.resize(size, Image.Resampling.NEAREST))
    with replacing(path) as temporary:
        frames[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=frames[1:],
            duration=MILLISECONDS,
            loop=0,
        )


class Explorer:
    """A model with its held-out images and the latents of some training images at hand."""

    def __init__(self, run: RunFolder, model: Encodes, device: torch.device) -> None:
        self.model, self.device, self.at = model, device, run.latent_figures
        self.names: list[str] = read_json(run.data.manifest)["classes"]
        self.images = read_array(run.data.images("test"))
        self.labels = np.array(read_array(run.data.labels("test")))
        train, classes = read_array(run.data.images("train")), read_array(run.data.labels("train"))
        chosen = generator("explore").permutation(len(train))[:MOST]
        self.latents = encode(model, train[chosen], device)  # [N, L]
        self.classes = torch.from_numpy(classes[chosen])  # of the latents, [N]

    def latent(self, which: NDArray[np.int64]) -> Tensor:
        """Latents [R, L] of held-out images."""
        return encode(self.model, self.images[which], self.device)

    def decode(self, z: Tensor) -> NDArray[np.uint8]:
        return decode(self.model, z, self.device)

    def named(self, which: NDArray[np.int64]) -> list[dict[str, Any]]:
        """What latents.json says of held-out images: their number and class."""
        return [{"image": int(i), "class": self.names[self.labels[i]]} for i in which]

    def traversals(self) -> dict[str, Any]:
        """A row for each of the most active latents; and a film of them all."""
        variance = activity(self.latents)
        dimensions = variance.argsort(descending=True, stable=True)[:ROWS]
        (z,) = self.latent(np.array([0]))
        rows = self.decode(traverse(z, dimensions, VALUES))
        save_grid(self.at / "traversals.png", rows.reshape(-1, *rows.shape[2:]), len(VALUES))
        turns = torch.arange(FRAMES) / FRAMES  # the last frame meets the first
        swing = VALUES.max() * (2 * torch.pi * turns).sin()
        save_film(self.at / "traversals.gif", self.decode(traverse(z, dimensions, swing)))
        return {
            "held_out": self.named(np.array([0]))[0],
            "values": VALUES.tolist(),
            "rows": [{"latent": int(j), "variance": float(variance[j])} for j in dimensions],
        }

    def interpolation(self) -> dict[str, Any]:
        """Pairs of held-out images: the one, the way from its latent to the other's, the other."""
        in_turn = np.lexsort((self.labels, rank_in_class(self.labels)))  # 0 1 2 ... 0 1 2 ...
        others = np.roll(in_turn, -len(np.unique(self.labels)) - 1)  # of the next class each
        pairs = np.stack([in_turn, others], axis=1)[:ROWS]  # [R, 2]
        way = self.decode(slerp(self.latent(pairs[:, 0]), self.latent(pairs[:, 1]), STEPS))
        ends = self.images[pairs]  # [R, 2, C, H, W]
        sheet = np.concatenate([ends[:, :1], way, ends[:, 1:]], axis=1)
        save_grid(
            self.at / "interpolation.png", sheet.reshape(-1, *sheet.shape[2:]), sheet.shape[1]
        )
        return {
            "steps": STEPS.tolist(),
            "rows": [
                {"from": a, "to": b}
                for a, b in zip(self.named(pairs[:, 0]), self.named(pairs[:, 1]), strict=True)
            ],
        }

    def attributes(self) -> dict[str, Any]:
        """A row for each class: a held-out image of the next class, moved towards this one."""
        classes = np.intersect1d(self.labels, self.classes)[:ROWS]
        vectors = attribute_vectors(self.latents, self.classes, torch.from_numpy(classes))
        others = np.array([np.argmax(self.labels == label) for label in np.roll(classes, -1)])
        rows = self.decode(add_attributes(self.latent(others), vectors, STRENGTHS))
        save_grid(self.at / "attributes.png", rows.reshape(-1, *rows.shape[2:]), len(STRENGTHS))
        return {
            "strengths": STRENGTHS.tolist(),
            "rows": [
                {"attribute": self.names[label], "held_out": image, "length": float(v.norm())}
                for label, image, v in zip(classes, self.named(others), vectors, strict=True)
            ],
        }


def explore(run: RunFolder, *, cpu: bool = False) -> None:
    """Draw the figures of the run's latent space, and write what their rows show in latents.json.

    Traversals are drawn of at most 64 latents, attributes where there are two classes at least.

    Raises:
        GenLabError: the family has no latent vector.
    """
    device, origin = pick_device(cpu), run_origin(run)
    at = Explorer(run, as_encoder(load_model(run, device, origin)), device)
    # A figure that isn't drawn any more would pass for a new one.
    for old in run.latent_figures.glob("*"):
        old.unlink()
    variance = activity(at.latents)
    found: dict[str, Any] = {
        "latents": len(variance),
        "active": int((variance > ACTIVE).sum()),
        "images": len(at.latents),
    }
    if len(variance) <= FEW:
        found["traversals"] = at.traversals()
    found["interpolation"] = at.interpolation()
    if len(at.names) > 1:
        found["attributes"] = at.attributes()
    description = run.latents / "latents.json"
    write_measured(description, found, origin)
    pictures = sorted(path for path in at.at.iterdir() if path.suffix in (".png", ".gif"))
    leave_record(
        run,
        "explore",
        metrics={"active_latents": float(found["active"])},
        artifacts=[*pictures, description],
    )
