"""Figures of what a model on a Gaussian path does between noise and image.

    denoising      x_t and the predicted x_0, from noise to sample; also as a film
    samplers       samples by every deterministic sampler from the same noise
    interpolation  samples of the noises on the great circle between two noises
    inversion      held-out images encoded to noise by the ODE, and decoded again
    inpainting     the lower half of held-out images sampled, given the upper half

A deterministic sampler solves the probability-flow ODE (Song et al. 2021, arXiv:2011.13456,
section 4.3), which maps noise to images one to one, so noise serves as a latent, as in a flow. All
steps use EDM's spacing, which suits every path; the paths' own time scales differ too much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlab.config.samplers import SAMPLERS, SamplerConfig, Spacing, SteppedSampler
from genlab.config.samplers.ddim import DDIMSampler
from genlab.config.samplers.dopri5 import Dopri5Sampler
from genlab.config.samplers.dpm_solver import DPMSolverSampler
from genlab.models.capabilities import HasDenoiser
from genlab.processes.noise import GivenNoise, SampleNoise
from genlab.samplers import Denoiser, Step, start
from genlab.sampling.draw import steps_of
from genlab.sampling.figures import Figure, to_numpy
from genlab.sampling.inpainting import complete
from genlab.sampling.inversion import round_trip
from genlab.sampling.latents import slerp

SPACING: Spacing = "karras"
COLUMNS = 8  # samples or held-out images side by side
FILMSTRIP_SAMPLES, FILMSTRIP_TIMES = 4, 10
FRAMES, HELD_FRAMES = 28, 10  # steps in the film, and repetitions of its last frame
BUDGETS = (11, 25)  # network evaluations; odd, so that two-evaluation methods use all of them
PAIRS, INTERPOLATION_STEPS = 5, torch.linspace(0, 1, 9)
STEPS = 20  # where a single budget is enough
ROUND_TRIPS = (4, 8, 16, 32)
COMPLETIONS = 3
SAMPLES = max(COLUMNS, 2 * PAIRS)
"""The number of samples whose conditions the figures need."""


def trajectory(
    denoiser: Denoiser, sampler: SamplerConfig, noise: SampleNoise, shape: tuple[int, ...]
) -> list[Step]:
    """All steps of `sampler`; the x of the last one are the samples."""
    return list(steps_of(denoiser, sampler, noise, shape))


def rescaled(x: Tensor, level: tuple[float, float]) -> Tensor:
    """x_t / sqrt(alpha^2 + sigma^2), which has about the scale of an image at every time."""
    return x / math.hypot(*level)


def sampler_with(kind: str, evaluations: int) -> SamplerConfig:
    """The fixed-step sampler of this kind that takes `evaluations` network evaluations (odd).

    It computes in float32, so that its distance from the exact solution is due to the method alone.
    """
    sampler = SAMPLERS[kind]
    assert issubclass(sampler, SteppedSampler)
    steps = (evaluations - 1) // sampler.evaluations_per_step + 1  # the last step takes one
    values = {"steps": steps, "spacing": SPACING, "precision": "fp32"}
    return sampler.model_validate(values)


@dataclass(frozen=True)
class Trajectories:
    """A model on a Gaussian path, with the samples and the held-out images that figures show.

    Attributes:
        seed: sample i starts from the noise of (seed, i).
        conditions: classes int64 [SAMPLES] or prompts int64 [SAMPLES, L] of the first samples.
        images: held-out images [N, C, H, W] on [0, 1]; their device is the model's.
        image_conditions: classes or prompts of the held-out images.
        image_facts: number and class of each held-out image; JSON values.
    """

    model: HasDenoiser
    seed: int
    conditions: Tensor
    images: Tensor
    image_conditions: Tensor
    image_facts: list[dict[str, Any]]

    def figures(self) -> dict[str, Figure]:
        """All figures, by name."""
        return {
            "denoising": self.denoising(),
            "samplers": self.samplers(),
            "interpolation": self.interpolation(),
            "inversion": self.inversion(),
            "inpainting": self.inpainting(),
        }

    @torch.no_grad()
    def denoising(self) -> Figure:
        """A few samples at a few times: a row of x_t, and a row of the predicted x_0 below it."""
        sampler, shape = DDIMSampler(steps=FRAMES, spacing=SPACING), self.model.path_shape
        denoiser, noise = self.model.denoiser(self.conditions[:COLUMNS]), self._noise(COLUMNS)
        times = denoiser.times(FRAMES, SPACING)
        first = start(denoiser, self._noise(COLUMNS), shape, times[0])
        steps = trajectory(denoiser, sampler, noise, shape)
        states = [first, *(step.x for step in steps[:-1])]
        x_t = self._pixels(torch.stack([
            rescaled(x, denoiser.level(t)) for x, t in zip(states, times, strict=True)
        ], dim=1))  # fmt: skip
        x_0 = self._pixels(torch.stack([step.x0 for step in steps], dim=1))  # [B, T, C, H, W]
        # The first quarter of the steps is nearly pure noise: one column is enough for it.
        later = np.linspace(FRAMES // 4, FRAMES - 1, FILMSTRIP_TIMES - 1).round().astype(int)
        columns = np.array([0, *later])
        shown = x_t[:FILMSTRIP_SAMPLES, columns], x_0[:FILMSTRIP_SAMPLES, columns]
        rows = np.stack(shown, axis=1).reshape(-1, len(columns), *x_0.shape[2:])
        film = np.concatenate([x_t, x_0], axis=3)  # x_t above x_0
        film = np.concatenate([film, film[:, -1:].repeat(HELD_FRAMES, axis=1)], axis=1)
        facts = {
            "sampler": sampler.sampler,
            "steps": FRAMES,
            "instants": [times[i] for i in columns],
            "samples": FILMSTRIP_SAMPLES,
        }
        return Figure(facts, rows, film)

    @torch.no_grad()
    def samplers(self) -> Figure:
        """The same noise through every deterministic sampler, at each budget of evaluations.

        `difference` is the root mean square difference from dopri5, whose step size control keeps
        it closest to the exact solution of the ODE.
        """
        adaptive = Dopri5Sampler()
        kinds = [name for name, kind in SAMPLERS.items() if kind.deterministic and kind.takes_steps]
        fixed = [sampler_with(kind, budget) for budget in BUDGETS for kind in kinds]
        results = []
        for sampler in [*fixed, adaptive]:
            denoiser = self.model.denoiser(self.conditions[:COLUMNS])
            steps = trajectory(denoiser, sampler, self._noise(COLUMNS), self.model.path_shape)
            images = self.model.from_path(steps[-1].x)
            results.append((sampler.sampler, denoiser.evaluations / COLUMNS, images))
        reference = results[-1][2]
        facts, rows = [], {}
        for kind, evaluations, images in results:
            difference = float((images - reference).square().mean().sqrt())
            facts.append({"sampler": kind, "evaluations": evaluations, "difference": difference})
            name = f"{kind}: {evaluations:.0f} evaluations\ndifference {difference:.3f}"
            rows[name] = to_numpy(images)
        return Figure({"rows": facts}, rows)

    @torch.no_grad()
    def interpolation(self) -> Figure:
        """Samples of the noises on the great circle between the noises of two samples."""
        shape, columns = self.model.path_shape, len(INTERPOLATION_STEPS)
        noise = self._noise(2 * PAIRS).normal(math.prod(shape)).cpu()  # [2 P, D]
        between = slerp(noise[::2], noise[1::2], INTERPOLATION_STEPS)  # [P, T, D]
        z = between.reshape(-1, *shape).to(self.images.device)
        conditions = self.conditions[: 2 * PAIRS : 2]  # of each pair's first sample
        denoiser = self.model.denoiser(conditions.repeat_interleave(columns, dim=0))
        sampler = DPMSolverSampler(steps=STEPS, spacing=SPACING)
        x = trajectory(denoiser, sampler, GivenNoise(z), shape)[-1].x
        facts = {
            "sampler": sampler.sampler,
            "steps": STEPS,
            "t": INTERPOLATION_STEPS.tolist(),
            "rows": [{"from": 2 * pair, "to": 2 * pair + 1} for pair in range(PAIRS)],
        }
        return Figure(facts, self._pixels(x.reshape(PAIRS, columns, *shape)))

    @torch.no_grad()
    def inversion(self) -> Figure:
        """Held-out images to noise and back in a growing number of steps.

        `rmse` is the error of the ODE alone: it compares with the image of the same x_0, so an
        autoencoder's error is not part of it.
        """
        facts, rows = [], {"held-out image": to_numpy(self.images)}
        x0 = self.model.to_path(self.images)
        target = self.model.from_path(x0)
        for steps in ROUND_TRIPS:
            denoiser = self.model.denoiser(self.image_conditions)
            noise, decoded = round_trip(denoiser, x0, steps=steps)
            images = self.model.from_path(decoded)
            rmse = float((images - target).square().mean().sqrt())
            evaluations = denoiser.evaluations / len(self.images)
            facts.append({"steps": steps, "evaluations": evaluations, "rmse": rmse})
            rows[f"decoded, {steps} steps"] = to_numpy(images)
        level = denoiser.level(denoiser.path.t_max)
        rows["encoded noise"] = self._pixels(rescaled(noise, level))
        return Figure({"images": self.image_facts, "rows": facts}, rows)

    @torch.no_grad()
    def inpainting(self) -> Figure:
        """The lower half of held-out images, sampled several times given the upper half."""
        mask = torch.ones_like(self.images, dtype=torch.bool)  # True where pixels are given
        mask[:, :, mask.shape[2] // 2 :] = False
        rows = {
            "held-out image": self.images,
            "given pixels": torch.where(mask, self.images, 0.5),
        }
        images, masks, conditions = (
            torch.cat(COMPLETIONS * [part]) for part in (self.images, mask, self.image_conditions)
        )
        noise = self._noise(len(images))
        completed = complete(self.model, images, masks, noise, labels=conditions, steps=STEPS)
        for k, completion in enumerate(completed.chunk(COMPLETIONS), 1):
            rows[f"completion {k}"] = completion
        facts = {"images": self.image_facts, "completions": COMPLETIONS, "steps": STEPS}
        return Figure(facts, {name: to_numpy(x) for name, x in rows.items()})

    def _noise(self, samples: int) -> SampleNoise:
        """The noise of the first samples, at its beginning."""
        return SampleNoise(self.seed, range(samples), self.images.device)

    def _pixels(self, x: Tensor) -> NDArray[np.uint8]:
        """x on the path, [..., *path_shape], as images uint8 [..., C, H, W]."""
        images = to_numpy(self.model.from_path(x.flatten(0, -4)))
        return images.reshape(*x.shape[:-3], *images.shape[1:])
