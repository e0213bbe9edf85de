"""GenLab's flow matching beside torchcfm, in one run on one machine.

    python benchmarks/flow.py                                the full comparison
    python benchmarks/flow.py --seconds 30 --only genlab torchcfm

Every side has the same 4,000 digits in the same order, the same batch size, the same threads, the
same seconds of training and, but for the DiT, about the same number of parameters; making its
objects and its first steps are not counted. Then each draws images with Euler's method in 50 steps,
GenLab's also by the reverse SDE in as many network evaluations, and the Frechet distance of those
to the training digits is measured in the features of a classifier that was trained on real digits
alone. Held-out real digits, as many, give the floor.

    genlab     config/models/flow.yaml as it stands, trained by the step of `genlab train`
    genlab-adamw
               the same by AdamW, of which torchcfm's Adam is the form without decay of the weights
    genlab-noisier
               flow.yaml trained on times nearer to the noise, whose logits are N(.5, .8^2)
    genlab-dit config/models/dit.yaml, a diffusion transformer of twice the size
    genlab-dit-plain
               the same with `convolution: false`, as the paper has its blocks
    torchcfm   UNetModelWrapper and ConditionalFlowMatcher(sigma=0), trained as in its example of
               MNIST: Adam at 1e-3, no averaging, float32
    torchcfm-cifar10
               the same, trained as in its example of CIFAR-10: Adam at 2e-4, warm-up over an
               eightieth of the training, clipping at 1, EMA of .9999 without warm-up
    torchcfm-matched
               the same library with GenLab's learning rate and an EMA with GenLab's warm-up

All sides sample with averaged weights where they keep any, GenLab in the precision that it comes to
on this processor; torchcfm in float32, by torchdiffeq's Euler method, as in its evaluation script.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from sides import PIXELS, GenLab, Peer, Sampler, Side, by_adamw, compare, nearest
from torch import Tensor, nn
from torchcfm import ConditionalFlowMatcher
from torchcfm.models.unet.unet import UNetModelWrapper
from torchdiffeq import odeint

from genlab.config.samplers.dpm_solver import DPMSolverSampler
from genlab.config.samplers.euler import EulerSampler
from genlab.results.layout import StudyFolder
from genlab.training.optimisation import ema_decay

STEPS = 50
EULER = f"euler-{STEPS}"
LEVELS = [(1,), (1, 1), (1, 1, 1), (1, 2), (1, 2, 2)]  # torchcfm's, of 32 channels each at least


class TorchCFM(Peer):
    """torchcfm by one of its examples, or with GenLab's recipe."""

    def __init__(self, study: StudyFolder, recipe: str) -> None:
        super().__init__(study, "flow")
        self.recipe = recipe
        self.network = nearest(map(self.make_network, LEVELS), self.size)
        rates = {"mnist": 1e-3, "cifar10": 2e-4, "matched": self.spec.training.learning_rate}
        self.rate = rates[recipe]
        self.optimizer = torch.optim.Adam(self.network.parameters(), self.rate)
        self.average = {name: t.detach().clone() for name, t in self.network.state_dict().items()}
        self.matcher = ConditionalFlowMatcher(sigma=0.0)

    @staticmethod
    def make_network(levels: tuple[int, ...]) -> nn.Module:
        network: nn.Module = UNetModelWrapper(
            dim=(1, PIXELS, PIXELS), num_channels=32, num_res_blocks=1, channel_mult=list(levels),
            attention_resolutions="7",
        )  # fmt: skip
        return network

    def step(self, share: float) -> None:
        if self.recipe == "cifar10":
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate * min(1.0, 80 * share)
        images = 2 * self.next_images() - 1
        t, x, velocity = self.matcher.sample_location_and_conditional_flow(
            torch.randn_like(images), images
        )
        loss = (self.network(t, x) - velocity).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        if self.recipe != "mnist":
            nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self._update_average()

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = {"mnist": 0.0, "cifar10": 0.9999}.get(self.recipe)
        if decay is None:
            decay = ema_decay(self.spec.training.ema, self.steps)
        for name, value in self.network.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)

    def samplers(self) -> dict[str, Sampler]:
        self.network.load_state_dict(self.average)
        network = self.network.eval()
        times = torch.linspace(0, 1, STEPS + 1)

        def sample(which: range) -> Tensor:
            noise = torch.randn(len(which), 1, PIXELS, PIXELS)
            return ((odeint(network, noise, times, method="euler")[-1] + 1) / 2).clamp(0, 1)

        return {EULER: sample}


ROWS = {
    EULER: EulerSampler(steps=STEPS),
    f"sde-dpm-solver-{STEPS}": DPMSolverSampler(steps=STEPS, stochastic=True, spacing="karras"),
}
genlab = functools.partial(GenLab, rows=ROWS)
NOISIER = {"preset": "flow", "name": "flow-noisier", "logit_mean": 0.5, "logit_std": 0.8}
PLAIN = {"preset": "dit", "name": "dit-plain", "network": {"convolution": False}}
SIDES: dict[str, Callable[[StudyFolder], Side]] = {
    "genlab": functools.partial(genlab, model="flow"),
    "genlab-adamw": functools.partial(genlab, model="flow-adamw"),
    "genlab-noisier": functools.partial(genlab, model="flow-noisier"),
    "genlab-dit": functools.partial(genlab, model="dit"),
    "genlab-dit-plain": functools.partial(genlab, model="dit-plain"),
    "torchcfm": functools.partial(TorchCFM, recipe="mnist"),
    "torchcfm-cifar10": functools.partial(TorchCFM, recipe="cifar10"),
    "torchcfm-matched": functools.partial(TorchCFM, recipe="matched"),
}

if __name__ == "__main__":
    compare(
        "flow",
        {"sampler": "euler", "steps": STEPS},
        SIDES,
        __doc__ or "",
        beside=["dit", by_adamw("flow"), NOISIER, PLAIN],
    )
