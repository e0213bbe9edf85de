"""Sample i is a function of (seed, i): the batch it is drawn in doesn't show in its pixels."""

from __future__ import annotations

import pytest
import torch
from latent_models import captions, make_ldm
from oracles import awake
from torch import Tensor
from walks import EVERY

from genlab.config.base import Precision
from genlab.config.families import FamilyConfig
from genlab.config.families.ddpm import DDPMConfig
from genlab.config.families.edm import EDMConfig
from genlab.config.families.flow_matching import FlowMatchingConfig
from genlab.config.families.score_sde import ScoreSDEConfig
from genlab.config.families.vae import VAEConfig
from genlab.config.networks import DiTConfig, UNetConfig
from genlab.config.samplers import SAMPLERS, SamplerConfig, SteppedSampler
from genlab.config.samplers.ddim import DDIMSampler
from genlab.config.samplers.ddpm import DDPMSampler
from genlab.config.samplers.dopri5 import Dopri5Sampler
from genlab.config.samplers.edm import EDMSampler
from genlab.config.samplers.euler_maruyama import EulerMaruyamaSampler
from genlab.config.samplers.predictor_corrector import PredictorCorrectorSampler
from genlab.config.samplers.prior import PriorSampler
from genlab.models.base import Facts, build_model
from genlab.models.batches import to_uint8
from genlab.processes.noise import SampleNoise
from genlab.sampling.draw import draw

SAMPLES, SHAPE = 64, (1, 8, 8)
UNET = UNetConfig(channels=8, multipliers=(1, 2), attention=(1,))
DIT = DiTConfig(backbone="dit", width=16, depth=2, heads=2, patch=2)
V, EPS = DDPMConfig(network=UNET), DDPMConfig(network=UNET, prediction="eps")
LEARNED = DDPMConfig(network=UNET, learned_variance=True)
CONDITIONAL = DDPMConfig(network=UNET, conditional=True)
FAMILIES: dict[str, tuple[FamilyConfig, SamplerConfig]] = {
    "vae": (VAEConfig(latent=4, channels=4), PriorSampler()),
    "ddpm, eps": (EPS, DDIMSampler(steps=3)),
    "ddpm, learned variance": (LEARNED, DDPMSampler(steps=3, variance="learned")),
    "ddpm, guided": (CONDITIONAL, DDIMSampler(steps=3, guidance=2.0)),
    **{
        f"score_sde, {sde}": (
            ScoreSDEConfig(network=UNET, sde=sde),
            PredictorCorrectorSampler(steps=3),
        )
        for sde in ("vp", "subvp", "ve")
    },
    "edm": (EDMConfig(network=UNET), EDMSampler(steps=3, churn=2.0)),
    "flow_matching": (
        FlowMatchingConfig(network=UNET),
        EulerMaruyamaSampler(steps=3),
    ),
    "flow_matching, DiT": (
        FlowMatchingConfig(network=DIT),
        EulerMaruyamaSampler(steps=3),
    ),
    "flow_matching, DiT with a convolution": (
        FlowMatchingConfig(network=DIT.model_copy(update={"convolution": True})),
        EulerMaruyamaSampler(steps=3),
    ),
}
"""Every family, each with a sampler that has something to get wrong."""
SAMPLED: dict[str, tuple[FamilyConfig, SamplerConfig]] = {
    **{
        case: (V, SAMPLERS[sampler].model_validate({"sampler": sampler, "steps": 3, **settings}))
        for case, (sampler, settings) in EVERY.items()
    },
    "dopri5": (V, Dopri5Sampler(rtol=0.1, atol=0.1)),
}
"""Every sampler."""
CASES = {**FAMILIES, **SAMPLED}


STEPPED = [case for case in CASES if isinstance(CASES[case][1], SteppedSampler)]


@pytest.mark.parametrize(
    ("case", "precision"),
    [*((case, "fp32") for case in CASES), *((case, "bf16") for case in STEPPED)],
)
def test_pixels_do_not_depend_on_the_batch(case: str, precision: Precision) -> None:
    """Drawn one, seven or 64 at a time, in any order, no pixel differs by more than 1 of 255.

    Convolutions of another batch size may sum in another order; that moves a float32 by its last
    bits, and a grey value by one where it stood at the edge of rounding. In bfloat16 such a bit
    could move a walk much further, so there it must not even be that.
    """
    config, sampler = CASES[case]
    if case in STEPPED:
        sampler = sampler.model_copy(update={"precision": precision})
    most = 0 if precision == "bf16" else 1
    model = awake(build_model(config, Facts(SHAPE, 10), seed=0))
    if case == "dopri5":
        # Dozens of evaluations of a network as steep as this would make more than that of it.
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(0.5)

    def pixels(indices: range) -> Tensor:
        return to_uint8(draw(model, sampler, SampleNoise(0, indices)).images).int()

    together = pixels(range(SAMPLES))
    assert len({bytes(image.flatten().tolist()) for image in together}) == SAMPLES  # it says much
    # One, seven that begin anywhere, and seven in the opposite order
    for indices in (range(1), range(40, 41), range(7), range(57, 64), range(40, 33, -1)):
        assert int((pixels(indices) - together[list(indices)]).abs().max()) <= most


@pytest.mark.parametrize("case", SAMPLED)
def test_every_sampler_draws_latents_of_prompts_whatever_the_batch(case: str) -> None:
    """As above, guided: some prompts are alike, and each text is encoded once a batch."""
    sampler = SAMPLED[case][1].model_copy(update={"guidance": 2.0})
    model, tokens = make_ldm(), captions(SAMPLES)
    if case == "dopri5":  # as above
        with torch.no_grad():
            for weight in model.network.parameters():
                weight.mul_(0.5)

    def pixels(indices: range) -> Tensor:
        images = draw(model, sampler, SampleNoise(0, indices), tokens[list(indices)]).images
        return to_uint8(images).int()

    together = pixels(range(SAMPLES))
    assert together.shape == (SAMPLES, 1, 8, 8)
    assert len({bytes(image.flatten().tolist()) for image in together}) > SAMPLES / 2
    for indices in (range(40, 41), range(7), range(40, 33, -1)):
        assert int((pixels(indices) - together[list(indices)]).abs().max()) <= 1


@pytest.mark.parametrize("indices", [range(1), range(7), range(63, -1, -1)])
def test_noise_is_the_same_to_the_last_bit(indices: range) -> None:
    """However many samples are drawn beside it and in whatever order, at every draw."""
    few, together = SampleNoise(5, indices), SampleNoise(5, range(SAMPLES))
    for _ in range(3):
        assert torch.equal(few.normal(*SHAPE), together.normal(*SHAPE)[list(indices)])
