"""Flow matching: the times, the pairing by optimal transport, and reflow."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from oracles import awake
from torch import Tensor
from torch.distributions import Normal, Uniform

from genlab.config.families import build_family
from genlab.errors import ConfigError
from genlab.models.base import Batch, Facts, build_model
from genlab.models.flow_matching import FlowMatching, nearest_noise
from genlab.processes.noise import SampleNoise
from genlab.results.layout import StudyFolder
from genlab.samplers import find
from genlab.workflow.models import load_trained
from genlab.workflow.train import train

SHAPE = (1, 4, 4)
NETWORK: dict[str, Any] = {"channels": 4, "multipliers": [1], "attention": []}


def make_flow(first: FlowMatching | None = None, **more: Any) -> FlowMatching:
    values = {"family": "flow_matching", "network": NETWORK, **more}
    if first is not None:
        values |= {"first_stage": "flow", "reflow_steps": 3}
    model = build_model(build_family(values, "here"), Facts(SHAPE, 10), 0, first)
    assert isinstance(model, FlowMatching)
    return model


@pytest.mark.parametrize(
    ("settings", "of_logit"),
    [
        ({"times": "uniform"}, None),
        ({"times": "logit-normal"}, Normal(0.0, 1.0)),
        ({"times": "logit-normal", "logit_mean": 0.5, "logit_std": 0.8}, Normal(0.5, 0.8)),
    ],
)
def test_times_are_uniform_or_logit_normal(
    settings: dict[str, Any], of_logit: Normal | None
) -> None:
    n = 10_000
    t = make_flow(**settings).draw_times(n, torch.device("cpu")).sort().values
    below = Uniform(0.0, 1.0).cdf(t) if of_logit is None else of_logit.cdf(t.logit())
    # Kolmogorov: a gap of 2 / sqrt(n) anywhere has chance 2 e^-8 = .0007
    assert float((torch.arange(1, n + 1) / n - below).abs().max()) < 2 / n**0.5


@pytest.mark.parametrize("more", [{"logit_mean": 0.5}, {"logit_std": 0.8}])
def test_uniform_times_have_no_logits(more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="set times: logit-normal"):
        make_flow(**more)


@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_ot_pairing_is_the_best_of_all_permutations(n: int) -> None:
    x0, eps = torch.rand(n, *SHAPE), torch.randn(n, *SHAPE)

    def cost(noise: Tensor) -> float:
        return float((x0 - noise).double().square().sum())

    paired = nearest_noise(x0, eps)
    best = min(cost(eps[list(order)]) for order in itertools.permutations(range(n)))
    assert cost(paired) == pytest.approx(best, rel=1e-6)  # float32 sums, and ties are ties
    order = [[torch.equal(a, b) for b in eps].index(True) for a in paired]
    assert sorted(order) == list(range(n))  # each noise once


def test_ot_pairing_moves_the_noise_and_leaves_the_images_where_they_are() -> None:
    flow = make_flow(pairing="ot")
    images = torch.rand(16, *SHAPE)
    torch.manual_seed(3)
    x0, eps = flow.pair(Batch(images, torch.zeros(16, dtype=torch.int64)))
    torch.manual_seed(3)
    samples = torch.randn(16, *SHAPE)
    assert torch.equal(x0, 2 * images - 1)
    assert torch.equal(eps, nearest_noise(x0, samples)) and not torch.equal(eps, samples)


def test_ot_pairing_of_a_conditional_model_is_refused() -> None:
    """The noise of a class would not be N(0, I), from which its samples start."""
    with pytest.raises(ConfigError, match="remove conditional or pairing: ot"):
        make_flow(pairing="ot", conditional=True)


def test_reflow_s_pairs_are_the_first_stage_s_ode() -> None:
    """Noise and the image it leads to; the same whenever they are made, whatever was drawn."""
    first = awake(make_flow())
    flow = make_flow(first)
    flow.measure(np.zeros((130, *SHAPE), dtype=np.uint8))
    assert flow.pairs is not None
    x0, eps = flow.pairs
    assert x0.shape == eps.shape == (130, *SHAPE)
    # Noise of variance 1, all of it different
    assert float(eps.var()) == pytest.approx(1, abs=5 * (2 / eps.numel()) ** 0.5)
    assert len({tuple(one.flatten().tolist()) for one in eps}) == 130

    class Given(SampleNoise):
        def normal(self, *shape: int) -> Tensor:
            return eps[self.indices.start : self.indices.stop]

    *_, last = find("heun")(first.denoiser(), Given(0, range(90, 95)), SHAPE, steps=3)
    # Another batch size may take another order of summation; the network's weights are large.
    torch.testing.assert_close(x0[90:95].double(), last.x, rtol=1e-3, atol=1e-3)

    torch.rand(7)
    flow.measure(np.ones((130, *SHAPE), dtype=np.uint8))
    assert torch.equal(flow.pairs[0], x0) and torch.equal(flow.pairs[1], eps)


def test_reflow_s_noise_is_not_what_samples_start_from() -> None:
    flow = make_flow(awake(make_flow()))
    flow.measure(np.zeros((8, *SHAPE), dtype=np.uint8))
    assert flow.pairs is not None
    for seed in range(3):
        samples = SampleNoise(seed, range(8)).normal(*SHAPE)
        assert not any(torch.equal(a, b) for a in samples for b in flow.pairs[1])


@torch.no_grad()
@pytest.mark.parametrize("held_out", [False, True])
def test_reflow_learns_its_pairs_and_not_the_images(held_out: bool) -> None:
    """Its loss by hand, on the same random numbers; held-out pairs are others."""
    first = awake(make_flow(clip=False))
    flow = make_flow(first, clip=False)
    flow.measure(np.zeros((20, *SHAPE), dtype=np.uint8))
    assert flow.pairs is not None and flow.held_out_pairs is not None
    noise = torch.cat([flow.pairs[1], flow.held_out_pairs[1]])
    assert len(noise.flatten(1).unique(dim=0)) == len(noise) > 20
    flow.train(not held_out)
    pairs = flow.held_out_pairs if held_out else flow.pairs
    batch = Batch(torch.rand(64, *SHAPE), torch.zeros(64, dtype=torch.int64))
    torch.manual_seed(2)
    loss = flow.loss(batch)["loss"]
    torch.manual_seed(2)
    which, t = torch.randint(len(pairs[0]), (64,)), torch.rand(64, dtype=torch.float64)
    x0, eps = (end[which] for end in pairs)
    share = t.float()[:, None, None, None]
    velocity = flow.network((1 - share) * x0 + share * eps, (1000 * t).float())
    torch.testing.assert_close(loss, (velocity - (eps - x0)).square().mean(), rtol=1e-4, atol=0)


def test_reflow_goes_on_from_the_weights_below_where_the_networks_are_alike() -> None:
    first = awake(make_flow())
    same, other = make_flow(first), make_flow(first, network={**NETWORK, "channels": 8})
    x = torch.randn(2, *SHAPE)
    assert torch.equal(same.denoiser()(x, 0.4).x0, first.denoiser()(x, 0.4).x0)
    assert not torch.equal(other.denoiser()(x, 0.4).x0, first.denoiser()(x, 0.4).x0)
    assert not any(weight.requires_grad for weight in first.parameters())
    assert all(weight.requires_grad for weight in same.network.parameters())


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ({"family": "ddpm"}, "is of family ddpm, which has no velocity to straighten"),
        ({"family": "flow_matching", "conditional": True}, "is conditional"),
        ({"family": "flow_matching", "first_stage": "flow"}, "builds on 'flow' itself"),
    ],
)
def test_first_stages_that_reflow_cannot_build_on(first: dict[str, Any], message: str) -> None:
    family = build_family({"family": "flow_matching", "first_stage": "below"}, "here")
    (problem,) = family.first_stage_problems(build_family(first, "here"))
    assert problem.startswith("first_stage: 'below' ") and message in problem


@pytest.mark.parametrize("more", [{"pairing": "ot"}, {"conditional": True}])
def test_reflow_has_pairs_already_and_no_classes(more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^here: "):
        build_family({"family": "flow_matching", "first_stage": "flow", **more}, "here")


def test_reflow_is_trained_and_loaded_as_a_second_stage(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    network = {"channels": 4, "multipliers": [1], "attention": []}
    flow = {"preset": "flow_matching", "name": "flow", "network": network}
    reflow = {
        "preset": "flow_matching", "name": "reflow", "network": network,
        "first_stage": "flow", "reflow_steps": 2,
    }  # fmt: skip
    rows = {"ddim-3": {"sampler": "ddim", "steps": 3}}
    at = tiny_study(models=["vae", flow, reflow], samplers=rows)
    for name in ("flow", "reflow"):
        train(at.run("stripes", name, 0), cpu=True)
    first, above = (load_trained(at.run("stripes", name, 0)) for name in ("flow", "reflow"))
    assert isinstance(first, FlowMatching) and isinstance(above, FlowMatching)
    below_it = above.first_stage
    assert below_it is not None
    x = torch.randn(2, *above.shape)
    with torch.no_grad():
        assert torch.equal(below_it.denoiser()(x, 0.5).x0, first.denoiser()(x, 0.5).x0)
        assert not torch.equal(above.denoiser()(x, 0.5).x0, first.denoiser()(x, 0.5).x0)
