"""Glow and RealNVP as models: the exact density, with and without padding, and both ways of f."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import StreamNoise, awake
from torch import Tensor
from torch.func import jacrev

from genlab.config.families import build_family
from genlab.config.families.glow import GlowConfig
from genlab.errors import ConfigError
from genlab.models.base import Batch, Facts, build_model
from genlab.models.batches import to_uint8
from genlab.models.capabilities import DrawOptions
from genlab.models.glow import Glow
from genlab.nn.flow import ActNorm, InvertibleConv
from genlab.processes.noise import SampleNoise

couplings = pytest.mark.parametrize("coupling", ["glow", "realnvp"])


def make_glow(shape: tuple[int, int, int] = (1, 8, 8), **changes: Any) -> Glow:
    values = {"steps": (2, 2), "hidden": 4, "global_steps": 1, "global_hidden": 8}
    model = build_model(GlowConfig(**(values | changes)), Facts(shape, 10), seed=0)
    assert isinstance(model, Glow)
    return model


def stirred(model: Glow) -> Glow:
    """`model` in evaluation mode with no branch at zero, and weights of a size that comes back.

    `awake` alone makes convolutions of whole images, with random entries of 0.3, that stretch space
    a million times.
    """
    awake(model)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(0.25)
    return model


def batch_of(images: Tensor) -> Batch:
    return Batch(images, torch.zeros(len(images), dtype=torch.int64))


def random_bytes(n: int, *shape: int) -> Tensor:
    """n images [n, C, H, W] of 8 bits, on [0, 1]."""
    return torch.randint(256, (n, *shape)) / 255


def smooth_images(n: int) -> Tensor:
    """n different gradients of 8 bits on [0, 1], [n, 1, 6, 6]."""
    angles = torch.arange(n) * 2 * math.pi / n
    y, x = torch.meshgrid(torch.linspace(-1, 1, 6), torch.linspace(-1, 1, 6), indexing="ij")
    waves = angles.cos()[:, None, None] * x + angles.sin()[:, None, None] * y
    return to_uint8(0.5 + 0.35 * waves)[:, None] / 255


@settings(max_examples=12)
@given(
    coupling=st.sampled_from(["glow", "realnvp"]),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)),
    steps=st.lists(st.integers(1, 2), min_size=1, max_size=3),
    global_steps=st.integers(0, 2),
    margin=st.sampled_from([0.0, 1e-6, 0.05]),
    batch=st.integers(1, 3),
)
@torch.no_grad()
def test_the_density_is_the_change_of_variables(
    coupling: str,
    shape: tuple[int, int, int],
    steps: list[int],
    global_steps: int,
    margin: float,
    batch: int,
) -> None:
    """log p(y) = log N(f(y)) + log |det df/dy|, by the Jacobian of f as a map from R^D to R^D.

    D counts the pixels of the image itself, most shapes being padded. Float64: 1e-8 of the sums of
    up to 75 dimensions, stretched by up to exp(14).
    """
    model = make_glow(
        shape, coupling=coupling, steps=steps, global_steps=global_steps, margin=margin
    )
    model = stirred(model).double()
    y = 0.05 + 0.9 * torch.rand(batch, *shape, dtype=torch.float64)
    z, _ = model.to_noise(y)
    assert z.shape == (batch, math.prod(shape))
    for one, noise, log_p in zip(y, z, model.log_density(y), strict=True):
        jacobian = jacrev(lambda flat: model.to_noise(flat.reshape(1, *shape))[0][0])(one.flatten())
        normal = torch.distributions.Normal(0.0, 1.0).log_prob(noise).sum()
        expected = normal + torch.linalg.slogdet(jacobian).logabsdet
        torch.testing.assert_close(log_p, expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(model.from_noise(z), y, rtol=0, atol=1e-9)


@couplings
@torch.no_grad()
def test_the_density_of_padded_images_integrates_to_one(coupling: str) -> None:
    """Of images of 1 x 2 pixels on a grid of 2 x 2, within 1 %, by the midpoint rule.

    Without a margin y - 1/2 goes straight into the flow, so that all of R^2 is in its support; its
    random weights leave next to nothing outside of [-20, 20]^2.
    """
    model = stirred(make_glow((1, 1, 2), coupling=coupling, steps=(2,), margin=0.0))
    side = (torch.arange(1000) + 0.5) / 25 - 20
    grid = torch.cartesian_prod(side, side)[:, None, None, :]
    mass = sum(float(model.log_density(some).exp().sum()) for some in grid.split(100_000)) / 25**2
    assert mass == pytest.approx(1, abs=0.01)


@couplings
@torch.no_grad()
def test_loss_is_the_density_of_dequantised_images(coupling: str) -> None:
    """In nats per image, and in bits/dim of 8 bits: -log2 p(y) / D + 8."""
    model, images = stirred(make_glow((3, 6, 5), coupling=coupling)), random_bytes(4, 3, 6, 5)
    torch.manual_seed(1)
    values = model.loss(batch_of(images))
    torch.manual_seed(1)
    y = (255 * images + torch.rand_like(images)) / 256
    log_p = model.log_density(y).mean()
    torch.testing.assert_close(values["loss"], -log_p, rtol=1e-4, atol=0)  # float32
    bits = -log_p / (90 * math.log(2)) + 8
    torch.testing.assert_close(values["bits_per_dim"], bits, rtol=1e-4, atol=0)


@torch.no_grad()
def test_images_without_structure_cost_eight_bits() -> None:
    """A flow that says y - 1/2 ~ U[-1/2, 1/2) would; N(0, I) of width 1 costs log2 sqrt(2 pi) more.

    So the untrained flow with margin 0 and no 1x1 convolution, which is then the identity but for
    the signs of its sigmoids, s(2), stays between 8 and 10 bits.
    """
    model = make_glow(coupling="realnvp", margin=0.0).eval()
    bits = model.loss(batch_of(random_bytes(64, 1, 8, 8)))["bits_per_dim"]
    # z = y - 1/2: E[-log2 N(z)] = log2 sqrt(2 pi) + 1 / (24 ln 2) with Var(z) = 1/12
    expected = 8 + math.log2(math.sqrt(2 * math.pi)) + 1 / (24 * math.log(2))
    assert float(bits) == pytest.approx(expected, abs=0.005)  # 4096 pixels


@couplings
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 7)])
@torch.no_grad()
def test_latents_give_the_images_back(coupling: str, shape: tuple[int, int, int]) -> None:
    """To the bit, from 8 bits to z and back in float64; in float32 to 1 of 255."""
    model, images = stirred(make_glow(shape, coupling=coupling)), random_bytes(5, *shape)
    z = model.to_latent(images)
    assert z.shape == (5, math.prod(shape))
    torch.testing.assert_close(model.from_latent(z), images, rtol=0, atol=1.01 / 255)
    model = model.double()
    again = model.from_latent(model.to_latent(images.double()))
    torch.testing.assert_close(again, images.double(), rtol=0, atol=1e-7)


@couplings
def test_it_learns_and_trained_weights_come_back(coupling: str) -> None:
    """From about 8 bits of images without structure to less than 5, since these have a lot.

    Round trips through trained weights: 1e-4 in float32, 1e-9 in float64.
    """
    model = make_glow((1, 6, 6), coupling=coupling, hidden=16, margin=0.01)
    images = smooth_images(64)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(150):
        values = model(batch_of(images))
        optimizer.zero_grad()
        values["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 100.0)
        optimizer.step()
    assert float(values["bits_per_dim"].detach()) < 5
    model.eval()
    y = (255 * images + torch.rand_like(images)) / 256
    with torch.no_grad():
        for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-9)):
            model, y = model.to(dtype), y.to(dtype)
            again = model.from_noise(model.to_noise(y)[0])
            torch.testing.assert_close(again, y, rtol=0, atol=tolerance)


@couplings
def test_only_training_starts_the_actnorms_and_only_once(coupling: str) -> None:
    """Sampling and validation don't; a saved and loaded model doesn't start anew."""
    model, images = make_glow(coupling=coupling), random_bytes(16, 1, 8, 8)
    norms = [module for module in model.modules() if isinstance(module, ActNorm)]
    model.eval()
    model.loss(batch_of(images))
    model.generate(SampleNoise(0, range(2)))
    assert not any(norm.initialised for norm in norms)
    model.train()
    model.generate(SampleNoise(0, range(2)))
    assert not any(norm.initialised for norm in norms)
    model.loss(batch_of(images))
    assert all(norm.initialised for norm in norms)
    again = make_glow(coupling=coupling)
    again.load_state_dict(model.state_dict())
    again.train()
    again.loss(batch_of(1 - images / 2))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    samples = [one.eval().generate(SampleNoise(0, range(3))) for one in (model, again)]
    assert torch.equal(*samples)


@torch.no_grad()
def test_temperature_scales_every_gaussian_draw() -> None:
    """z is the noise times the temperature, for the priors of all levels: the mode at 0."""
    model = stirred(make_glow())
    noise = SampleNoise(0, range(4)).normal(64)
    for temperature in (1.0, 0.7, 0.3):
        samples = model.generate(SampleNoise(0, range(4)), DrawOptions(temperature=temperature))
        assert torch.equal(samples, model.from_latent(temperature * noise))
    one, other = model.generate(SampleNoise(0, range(2)), DrawOptions(temperature=0.0))
    assert torch.equal(one, other)


@couplings
@torch.no_grad()
def test_samples_are_distributed_as_the_density_says(coupling: str) -> None:
    """E over samples of q(y) / p(y) is 1, q being any density: here uniform on [0, 1)^2.

    Samples of the flow are weighted with its own density, so a temperature, a prior or a
    determinant that only one of both ways knows of would be seen. Within four standard errors.
    """
    model = stirred(make_glow((1, 1, 2), coupling=coupling, steps=(2,), margin=0.05)).double()
    y = model.from_noise(StreamNoise(0, 100_000).normal(2))
    inside = ((y >= 0) & (y < 1)).flatten(1).all(dim=1)
    weight = inside.double() / model.log_density(y).exp()
    error = float(weight.std()) / len(weight) ** 0.5
    assert error < 0.05
    assert float(weight.mean()) == pytest.approx(1, abs=4 * error)


@couplings
@torch.no_grad()
def test_pixels_do_not_depend_on_the_batch(coupling: str) -> None:
    """Drawn one, seven or 32 at a time: no pixel differs by more than 1 of 255."""
    model = stirred(make_glow(coupling=coupling))
    together = to_uint8(model.generate(SampleNoise(0, range(32)))).int()
    assert len(together.flatten(1).unique(dim=0)) > 16
    for size in (1, 7):
        batches = [range(i, min(i + size, 32)) for i in range(0, 32, size)]
        images = torch.cat([model.generate(SampleNoise(0, some)) for some in batches])
        assert int((to_uint8(images).int() - together).abs().max()) <= 1


@pytest.mark.parametrize(
    ("key", "value"), [("steps", []), ("steps", [2, 0]), ("hidden", 0), ("global_hidden", 0)]
)
def test_nothing_may_be_of_size_zero(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"glow.yaml: {key}"):
        build_family({"family": "glow", key: value}, "glow.yaml")


def test_a_size_that_cannot_be_halved_needs_padding() -> None:
    assert GlowConfig(steps=(1, 1, 1)).problems(1, 28) == []
    assert GlowConfig(steps=(1, 1), pad=False).problems(1, 28) == []
    (problem,) = GlowConfig(steps=(1, 1, 1), pad=False).problems(1, 28)
    assert problem.startswith("pad: ") and "28" in problem and "8" in problem


def test_a_last_level_of_too_many_numbers_is_refused() -> None:
    """The number that the message names is the size of the matrices that would be built."""
    assert GlowConfig(steps=(1, 1)).problems(3, 32) == []
    config = GlowConfig(steps=(1, 2), hidden=2, global_steps=1, global_hidden=2)
    (problem,) = config.problems(3, 54)
    assert problem.startswith("global_steps: ") and "2352 x 2352" in problem
    for fine in ({"global_steps": 0}, {"coupling": "realnvp"}, {"steps": (1, 1, 2)}):
        assert config.model_copy(update=fine).problems(3, 54) == []
    assert config.problems(1, 54) == []  # 784, as it is built:
    flow = Glow(config, (1, 54, 54), classes=1)
    mixes = [layer for layer in flow.modules() if isinstance(layer, InvertibleConv)]
    assert len(mixes[-1].log_s) == 784


def test_the_variant_tells_the_couplings_apart() -> None:
    assert GlowConfig().variant == "affine coupling, 1x1 convolutions"
    assert GlowConfig(coupling="realnvp").variant == "RealNVP coupling"
