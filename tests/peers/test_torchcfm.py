"""Flow matching against torchcfm: lines, velocities, and pairs by optimal transport.

Its time runs the other way: noise (their x_0) at 0, image (their x_1) at 1.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from genlab.config.families.flow_matching import FlowMatchingConfig
from genlab.config.networks import UNetConfig
from genlab.models.base import Batch
from genlab.models.flow_matching import FlowMatching, nearest_noise

matching = pytest.importorskip("torchcfm.conditional_flow_matching")
transport = pytest.importorskip("torchcfm.optimal_transport")

SHAPE = (1, 4, 4)
UNET = UNetConfig(channels=4, multipliers=(1,), attention=())


def test_states_and_velocities_are_those_of_conditional_flow_matching() -> None:
    flow, n = FlowMatching(FlowMatchingConfig(network=UNET), SHAPE, 10), 64
    images = torch.rand(n, *SHAPE)
    torch.manual_seed(1)
    noised = flow.add_noise(Batch(images, torch.zeros(n, dtype=torch.int64)))
    torch.manual_seed(1)
    eps = torch.randn(n, *SHAPE)
    peer = matching.ConditionalFlowMatcher(sigma=0.0)
    _, x, velocity = peer.sample_location_and_conditional_flow(
        eps, 2 * images - 1, t=1 - noised.t.float()
    )
    # float32; (1 - t) is rounded on either side
    torch.testing.assert_close(noised.x, x, rtol=0, atol=2e-6)
    torch.testing.assert_close(noised.target, -velocity, rtol=0, atol=1e-6)


@pytest.mark.parametrize("n", [2, 16, 64])
def test_pairs_are_the_exact_plan_of_optimal_transport(n: int) -> None:
    """The peer's plan is a permutation over n; ours has its cost, and is it."""
    x0, eps = torch.rand(n, *SHAPE), torch.randn(n, *SHAPE)
    plan = transport.OTPlanSampler("exact").get_map(eps, x0)  # [noise, image]
    np.testing.assert_allclose(np.sort(plan.ravel())[-n:], 1 / n, rtol=1e-9)
    theirs = eps[torch.from_numpy(plan.argmax(axis=0))]

    def cost(noise: Tensor) -> float:
        return float((x0 - noise).double().square().sum())

    ours = nearest_noise(x0, eps)
    assert cost(ours) == pytest.approx(cost(theirs), rel=1e-6)
    assert torch.equal(ours, theirs)  # no two pairings of random numbers cost the same
