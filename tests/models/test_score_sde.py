"""Score SDEs: the path by its name, the times, and what the network is shown."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from genlab.config.families.score_sde import ScoreSDEConfig
from genlab.config.networks import UNetConfig
from genlab.models.base import Batch
from genlab.models.score_sde import ScoreSDE
from genlab.processes.paths import Path, SubVPPath, VEPath, VPPath

SHAPE = (1, 4, 4)
UNET = UNetConfig(channels=4, multipliers=(1,), attention=())

sdes = pytest.mark.parametrize("sde", ["vp", "subvp", "ve"])


def make_sde(sde: str) -> ScoreSDE:
    config = ScoreSDEConfig.model_validate({"sde": sde, "network": UNET})
    return ScoreSDE(config, SHAPE, 10)


@pytest.mark.parametrize(("sde", "path"), [("vp", VPPath), ("subvp", SubVPPath), ("ve", VEPath)])
def test_the_path_is_that_of_the_sde(sde: str, path: type[Path]) -> None:
    assert type(make_sde(sde).path) is path


@sdes
def test_times_are_uniform_from_just_above_zero(sde: str) -> None:
    n = 4000
    t = make_sde(sde).draw_times(n, torch.device("cpu")).sort().values
    assert float(t[0]) >= 1e-5 and float(t[-1]) <= 1
    # Kolmogorov: a gap of 2 / sqrt(n) anywhere has chance 2 e^-8 = .0007
    assert float((t - torch.arange(n) / n).abs().max()) < 2 / n**0.5


@torch.no_grad()
@sdes
@pytest.mark.parametrize("t", [0.01, 0.5, 1.0])
def test_the_network_is_shown_unit_variance_of_unit_data_at_every_time(sde: str, t: float) -> None:
    """So VE's x_t, 50 times the image in the end, doesn't drown the network."""
    model, n = make_sde(sde), 4000
    model.draw_times = lambda n, device: torch.full((n,), t).double()  # type: ignore[method-assign]
    seen: list[Tensor] = []
    model.network.register_forward_pre_hook(lambda _, arguments: seen.extend(arguments[:2]))
    images = (torch.randn(n, *SHAPE) + 1) / 2
    model.loss(Batch(images, torch.zeros(n, dtype=torch.int64)))
    # Five standard errors of a variance of 16 n normals
    assert float(seen[0].var()) == pytest.approx(1, abs=5 * (2 / (16 * n)) ** 0.5)
    assert float(seen[1][0]) == pytest.approx(999 * t, rel=1e-6)  # float32
