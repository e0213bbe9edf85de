"""GenLab's DDPM beside diffusers and denoising-diffusion-pytorch, in one run on one machine.

    python benchmarks/ddpm.py                                the full comparison
    python benchmarks/ddpm.py --seconds 30 --only genlab diffusers

Every side has the same 4,000 digits in the same order, the same batch size, about the same number
of parameters, the same threads, and the same seconds of training; making its objects and its first
steps are not counted. Then each draws images with its own sampler in 50 steps, and the Frechet
distance of those to the training digits is measured in the features of a classifier that was
trained on real digits alone. Held-out real digits, as many, give the floor.

    genlab     config/models/ddpm.yaml as it stands, trained by the step of `genlab train`: AdamW
               with warm-up and decay, clipping, EMA with warm-up, bfloat16 layers if the preset
               says so
    diffusers  UNet2DModel and DDPMScheduler, trained as in its unconditional example: noise
               prediction, linear schedule, AdamW 1e-4 (betas .95, .999, weight decay 1e-6), warm-up
               and cosine decay, clipping at 1, float32, EMAModel (power 3/4, at most .9999). EMA is
               off by default there, but on here, as in every command that the example documents
    denoising-diffusion-pytorch
               Unet and GaussianDiffusion, trained as in its Trainer: v-prediction, sigmoid
               schedule, Adam 1e-4 (betas .9, .99), constant rate, clipping at 1, float32, EMA .995
               every 10 steps. Its mirroring of images at random is off, since digits have a side
    ...-matched
               the same library with GenLab's learning rate and precision, all else its own

A learning rate that changes over the training follows the share of the seconds that are spent.
The example's 500 steps of warm-up take the share of it that they have in its 100 epochs.
All sides sample in float32, with averaged weights. 28 pixels suit every network: none is padded.
"""

from __future__ import annotations

import os

os.environ["TQDM_DISABLE"] = "1"  # no progress bars

import argparse
import functools
import itertools
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from common import CHECKOUT, RESULTS, Row, machine, publish, table
from denoising_diffusion_pytorch import GaussianDiffusion, Unet
from diffusers import DDIMPipeline, DDPMScheduler, UNet2DModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from ema_pytorch import EMA
from torch import Tensor, nn
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from genlab.config.layout import RunFolder, SampleFolder, StudyFolder
from genlab.config.samplers import DDIMSampler, DDPMSampler, SamplerConfig
from genlab.config.spec import read_run, write_specs
from genlab.config.study import TrainingConfig, load_study
from genlab.data.files import read_array, write_array
from genlab.data.floors import floor
from genlab.data.pictures import GRID, save_grid
from genlab.data.prepare import fetch, prepare
from genlab.evaluation.stages import extract, read_features
from genlab.models.base import Model, build_model
from genlab.models.batches import Batches, to_uint8
from genlab.models.store import load_model, save_model
from genlab.processes.noise import SampleNoise
from genlab.sampling.draw import draw
from genlab.training.trainer import Training

STEPS = 50  # of every sampler
DDIM = f"ddim-{STEPS}"  # all three libraries have it, with eta 0
WARM_UP = 3  # training steps before the clock starts
DRAWN = 100  # images drawn at a time
DIGITS, PIXELS = "digits", 28
# Of these the peers take the widths that come nearest to GenLab's number of parameters.
WIDTHS = list(itertools.combinations_with_replacement((32, 64, 96), 3))  # diffusers, its levels
DIMS = range(8, 33, 2)  # denoising-diffusion-pytorch, its finest level of three

Sampler = Callable[[range], Tensor]
"""Draws the images of these numbers, float [B, C, H, W] on [0, 1]."""


class Side(Protocol):
    """A library that trains a network and draws from it."""

    network: nn.Module

    def step(self, share: float) -> None:
        """One step of training, when this share of the time is spent."""
        ...

    def samplers(self) -> dict[str, Sampler]:
        """Its samplers by name, once it is trained."""
        ...


