"""GenLab's DDPM beside diffusers and denoising-diffusion-pytorch, in one run on one machine.

    python benchmarks/ddpm.py                                the full comparison
    python benchmarks/ddpm.py --seconds 30 --only genlab diffusers

Every side has the same 4,000 digits in the same order, the same batch size, about the same number
of parameters, the same threads, and the same seconds of training; making its objects and its first
steps are not counted. Then each draws images with its own sampler in 50 steps, and the Frechet
distance of those to the training digits is measured in the features of a classifier that was
trained on real digits alone. Held-out real digits, as many, give the floor.

    genlab     config/models/ddpm.yaml as it stands, trained by the step of `genlab train`: Muon
               and AdamW with warm-up and decay, clipping, EMA with warm-up, and the precision
               that it comes to on this processor, in sampling as well
    genlab-adamw
               the same by AdamW alone
    diffusers  UNet2DModel and DDPMScheduler, trained as in its unconditional example: noise
               prediction, linear schedule, AdamW 1e-4 (betas .95, .999, weight decay 1e-6), warm-up
               and cosine decay, clipping at 1, float32, EMAModel (power 3/4, at most .9999). EMA is
               off by default there, but on here, as in every command that the example documents
    denoising-diffusion-pytorch
               Unet and GaussianDiffusion, trained as in its Trainer: v-prediction, sigmoid
               schedule, Adam 1e-4 (betas .9, .99), constant rate, clipping at 1, float32, EMA .995
               every 10 steps. Its mirroring of images at random is off, since digits have a side
    ...-matched
               the same library with GenLab's learning rate and, in training and sampling, its
               precision, all else its own

A learning rate that changes over the training follows the share of the seconds that are spent.
The example's 500 steps of warm-up take the share of it that they have in its 100 epochs.
All sides sample with averaged weights. 28 pixels suit every network: none is padded.
"""

from __future__ import annotations

import os

os.environ["TQDM_DISABLE"] = "1"  # no progress bars

import functools
import itertools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from denoising_diffusion_pytorch import GaussianDiffusion, Unet
from diffusers import DDIMPipeline, DDPMScheduler, UNet2DModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from ema_pytorch import EMA
from sides import PIXELS, GenLab, Peer, Sampler, Side, by_adamw, compare, nearest
from torch import Tensor, nn

from genlab.config.samplers import SamplerConfig
from genlab.config.samplers.ddim import DDIMSampler
from genlab.config.samplers.ddpm import DDPMSampler
from genlab.models.devices import resolve_precision
from genlab.results.layout import StudyFolder

STEPS = 50  # of every sampler
DDIM = f"ddim-{STEPS}"  # all three libraries have it, with eta 0
ROWS: dict[str, SamplerConfig] = {
    DDIM: DDIMSampler(steps=STEPS),
    f"ddpm-{STEPS}": DDPMSampler(steps=STEPS),
}
# Of these the peers take the widths that come nearest to GenLab's number of parameters.
WIDTHS = list(itertools.combinations_with_replacement((32, 64, 96), 3))  # diffusers, its levels
DIMS = range(8, 33, 2)  # denoising-diffusion-pytorch, its finest level of three


class DiffusionPeer(Peer):
    """What the two other libraries share: learning rate, precision, and how gradients come."""

    def __init__(self, study: StudyFolder, matched: bool) -> None:
        super().__init__(study, "ddpm")
        training = self.spec.training
        self.bf16 = matched and resolve_precision(training.precision, cuda=False) == "bf16"
        self.learning_rate = training.learning_rate if matched else 1e-4

    def precision(self) -> torch.autocast:
        """The context in which its network is computed."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.bf16)

    def backward(self, loss: Callable[[Tensor], Tensor], parameters: list[nn.Parameter]) -> None:
        """Gradients of `loss` on the next batch, clipped at norm 1 as both libraries do."""
        images = self.next_images()
        with self.precision():
            value = loss(images)
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)


class Diffusers(DiffusionPeer):
    """diffusers, as its example of unconditional image generation trains it."""

    def __init__(self, study: StudyFolder, matched: bool) -> None:
        super().__init__(study, matched)
        self.network = nearest(map(self.make_network, WIDTHS), self.size)
        self.parameters = list(self.network.parameters())
        self.schedule: Any = DDPMScheduler(num_train_timesteps=1000)
        self.optimizer = torch.optim.AdamW(
            self.parameters, self.learning_rate, betas=(0.95, 0.999), weight_decay=1e-6
        )
        epochs = 100 * len(self.batches.table.images) / self.batches.batch_size  # in steps
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
            with self.precision():
                drawn = pipeline(len(which), num_inference_steps=STEPS, output_type="pt")
            images: Tensor = drawn.images
            return images

        return {DDIM: sample}


class DenoisingDiffusion(DiffusionPeer):
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

        def sample(which: range) -> Tensor:
            with self.precision():
                images: Tensor = average.sample(batch_size=len(which))
            return images.float()

        return {DDIM: sample}


SIDES: dict[str, Callable[[StudyFolder], Side]] = {
    "genlab": functools.partial(GenLab, model="ddpm", rows=ROWS),
    "genlab-adamw": functools.partial(GenLab, model="ddpm-adamw", rows=ROWS),
    "diffusers": functools.partial(Diffusers, matched=False),
    "diffusers-matched": functools.partial(Diffusers, matched=True),
    "denoising-diffusion-pytorch": functools.partial(DenoisingDiffusion, matched=False),
    "denoising-diffusion-pytorch-matched": functools.partial(DenoisingDiffusion, matched=True),
}

if __name__ == "__main__":
    compare(
        "ddpm",
        {"sampler": "ddim", "steps": STEPS},
        SIDES,
        __doc__ or "",
        beside=[by_adamw("ddpm")],
    )
