"""bits/dim: the same dequantised pixels for everybody, and a scale on which a fair coin costs 1."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genlab.config.families import DensityKind
from genlab.data.arrays import fair_share
from genlab.errors import GenLabError
from genlab.evaluation.likelihood import (
    BATCH,
    bits,
    bits_by_timestep,
    bits_per_dim,
    dequantised,
)
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.base import Model
from genlab.results.layout import StudyFolder
from genlab.workflow.likelihood import likelihood
from genlab.workflow.models import load_trained

SHAPE = (1, 4, 4)
ALL_GREYS = torch.arange(256, dtype=torch.uint8).reshape(16, *SHAPE)


def test_every_grey_value_stays_in_its_own_cell() -> None:
    y = torch.cat([dequantised(ALL_GREYS, range(i, i + 16)) for i in range(0, 1600, 16)])
    assert 0 <= float(y.min()) <= float(y.max()) < 1
    assert torch.equal((256 * y).floor().to(torch.uint8), ALL_GREYS.repeat(100, 1, 1, 1))


def test_the_place_within_the_cell_is_uniform() -> None:
    u = torch.cat([256 * dequantised(ALL_GREYS, range(i, i + 16)) for i in range(0, 1600, 16)]) % 1
    # 25,600 of U[0, 1): mean 1/2 +- 0.0018, variance 1/12 +- 0.0005; four standard errors.
    assert float(u.mean()) == pytest.approx(1 / 2, abs=4 * 0.0018)
    assert float(u.var()) == pytest.approx(1 / 12, abs=4 * 0.0005)


def test_an_image_is_dequantised_by_its_number_not_by_its_batch() -> None:
    whole = dequantised(ALL_GREYS, range(16))
    some = [13, 2, 7]
    assert torch.equal(dequantised(ALL_GREYS[some], some), whole[some])


class Density(Model):
    """Every pixel has a density that is 2 where it is dark and `bright` where it is not."""

    def __init__(self, bright: float) -> None:
        super().__init__(None, SHAPE, 1)
        self.bright = bright

    def log_density(self, pixels: Tensor, kind: DensityKind, k: int) -> Tensor:
        dark = pixels < 0.5
        return torch.where(dark, math.log(2), math.log(self.bright)).sum(dim=(1, 2, 3))


def test_bits_of_a_known_density() -> None:
    """Twice the uniform density saves a bit of the eight; a quarter of it costs two."""
    dark = torch.zeros(BATCH + 3, *SHAPE, dtype=torch.uint8)
    result = bits(Density(0.25), dark, "exact", 1)
    assert result.shape == (BATCH + 3,)
    assert result.tolist() == pytest.approx([7.0] * (BATCH + 3), abs=1e-6)  # float32 sums
    half = dark.clone()
    half[:, :, 2:] = 255
    assert bits(Density(0.25), half, "exact", 1).mean() == pytest.approx((7 + 10) / 2, abs=1e-6)


def test_a_mass_on_grey_values_is_a_density_in_their_cells() -> None:
    """P = 1/256 for every value is the uniform density, log p(y) = log P + log 256 = 0."""
    nats = torch.tensor([16 * (math.log(1 / 256) + math.log(256))])
    assert float(bits_per_dim(nats, 16)) == 8


def test_the_stage_writes_each_kind_and_the_same_again(trained_study: StudyFolder) -> None:
    run = trained_study.run("stripes", "vae", 0)
    before = run.likelihood.read_bytes()
    result = read_json(run.likelihood)
    images = read_array(run.data.images("test"))
    assert result["images"] == len(images)
    assert result["k"] == 4
    for kind in ("elbo", "iwae"):
        assert 0 < result[kind]["standard_error"] < result[kind]["bits_per_dim"]
    assert set(result) == {"made_from", "elbo", "iwae", "images", "k"}
    likelihood(run, k=4, cpu=True)
    assert run.likelihood.read_bytes() == before


def test_a_bound_over_timesteps_is_evaluated_once_for_its_sum_and_its_parts(
    trained_study: StudyFolder,
) -> None:
    """Its sum is the kind 'elbo' on the same random numbers; the parts stand beside it.

    The four images are drawn at random, since those of a file may be sorted by class.
    """
    run = trained_study.run("stripes", "ddpm", 0)
    result = read_json(run.likelihood)
    model = load_trained(run)
    held_out = read_array(run.data.images("test"))
    some = sorted(fair_share(len(held_out))[:4].tolist())
    assert some != [0, 1, 2, 3]
    images = torch.from_numpy(held_out[some])
    expected = bits(model, images, "elbo", 1, some)
    summed, terms = bits_by_timestep(model, images, some)  # type: ignore[arg-type]
    # The same sum in another order, of float64
    torch.testing.assert_close(summed, expected, rtol=1e-12, atol=1e-12)
    assert result["elbo"]["bits_per_dim"] == pytest.approx(float(expected.mean()), rel=1e-6)
    # Of a mean over four images
    error = float(expected.std(correction=0)) / 2
    assert result["elbo"]["standard_error"] == pytest.approx(error, rel=1e-6)
    assert result["terms"] == terms
    assert terms["t"] == list(range(1, 11))  # ten timesteps, each a block of its own
    assert sum(terms["bits_per_dim"]) < float(expected.mean())  # the prior's KL is no step's


def test_a_family_without_a_density_of_pixels_says_so(trained_study: StudyFolder) -> None:
    with pytest.raises(GenLabError, match="no bits/dim: no likelihood"):
        likelihood(trained_study.classifier("stripes"), cpu=True)


def test_the_command(trained_study: StudyFolder, genlab: Callable[..., Any]) -> None:
    run = trained_study.run("stripes", "vae", 0)
    assert genlab("likelihood", "--config", run.config, "--k", 2, "--gpus", 0).status == 0
    assert read_json(run.likelihood)["k"] == 2
    assert np.isfinite(read_json(run.likelihood)["elbo"]["bits_per_dim"])