def preset(study: StudyFolder) -> TrainingConfig:
    """How GenLab's preset is trained; all sides share its batch size."""
    return read_run(study.run(DIGITS, "ddpm", 0).config).training


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def nearest(networks: Iterable[nn.Module], size: int) -> Any:
    """The network with the number of parameters nearest to `size`, at most a quarter away."""
    found = min(networks, key=lambda network: abs(parameters(network) - size))
    if abs(parameters(found) - size) > size / 4:
        sys.exit(f"no {type(found).__name__} here has about {size:,} parameters; add a width")
    return found


def make_training(run: RunFolder) -> Training:
    """The state of `genlab train` before its first step."""
    spec = read_run(run.config)
    precision = "bf16" if spec.training.precision == "bf16" else "no"
    return Training(run, spec, Accelerator(cpu=True, mixed_precision=precision))


class GenLab:
    """The preset, trained by GenLab's own step."""

    def __init__(self, study: StudyFolder) -> None:
        self.run = study.run(DIGITS, "ddpm", 0)
        self.training = make_training(self.run)
        self.network: nn.Module = self.training.model

    def step(self, share: float) -> None:
        state = self.training
        seen = (state.progress.step + 1) * state.spec.training.batch_size
        # The budget in images of which just this share is done, so that the rate follows the time.
        images = {"images": math.ceil(seen / share)}
        training = state.spec.training.model_copy(update=images)
        state.spec = state.spec.model_copy(update={"training": training})
        state.step()

    def samplers(self) -> dict[str, Sampler]:
        save_model(self.run, self.training.spec, self.training.model, self.training.ema)
        model = load_model(self.run)
        return {
            DDIM: functools.partial(self._draw, model, DDIMSampler(steps=STEPS)),
            f"ddpm-{STEPS}": functools.partial(self._draw, model, DDPMSampler(steps=STEPS)),
        }

    @staticmethod
    def _draw(model: Model, sampler: SamplerConfig, which: range) -> Tensor:
        return draw(model, sampler, SampleNoise(0, which)).images


class Peer:
    """What the two other libraries share: the data, and the precision of the loss."""

    def __init__(self, study: StudyFolder, matched: bool) -> None:
        spec, data = read_run(study.run(DIGITS, "ddpm", 0).config), study.data(DIGITS)
        training = spec.training
        self.size = parameters(build_model(spec.model, (1, PIXELS, PIXELS), 10, seed=0))
        self.batches = Batches(
            read_array(data.images("train")), read_array(data.labels("train")),
            training.batch_size, seed=0,
        )  # fmt: skip
        self.steps = 0
        self.bf16 = matched and training.precision == "bf16"
        self.learning_rate = training.learning_rate if matched else 1e-4

    def backward(self, loss: Callable[[Tensor], Tensor], parameters: list[nn.Parameter]) -> None:
        """Gradients of `loss` on the next batch, clipped at norm 1 as both libraries do."""
        images = self.batches[self.steps].images
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            value = loss(images)
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        self.steps += 1


