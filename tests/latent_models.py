"""Tiny models of latent diffusion, awake, on a tiny autoencoder."""

from __future__ import annotations

from typing import Any

import torch
from oracles import awake
from torch import Tensor

from genlab.config.families import build_family
from genlab.data.tokenizer import END, PAD
from genlab.models.base import Batch, Facts, Words, build_model
from genlab.models.kl_autoencoder import KLAutoencoder
from genlab.models.latent_diffusion import LatentDiffusion

FACTS = Facts((1, 8, 8), 10, Words(12, 5))
NETWORK: dict[str, Any] = {"channels": 8, "multipliers": [1], "attention": [0], "head_channels": 4}
TEXT: dict[str, Any] = {"text": True, "text_width": 8, "text_layers": 1, "text_heads": 2}


def make_autoencoder(facts: Facts = FACTS, **more: Any) -> KLAutoencoder:
    """Latents of 3 x 2 x 2, or so."""
    values = {"family": "kl_autoencoder", "latent": 3, "channels": 4, **more}
    model = awake(build_model(build_family(values, "here"), facts, 0))
    assert isinstance(model, KLAutoencoder)
    return model


def make_ldm(facts: Facts = FACTS, **more: Any) -> LatentDiffusion:
    """Of captions, unless `text` is False; its latents are to scale."""
    values = {"family": "latent_diffusion", "timesteps": 100, "network": NETWORK, **TEXT, **more}
    model = build_model(build_family(values, "here"), facts, 0, make_autoencoder(facts))
    assert isinstance(model, LatentDiffusion)
    awake(model.network)
    if model.config.text:
        awake(model.read)
    model.measure(torch.randint(256, (50, *facts.shape), dtype=torch.uint8).numpy())
    model.training_latents = None
    return model.eval()


def captions(n: int) -> Tensor:
    """Rows of tokens int64 [n, 5], no two of 18 alike and none empty."""
    i = torch.arange(n)
    rows = torch.full((n, 5), PAD)
    rows[:, 0], rows[:, 1], rows[:, 2] = 2 + i % 9, 2 + i % 2, END
    return rows


def batch_of(images: Tensor) -> Batch:
    n = len(images)
    return Batch(images, torch.arange(n) % 10, tokens=captions(n))
