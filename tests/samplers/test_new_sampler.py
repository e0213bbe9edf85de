"""Adding a sampler takes two files: its settings and its function."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import genlab

SETTINGS = """
from typing import ClassVar, Literal

from genlab.config.samplers.base import SteppedSampler


class HalfRenoiseSampler(SteppedSampler):
    sampler: Literal["half-renoise"] = "half-renoise"
    share: float = 0.5

    label: ClassVar[str] = "Renoise"
    explanation: ClassVar[str] = "Predicts the image and adds new noise to a part of it."
"""
FUNCTION = """
from genlab.samplers import sampling_loop, start


def sample(denoiser, noise, shape, *, steps, spacing="uniform", share=0.5):
    def move(x, prediction, t, s):
        alpha, sigma = denoiser.level(s)
        eps = (1 - share) ** 0.5 * prediction.eps + share**0.5 * noise.normal(*shape)
        return alpha * prediction.x0 + sigma * eps

    times = denoiser.times(steps, spacing)
    return sampling_loop(denoiser, start(denoiser, noise, shape, times[0]), times, move)
"""
DRAW = """
import genlab
from genlab.config.families import build_family
from genlab.config.study import load_sampler
from genlab.models.base import Facts, build_model
from genlab.processes.noise import SampleNoise
from genlab.sampling.draw import draw

values = {"family": "ddpm", "timesteps": 10, "network": {"channels": 8, "multipliers": [1]}}
model = build_model(build_family(values, "here"), Facts((1, 8, 8), 10), 0).eval()
images = []
for share in (0.0, 0.7):
    settings = {"sampler": "half-renoise", "steps": 4, "share": share}
    drawing = draw(model, load_sampler(settings, "here"), SampleNoise(0, range(2)), trail=True)
    assert drawing.images.shape == (2, 1, 8, 8) and drawing.evaluations == len(drawing.trail) == 4
    images.append(drawing.images)
assert not images[0].equal(images[1])
print(genlab.__file__)
"""


def test_two_files_add_a_sampler(tmp_path: Path) -> None:
    package = tmp_path / "genlab"
    shutil.copytree(Path(genlab.__file__).parent, package)
    (package / "config/samplers/half_renoise.py").write_text(SETTINGS)
    (package / "samplers/half_renoise.py").write_text(FUNCTION)
    command = [sys.executable, "-c", DRAW]
    environment = {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(package / "__init__.py")
