"""Score-based generative modelling by SDEs (Song et al. 2021, arXiv:2011.13456).

An SDE dx = f(x, t) dt + g(t) dw turns images into noise; its reverse needs the score of x_t,

    dx = (f(x, t) - g(t)^2 grad log p_t(x)) dt + g(t) dw          (equation 6)

which a network learns by denoising (equation 7). Given x_0, x_t is Gaussian: the three SDEs of the
paper are three paths (equation 29), `genlab.processes.paths`. With the weight lambda(t) = sigma^2
the loss is the mean squared error of eps = -sigma times the score, which the network predicts.

An error of eps becomes an error of x_0 that is sigma / alpha times as large, 50 times at the start
of VE; it takes long to train away. With `prediction: edm` the network predicts EDM's F
(`genlab.processes.gaussian`, with s_d = 1: -v on the VP path), which determines x_0 equally well at
all noise levels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genlab.config.families.score_sde import ScoreSDEConfig
from genlab.models.base import Model
from genlab.models.gaussian import GaussianModel
from genlab.processes.gaussian import marginal_std
from genlab.processes.paths import NoiseLevel, SubVPPath, VEPath, VPPath

PATHS = {"vp": VPPath, "subvp": SubVPPath, "ve": VEPath}


class ScoreSDE(GaussianModel):
    """A network on the path of an SDE, in continuous time."""

    config: ScoreSDEConfig

    def __init__(
        self,
        config: ScoreSDEConfig,
        shape: tuple[int, int, int],
        classes: int,
        first_stage: Model | None = None,
    ) -> None:
        super().__init__(config, shape, classes, first_stage)
        self.path = PATHS[config.sde]()
        self.prediction = config.prediction

    def draw_times(self, n: int, device: torch.device) -> Tensor:
        """t ~ U[t_min, 1]."""
        low = self.path.t_min
        return low + (1 - low) * torch.rand(n, device=device, dtype=torch.float64)

    def input_scale(self, level: NoiseLevel) -> Tensor:
        """1 / sqrt(alpha^2 + sigma^2): x_t of VE has up to 50 times the image's size."""
        return 1 / marginal_std(level)
