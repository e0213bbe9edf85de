"""The stage `walk`: each picture shows what other parts of the project draw for the same noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from oracles import PATHS
from PIL import Image
from tiny import SIDE, sheet
from torch import Tensor

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
from genlab.models.store import load_model
from genlab.processes.gaussian import Denoiser
from genlab.processes.noise import SampleNoise
from genlab.results.layout import RunFolder, StudyFolder
from genlab.sampling import walks
from genlab.sampling.draw import draw
from genlab.sampling.walks import (
    BETWEEN,
    BUDGETS,
    COLUMNS,
    COMPLETIONS,
    FRAMES,
    HELD,
    INSTANTS,
    PAIRS,
    ROUND_TRIPS,
    SHOWN,
    SPACING,
    STEPS,
    Walker,
    sampler_with,
    to_be_seen,
    walk,
)

KINDS = [name for name, kind in SAMPLERS.items() if kind.deterministic and kind.takes_steps]
SHAPE = (1, SIDE, SIDE)


@pytest.fixture
def run(trained_study: StudyFolder) -> RunFolder:
    """The tiny study's DDPM, walked already."""
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
    lines = sheet(run.walk_figures / "denoising.png", INSTANTS)
    assert len(lines) == 2 * SHOWN
    x_t, x_0 = lines[::2], lines[1::2]
    sampler = DDIMSampler(steps=FRAMES, spacing=SPACING)
    assert close(x_0[:, -1], images_by(load_model(run), sampler, range(SHOWN)))
    # At the first instant alpha is next to 0, and x_t is the sample's noise.
    noise = SampleNoise(0, range(SHOWN)).normal(*SHAPE)[:, 0]
    assert close(x_t[:, 0], (127.5 * (noise + 1)).clamp(0, 255).round().to(torch.uint8).numpy())
    # At the last one nearly nothing is left of the noise, and both are one image.
    assert np.abs(x_t[:, -1].astype(int) - x_0[:, -1]).mean() < 2
    instants = read_json(run.walks / "walks.json")["denoising"]["instants"]
    assert len(instants) == INSTANTS
    assert instants == sorted(set(instants), reverse=True)
    film = Image.open(run.walk_figures / "denoising.gif")
    # Frames that are alike, as those held at the end, are one frame of a longer time.
    assert film.n_frames <= FRAMES + HELD  # type: ignore[attr-defined]
    assert film.size[0] / film.size[1] == (COLUMNS * (SIDE + 1) + 1) / (2 * SIDE + 2)


def test_all_samplers_start_at_the_same_noise_and_none_is_another(run: RunFolder) -> None:
    rows = read_json(run.walks / "walks.json")["samplers"]["rows"]
    model = load_model(run)
    chosen: list[SamplerConfig] = [sampler_with(kind, n) for n in BUDGETS for kind in KINDS]
    lines = sheet(run.walk_figures / "samplers.png", COLUMNS)
    exact = draw(model, Dopri5Sampler(), SampleNoise(0, range(COLUMNS)))
    for line, row, sampler in zip(lines, rows, [*chosen, Dopri5Sampler()], strict=True):
        assert row["sampler"] == sampler.sampler
        drawing = draw(model, sampler, SampleNoise(0, range(COLUMNS)))
        assert close(line, images_by(model, sampler, range(COLUMNS)))
        assert row["evaluations"] == drawing.evaluations
        rms = float((drawing.images - exact.images).square().mean().sqrt())
        assert row["difference"] == pytest.approx(rms, abs=1e-3)  # draw() clips to [0, 1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("evaluations", [1, *BUDGETS])
def test_a_budget_is_spent_to_the_last_evaluation(kind: str, evaluations: int) -> None:
    denoiser = Denoiser(lambda x, t, labels: 0.1 * x, PATHS["flow"], "velocity")
    walks.walk_from(denoiser, sampler_with(kind, evaluations), SampleNoise(0, range(3)), (1, 2, 2))
    assert denoiser.evaluations == 3 * evaluations


def test_interpolations_go_from_sample_to_sample(run: RunFolder) -> None:
    lines = sheet(run.walk_figures / "interpolation.png", len(BETWEEN))
    samples = images_by(
        load_model(run), DPMSolverSampler(steps=STEPS, spacing=SPACING), range(2 * PAIRS)
    )
    rows = read_json(run.walks / "walks.json")["interpolation"]["rows"]
    for line, row in zip(lines, rows, strict=True):
        assert close(line[0], samples[row["from"]])
        assert close(line[-1], samples[row["to"]])
    assert len({image.tobytes() for image in lines.reshape(-1, SIDE, SIDE)}) == lines.shape[0] * 9


