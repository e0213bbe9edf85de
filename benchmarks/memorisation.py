"""How many planted copies of training images the audit for memorisation needs to see.

    python benchmarks/memorisation.py --raw FOLDER   # MNIST's IDX files
    python benchmarks/memorisation.py                # the 5,000 digits that come with a package

Of the digits, 4,000 are for training (half of them where there are only 5,000) and the others a
pool of fresh ones. A trial draws a held-out set and a disjoint set of "samples" from the pool, and
replaces a share of the samples by training images, exact or shifted by one pixel. The audit sees
pixels, the principal components of the training images and the features of a domain classifier that
was trained on them. Its p-values are compared with those of the trials without copies.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from common import Row, listed, machine, publish, table
from numpy.typing import NDArray

import genlab
from genlab.config.study import EvaluationConfig
from genlab.data.idx import read_idx
from genlab.data.randomness import generator
from genlab.evaluation.extractors import features_of, make_extractor
from genlab.evaluation.intervals import QUANTILE
from genlab.evaluation.memorisation.copying import (
    LEVEL,
    audit,
    ratio_tests,
    share,
    superiority,
)
from genlab.evaluation.memorisation.neighbours import FeatureSpace, PixelSpace, Space
from genlab.evaluation.memorisation.parts import NearestParts, nearest_parts, parts_test

Images = NDArray[np.uint8]
Features = Callable[[Images], NDArray[Any]]
STEPS = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
SHARES = (0.01, 0.05, 0.2, 1.0)


def principal_components(training: Images, count: int = 64) -> Features:
    """Return the projection on the first `count` principal components of the training images."""
    pixels = training.reshape(len(training), -1) / np.float32(255)
    mean = pixels.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov(pixels.T))
    components = vectors[:, -count:].astype(np.float32)
    return lambda images: (images.reshape(len(images), -1) / np.float32(255) - mean) @ components


def classifier(training: Images, labels: NDArray[np.int64]) -> Features:
    """Train the domain classifier; return the map to its features."""
    model = genlab.fit("classifier", training, labels=labels, images_seen=40_000, device="cpu")
    device = torch.device("cpu")
    network = make_extractor("classifier", model, EvaluationConfig(), device)
    return lambda images: features_of(network, images, device)["features"]


def shifted(images: Images, random: np.random.Generator) -> Images:
    """Shift each image by one pixel in one of eight directions."""
    directions = random.integers(len(STEPS), size=len(images))
    return np.stack([
        np.roll(image, STEPS[k], axis=(1, 2)) for image, k in zip(images, directions, strict=True)
    ])  # fmt: skip


class Measured(NamedTuple):
    """What the audit needs to know of images, whatever set they are in."""

    images: Images
    ratios: dict[str, NDArray[np.float64]]
    """d_1 / d_2 by space."""
    parts: NearestParts
    """The nearest parts of training images."""


def measure(training: Images, pool: Images, features: Mapping[str, Features]
) -> dict[str, Measured]:  # fmt: skip
    """Measure fresh images, and exact and shifted copies of the training images, once."""
    kinds = {
        "none": pool,
        "exact": training,
        "shifted": shifted(training, generator("benchmark", "shift")),
    }
    spaces: dict[str, tuple[Space, Features]] = {
        "pixels": (PixelSpace(training, pool[:1]), lambda images: images)
    }
    for name, project in features.items():
        spaces[name] = FeatureSpace(project(training), project(pool[:1])), project
    return {
        kind: Measured(
            images,
            {
                name: space.search(project(images)).ratios
                for name, (space, project) in spaces.items()
            },
            nearest_parts(images, training),
        )
        for kind, images in kinds.items()
    }


def trial(
    measured: Mapping[str, Measured], kind: str, copies: float, size: int, held_out: int, seed: int
) -> float:
    """The audit's p-value for `size` samples, of which the share `copies` is of `kind`."""
    fresh, copied, n = measured["none"], measured[kind], len(measured["exact"].images)
    random = generator("benchmark", kind, str(copies), seed)
    order = random.permutation(len(fresh.images))
    planted = random.permutation(n)[: round(copies * size)]
    real, samples = order[:held_out], order[held_out : held_out + size - len(planted)]
    p_values = []
    for space, ratios in fresh.ratios.items():
        mixed = np.concatenate([ratios[samples], copied.ratios[space][planted]])
        p_values += ratio_tests(mixed, ratios[real])
    images = np.concatenate([fresh.images[samples], copied.images[planted]])
    in_training = NearestParts(*(
        np.concatenate([a[samples], b[planted]])
        for a, b in zip(fresh.parts, copied.parts, strict=True)
    ))  # fmt: skip
    in_held_out = nearest_parts(images, fresh.images[real])
    return audit(p_values, parts_test(in_training, in_held_out, n, held_out)).p


