"""Flow matching on straight lines (Lipman et al. 2023, arXiv:2210.02747; Liu et al. 2023,
arXiv:2209.03003, "rectified flow").

x_t = (1 - t) x_0 + t eps goes from the image at t = 0 to the noise at t = 1 (the papers count the
other way), and a network learns the velocity dx/dt = eps - x_0 by mean squared error (2210.02747,
equation 23). Where lines of different pairs cross, it learns the mean of their velocities, and the
sampled paths are curved. Two options reduce crossings:

`pairing: ot` pairs the images of a batch with its noise so that the sum of squared distances is
least (Tong et al. 2024, arXiv:2302.00482, section 3.3; Pooladian et al. 2023, arXiv:2304.14772).
The noise is permuted, so labels stay with their images.

`first_stage` ("reflow") trains on the pairs of another flow: noise, and the image that its ODE maps
it to (2209.03003, equation 1 with algorithm 1). Before the first step, as many pairs as there are
training images are computed, and `HELD_OUT_PAIRS` more for the held-out loss. The images themselves
are not used. A pair takes 2 `reflow_steps` - 1 network evaluations, which count as training time.
If both models have the same network, training starts from the first one's weights, as in the paper.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from genlab.config.families.flow_matching import FlowMatchingConfig
from genlab.data.randomness import address
from genlab.models.base import Batch, Model
from genlab.models.gaussian import GaussianModel, logit_normal
from genlab.nn.collectives import own_rows, whole_batch
from genlab.processes.noise import GivenNoise, SampleNoise
from genlab.processes.paths import LinearPath
from genlab.samplers import heun

PAIRS_AT_ONCE = 100
HELD_OUT_PAIRS = 500
"""Pairs of reflow that are not trained on."""

Pairs = tuple[Tensor, Tensor]
"""Ends (x_0, eps) of lines, [N, C, H, W] each."""


@torch.library.custom_op("genlab::assignment", mutates_args=())  # compiled as one opaque step
def assignment(costs: Tensor) -> Tensor:
    """The permutation int64 [B] that pairs rows and columns of `costs` [B, B] at the least sum."""
    _, order = linear_sum_assignment(costs.cpu().numpy())
    return torch.from_numpy(order).to(costs.device)


@assignment.register_fake
def _(costs: Tensor) -> Tensor:
    return costs.new_empty(len(costs), dtype=torch.int64)


def nearest_noise(x0: Tensor, eps: Tensor) -> Tensor:
    """Permute `eps` so that sum_i |x_0i - eps_i|^2 is least; both [B, C, H, W]."""
    costs = torch.cdist(x0.flatten(1).float(), eps.flatten(1).float()).square()
    order: Tensor = assignment(costs)
    return eps[order]


class FlowMatching(GaussianModel):
    """A network that predicts the velocity of straight paths."""

    config: FlowMatchingConfig
    first_stage: FlowMatching | None

    def __init__(
        self,
        config: FlowMatchingConfig,
        shape: tuple[int, int, int],
        classes: int,
        first_stage: Model | None = None,
    ) -> None:
        super().__init__(config, shape, classes, first_stage)
        self.path = LinearPath()
        self.prediction = "velocity"
        if isinstance(first_stage, FlowMatching) and first_stage.config.network == config.network:
            self.network.load_state_dict(first_stage.network.state_dict())
        self.pairs: Pairs | None = None  # of reflow, to train on
        self.held_out_pairs: Pairs | None = None  # of reflow

    @property
    def batch_size_matters(self) -> bool:
        return self.config.pairing == "ot"

    def draw_times(self, n: int, device: torch.device) -> Tensor:
        """t ~ U[0, 1], or logit-normal."""
        if self.config.times == "uniform":
            return torch.rand(n, device=device, dtype=torch.float64)
        return logit_normal(self.config, n, device, torch.float64)

    def pair(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The ends (x_0, eps) of lines, paired by `pairing` or by the first stage."""
        pairs = self.pairs if self.training else self.held_out_pairs
        if pairs is not None:
            labels = batch.labels
            which = torch.randint(len(pairs[0]), labels.shape, device=labels.device)
            return pairs[0][which], pairs[1][which]
        x0, eps = super().pair(batch)
        if self.config.pairing == "independent":
            return x0, eps
        if not self.training:
            return x0, nearest_noise(x0, eps)
        return x0, own_rows(nearest_noise(whole_batch(x0), whole_batch(eps)))  # of all processes

    def measure(self, images: NDArray[np.uint8]) -> None:
        """Compute the pairs of reflow: one for each of the images, and those that are held out."""
        if self.first_stage is None:
            return
        n = len(images)
        self.pairs = self._pairs_of(self.first_stage, range(n))
        self.held_out_pairs = self._pairs_of(self.first_stage, range(n, n + HELD_OUT_PAIRS))

    @torch.no_grad()
    def _pairs_of(self, flow: FlowMatching, indices: range) -> Pairs:
        """The pairs `indices` of `flow`; pair i is a function of i and its weights."""
        device = next(self.parameters()).device
        images_of_noise, noise = [], []
        for begin in range(0, len(indices), PAIRS_AT_ONCE):
            which = indices[begin : begin + PAIRS_AT_ONCE]
            # A separate seed, so that samples start from other noise.
            eps = SampleNoise(address("reflow"), which, device).normal(*self.shape)
            *_, last = heun.sample(
                flow.denoiser(), GivenNoise(eps), self.shape, steps=self.config.reflow_steps
            )
            x0 = last.x.float()
            images_of_noise.append(x0.clamp(-1, 1) if self.config.clip else x0)
            noise.append(eps)
        return torch.cat(images_of_noise), torch.cat(noise)