def test_noise_between_two_noises_is_as_long_as_they_are(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A straight line between two of them would pass through lengths that noise never has."""
    begun: list[Tensor] = []

    def watched(denoiser: Denoiser, sampler: SamplerConfig, noise: SampleNoise, shape: object
                ) -> list[walks.Step]:  # fmt: skip
        begun.append(noise.normal(*SHAPE))
        return [walks.Step(begun[-1], begun[-1])]

    monkeypatch.setattr(walks, "walk_from", watched)
    Walker(run, load_model(run), torch.device("cpu")).interpolation()
    lengths = begun[0].flatten(1).norm(dim=1).reshape(PAIRS, len(BETWEEN))
    # |a| to |b| in even steps, to the roundings of float32
    torch.testing.assert_close(lengths, torch.lerp(lengths[:, :1], lengths[:, -1:], BETWEEN))


def test_inversion_shows_held_out_images_and_comes_back_to_them(run: RunFolder) -> None:
    found = read_json(run.walks / "walks.json")["inversion"]
    lines = sheet(run.walk_figures / "inversion.png", COLUMNS)
    images = held_out(run, [each["image"] for each in found["images"]])
    assert (lines[0] == images).all()
    labels = read_array(run.data.labels("test"))
    names = read_json(run.data.manifest)["classes"]
    assert [names[labels[e["image"]]] for e in found["images"]] == [
        e["class"] for e in found["images"]
    ]
    assert [row["steps"] for row in found["rows"]] == list(ROUND_TRIPS)
    for row, line in zip(found["rows"], lines[1:], strict=False):
        rms = np.sqrt(np.square((line.astype(float) - images) / 255).mean())
        assert row["rmse"] == pytest.approx(rms, abs=0.002)  # grey values are rounded
    errors = [row["rmse"] for row in found["rows"]]
    assert errors == sorted(errors, reverse=True)


def test_inpainting_keeps_what_is_given_and_draws_the_rest_anew(run: RunFolder) -> None:
    found = read_json(run.walks / "walks.json")["inpainting"]
    lines = sheet(run.walk_figures / "inpainting.png", COLUMNS)
    images = held_out(run, [each["image"] for each in found["images"]])
    assert (lines[0] == images).all()
    assert (lines[1:, :, : SIDE // 2] == images[:, : SIDE // 2]).all()
    hidden, drawn = lines[1, :, SIDE // 2 :], lines[2:, :, SIDE // 2 :]
    assert (hidden == 128).all()
    assert len({half.tobytes() for line in drawn for half in line}) == COMPLETIONS * COLUMNS


def test_walking_again_gives_the_same_bytes_and_a_record(run: RunFolder) -> None:
    files = sorted(path for path in run.walks.rglob("*") if path.is_file())
    figures = ["denoising.gif", *(f"{name}.png" for name in (
        "denoising", "inpainting", "interpolation", "inversion", "samplers"
    ))]  # fmt: skip
    assert [path.name for path in files] == [*figures, "walks.json"]
    record = read_json(run.outbox / "walk.json")
    assert {Path(name).name for name in record["artifacts"]} == {path.name for path in files}
    rows = read_json(run.walks / "walks.json")["inversion"]["rows"]
    assert record["metrics"] == {f"inversion_rmse_{ROUND_TRIPS[-1]}": rows[-1]["rmse"]}
    before = [path.read_bytes() for path in files]
    walk(run, cpu=True)
    assert [path.read_bytes() for path in files] == before


@pytest.mark.parametrize("name", PATHS)
def test_what_is_shown_of_noisy_images_is_as_large_as_images(name: str) -> None:
    """x_t of images of pixels -1 and 1: its mean square stays 1 from noise to image."""
    path = PATHS[name]
    x0 = torch.randn(20_000, dtype=torch.float64).sign()
    eps = torch.randn(20_000, dtype=torch.float64)
    for t in torch.linspace(path.t_min, path.t_max, 7).tolist():
        alpha, sigma = path.level(t).scalars()
        seen = to_be_seen(alpha * x0 + sigma * eps, (alpha, sigma))
        # The mean of 20,000 squares of variance 2 at most: five standard errors are 0.05.
        assert float(seen.square().mean()) == pytest.approx(1, abs=0.05)


def test_a_conditional_model_is_asked_for_the_class_of_each_image(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples take the classes in turn, as in every row; held-out images have their own."""
    config = FlowMatchingConfig(
        conditional=True, network=UNetConfig(channels=4, multipliers=(1, 2), attention=())
    )
    model = build_model(config, Facts(SHAPE, 2), seed=0)
    asked: list[list[int]] = []

    def watched(labels: Tensor, guidance: float = 1.0) -> Denoiser:
        asked.append(labels.tolist())
        return Denoiser(lambda x, t, labels: 0.1 * x, model.path, "velocity", labels=labels)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "denoiser", watched)
    at = Walker(run, model, torch.device("cpu"))
    at.denoising()
    at.interpolation()
    at.inversion()
    at.inpainting()
    labels = read_array(run.data.labels("test"))
    own = [int(labels[each["image"]]) for each in at.held_out()]
    assert asked[0] == [0, 1] * (COLUMNS // 2)
    assert asked[1] == [0] * len(BETWEEN) * PAIRS  # of samples 0, 2, 4 ...
    assert all(classes == own * (len(classes) // len(own)) for classes in asked[2:])


def test_a_model_that_walks_no_path_is_refused(trained_study: StudyFolder) -> None:
    with pytest.raises(GenLabError, match="VAE walks no Gaussian path"):
        walk(trained_study.run("stripes", "vae", 0), cpu=True)
