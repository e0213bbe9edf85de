"""The stage `walk`: what a model on a Gaussian path does between noise and image, as pictures.

    denoising      x_t and the image predicted from it, from noise to sample; also as a film
    samplers       the same noise through every deterministic sampler
    interpolation  samples of the noises on the great circle between two of them
    inversion      held-out images to noise by the ODE, and back
    inpainting     the lower half of held-out images drawn anew, the upper one given

A deterministic sampler solves the probability-flow ODE (Song et al. 2021, arXiv:2011.13456,
section 4.3), which maps noise to images one to one: noise is a latent, as of a flow. All steps are
placed by EDM's spacing, which suits every path; the paths' own times differ too much.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlab.config.samplers import SAMPLERS, SamplerConfig, Spacing, SteppedSampler
from genlab.config.samplers.ddim import DDIMSampler
from genlab.config.samplers.dopri5 import Dopri5Sampler
from genlab.config.samplers.dpm_solver import DPMSolverSampler
from genlab.data.arrays import rank_in_class
from genlab.data.pictures import save_grid, save_rows
from genlab.errors import GenLabError
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.base import Model
from genlab.models.batches import to_float, to_uint8
from genlab.models.capabilities import HasDenoiser
from genlab.models.devices import pick_device
from genlab.models.store import load_model
from genlab.processes.noise import GivenNoise, SampleNoise
from genlab.results.layout import RunFolder
from genlab.results.origin import run_origin, write_measured
from genlab.results.spec import read_run
from genlab.samplers import Denoiser, Step, start
from genlab.sampling.draw import captions_of, classes_of, steps_of
from genlab.sampling.inpainting import complete
from genlab.sampling.inversion import round_trip
from genlab.sampling.latents import save_film, slerp
from genlab.tracking.record import leave_record

SPACING: Spacing = "karras"
COLUMNS = 8  # samples, or images, side by side
SHOWN, INSTANTS = 4, 10  # samples and times of the filmstrip
FRAMES, HELD = 28, 10  # steps of the film, and how long it rests on the sample
BUDGETS = (11, 25)  # network evaluations; odd, so that methods of two a step spend all of them
PAIRS, BETWEEN = 5, torch.linspace(0, 1, 9)
STEPS = 20  # wherever one budget is enough
ROUND_TRIPS = (4, 8, 16, 32)
COMPLETIONS = 3


def to_numpy(images: Tensor) -> NDArray[np.uint8]:
    """Images [N, C, H, W] on [0, 1] as uint8."""
    return to_uint8(images.float()).cpu().numpy()


def walk_from(
    denoiser: Denoiser, sampler: SamplerConfig, noise: SampleNoise, shape: tuple[int, ...]
) -> list[Step]:
    """All of `steps_of`; the x of the last are the samples."""
    return list(steps_of(denoiser, sampler, noise, shape))


def to_be_seen(x: Tensor, level: tuple[float, float]) -> Tensor:
    """x_t / sqrt(alpha^2 + sigma^2), about as large as an image at every time of every path."""
    return x / math.hypot(*level)


def sampler_with(kind: str, evaluations: int) -> SamplerConfig:
    """The sampler of this kind, of fixed steps, that takes so many network evaluations (odd).

    In float32, since how far it ends from the solution is to be its own doing.
    """
    sampler = SAMPLERS[kind]
    assert issubclass(sampler, SteppedSampler)
    steps = (evaluations - 1) // sampler.evaluations_per_step + 1
    values = {"steps": steps, "spacing": SPACING, "precision": "fp32"}
    return sampler.model_validate(values)


class Walker:
    """A model with its held-out images and the noise of its samples at hand."""

    def __init__(self, run: RunFolder, model: Model, device: torch.device) -> None:
        if not isinstance(model, HasDenoiser):
            raise GenLabError(f"{run.folder}: {type(model).__name__} walks no Gaussian path")
        self.model, self.shape, self.denoiser = model, model.path_shape, model.denoiser
        self.from_path, self.to_path = model.from_path, model.to_path
        self.run, self.device, self.at = run, device, run.walk_figures
        self.names: list[str] = read_json(run.data.manifest)["classes"]
        self.seed = read_run(run.config).seed
        images, labels = read_array(run.data.images("test")), read_array(run.data.labels("test"))
        self.which = np.lexsort((labels, rank_in_class(labels)))[:COLUMNS]  # one of each class
        self.labels = torch.from_numpy(labels[self.which]).to(device)
        held_out = torch.from_numpy(np.array(images[self.which])).to(device)
        self.images = to_float(held_out)  # [N, C, H, W]
        self.described = self.labels  # what the model is asked for, to draw them
        if model.config.takes_prompts:
            captions = read_array(run.data.captions("test"))[self.which, 0]
            self.described = torch.from_numpy(read_array(run.data.tokens)[captions]).to(device)

    def noise(self, samples: int) -> SampleNoise:
        """That of the first so many samples of every row."""
        return SampleNoise(self.seed, range(samples), self.device)

    def asked(self, samples: int) -> Tensor:
        """The classes that they are asked for, int64 [samples], or the prompts [samples, L]."""
        if self.model.config.takes_prompts:
            return captions_of(self.run.data, self.noise(samples)).tokens
        return classes_of(self.noise(samples), self.model)

    def pixels(self, x: Tensor) -> NDArray[np.uint8]:
        """x on the path, [..., *path_shape], as images uint8 [..., C, H, W]."""
        images = to_numpy(self.from_path(x.flatten(0, -4)))
        return images.reshape(*x.shape[:-3], *images.shape[1:])

    def held_out(self) -> list[dict[str, Any]]:
        """What walks.json says of the held-out images: number and class."""
        return [
            {"image": int(i), "class": self.names[label]}
            for i, label in zip(self.which, self.labels.tolist(), strict=True)
        ]

    def denoising(self) -> dict[str, Any]:
        """A few samples at a few times: x_t, and below it the x_0 predicted from it; a film."""
        sampler = DDIMSampler(steps=FRAMES, spacing=SPACING)
        denoiser, noise = self.denoiser(self.asked(COLUMNS)), self.noise(COLUMNS)
        times = denoiser.times(FRAMES, SPACING)
        first = start(denoiser, self.noise(COLUMNS), self.shape, times[0])
        steps = walk_from(denoiser, sampler, noise, self.shape)
        befores = [first, *(step.x for step in steps[:-1])]
        x_t = self.pixels(torch.stack([
            to_be_seen(x, denoiser.level(t)) for x, t in zip(befores, times, strict=True)
        ], dim=1))  # fmt: skip
        x_0 = self.pixels(torch.stack([step.x0 for step in steps], dim=1))  # [B, T, C, H, W]
        # The first quarter of the steps is all noise: one instant is enough.
        later = np.linspace(FRAMES // 4, FRAMES - 1, INSTANTS - 1).round().astype(int)
        instants = np.array([0, *later])
        lines = np.stack([x_t[:SHOWN, instants], x_0[:SHOWN, instants]], axis=1)
        save_grid(self.at / "denoising.png", lines.reshape(-1, *x_0.shape[2:]), INSTANTS)
        film = np.concatenate([x_t, x_0], axis=3)  # one above the other
        film = np.concatenate([film, film[:, -1:].repeat(HELD, axis=1)], axis=1)
        save_film(self.at / "denoising.gif", film, side=112)
        return {
            "sampler": sampler.sampler,
            "steps": FRAMES,
            "instants": [times[i] for i in instants],
            "samples": SHOWN,
        }

    def samplers(self) -> dict[str, Any]:
        """The same noise through every deterministic sampler, at each budget of evaluations."""
        adaptive = Dopri5Sampler()  # the nearest to the solution of the ODE
        kinds = [name for name, kind in SAMPLERS.items() if kind.deterministic and kind.takes_steps]
        chosen = [sampler_with(kind, budget) for budget in BUDGETS for kind in kinds]
        drawn = []
        for sampler in [*chosen, adaptive]:
            denoiser = self.denoiser(self.asked(COLUMNS))
            x = walk_from(denoiser, sampler, self.noise(COLUMNS), self.shape)[-1].x
            drawn.append((sampler.sampler, denoiser.evaluations / COLUMNS, self.from_path(x)))
        found, sheet = [], {}
        for kind, evaluations, images in drawn:
            difference = float((images - drawn[-1][2]).square().mean().sqrt())
            found.append({"sampler": kind, "evaluations": evaluations, "difference": difference})
            sheet[f"{kind}: {evaluations:.0f} evaluations\ndifference {difference:.3f}"] = to_numpy(
                images
            )
        save_rows(self.at / "samplers.png", sheet)
        return {"rows": found}

    def interpolation(self) -> dict[str, Any]:
        """Samples of the noises between those of two samples, on a great circle."""
        noise = self.noise(2 * PAIRS).normal(math.prod(self.shape)).cpu()  # [2 P, D]
        way = slerp(noise[::2], noise[1::2], BETWEEN)  # [P, T, D]
        z = way.reshape(-1, *self.shape).to(self.device)
        asked = self.asked(2 * PAIRS)[::2]  # of the first one, all along
        denoiser = self.denoiser(asked.repeat_interleave(len(BETWEEN), dim=0))
        x = walk_from(denoiser, DPMSolverSampler(steps=STEPS, spacing=SPACING), GivenNoise(z),
                      self.shape)[-1].x  # fmt: skip
        save_grid(self.at / "interpolation.png", self.pixels(x), len(BETWEEN))
        rows = [{"from": 2 * pair, "to": 2 * pair + 1} for pair in range(PAIRS)]
        return {"sampler": "dpm-solver", "steps": STEPS, "t": BETWEEN.tolist(), "rows": rows}

    def inversion(self) -> dict[str, Any]:
        """Held-out images to noise and back, in ever more steps, and the error that is left.

        That beside the images of the same x_0 which have not been to the noise.
        """
        found, sheet = [], {"held out": to_numpy(self.images)}
        x0 = self.to_path(self.images)
        for steps in ROUND_TRIPS:
            denoiser = self.denoiser(self.described)
            noise, back = round_trip(denoiser, x0, steps=steps)
            again = self.from_path(back)
            rmse = float((again - self.from_path(x0)).square().mean().sqrt())
            evaluations = denoiser.evaluations / len(self.images)
            found.append({"steps": steps, "evaluations": evaluations, "rmse": rmse})
            sheet[f"back in {steps} steps"] = to_numpy(again)
        level = denoiser.level(denoiser.path.t_max)
        sheet["its noise"] = self.pixels(to_be_seen(noise, level))
        save_rows(self.at / "inversion.png", sheet)
        return {"images": self.held_out(), "rows": found}

    def inpainting(self) -> dict[str, Any]:
        """The lower half of held-out images drawn several times, given the upper one."""
        known = torch.ones_like(self.images, dtype=torch.bool)
        known[:, :, known.shape[2] // 2 :] = False
        sheet = {"held out": self.images, "given": torch.where(known, self.images, 0.5)}
        images, given, asked = (
            torch.cat(COMPLETIONS * [part]) for part in (self.images, known, self.described)
        )
        drawn = complete(
            self.model, images, given, self.noise(len(images)), labels=asked, steps=STEPS
        )
        for k, completed in enumerate(drawn.chunk(COMPLETIONS), 1):
            sheet[f"drawn {k}"] = completed
        save_rows(self.at / "inpainting.png", {name: to_numpy(x) for name, x in sheet.items()})
        return {"images": self.held_out(), "completions": COMPLETIONS, "steps": STEPS}


@torch.no_grad()
def walk(run: RunFolder, *, cpu: bool = False) -> None:
    """Draw the walks of a run between noise and image, and write what they show in walks.json.

    Raises:
        GenLabError: the family walks no Gaussian path.
    """
    device, origin = pick_device(cpu), run_origin(run)
    at = Walker(run, load_model(run, device, origin), device)
    found = {
        "denoising": at.denoising(),
        "samplers": at.samplers(),
        "interpolation": at.interpolation(),
        "inversion": at.inversion(),
        "inpainting": at.inpainting(),
    }
    description = run.walks / "walks.json"
    write_measured(description, found, origin)
    most = found["inversion"]["rows"][-1]
    shown = [at.at / f"{name}.png" for name in found]
    leave_record(
        run,
        "walk",
        metrics={f"inversion_rmse_{most['steps']}": most["rmse"]},
        artifacts=[*shown, at.at / "denoising.gif", description],
    )
