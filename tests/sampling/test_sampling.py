"""The stages `sample` and `reconstruct` on tiny trained models."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from genlab.config.base import read_yaml
from genlab.config.samplers.ddim import DDIMSampler
from genlab.config.samplers.ddpm import DDPMSampler
from genlab.config.samplers.prior import PriorSampler
from genlab.errors import GenLabError
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.devices import has_bf16
from genlab.processes.noise import SampleNoise
from genlab.results.layout import SampleFolder, StudyFolder
from genlab.sampling.draw import draw
from genlab.workflow.models import load_trained
from genlab.workflow.reconstruct import reconstruct
from genlab.workflow.sample import sample

ROWS = [("vae", "prior"), ("ddpm", "ddim-3")]


@pytest.fixture(params=ROWS, ids=str)
def row(request: pytest.FixtureRequest, trained_study: StudyFolder) -> SampleFolder:
    """A row of each kind of model, drawn already."""
    model, name = request.param
    return trained_study.run("stripes", model, 0).samples(name)


def test_a_row_has_its_samples_their_grid_and_their_cost(row: SampleFolder) -> None:
    samples = read_array(row.samples)
    assert (samples.shape, samples.dtype) == ((32, 1, 8, 8), np.uint8)
    assert len({image.tobytes() for image in samples}) == 32
    steps = 3 if row.folder.name == "ddim-3" else 1
    cost = read_json(row.cost)
    assert cost["evaluations"] == steps
    assert cost["seconds_per_image"] > 0
    assert cost["computed_in"] == ("bf16" if steps > 1 and has_bf16(cuda=False) else "fp32")
    assert row.strip.exists() == (steps > 1)
    # 8 columns and 4 rows of 8x8 with a line between, each pixel enlarged 56 / 8 times.
    assert Image.open(row.grid).size == ((8 * 9 + 1) * 7, (4 * 9 + 1) * 7)


def test_samples_do_not_depend_on_the_batch_they_are_drawn_in(row: SampleFolder) -> None:
    before = read_array(row.samples).astype(int)
    sample(row, batch_size=5, cpu=True)
    after = read_array(row.samples).astype(int)
    # Convolutions of another batch size may add in another order: a last bit of float32, which
    # moves a grey value by one only where it stood at the edge of rounding.
    assert np.abs(after - before).max() <= 1
    assert (after != before).mean() < 1e-3


def test_drawing_again_gives_the_same_bytes(row: SampleFolder) -> None:
    before = row.samples.read_bytes(), row.grid.read_bytes()
    sample(row, cpu=True)
    assert (row.samples.read_bytes(), row.grid.read_bytes()) == before


def test_another_seed_draws_other_samples_and_more_samples_keep_the_first(
    row: SampleFolder,
) -> None:
    before = read_array(row.samples).astype(int)
    for change in ({"samples": 48}, {"seed": 1}):
        row.config.write_text(yaml.safe_dump(read_yaml(row.config) | change))
        sample(row, batch_size=16, cpu=True)
        after = read_array(row.samples).astype(int)
        if "seed" in change:
            assert (after[:32] != before).mean() > 0.5
        else:
            assert len(after) == 48
            assert np.abs(after[:32] - before).max() <= 1  # as in the test of batches


def test_a_sampler_that_does_not_fit_is_refused(trained_study: StudyFolder) -> None:
    vae, ddpm = (load_trained(trained_study.run("stripes", m, 0)) for m in ("vae", "ddpm"))
    noise = SampleNoise(0, range(2))
    with pytest.raises(GenLabError, match="'ddim' draws from gaussian models, but VAE is none"):
        draw(vae, DDIMSampler(), noise)
    with pytest.raises(GenLabError, match="'prior' draws from direct models, but DDPM is none"):
        draw(ddpm, PriorSampler(), noise)


@pytest.mark.parametrize("kind", [DDIMSampler, DDPMSampler])
def test_more_steps_than_timesteps_are_refused(
    kind: type[DDIMSampler | DDPMSampler], trained_study: StudyFolder
) -> None:
    ddpm = load_trained(trained_study.run("stripes", "ddpm", 0))
    with pytest.raises(GenLabError, match=r"steps must lie in 1\.\.10, not 11"):
        draw(ddpm, kind(steps=11), SampleNoise(0, range(2)))
    assert draw(ddpm, kind(steps=10), SampleNoise(0, range(2))).evaluations == 10


def test_a_trail_ends_in_the_sample(trained_study: StudyFolder) -> None:
    """After the last step of DDIM the sample is the x_0 predicted in it."""
    ddpm = load_trained(trained_study.run("stripes", "ddpm", 0))
    drawing = draw(ddpm, DDIMSampler(steps=4), SampleNoise(0, range(2)), trail=True)
    assert len(drawing.trail) == 4
    assert torch.equal(drawing.trail[-1], drawing.images)
    assert draw(ddpm, DDIMSampler(steps=4), SampleNoise(0, range(2))).trail == []


def test_a_row_without_a_sampler_is_refused(trained_study: StudyFolder, genlab: Any) -> None:
    ended = genlab("sample", "--config", trained_study.calibration_row("stripes", "real").config)
    assert ended.status == 1
    assert "names no sampler; is this a calibration row?" in ended.err


def test_mse_and_psnr_are_what_they_say(trained_study: StudyFolder) -> None:
    """Over all held-out images, pixels in [0, 1]; PSNR for each image, then the mean."""
    run = trained_study.run("stripes", "vae", 0)
    images = torch.from_numpy(np.array(read_array(run.data.images("test")))).float() / 255
    with torch.no_grad():
        again = load_trained(run).reconstruct(images)
    mse = ((images - again).double() ** 2).flatten(1).mean(dim=1).numpy()
    measured = read_json(run.reconstructions / "metrics.json")
    # Float32 pixels: a relative error of some 1e-7, and a few digits are lost in differences.
    assert measured["reconstruction_mse"] == pytest.approx(mse.mean(), rel=1e-5)
    expected = np.mean(10 * np.log10(1 / mse))
    assert measured["reconstruction_psnr"] == pytest.approx(expected, rel=1e-5)
    assert measured["images"] == len(images)


def test_a_family_without_an_encoder_does_not_reconstruct(trained_study: StudyFolder) -> None:
    with pytest.raises(GenLabError, match="DDPM has no encoder to reconstruct with"):
        reconstruct(trained_study.run("stripes", "ddpm", 0), cpu=True)


def test_more_samples_than_fit_on_the_disk_are_refused_before_the_first(
    trained_study: StudyFolder, genlab: Callable[..., Any]
) -> None:
    """More than whatever disk this is has room for."""
    row = trained_study.run("stripes", "vae", 0).samples("prior")
    before = row.samples.read_bytes()
    if shutil.disk_usage(row.folder).free > 250e9:
        pytest.skip("the largest number of samples fits on this disk")
    row.config.write_text(yaml.safe_dump(read_yaml(row.config) | {"samples": 4_000_000_000}))
    ended = genlab("sample", "--config", row.config, "--gpus", 0)
    assert ended.status == 1
    assert "samples.npy: 4000000000 images need 256 GB, but the disk has only" in ended.err
    assert row.samples.read_bytes() == before
