"""The two parts of the gap between log p(x) and the ELBO.

Cremer et al. 2018 (arXiv:1801.03558), equation 4:

    log p(x) - ELBO(q_encoder)  =   log p(x) - ELBO(q*)            approximation: q is a Gaussian
                                  + ELBO(q*) - ELBO(q_encoder)     amortisation: one encoder for all

q* is the best factorised Gaussian for each image, found by Adam on its own mu and logvar, starting
from the encoder's, with reparameterised gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genlab.config.elbo_study import LocalConfig
from genlab.evaluation.elbo.randomness import normal
from genlab.models.vae import LatentModel, log_weight


def local_posterior(
    model: LatentModel, images: Tensor, config: LocalConfig, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Optimise mu, logvar [B, L] of a factorised Gaussian for each image."""
    parameters = [value.detach().clone().requires_grad_() for value in model.encode(images)]
    optimizer = torch.optim.Adam(parameters, lr=config.learning_rate)
    for step in range(config.steps):
        for group in optimizer.param_groups:  # down to 0, to average out the noise
            group["lr"] = config.learning_rate * (1 - step / config.steps)
        u = normal(random, parameters[0], config.draws, *parameters[0].shape)
        with torch.enable_grad():
            loss = -log_weight(model, images, *parameters)(u).mean(dim=0).sum()
            gradients = torch.autograd.grad(loss, parameters)
        for value, gradient in zip(parameters, gradients, strict=True):
            value.grad = gradient
        optimizer.step()
    mu, logvar = (value.detach() for value in parameters)
    return mu, logvar
