"""Sample i is a function of (seed, i): the batch it is drawn in doesn't show in its pixels."""

from __future__ import annotations

import pytest
import torch
from oracles import awake

from genlab.config.families import FamilyConfig
from genlab.config.families.ddpm import DDPMConfig
from genlab.config.families.vae import VAEConfig
from genlab.config.networks import UNetConfig
from genlab.config.samplers import DDIMSampler, DDPMSampler, PriorSampler, SamplerConfig
from genlab.models.base import build_model
from genlab.models.batches import to_uint8
from genlab.processes.noise import SampleNoise
from genlab.sampling.draw import draw

SAMPLES, SHAPE = 64, (1, 8, 8)
UNET = UNetConfig(channels=8, multipliers=(1, 2), attention=(1,))
VAE = VAEConfig(latent=4, channels=4)
CASES: dict[str, tuple[FamilyConfig, SamplerConfig]] = {
    "vae": (VAE, PriorSampler()),
    "v, ancestral": (DDPMConfig(network=UNET), DDPMSampler(steps=5)),
    "eps, ddim": (DDPMConfig(network=UNET, prediction="eps"), DDIMSampler(steps=5)),
    "v, noisy ddim": (DDPMConfig(network=UNET), DDIMSampler(steps=5, eta=0.5)),
}


@pytest.mark.parametrize("case", CASES)
def test_pixels_do_not_depend_on_the_batch(case: str) -> None:
    """Drawn one, seven or 64 at a time, no pixel differs by more than 1 of 255.

    Convolutions of another batch size may sum in another order; that moves a float32 by its last
    bits, and a grey value by one where it stood at the edge of rounding.
    """
    config, sampler = CASES[case]
    model = awake(build_model(config, SHAPE, 10, seed=0))
    together = to_uint8(draw(model, sampler, SampleNoise(0, range(SAMPLES))).images).int()
    assert len(together.flatten(1).unique(dim=0)) == SAMPLES  # the network says something
    for size in (1, 7):
        batches = [range(i, min(i + size, SAMPLES)) for i in range(0, SAMPLES, size)]
        images = torch.cat([draw(model, sampler, SampleNoise(0, b)).images for b in batches])
        assert int((to_uint8(images).int() - together).abs().max()) <= 1
