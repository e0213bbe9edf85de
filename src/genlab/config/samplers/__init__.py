"""Settings of the samplers: one file for each, found by its name.

To add a sampler, add two files: `genlab/config/samplers/NAME.py` with a subclass of
`SteppedSampler` or `PathSampler`, and `genlab/samplers/NAME.py` with its function `sample`
(with _ for - in file names). Every family with a Gaussian path can then be sampled with it.
"""

from __future__ import annotations

import importlib
import pkgutil

from genlab.config.samplers.base import (
    DirectSampler,
    PathSampler,
    SamplerConfig,
    Spacing,
    SteppedSampler,
    settings,
)
from genlab.config.samplers.tokens import TokenSampler
from genlab.errors import ConfigError

__all__ = [
    "SAMPLERS",
    "DirectSampler",
    "PathSampler",
    "SamplerConfig",
    "Spacing",
    "SteppedSampler",
    "TokenSampler",
    "settings",
]


def sampler_class(module_name: str) -> type[SamplerConfig]:
    """Return the subclass of `SamplerConfig` that is defined in a module of this package."""
    module = importlib.import_module(f"{__name__}.{module_name}")
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, SamplerConfig)
            and value.__module__ == module.__name__  # defined there, not imported
        ):
            return value
    raise ConfigError(f"{module.__file__}: defines no subclass of SamplerConfig")


def _all_samplers() -> dict[str, type[SamplerConfig]]:
    names = [module.name for module in pkgutil.iter_modules(__path__) if module.name != "base"]
    classes = {name.replace("_", "-"): sampler_class(name) for name in names}
    return dict(sorted(classes.items(), key=lambda entry: (entry[1].place, entry[0])))


SAMPLERS = _all_samplers()
"""The configuration class of every sampler by the name that YAML files use, in order of `place`."""
