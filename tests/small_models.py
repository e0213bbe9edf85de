"""A tiny model of every family, and a data set that any of them can be trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
from accelerate import Accelerator
from tiny import SIDE, stripes

from genlab.config.families import build_family
from genlab.config.study import TrainingConfig
from genlab.data.tokenizer import END, PAD
from genlab.models.base import Facts, Model, Words, build_model
from genlab.models.batches import Table
from genlab.training.trainer import Training, make_accelerator

IMAGES, CLASSES, TOKENS, LENGTH = 64, 2, 12, 5
FACTS = Facts((1, SIDE, SIDE), CLASSES, Words(TOKENS, LENGTH), {"class": CLASSES})

UNET = {"channels": 8, "multipliers": [1, 2], "attention": [1]}
DIT = {"backbone": "dit", "width": 16, "depth": 1, "heads": 2, "patch": 2}
TRUNK = {"channels": 4, "features": 8}
TRANSFORMER = {"width": 8, "layers": 1, "heads": 2}
TEXT = {"text": True, "text_width": 8, "text_layers": 1, "text_heads": 2}
NARROW = {**UNET, "multipliers": [1], "attention": [0], "head_channels": 4}


SMALL: dict[str, dict[str, Any]] = {
    "autoencoder_latent": {"channels": 4, "latent": 8},
    "beta_vae": {"latent": 2, "channels": 4},
    "cheater": {"latent": 4, "channels": 4, "hidden": 16, "samples": 256},
    "classifier": TRUNK,
    "clip": {"channels": 4, "features": 8, "width": 8, "layers": 1},
    "code_prior": {"first_stage": "vqvae", **TRANSFORMER},
    "contrastive": TRUNK,
    "dalle": {"first_stage": "dvae", **TRANSFORMER},
    "ddpm": {"timesteps": 10, "network": UNET, "learned_variance": True, "conditional": True},
    "dvae": {"codes": 8, "latent": 4, "channels": 4},
    "edm": {"network": UNET},
    "flow_matching": {"network": DIT, "pairing": "ot"},
    "glow": {"steps": [1, 1], "hidden": 4, "global_steps": 1, "global_hidden": 8},
    "judge": TRUNK,
    "kl_autoencoder": {"latent": 3, "channels": 4},
    "latent_diffusion": {"timesteps": 10, "network": NARROW, **TEXT},
    "score_sde": {"network": UNET},
    "vae": {"latent": 2, "channels": 4, "free_bits": 0.1},
    "vqvae": {"codes": 8, "latent": 4, "channels": 4},
}
"""Hyperparameters by family."""
FIRST_STAGES = {
    "cheater": "classifier",
    "code_prior": "vqvae",
    "dalle": "dvae",
    "latent_diffusion": "kl_autoencoder",
}


def small_model(family: str) -> Model:
    """The tiny model of `family`, untrained, on its untrained first stage where it has one."""
    config = build_family({"family": family, **SMALL[family]}, family)
    first = FIRST_STAGES.get(family)
    return build_model(config, FACTS, 0, small_model(first) if first else None)


def small_table() -> Table:
    """Stripes with labels, captions and factors."""
    pixels, labels = stripes(IMAGES, 0)
    tokens = np.full((TOKENS, LENGTH), PAD, np.int64)
    tokens[:, 0], tokens[:, 1], tokens[:, 2] = 2 + np.arange(TOKENS) % 9, 4, END
    captions = np.arange(2 * IMAGES).reshape(IMAGES, 2) % TOKENS
    return Table(pixels[:, None], labels, captions, tokens, labels[:, None])


def small_training(family: str, **settings: Any) -> Training:
    """A training of the tiny model of `family` on the CPU, of eight steps unless told otherwise."""
    return make_training(family, make_accelerator("fp32", cpu=True), **settings)


def make_training(family: str, accelerator: Accelerator, **settings: Any) -> Training:
    """As `small_training`, on the device and in the processes of `accelerator`."""
    values = {"images": 128, "batch_size": 16, "ema": 0.9, **settings}
    config, table = TrainingConfig.model_validate(values), small_table()
    return Training(small_model(family), table, table, config, 0, accelerator, family)
