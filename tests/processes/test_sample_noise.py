"""Noise by address: a sample's noise is its own, and normal."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genlab.processes.noise import SampleNoise

SAMPLES, SHAPE, DRAWS = 64, (1, 4, 4), 3


def bytes_by_sample(seed: int, batch_size: int) -> list[bytes]:
    """The bytes of three draws in a row for every sample, drawn `batch_size` samples at a time."""
    result = []
    for start in range(0, SAMPLES, batch_size):
        noise = SampleNoise(seed, range(start, min(start + batch_size, SAMPLES)))
        draws = torch.stack([noise.normal(*SHAPE) for _ in range(DRAWS)], dim=1)
        assert draws.shape == (len(noise), DRAWS, *SHAPE) and draws.dtype == torch.float32
        result += [own.numpy().tobytes() for own in draws]
    return result


@pytest.mark.parametrize("batch_size", [1, 7])
def test_noise_of_a_sample_is_the_same_in_any_batch(batch_size: int) -> None:
    assert bytes_by_sample(5, batch_size) == bytes_by_sample(5, SAMPLES)


def test_every_sample_and_every_seed_has_noise_of_its_own() -> None:
    assert len({*bytes_by_sample(5, SAMPLES), *bytes_by_sample(6, SAMPLES)}) == 2 * SAMPLES


def test_noise_is_standard_normal_and_uncorrelated() -> None:
    """Moments of 200 x 1000 draws, within four standard errors; also between neighbours.

    For standard normal numbers the standard errors of mean, variance, skewness and kurtosis are
    sqrt(1/n), sqrt(2/n), sqrt(6/n), sqrt(24/n), and that of a correlation sqrt(1/n).
    """
    x = SampleNoise(0, range(200)).normal(1000).double().numpy()
    n = x.size
    moments = [x.mean(), (x**2).mean() - 1, (x**3 - 3 * x).mean(), (x**4 - 6 * x**2).mean() + 3]
    errors = np.sqrt(np.array([1, 2, 6, 24]) / n)
    assert np.all(np.abs(moments) < 4 * errors)
    assert abs((x[1:] * x[:-1]).mean()) < 4 / np.sqrt(n)  # of samples i and i + 1
    assert abs((x[:, 1:] * x[:, :-1]).mean()) < 4 / np.sqrt(n)  # within a sample
