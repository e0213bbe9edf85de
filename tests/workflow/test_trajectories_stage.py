"""The stage `trajectories`: figures show what other parts draw from the same noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tiny import SIDE, sheet

from genlab.config.families.flow_matching import FlowMatchingConfig
from genlab.config.networks import UNetConfig
from genlab.config.samplers import SAMPLERS, SamplerConfig
from genlab.config.samplers.ddim import DDIMSampler
from genlab.config.samplers.dopri5 import Dopri5Sampler
from genlab.config.samplers.dpm_solver import DPMSolverSampler
from genlab.errors import GenLabError
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.base import Facts, Model, build_model
from genlab.processes.noise import SampleNoise
from genlab.results.layout import RunFolder, StudyFolder
from genlab.sampling.draw import draw
from genlab.sampling.trajectories import (
    BUDGETS,
    COLUMNS,
    COMPLETIONS,
    FILMSTRIP_SAMPLES,
    FILMSTRIP_TIMES,
    FRAMES,
    HELD_FRAMES,
    INTERPOLATION_STEPS,
    PAIRS,
    ROUND_TRIPS,
    SAMPLES,
    SPACING,
    STEPS,
    sampler_with,
)
from genlab.workflow.models import load_trained
from genlab.workflow.trajectories import read_trajectories, trajectories

KINDS = [name for name, kind in SAMPLERS.items() if kind.deterministic and kind.takes_steps]
SHAPE = (1, SIDE, SIDE)


@pytest.fixture
def run(trained_study: StudyFolder) -> RunFolder:
    """The tiny study's DDPM, with its trajectories drawn."""
    return trained_study.run("stripes", "ddpm", 0)


def images_by(model: Model, sampler: SamplerConfig, which: range) -> NDArray[np.uint8]:
    """Samples as the stage `sample` draws them, uint8 [N, SIDE, SIDE]."""
    images = draw(model, sampler, SampleNoise(0, which)).images
    return (255 * images[:, 0]).round().to(torch.uint8).numpy()


