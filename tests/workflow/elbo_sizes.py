"""Sizes of the ELBO study that suit the tiny study."""

from __future__ import annotations

from genlab.config.elbo_study import ElboStudyConfig

SMALL = ElboStudyConfig.model_validate(
    {
        "ppca": {"latent": 4, "bounds": {"images": 3, "samples": [1, 10], "draws": 200}},
        "gradients": {"latents": [1, 4], "estimates": 50, "samples": 4},
        "decomposition": {"images": 40},
        "bounds": {"images": 4, "samples": [1, 5, 50], "draws": 400},
        "annealing": {"images": 4, "simulated": 4, "temperatures": 12, "leapfrog": 2},
        "local": {"steps": 20, "final_draws": 20},
    }
)
