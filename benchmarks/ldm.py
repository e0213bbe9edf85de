"""GenLab's U-Net of latents beside diffusers' UNet2DConditionModel: their speed.

    python benchmarks/ldm.py
    python benchmarks/ldm.py --seconds 5 --threads 1

Both denoise latents of 4 x 7 x 7 numbers and read texts of eight states of 64 numbers each, and
have about the same number of parameters. Latents and texts are random: speed doesn't depend on
what they say, and so neither library's encoders are counted.

    training   v-prediction's mean squared error on batches of the preset ldm, AdamW for both
               sides, clipping at 1
    sampling   DDIM, 50 steps, classifier-free guidance of 3, 16 latents at a time

    genlab     the network of config/models/ldm.yaml, which attends in the middle alone, with the
               path and the sampler of the package
    diffusers  one level of CrossAttnDownBlock2D and CrossAttnUpBlock2D and the same middle, one
               layer a block, of the width that comes nearest; DDIMScheduler

Both in float32, in turns, so that what else the machine does meanwhile falls on both.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from common import CHECKOUT, Row, listed, machine, publish, table
from diffusers import DDIMScheduler, UNet2DConditionModel
from sides import nearest, parameters
from torch import Tensor, nn

from genlab.config.families.latent_diffusion import LatentDiffusionConfig
from genlab.config.study import load_model
from genlab.nn.backbone import make_network
from genlab.nn.unet import Texts
from genlab.processes.gaussian import Denoiser
from genlab.processes.noise import SampleNoise
from genlab.processes.paths import SCHEDULES, DiscretePath
from genlab.samplers import ddim

LATENT, LENGTH, WIDTH = (4, 7, 7), 8, 64
STEPS, GUIDANCE, DRAWN = 50, 3.0, 16
TURNS = 3
PRESET = load_model("ldm", {}, CHECKOUT / "config", "benchmarks")
WIDTHS = range(32, 97, 8)  # of diffusers' network


class Side(Protocol):
    """A library's network, as its loss and its sampler see it."""

    network: nn.Module

    def loss(self, x0: Tensor, texts: Tensor) -> Tensor:
        """Of latents [B, 4, 7, 7] and the states of their texts [B, L, W]."""
        ...

    def sample(self, texts: Tensor) -> Tensor:
        """Latents [B, 4, 7, 7] of texts [B, L, W], guided away from states of zeros."""
        ...


class GenLab:
    """The package's network, path, and sampler."""

    def __init__(self) -> None:
        config = PRESET.model
        assert isinstance(config, LatentDiffusionConfig)
        self.path = DiscretePath(SCHEDULES[config.schedule](config.timesteps))
        self.network = make_network(config.network, LATENT, 0, context=WIDTH)
        self.network.to(memory_format=torch.channels_last)

    def answer(self, x: Tensor, t: Tensor, texts: Tensor) -> Tensor:
        said = torch.ones(texts.shape[:2], dtype=torch.bool)
        answer: Tensor = self.network(
            x.float(), self.path.conditioning(t).float(), texts=Texts(texts, said)
        )
        return answer

    def loss(self, x0: Tensor, texts: Tensor) -> Tensor:
        t = (torch.randint(len(self.path), (len(x0),)).double() + 1) / len(self.path)
        alpha, sigma = (part.float()[:, None, None, None] for part in self.path.level(t))
        eps = torch.randn_like(x0)
        said = self.answer(alpha * x0 + sigma * eps, t, texts)
        return F.mse_loss(said, alpha * eps - sigma * x0)

    def sample(self, texts: Tensor) -> Tensor:
        every = torch.cat([texts, torch.zeros_like(texts[:1])])

        def network(x: Tensor, t: Tensor, which: Tensor | None) -> Tensor:
            return self.answer(x, t, every[which])

        n = len(texts)
        denoiser = Denoiser(network, self.path, "v", clip=False, labels=torch.arange(n),
                            guidance=GUIDANCE, null=n)  # fmt: skip
        *_, last = ddim.sample(denoiser, SampleNoise(0, range(n)), LATENT, steps=STEPS)
        return last.x


