"""Images of the calibration rows: no model draws them, and what is wrong with each is known.

A ruler is checked by measuring things of known length. Here the ruler is a metric, and the things
are rows of images with a flaw of known kind and strength:

    real            held-out images: no flaw. Everything else is compared with this row
    noise           uniform noise: nothing is right
    blur            details are missing                  (samples of a VAE)
    jpeg            blocks and ringing                   (artefacts of a decoder)
    grain           details that no real image has       (a diffusion stopped too early)
    veil            less contrast, black is not black    (a decoder that plays safe)
    dropped-class   each image is perfect, some kinds of image are missing   (mode collapse)
    k-means         averages of similar training images
    mean            one image, the average of all        (complete collapse)
    memoriser       training images, copied              (overfitting)

A good metric gets worse with every strength of a flaw, and it does not prefer a memoriser to real
images. The rows made of held-out images change the images of the row `real`, in the same order, so
two rows differ by the flaw alone and not by the choice of images.

`KINDS` lists one function for each kind, and its strengths from weak to strong. All randomness
depends on the seed and the kind; strengths of one kind share it (the same grain, only stronger).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from genlab.config.calibration import dropped_classes, split_row
from genlab.data.arrays import fair_share
from genlab.data.randomness import generator
from genlab.errors import GenLabError

Picture = NDArray[np.uint8]
"""One image, [C, H, W]."""

GREY = 128
MOST_MEANS = 1000
"""Largest number of means of the row k-means; with more samples, each is repeated."""
IMAGES_PER_MEAN = 10
"""Number of training images for each mean, on average."""


@dataclass(frozen=True)
class RealImages:
    """What calibration rows are made of: the images of a data set, and the size of a row."""

    held_out: NDArray[np.uint8]
    """[M, C, H, W]."""
    held_out_labels: NDArray[np.int64]
    """[M], in 0 ... classes - 1."""
    training: NDArray[np.uint8]
    """[N, C, H, W]."""
    training_labels: NDArray[np.int64]
    classes: int
    samples: int
    """Number of images in a row."""
    seed: int

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """A random order of the held-out images; the row `real` consists of the first ones."""
        return fair_share(len(self.held_out), self.seed)

    @property
    def real(self) -> Iterator[Picture]:
        """The images of the row `real`."""
        return (self.held_out[i] for i in self.order[: self.samples])


def blur(image: Picture, sigma: float, random: Generator) -> Picture:
    """Convolve with a Gaussian of standard deviation `sigma` pixels; the border is repeated."""
    return to_grey_values(
        gaussian_filter(image.astype(np.float32), (0, sigma, sigma), mode="nearest")
    )


def jpeg(image: Picture, quality: float, random: Generator) -> Picture:
    """Compress and decompress by JPEG; `quality` from 1 to 95."""
    file = io.BytesIO()
    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)  # [H, W] or [H, W, 3]
    Image.fromarray(pixels).save(file, "JPEG", quality=int(quality))
    result = np.asarray(Image.open(file))
    return result[None] if len(image) == 1 else result.transpose(2, 0, 1)


def grain(image: Picture, sigma: float, random: Generator) -> Picture:
    """Add Gaussian noise of standard deviation `sigma` grey values to every pixel."""
    noise = random.standard_normal(image.shape, dtype=np.float32)
    return to_grey_values(image + sigma * noise)


def veil(image: Picture, opacity: float, random: Generator) -> Picture:
    """Mix with grey: (1 - opacity) image + opacity 128."""
    return to_grey_values((1 - opacity) * image.astype(np.float32) + opacity * GREY)


def to_grey_values(image: NDArray[np.float32]) -> Picture:
    """Round to uint8; values below 0 or above 255 become 0 or 255."""
    return image.round().clip(0, 255).astype(np.uint8)


def real(data: RealImages, strength: float, random: Generator) -> Iterator[Picture]:
    """Held-out images, each at most once."""
    yield from data.real


def flawed(
    flaw: Callable[[Picture, float, Generator], Picture],
    data: RealImages,
    strength: float,
    random: Generator,
) -> Iterator[Picture]:
    """The images of the row `real`, each with a flaw."""
    return (flaw(image, strength, random) for image in data.real)


def noise(data: RealImages, strength: float, random: Generator) -> Iterator[Picture]:
    """Grey values from 0 to 255, all equally likely."""
    for _ in range(data.samples):
        yield random.integers(0, 256, data.held_out.shape[1:], dtype=np.uint8)


def dropped_class(data: RealImages, strength: float, random: Generator) -> Iterator[Picture]:
    """The images of the row `real`; those of the first classes are replaced by others.

    The others are held-out images that the row lacks, as far as there are any, then its own again.
    """
    row = f"dropped-class-{strength:g}"
    dropped = dropped_classes(int(strength), data.classes)
    if dropped >= data.classes:
        raise GenLabError(
            f"evaluation.calibration: '{row}' leaves out {dropped} classes, but there are only "
            f"{data.classes}; remove it"
        )
    chosen, rest = np.split(data.order.copy(), [data.samples])
    kept = data.held_out_labels >= dropped  # [M]
    others = np.concatenate([rest[kept[rest]], chosen[kept[chosen]]])
    if not len(others):
        raise GenLabError(
            f"evaluation.calibration: '{row}': no held-out image is of a class that remains; "
            "remove it"
        )
    gaps = ~kept[chosen]
    chosen[gaps] = np.resize(others, gaps.sum())
    yield from (data.held_out[i] for i in chosen)


def k_means(data: RealImages, strength: float, random: Generator) -> Iterator[Picture]:
    """Cluster means of training images, in turn.

    They are as many as samples, at most 1000, at most one for ten images. Each is near real
    images, so that a likelihood by Parzen windows rates them above real ones (Theis et al. 2016,
    arXiv:1511.01844).
    """
    from sklearn.cluster import KMeans

    k = max(1, min(data.samples, MOST_MEANS, len(data.training) // IMAGES_PER_MEAN))
    chosen = random.permutation(len(data.training))[: IMAGES_PER_MEAN * k]
    pixels = np.asarray(data.training[np.sort(chosen)], np.float32).reshape(len(chosen), -1)
    seed = int(random.integers(2**32))
    result = KMeans(k, init="random", n_init=1, max_iter=10, random_state=seed).fit(pixels)
    means = to_grey_values(result.cluster_centers_).reshape(k, *data.training.shape[1:])
    yield from (means[i % k] for i in range(data.samples))


def mean(data: RealImages, strength: float, random: Generator) -> Iterator[Picture]:
    """The mean training image, as often as there are samples."""
    image = to_grey_values(data.training.mean(axis=0, dtype=np.float64))
    yield from (image for _ in range(data.samples))


def memoriser(data: RealImages, strength: float, random: Generator) -> Iterator[Picture]:
    """Training images, of each class its share; each at most once while there are enough.

    Held-out images have their classes in the same shares. Were these left to chance, a copy of the
    data could be farther from the data than held-out images are.
    """
    shuffled = random.permutation(len(data.training))
    by_class = shuffled[np.argsort(data.training_labels[shuffled], kind="stable")]
    places = (np.arange(data.samples) + 0.5) * len(by_class) / data.samples  # evenly spaced
    yield from (data.training[i] for i in random.permutation(by_class[places.astype(np.int64)]))


class Kind(NamedTuple):
    """How the rows of a kind are made.

    Attributes:
        images: yields the images of a row, from the data, a strength, and its random stream.
        strengths: from weak to strong; empty for a row without degrees.
    """

    images: Callable[[RealImages, float, Generator], Iterator[Picture]]
    strengths: tuple[float, ...] = ()


KINDS = {
    "real": Kind(real),
    "noise": Kind(noise),
    "blur": Kind(partial(flawed, blur), (0.75, 1.25, 2)),
    "jpeg": Kind(partial(flawed, jpeg), (5, 3, 1)),
    "grain": Kind(partial(flawed, grain), (30, 60, 120)),
    "veil": Kind(partial(flawed, veil), (0.1, 0.3, 0.6)),
    "dropped-class": Kind(dropped_class, (1, 2, 3)),
    "k-means": Kind(k_means),
    "mean": Kind(mean),
    "memoriser": Kind(memoriser),
}
"""`genlab.config.calibration` has the same kinds, described for readers."""


def calibration_images(row: str, data: RealImages) -> Iterator[Picture]:
    """Yield the images of a calibration row, uint8 [C, H, W] each.

    Raises:
        GenLabError: the row needs more classes than there are.
    """
    name, k = split_row(row)
    kind = KINDS[name]
    random = generator(data.seed, "calibration", name)
    return kind.images(data, kind.strengths[k - 1] if k else 0.0, random)
