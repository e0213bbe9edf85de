"""GenLab's Glow beside normflows' in one run on one machine.

    python benchmarks/glow.py                                the full comparison
    python benchmarks/glow.py --seconds 30 --only genlab normflows

What all sides share is said at the top of `sides.py`. Each draws at the temperatures 1 and 0.7.

    genlab     config/models/glow.yaml as it stands, trained by the step of `genlab train`: AdamW
               with warm-up and decay, clipping, EMA with warm-up
    normflows  MultiscaleFlow built and trained as in its example of Glow on CIFAR-10: levels of 16
               GlowBlocks, pixels y = (x + u) / 256 as they are, Adamax 1e-3 with weight decay 1e-5,
               constant, batches whose loss is not finite left out. But with two levels, as 28 can
               be halved twice; with Gaussians that know no classes, as GenLab's know none; and as
               wide as the number of GenLab's parameters asks for
    normflows-matched
               the same with GenLab's learning rate and its course, clipping at norm 1, and pixels
               through a logit with GenLab's margin

All train and sample in float32.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import normflows as nf
import torch
from sides import PIXELS, GenLab, Peer, Sampler, Side, compare, nearest
from torch import Tensor, nn

from genlab.config.samplers import SamplerConfig
from genlab.config.samplers.prior import PriorSampler
from genlab.results.layout import StudyFolder
from genlab.training.optimisation import learning_rate

LEVELS, BLOCKS = 2, 16
WIDTHS = range(16, 257, 8)  # of which normflows takes the one that comes nearest in parameters
TEMPERATURES = (1.0, 0.7)


class NormFlows(Peer):
    """normflows, as its example trains Glow."""

    def __init__(self, study: StudyFolder, matched: bool) -> None:
        super().__init__(study, "glow")
        self.matched, model = matched, self.spec.model.model_dump()
        transform = nf.transforms.Logit(model["margin"]) if matched else None
        networks = (self.make_network(width, transform) for width in WIDTHS)
        self.network: Any = nearest(networks, self.size)
        self.optimizer = torch.optim.Adamax(self.network.parameters(), lr=1e-3, weight_decay=1e-5)

    @staticmethod
    def make_network(width: int, transform: nn.Module | None) -> nn.Module:
        bases, merges, flows = [], [], []
        for i in range(LEVELS):  # from the coarse level to the fine one
            channels, side = 2 ** (LEVELS - i + 1), PIXELS // 2 ** (LEVELS - i)
            blocks = [nf.flows.GlowBlock(channels, width) for _ in range(BLOCKS)]
            flows.append([*blocks, nf.flows.Squeeze()])
            if i > 0:
                merges.append(nf.flows.Merge())
                channels //= 2
            bases.append(nf.distributions.DiagGaussian((channels, side, side)))
        flow: nn.Module = nf.MultiscaleFlow(bases, flows, merges, transform, class_cond=False)
        return flow

    def step(self, share: float) -> None:
        pixels = 255 * self.next_images()
        loss = self.network.forward_kld((pixels + torch.rand_like(pixels)) / 256)
        if not loss.isfinite():
            return
        loss.backward()
        if self.matched:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.spec.training.clip_norm)
            seen = math.ceil(self.steps * self.spec.training.batch_size / share)
            course = self.spec.training.model_copy(update={"images": seen})
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(course, self.steps - 1)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def samplers(self) -> dict[str, Sampler]:
        def sample(which: range, temperature: float) -> Tensor:
            pixels, _ = self.network.sample(len(which), temperature=temperature)
            return (256 * pixels.nan_to_num()).floor().clamp(0, 255) / 255

        return {
            f"T = {temperature:g}": functools.partial(sample, temperature=temperature)
            for temperature in TEMPERATURES
        }


ROWS: dict[str, SamplerConfig] = {
    f"T = {temperature:g}": PriorSampler(temperature=temperature) for temperature in TEMPERATURES
}
SIDES: dict[str, Callable[[StudyFolder], Side]] = {
    "genlab": functools.partial(GenLab, model="glow", rows=ROWS),
    "normflows": functools.partial(NormFlows, matched=False),
    "normflows-matched": functools.partial(NormFlows, matched=True),
}

if __name__ == "__main__":
    compare("glow", {"sampler": "prior"}, SIDES, __doc__ or "")