class Diffusers:
    """diffusers' network and scheduler, in the loop of its text-to-image pipelines."""

    def __init__(self, size: int) -> None:
        self.network: Any = nearest(map(self.make_network, WIDTHS), size)
        self.schedule: Any = DDIMScheduler(
            num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2", clip_sample=False,
            prediction_type="v_prediction",
        )  # fmt: skip

    @staticmethod
    def make_network(width: int) -> UNet2DConditionModel:
        return UNet2DConditionModel(
            sample_size=LATENT[1],
            in_channels=LATENT[0],
            out_channels=LATENT[0],
            down_block_types=("CrossAttnDownBlock2D",),
            up_block_types=("CrossAttnUpBlock2D",),
            block_out_channels=(width,),
            layers_per_block=1,
            cross_attention_dim=WIDTH,
            attention_head_dim=2,  # the number of heads, in spite of its name
            norm_num_groups=8,
        )

    def loss(self, x0: Tensor, texts: Tensor) -> Tensor:
        t, eps = torch.randint(0, 1000, (len(x0),)), torch.randn_like(x0)
        x = self.schedule.add_noise(x0, eps, t)
        said = self.network(x, t, encoder_hidden_states=texts).sample
        return F.mse_loss(said, self.schedule.get_velocity(x0, eps, t))

    def sample(self, texts: Tensor) -> Tensor:
        self.schedule.set_timesteps(STEPS)
        both = torch.cat([torch.zeros_like(texts), texts])
        x = torch.randn(len(texts), *LATENT)
        for t in self.schedule.timesteps:
            said = self.network(torch.cat([x, x]), t, encoder_hidden_states=both).sample
            without, given = said.chunk(2)
            guided = without + GUIDANCE * (given - without)
            x = self.schedule.step(guided, t, x).prev_sample
        return x


def rate(work: Callable[[], int], seconds: float) -> float:
    """How many images `work`, which returns how many it did, gets done a second."""
    work()
    done, begun = 0, time.perf_counter()
    while (spent := time.perf_counter() - begun) < seconds:
        done += work()
    return done / spent


def trainer(side: Side) -> Callable[[], int]:
    """One step of training; the number of its latents."""
    batch = PRESET.training.batch_size
    x0, texts = torch.randn(batch, *LATENT), torch.randn(batch, LENGTH, WIDTH)
    optimizer = torch.optim.AdamW(side.network.parameters(), fused=True)

    def step() -> int:
        optimizer.zero_grad()
        side.loss(x0, texts).backward()
        nn.utils.clip_grad_norm_(side.network.parameters(), 1.0)
        optimizer.step()
        return batch

    return step


@torch.no_grad()
def drawer(side: Side) -> int:
    """Draw once; the number of latents."""
    return len(side.sample(torch.randn(DRAWN, LENGTH, WIDTH)))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20, help="of each side and turn")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    genlab = GenLab()
    sides: dict[str, Side] = {"genlab": genlab, "diffusers": Diffusers(parameters(genlab.network))}
    trained: dict[str, list[float]] = {name: [] for name in sides}
    drawn: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(TURNS):
        for name, side in sides.items():
            trained[name].append(rate(trainer(side), options.seconds))
            drawn[name].append(rate(lambda side=side: drawer(side), options.seconds))  # type: ignore[misc]
    rows: list[Row] = [
        {
            "library": name,
            "parameters": parameters(side.network),
            "training images/s": sorted(trained[name])[TURNS // 2],
            "sampling images/s": sorted(drawn[name])[TURNS // 2],
        }
        for name, side in sides.items()
    ]
    here = machine(options.threads)
    conditions = (
        f"Medians of {TURNS} turns of {options.seconds:g} s; training in batches of "
        f"{PRESET.training.batch_size}; DDIM, {STEPS} steps, guidance {GUIDANCE:g}, {DRAWN} at a "
        f"time.\n{listed(here)}.\n"
    )
    content = {"machine": here, "seconds": options.seconds, "rows": rows}
    publish("ldm", f"{table(rows)}\n{conditions}", content)


if __name__ == "__main__":
    main()
