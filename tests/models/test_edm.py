"""EDM: the measured sigma_data, its preconditioning, and the levels it is trained at."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracles import awake
from torch.distributions import Normal

from genlab.config.families.edm import EDMConfig
from genlab.config.networks import UNetConfig
from genlab.errors import GenLabError
from genlab.models.base import Batch
from genlab.models.edm import EDM

SHAPE = (1, 4, 4)
UNET = UNetConfig(channels=4, multipliers=(1,), attention=())


def make_edm(log_mean: float = -1.2) -> EDM:
    return EDM(EDMConfig(network=UNET, clip=False, log_mean=log_mean), SHAPE, 10)


def test_sigma_data_is_measured_on_the_images_and_kept_with_the_weights() -> None:
    images = np.random.default_rng(0).integers(0, 200, (50, *SHAPE), dtype=np.uint8)
    edm, other = make_edm(), make_edm()
    edm.measure(images)
    expected = float((images / 127.5 - 1).std())
    assert float(edm.sigma_data) == pytest.approx(expected, rel=1e-6)  # float32
    assert edm.denoiser().sigma_data == pytest.approx(expected, rel=1e-6)
    other.load_state_dict(edm.state_dict())
    assert float(other.sigma_data) == float(edm.sigma_data)
    edm.measure(images)  # as a resumed training does
    assert float(other.sigma_data) == float(edm.sigma_data)


def test_images_of_one_grey_are_refused() -> None:
    with pytest.raises(GenLabError, match="all pixels of the training images are equal"):
        make_edm().measure(np.full((3, *SHAPE), 7, dtype=np.uint8))


@torch.no_grad()
@pytest.mark.parametrize("sigma", [0.002, 0.5, 3.0, 80.0])
def test_the_denoiser_is_the_paper_s_preconditioned_network(sigma: float) -> None:
    """D = c_skip x + c_out F(c_in x; c_noise), table 1 of 2206.00364; eps = (x - D) / sigma."""
    edm, data = awake(make_edm()), 0.31
    edm.measured_std.fill_(data)
    x0, eps = 2 * torch.rand(3, *SHAPE) - 1, torch.randn(3, *SHAPE)
    x = x0 + sigma * eps
    c_skip = data**2 / (sigma**2 + data**2)
    c_out = sigma * data / (sigma**2 + data**2) ** 0.5
    c_in = 1 / (sigma**2 + data**2) ** 0.5
    c_noise = torch.full((3,), sigma).log() / 4
    expected = c_skip * x + c_out * edm.network(c_in * x, 1000 * c_noise)
    result = edm.denoiser()(x, sigma)
    torch.testing.assert_close(result.x0, expected, rtol=1e-4, atol=1e-4)  # float32
    torch.testing.assert_close(result.x0 + sigma * result.eps, x, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("log_sigma", [-6.0, -0.7, 4.0])
def test_input_and_target_have_variance_one_at_every_level(log_sigma: float) -> None:
    """On data of the measured deviation: what the preconditioning is for (section 5)."""
    edm, data, n = make_edm(), 0.31, 4000
    edm.measured_std.fill_(data)
    edm.draw_times = lambda n, device: torch.full((n,), log_sigma).double().exp()  # type: ignore[method-assign]
    inputs = []
    edm.network.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    images = (torch.randn(n, *SHAPE) * data + 1) / 2
    noised = edm.add_noise(Batch(images, torch.zeros(n, dtype=torch.int64)))
    edm.predict(noised.x, noised.t, None)
    # Five standard errors of a variance of 16 n normals
    error = 5 * (2 / (16 * n)) ** 0.5
    assert float(inputs[0].var()) == pytest.approx(1, abs=error)
    assert float(noised.target.var()) == pytest.approx(1, abs=error)


def test_levels_are_log_normal() -> None:
    sigma = make_edm(log_mean=-0.4).draw_times(4000, torch.device("cpu"))
    below = Normal(-0.4, 1.2).cdf(sigma.log().sort().values)
    # Kolmogorov: a gap of 2 / sqrt(n) anywhere has chance 2 e^-8 = .0007
    assert float((below - torch.arange(4000) / 4000).abs().max()) < 2 / 4000**0.5