class Diffusers(Peer):
    """diffusers, as its example of unconditional image generation trains it."""

    def __init__(self, study: StudyFolder, matched: bool) -> None:
        super().__init__(study, matched)
        self.network = nearest(map(self.make_network, WIDTHS), self.size)
        self.parameters = list(self.network.parameters())
        self.schedule: Any = DDPMScheduler(num_train_timesteps=1000)
        self.optimizer = torch.optim.AdamW(
            self.parameters, self.learning_rate, betas=(0.95, 0.999), weight_decay=1e-6
        )
        epochs = 100 * len(self.batches.images) / self.batches.batch_size  # in steps
        self.rate = get_scheduler(
            "cosine",
            self.optimizer,
            num_warmup_steps=round(1000 * 500 / epochs),
            num_training_steps=1000,
        )
        self.ema = EMAModel(
            self.parameters, decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75
        )

    @staticmethod
    def make_network(widths: tuple[int, ...]) -> UNet2DModel:
        return UNet2DModel(
            sample_size=PIXELS,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=widths,
            down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        )

    def loss(self, images: Tensor) -> Tensor:
        x0 = 2 * images - 1
        noise = torch.randn_like(x0)
        t = torch.randint(0, 1000, (len(x0),))
        predicted = self.network(self.schedule.add_noise(x0, noise, t), t).sample
        return F.mse_loss(predicted.float(), noise)

    def step(self, share: float) -> None:
        self.backward(self.loss, self.parameters)
        self.optimizer.step()
        while self.rate.last_epoch < 1000 * share:
            self.rate.step()
        self.ema.step(self.parameters)
        self.optimizer.zero_grad()

    def samplers(self) -> dict[str, Sampler]:
        self.ema.copy_to(self.parameters)
        # The pipeline makes a DDIMScheduler of the schedule.
        pipeline: Any = DDIMPipeline(self.network.eval(), self.schedule)
        pipeline.set_progress_bar_config(disable=True)

        def sample(which: range) -> Tensor:
            drawn = pipeline(len(which), num_inference_steps=STEPS, output_type="pt")
            images: Tensor = drawn.images
            return images

        return {DDIM: sample}


class DenoisingDiffusion(Peer):
    """denoising-diffusion-pytorch, as its Trainer trains it."""

    def __init__(self, study: StudyFolder, matched: bool) -> None:
        super().__init__(study, matched)
        networks = (Unet(dim=dim, dim_mults=(1, 2, 4), channels=1) for dim in DIMS)
        self.network = nearest(networks, self.size)
        self.diffusion = GaussianDiffusion(
            self.network, image_size=PIXELS, sampling_timesteps=STEPS
        )
        self.parameters = list(self.diffusion.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, self.learning_rate, betas=(0.9, 0.99))
        self.ema = EMA(self.diffusion, beta=0.995, update_every=10)

    def step(self, share: float) -> None:
        self.backward(self.diffusion, self.parameters)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.update()

    def samplers(self) -> dict[str, Sampler]:
        average = self.ema.ema_model.eval()
        return {DDIM: lambda which: average.sample(batch_size=len(which))}


SIDES: dict[str, Callable[[StudyFolder], Side]] = {
    "genlab": GenLab,
    "diffusers": functools.partial(Diffusers, matched=False),
    "diffusers-matched": functools.partial(Diffusers, matched=True),
    "denoising-diffusion-pytorch": functools.partial(DenoisingDiffusion, matched=False),
    "denoising-diffusion-pytorch-matched": functools.partial(DenoisingDiffusion, matched=True),
}


def make_study(results: Path, samples: int) -> StudyFolder:
    """Prepare the digits, and train the classifier in whose features all sides are measured."""
    values: dict[str, Any] = {
        "name": "benchmark",
        "datasets": [DIGITS],
        "models": ["ddpm"],
        "samplers": {"ddim": {"sampler": "ddim", "steps": STEPS}},
        "evaluation": {
            "samples": samples,
            "kid_subset_size": 2,  # KID is not measured
            "floors": ["real"],
            "classifier": {"images": 40_000},
        },
    }
    study = load_study(values, CHECKOUT / "config", "benchmarks/ddpm.py")
    write_specs(study, results)
    at = StudyFolder(results / study.name)
    fetch(at.data(DIGITS))
    prepare(at.data(DIGITS))
    training = make_training(at.classifier(DIGITS))
    while training.progress.step < training.spec.training.steps:
        training.step()
    print(f"classifier: accuracy {training.finish()['accuracy']:.3f} on held-out digits")
    images, out = at.data(DIGITS).images("train"), at.reference(DIGITS, "classifier")
    extract(at, DIGITS, "classifier", images, out, cpu=True)
    floor(at.floor(DIGITS, "real"))
    return at