def experiment(
    measured: Mapping[str, Measured], clean_trials: int, trials: int, size: int, held_out: int
) -> list[Row]:
    """A row without copies, and one for each kind and share: alarms, AUC and p-values."""
    cases = [("none", 0.0), *((kind, s) for s in SHARES for kind in ("exact", "shifted"))]
    clean = np.zeros(0)
    rows: list[Row] = []
    for kind, copies in cases:
        count = trials if copies else clean_trials
        p = np.array([trial(measured, kind, copies, size, held_out, i) for i in range(count)])
        clean = clean if copies else p
        alarms = share(int((p < LEVEL).sum()), count)
        auc, variance = superiority(clean, p)
        low, middle, high = np.quantile(p, (0.05, 0.5, 0.95))
        rows.append({
            "copies": f"{copies:.0%}",
            "kind": kind,
            "trials": count,
            "flagged %": alarms.value,
            "95 % interval": f"{alarms.low:.1f} to {alarms.high:.1f}",
            "AUC": auc,
            "AUC ±": QUANTILE * float(variance**0.5),
            "median p": f"{middle:.1g}",
            "5 to 95 % of p": f"{low:.1g} to {high:.1g}",
        })  # fmt: skip
    return rows


def read_digits(raw: str | None) -> tuple[Images, NDArray[np.int64]]:
    """MNIST from its IDX files in the folder `raw`, or 5,000 digits; in a fixed random order."""
    if raw:
        folder = Path(raw)
        images = read_idx(folder / "train-images-idx3-ubyte.gz")[:, None]
        labels = read_idx(folder / "train-labels-idx1-ubyte.gz")
    else:
        data = genlab.load_data("digits")
        images = np.concatenate([data.images, data.held_out])
        labels = np.concatenate([data.labels, data.held_out_labels])
    order = generator("benchmark", "digits").permutation(len(images))
    return images[order], labels[order].astype(np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--raw", help="folder with MNIST's IDX files; else 5,000 digits are used")
    parser.add_argument("--clean", type=int, default=200, help="trials without copies")
    parser.add_argument("--trials", type=int, default=40, help="for each kind and share of copies")
    parser.add_argument("--pool", type=int, default=10_000, help="fresh digits")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    begun = time.perf_counter()
    images, labels = read_digits(options.raw)
    count = 4000 if len(images) > 8000 else len(images) // 2
    training, pool = images[:count], images[count : count + options.pool]
    size = min(1000, len(pool) // 2)
    features = {
        "principal components": principal_components(training),
        "classifier": classifier(training, labels[:count]),
    }
    measured = measure(training, pool, features)
    rows = experiment(measured, options.clean, options.trials, size, size)
    about = machine(options.threads)
    conditions = (
        f"{count:,} training digits, {size:,} samples and {size:,} held-out digits from a pool of "
        f"{len(pool):,}, in pixels, {' and '.join(features)}, and parts. Flagged: "
        f"p < {LEVEL}. AUC: chance that a trial with copies has a smaller p than one without. "
        f"{time.perf_counter() - begun:.0f} s.\n"
        f"{listed(about)}.\n"
    )
    publish("memorisation", f"{table(rows)}\n{conditions}", {"machine": about, "rows": rows})


if __name__ == "__main__":
    main()
