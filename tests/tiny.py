"""A tiny study on tiny pictures, small enough to be trained in a test."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genlab.config.base import merge
from genlab.config.study import load_study
from genlab.results.layout import StudyFolder
from genlab.results.spec import study_specs, write_specs
from genlab.workflow.fetch import fetch
from genlab.workflow.prepare import prepare

SIDE, TRAIN, TEST = 8, 96, 64

CONFIG: dict[str, dict[str, Any]] = {
    "datasets/stripes": {"source": "image_folder", "size": SIDE, "channels": 1},
    "models/vae": {"family": "vae", "latent": 2, "channels": 4},
    "models/ddpm": {
        "family": "ddpm",
        "timesteps": 10,
        "network": {"channels": 8, "multipliers": [1, 2], "attention": [1]},
        "training": {"ema": 0.9},
    },
    "models/vqvae": {"family": "vqvae", "codes": 8, "latent": 4, "channels": 4},
    "models/vqvae-prior": {"family": "code_prior", "width": 8, "layers": 1, "heads": 2},
    "models/classifier": {"family": "classifier", "channels": 4, "features": 8},
    "models/clip": {"family": "clip", "channels": 4, "features": 8, "width": 8, "layers": 1},
    "models/judge": {"family": "judge", "channels": 4, "features": 8},
    "models/contrastive": {"family": "contrastive", "channels": 4, "features": 8},
    "models/autoencoder-latent": {"family": "autoencoder_latent", "channels": 4, "latent": 8},
}
STUDY: dict[str, Any] = {
    "name": "tiny",
    "datasets": ["stripes"],
    "models": ["vae", "ddpm"],
    "samplers": {"prior": {"sampler": "prior"}, "ddim-3": {"sampler": "ddim", "steps": 3}},
    "training": {"images": 256, "batch_size": 32},
    "evaluation": {
        "samples": 32,
        "extractors": ["classifier"],
        "calibration": ["real", "noise"],
        "splits": 2,
        "classifier": {"images": 2560, "batch_size": 32},
    },
    "tracking": {"tensorboard": False, "system_metrics": False},
}


def stripes(n: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images uint8 [n, SIDE, SIDE] of noisy stripes that run down (0) or across (1); labels [n]."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    waves = np.sin(np.arange(SIDE) * np.pi / 2 + random.uniform(0, 2 * np.pi, (n, 1)))
    images = np.repeat(waves[:, None, :], SIDE, axis=1)
    images[labels == 1] = images[labels == 1].transpose(0, 2, 1)
    images = 128 + 90 * images + 10 * random.standard_normal(images.shape)
    return images.round().clip(0, 255).astype(np.uint8), labels


def png(pixels: NDArray[np.uint8]) -> bytes:
    """`pixels`, uint8 [H, W] or [H, W, 3], as a PNG file."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def sheet(path: Path, columns: int) -> NDArray[np.uint8]:
    """The images [R, columns, SIDE, SIDE] of a sheet of this study's, enlarged 7 times.

    What names its rows stands to the left and is cut off.
    """
    width = columns * (SIDE + 1) + 1
    pixels = np.asarray(Image.open(path))[::7, -7 * width :: 7]
    tiles = pixels[1:, 1:].reshape(-1, SIDE + 1, columns, SIDE + 1)[:, :-1, :, :-1]
    return tiles.swapaxes(1, 2)


def make_study(results: Path, config: Path, changes: dict[str, Any]) -> StudyFolder:
    """Write the specs of the tiny study, changed by `changes`, and prepare its data."""
    study = load_study(merge(STUDY, changes), config, "tiny.yaml")
    write_specs(study_specs(study, results))
    at = StudyFolder(results / study.name)
    for dataset in study.datasets:
        fetch(at.data(dataset))
        prepare(at.data(dataset))
    return at


def write_costs(at: StudyFolder) -> None:
    """Write the benchmark of one job, as Snakemake does, for the page's section on cost."""
    path = at.folder / "benchmarks/league.tsv"
    path.parent.mkdir()
    path.write_text("s\th:m:s\tmax_rss\n1\t0:00:01\t1\n")