def train(side: Side, seconds: float) -> tuple[int, float]:
    """Train for `seconds`; returns the steps that were made and the seconds they took."""
    for _ in range(WARM_UP):
        side.step(1e-3)
    steps, begun = 0, time.perf_counter()
    while (spent := time.perf_counter() - begun) < seconds:
        side.step(max(spent / seconds, 1e-3))
        steps += 1
    return steps, time.perf_counter() - begun


@torch.no_grad()
def sample(sampler: Sampler, samples: int, path: Path) -> float:
    """Draw `samples` images to `path` as uint8; returns the seconds after a warm-up."""
    sampler(range(min(DRAWN, samples)))
    begun = time.perf_counter()
    starts = range(0, samples, DRAWN)
    drawn = [to_uint8(sampler(range(i, min(i + DRAWN, samples)))) for i in starts]
    seconds = time.perf_counter() - begun
    write_array(path, torch.cat(drawn).numpy())
    return seconds


def frechet(study: StudyFolder, row: SampleFolder) -> float:
    """The Frechet distance of a row's samples to the training digits, in the classifier's features.

    Also leaves a grid of the samples with the results.
    """
    out = row.features("classifier")
    extract(study, DIGITS, "classifier", row.samples, out, cpu=True)
    statistics = [
        fid_features_to_statistics(torch.from_numpy(read_features(path)["features"]).double())
        for path in (out, study.reference(DIGITS, "classifier"))
    ]
    picture = RESULTS / "ddpm" / f"{row.folder.name}.png"
    save_grid(picture, read_array(row.samples)[:GRID], columns=8)
    metric = fid_statistics_to_metric(*statistics, verbose=False)
    return float(metric["frechet_inception_distance"])


def run_side(name: str, study: StudyFolder, seconds: float, samples: int) -> list[Row]:
    """Train one side and draw from it; a row for each of its samplers."""
    torch.manual_seed(0)
    side = SIDES[name](study)
    steps, spent = train(side, seconds)
    size = parameters(side.network)
    print(f"{name}: {size:,} parameters, {steps} steps in {spent:.1f} s")
    rows: list[Row] = []
    for kind, sampler in side.samplers().items():
        at = study.run(DIGITS, name, 0).samples(f"{name}-{kind}")
        drawing = sample(sampler, samples, at.samples)
        rows.append(
            {
                "library": name,
                "sampler": kind,
                "parameters": size,
                "training steps": steps,
                "training images/s": steps * preset(study).batch_size / spent,
                "sampling s": drawing,
                "sampling images/s": samples / drawing,
                "Frechet distance": frechet(study, at),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=120, help="of training, for every side")
    parser.add_argument(
        "--samples", type=int, default=500, help="drawn from every side, 16 to 1000"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="+", choices=SIDES, default=list(SIDES), metavar="SIDE",
                        help=f"of {', '.join(SIDES)}")  # fmt: skip
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        study = make_study(Path(folder), options.samples)
        rows: list[Row] = []
        for name in options.only:
            rows += run_side(name, study, options.seconds, options.samples)
        batch_size = preset(study).batch_size
        best = frechet(study, study.floor(DIGITS, "real"))
    about = machine(options.threads)
    conditions = (
        f"{options.seconds:g} s of training each, batches of {batch_size}; {options.samples} "
        f"samples, {DRAWN} at a time. Frechet distance to the 4,000 training digits in the "
        f"features of the domain classifier; as many held-out real digits: {best:.3g}.\n"
        f"{', '.join(f'{key} {value}' for key, value in about.items())}.\n"
    )
    content = {
        "machine": about,
        "seconds": options.seconds,
        "samples": options.samples,
        "batch_size": batch_size,
        "floor": best,
        "rows": rows,
    }
    publish("ddpm", f"{table(rows)}\n{conditions}", content)


if __name__ == "__main__":
    main()
