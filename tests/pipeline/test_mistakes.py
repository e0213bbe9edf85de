"""A mistake in a configuration ends a dry run with a message that helps; no job starts."""

from __future__ import annotations

import pytest
from project import SMOKE, Project

DEFAULT = "config/config.yaml"
VAE = "config/models/vae.yaml"
SPRITES = "config/datasets/sprites.yaml"


FEW = "samples: 128", "samples: 63"
OWN = """
  samples: 128
  extractors: [classifier, pixel-pca, low-level]
  calibration: [real, noise]"""
WEIGHTS = """
  samples: 2048
  extractors: [inception-v3-compat]
  calibration: [noise]
  weights: {inception-v3-compat: empty.pth}"""


@pytest.mark.parametrize(
    ("path", "old", "new", "key", "remedy"),
    [
        (SMOKE, "datasets: [sprites]", "datasets: [sprit]", "datasets", "did you mean 'sprites'"),
        (SMOKE, "preset: vae", "preset: vea", "models", "did you mean 'vae'"),
        (SMOKE, "vae, channels: 8", "vae, chanels: 8", "chanels", "did you mean 'channels'"),
        (SMOKE, "sampler: ddim", "sampler: dimm", "ddim-3", "did you mean 'ddim'"),
        (SMOKE, "name: smoke", "name: smoke\nseed: [1]", "seed", "did you mean 'seeds'"),
        (SMOKE, "samples: 128", "sampels: 128", "evaluation", "did you mean 'samples'"),
        (SMOKE, "samples: 128", "samples: plenty", "evaluation.samples", "a whole number"),
        (
            SMOKE,
            "samples: 128",
            "samples: 2000",
            "evaluation.samples",
            "more than the 1227 held-out",
        ),
        (SMOKE, *FEW, "evaluation.samples: 63", "take 64 or more"),
        (SMOKE, "name: smoke", "name: smoke\nname: x", "line 4", "duplicate key 'name'"),
        (SMOKE, "datasets: [sprites]", "datasets: sprites", "datasets", "such as [sprites]"),
        (SMOKE, OWN, WEIGHTS, "evaluation.weights", "the file is empty"),
        (DEFAULT, "images: 64000", "images: !!int abc", "line 38", "'abc' is not of type int"),
        (VAE, "latent:", "latents:", "latents", "did you mean 'latent'"),
        (VAE, "batch_size:", "batchsize:", "training", "did you mean 'batch_size'"),
        (VAE, "family: vae", "family: [vae", "not valid YAML", "while parsing"),
        (SPRITES, "source: sprites", "source: sprite", "source", "did you mean 'sprites'"),
    ],
)
def test_the_message_names_file_key_and_remedy(
    bare: Project, path: str, old: str, new: str, key: str, remedy: str
) -> None:
    bare.edit(path, lambda text: text.replace(old, new, 1))
    (bare.root / "empty.pth").touch()
    study = [] if path == DEFAULT else ["--configfile", SMOKE]
    done = bare.run("snakemake", "-n", *study)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    line = next((line for line in said.splitlines() if remedy in line), "")
    assert path in line, said
    assert key in line
    assert "Traceback" not in said
    assert "Job stats" not in said
    assert not (bare.root / "results").exists()
