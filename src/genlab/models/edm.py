"""EDM: the design space of diffusion models (Karras et al. 2022, arXiv:2206.00364).

Time is the noise level itself, x = x_0 + sigma eps. The network F is preconditioned,

    D(x; sigma) = c_skip x + c_out F(c_in x; c_noise)            (equation 7, table 1)

so that its input and its target have variance 1 at every sigma. s_d, the standard deviation of the
data, is measured on the training images and saved with the weights. Levels are log-normal, and with
the loss weight lambda(sigma) = 1 / c_out^2 the loss is the mean squared error of F (equation 8);
its target is `edm` in `genlab.processes.gaussian`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlab.config.families.edm import EDMConfig
from genlab.errors import GenLabError
from genlab.models.base import Model
from genlab.models.batches import AT_ONCE
from genlab.models.gaussian import GaussianModel
from genlab.processes.gaussian import marginal_std
from genlab.processes.paths import EDMPath, NoiseLevel


class EDM(GaussianModel):
    """A preconditioned network; time is the noise level."""

    config: EDMConfig
    measured_std: Tensor  # s_d, of the training images on [-1, 1]

    def __init__(
        self,
        config: EDMConfig,
        shape: tuple[int, int, int],
        classes: int,
        first_stage: Model | None = None,
    ) -> None:
        super().__init__(config, shape, classes, first_stage)
        self.path = EDMPath()
        self.prediction = "edm"
        self.register_buffer("measured_std", torch.tensor(0.5))

    @property
    def sigma_data(self) -> Tensor:
        return self.measured_std

    def measure(self, images: NDArray[np.uint8]) -> None:
        counts = np.zeros(256, np.int64)
        for start in range(0, len(images), AT_ONCE):  # in parts: bincount copies to int64
            counts += np.bincount(images[start : start + AT_ONCE].reshape(-1), minlength=256)
        if np.count_nonzero(counts) == 1:
            raise GenLabError(
                "all pixels of the training images are equal: there is nothing to learn"
            )
        values = np.arange(256) / 127.5 - 1
        mean = np.average(values, weights=counts)
        variance = np.average((values - mean) ** 2, weights=counts)
        self.measured_std.fill_(float(np.sqrt(variance)))

    def draw_times(self, n: int, device: torch.device) -> Tensor:
        """sigma with ln(sigma) ~ N(P_mean, P_std^2)."""
        u = torch.randn(n, device=device, dtype=torch.float64)
        return (self.config.log_mean + self.config.log_std * u).exp()

    def input_scale(self, level: NoiseLevel) -> Tensor:
        """c_in = 1 / sqrt(alpha^2 s_d^2 + sigma^2)."""
        return 1 / marginal_std(level, self.sigma_data.double())