def close(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
    """Whether they agree but for the last bits of another batch, which may change a rounding."""
    return bool(np.abs(a.astype(int) - b.astype(int)).max() <= 1)


def held_out(run: RunFolder, numbers: list[int]) -> NDArray[np.uint8]:
    images: NDArray[np.uint8] = read_array(run.data.images("test"))[numbers, 0]
    return images


def test_the_strip_ends_in_the_samples_and_begins_in_their_noise(run: RunFolder) -> None:
    lines = sheet(run.trajectory_figures / "denoising.png", FILMSTRIP_TIMES)
    assert len(lines) == 2 * FILMSTRIP_SAMPLES
    x_t, x_0 = lines[::2], lines[1::2]
    sampler = DDIMSampler(steps=FRAMES, spacing=SPACING)
    assert close(x_0[:, -1], images_by(load_trained(run), sampler, range(FILMSTRIP_SAMPLES)))
    # At the first instant alpha is next to 0, and x_t is the sample's noise.
    noise = SampleNoise(0, range(FILMSTRIP_SAMPLES)).normal(*SHAPE)[:, 0]
    assert close(x_t[:, 0], (127.5 * (noise + 1)).clamp(0, 255).round().to(torch.uint8).numpy())
    # At the last one nearly nothing is left of the noise, and both are one image.
    assert np.abs(x_t[:, -1].astype(int) - x_0[:, -1]).mean() < 2
    instants = read_json(run.trajectories / "trajectories.json")["denoising"]["instants"]
    assert len(instants) == FILMSTRIP_TIMES
    assert instants == sorted(set(instants), reverse=True)
    film = Image.open(run.trajectory_figures / "denoising.gif")
    # Frames that are alike, as those held at the end, are one frame of a longer time.
    assert film.n_frames <= FRAMES + HELD_FRAMES  # type: ignore[attr-defined]
    assert film.size[0] / film.size[1] == (COLUMNS * (SIDE + 1) + 1) / (2 * SIDE + 2)


def test_all_samplers_start_at_the_same_noise_and_none_is_another(run: RunFolder) -> None:
    rows = read_json(run.trajectories / "trajectories.json")["samplers"]["rows"]
    model = load_trained(run)
    chosen: list[SamplerConfig] = [sampler_with(kind, n) for n in BUDGETS for kind in KINDS]
    lines = sheet(run.trajectory_figures / "samplers.png", COLUMNS)
    exact = draw(model, Dopri5Sampler(), SampleNoise(0, range(COLUMNS)))
    for line, row, sampler in zip(lines, rows, [*chosen, Dopri5Sampler()], strict=True):
        assert row["sampler"] == sampler.sampler
        drawing = draw(model, sampler, SampleNoise(0, range(COLUMNS)))
        assert close(line, images_by(model, sampler, range(COLUMNS)))
        assert row["evaluations"] == drawing.evaluations
        rms = float((drawing.images - exact.images).square().mean().sqrt())
        assert row["difference"] == pytest.approx(rms, abs=1e-3)  # draw() clips to [0, 1]


def test_interpolations_go_from_sample_to_sample(run: RunFolder) -> None:
    lines = sheet(run.trajectory_figures / "interpolation.png", len(INTERPOLATION_STEPS))
    samples = images_by(
        load_trained(run), DPMSolverSampler(steps=STEPS, spacing=SPACING), range(2 * PAIRS)
    )
    rows = read_json(run.trajectories / "trajectories.json")["interpolation"]["rows"]
    for line, row in zip(lines, rows, strict=True):
        assert close(line[0], samples[row["from"]])
        assert close(line[-1], samples[row["to"]])
    assert len({image.tobytes() for image in lines.reshape(-1, SIDE, SIDE)}) == lines.shape[0] * 9


def test_inversion_shows_held_out_images_and_comes_back_to_them(run: RunFolder) -> None:
    result = read_json(run.trajectories / "trajectories.json")["inversion"]
    lines = sheet(run.trajectory_figures / "inversion.png", COLUMNS)
    images = held_out(run, [each["image"] for each in result["images"]])
    assert (lines[0] == images).all()
    labels = read_array(run.data.labels("test"))
    names = read_json(run.data.manifest)["classes"]
    assert [names[labels[e["image"]]] for e in result["images"]] == [
        e["class"] for e in result["images"]
    ]
    assert [row["steps"] for row in result["rows"]] == list(ROUND_TRIPS)
    for row, line in zip(result["rows"], lines[1:], strict=False):
        rms = np.sqrt(np.square((line.astype(float) - images) / 255).mean())
        assert row["rmse"] == pytest.approx(rms, abs=0.002)  # grey values are rounded
    errors = [row["rmse"] for row in result["rows"]]
    assert errors == sorted(errors, reverse=True)


def test_inpainting_keeps_what_is_given_and_draws_the_rest_anew(run: RunFolder) -> None:
    result = read_json(run.trajectories / "trajectories.json")["inpainting"]
    lines = sheet(run.trajectory_figures / "inpainting.png", COLUMNS)
    images = held_out(run, [each["image"] for each in result["images"]])
    assert (lines[0] == images).all()
    assert (lines[1:, :, : SIDE // 2] == images[:, : SIDE // 2]).all()
    hidden, completions = lines[1, :, SIDE // 2 :], lines[2:, :, SIDE // 2 :]
    assert (hidden == 128).all()
    assert len({half.tobytes() for line in completions for half in line}) == COMPLETIONS * COLUMNS


def test_the_stage_again_gives_the_same_bytes_and_a_record(run: RunFolder) -> None:
    files = sorted(path for path in run.trajectories.rglob("*") if path.is_file())
    figures = ["denoising.gif", *(f"{name}.png" for name in (
        "denoising", "inpainting", "interpolation", "inversion", "samplers"
    ))]  # fmt: skip
    assert [path.name for path in files] == [*figures, "trajectories.json"]
    record = read_json(run.outbox / "trajectories.json")
    assert {Path(name).name for name in record["artifacts"]} == {path.name for path in files}
    rows = read_json(run.trajectories / "trajectories.json")["inversion"]["rows"]
    assert record["metrics"] == {f"final/inversion_rmse_{ROUND_TRIPS[-1]}": rows[-1]["rmse"]}
    before = [path.read_bytes() for path in files]
    trajectories(run, cpu=True)
    assert [path.read_bytes() for path in files] == before


def test_a_model_without_a_path_is_refused(trained_study: StudyFolder) -> None:
    with pytest.raises(GenLabError, match="VAE is not on a Gaussian path"):
        trajectories(trained_study.run("stripes", "vae", 0), cpu=True)


def test_conditions_are_the_classes_in_turn_and_the_images_own(run: RunFolder) -> None:
    network = UNetConfig(channels=4, multipliers=(1, 2), attention=())
    config = FlowMatchingConfig(conditional=True, network=network)
    model = build_model(config, Facts(SHAPE, 2), seed=0)
    subject = read_trajectories(run, model, torch.device("cpu"))
    assert subject.conditions.tolist() == [0, 1] * (SAMPLES // 2)
    labels = read_array(run.data.labels("test"))
    numbers = [fact["image"] for fact in subject.image_facts]
    assert subject.image_conditions.tolist() == labels[numbers].tolist()
    assert (subject.images[:, 0] * 255).round().tolist() == held_out(run, numbers).tolist()
