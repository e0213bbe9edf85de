"""Why the ELBO falls short of log p(x) (Cremer et al. 2018, arXiv:1801.03558, equation 4).

    log p(x) - ELBO(q_encoder)  =   log p(x) - ELBO(q*)            approximation: q is a Gaussian
                                  + ELBO(q*) - ELBO(q_encoder)     amortisation: one encoder for all

with q* the best factorised Gaussian for the image at hand. It is looked for by Adam on mu and
logvar of each image, from the encoder's on, with reparameterised gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genlab.config.elbo_study import LocalConfig
from genlab.evaluation.elbo.bounds import normal
from genlab.models.vae import LatentModel, log_weight


def local_posterior(
    model: LatentModel, images: Tensor, config: LocalConfig, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """mu, logvar [B, L] of the factorised Gaussians that fit each image best."""
    found = [value.detach().clone().requires_grad_() for value in model.encode(images)]
    optimizer = torch.optim.Adam(found, lr=config.learning_rate)
    for step in range(config.steps):
        for group in optimizer.param_groups:  # down to 0, so that the last steps' noise averages
            group["lr"] = config.learning_rate * (1 - step / config.steps)
        u = normal(random, found[0], config.draws, *found[0].shape)
        with torch.enable_grad():
            loss = -log_weight(model, images, *found)(u).mean(dim=0).sum()
            gradients = torch.autograd.grad(loss, found)
        for value, gradient in zip(found, gradients, strict=True):
            value.grad = gradient
        optimizer.step()
    mu, logvar = (value.detach() for value in found)
    return mu, logvar
