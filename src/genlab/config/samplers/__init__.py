"""Settings of the samplers: one file for each, found by its name.

To add a sampler, add two files: `genlab/config/samplers/NAME.py` with a subclass of
`SteppedSampler` or `PathSampler`, and `genlab/samplers/NAME.py` with its function `sample`
(with _ for - in file names). Every family with a Gaussian path can then be sampled with it.
"""

from __future__ import annotations

from genlab.config.samplers.base import (
    DirectSampler,
    PathSampler,
    PathSpacing,
    SamplerConfig,
    Spacing,
    SteppedSampler,
    settings,
)
from genlab.config.samplers.tokens import TokenSampler
from genlab.registry import class_in, modules_in

__all__ = [
    "SAMPLERS",
    "DirectSampler",
    "PathSampler",
    "PathSpacing",
    "SamplerConfig",
    "Spacing",
    "SteppedSampler",
    "TokenSampler",
    "settings",
]


def _all_samplers() -> dict[str, type[SamplerConfig]]:
    modules = [module for module in modules_in(__name__) if not module.endswith(".base")]
    classes = {
        module.rpartition(".")[2].replace("_", "-"): class_in(module, SamplerConfig)
        for module in modules
    }
    return dict(sorted(classes.items(), key=lambda entry: (entry[1].place, entry[0])))


SAMPLERS = _all_samplers()
"""The configuration class of every sampler by the name that YAML files use, in order of `place`."""
