"""Image to image: its ends, and what lies between."""

from __future__ import annotations

import math

import pytest
import torch
from latent_models import captions, make_ldm
from oracles import PATHS, awake
from torch import Tensor

from genlab.config.families import build_family
from genlab.config.samplers.ddim import DDIMSampler
from genlab.models.base import Facts, build_model
from genlab.models.gaussian import GaussianModel
from genlab.processes.gaussian import Denoiser, Prediction
from genlab.processes.noise import SampleNoise
from genlab.sampling.draw import draw
from genlab.sampling.image_to_image import image_to_image

IMAGES = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
NETWORK = {"channels": 8, "multipliers": [1]}


def of_pixels() -> GaussianModel:
    values = {"family": "ddpm", "network": NETWORK, "timesteps": 100}
    model = awake(build_model(build_family(values, "here"), Facts((1, 8, 8), 10), 0))
    assert isinstance(model, GaussianModel)
    return model


def samples(model: GaussianModel, images: Tensor, strength: float, **more: object) -> Tensor:
    noise = SampleNoise(0, range(len(images)))
    return image_to_image(model, images, noise, strength=strength, steps=10, **more)  # type: ignore[arg-type]


def test_a_strength_of_zero_gives_the_autoencoder_s_reconstruction() -> None:
    """To the bit, whatever is asked for; of pixels the image itself, up to 2 x - 1 and back."""
    ldm = make_ldm()
    result = samples(ldm, IMAGES, 0.0, labels=captions(4), guidance=3.0)
    assert torch.equal(result, ldm.from_path(ldm.to_path(IMAGES)))
    # to_path and from_path scale the latents, and back
    torch.testing.assert_close(result, ldm.first_stage.reconstruct(IMAGES), rtol=0, atol=1e-5)
    torch.testing.assert_close(samples(of_pixels(), IMAGES, 0.0), IMAGES, rtol=0, atol=1e-6)


@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_a_strength_of_one_is_a_sample_and_knows_nothing_of_the_image(guidance: float) -> None:
    ldm, tokens = make_ldm(), captions(4)
    result = samples(ldm, IMAGES, 1.0, labels=tokens, guidance=guidance)
    assert torch.equal(result, samples(ldm, 1 - IMAGES, 1.0, labels=tokens, guidance=guidance))
    sampler = DDIMSampler(steps=10, guidance=guidance, precision="fp32")
    sample = draw(ldm, sampler, SampleNoise(0, range(4)), tokens)
    # The same steps; DDIM's move takes sigma by a square root
    torch.testing.assert_close(result, sample.images, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("strength", "steps"), [(0.01, 1), (0.3, 3), (0.31, 4), (0.95, 10)])
def test_the_strength_is_a_share_of_the_steps(strength: float, steps: int) -> None:
    model = of_pixels()
    times: list[float] = []

    class Watched(Denoiser):
        def __call__(self, x: Tensor, t: float | Tensor, which: Tensor | None = None) -> Prediction:
            times.append(float(t))
            return super().__call__(x, t, which)

    plain = model.denoiser()
    model.denoiser = lambda labels, guidance: Watched(**vars(plain))  # type: ignore[method-assign]
    samples(model, IMAGES, strength)
    assert times == plain.times(10)[10 - steps :]
    assert math.ceil(strength * 10) == steps


def test_with_a_denoiser_that_knows_the_image_any_strength_but_one_leads_back_to_it() -> None:
    """Whatever x_t it is shown, DDIM leads to the x_0 that it says."""
    model = of_pixels()
    x0 = model.to_path(IMAGES)
    path = PATHS["cosine"]
    model.denoiser = lambda labels, guidance: Denoiser(  # type: ignore[method-assign]
        lambda x, t, labels: x0, path, "x0"
    )
    for strength in (0.2, 0.7, 1.0):
        torch.testing.assert_close(
            samples(model, IMAGES, strength).float(), IMAGES, atol=1e-6, rtol=0
        )


def test_the_more_strength_the_less_is_left_of_the_image() -> None:
    """Of a denoiser that knows nothing (x_0 = 0), in the noise that is added at the first step."""
    model = of_pixels()
    begun: list[Tensor] = []
    path = PATHS["cosine"]

    def grey(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        begun.append(x)
        return torch.zeros_like(x)

    model.denoiser = lambda labels, guidance: Denoiser(grey, path, "x0")  # type: ignore[method-assign]
    left = []
    for strength in (0.2, 0.5, 0.8):
        begun.clear()
        samples(model, IMAGES, strength)
        x, image = begun[0].flatten(), model.to_path(IMAGES).flatten()
        left.append(float(torch.stack([x, image.double()]).corrcoef()[0, 1]))
    assert left == sorted(left, reverse=True)
    assert left[0] > 0.8 > left[2]
