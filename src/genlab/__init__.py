"""GenLab: train, sample, measure and compare generative models of images.

    import genlab

    data = genlab.load_data("digits")
    model = genlab.fit("ddpm", data, images_seen=64_000, seed=0)
    samples = genlab.sample(model, "dpm-solver", n=64, steps=20)  # uint8 [64, C, H, W]
    genlab.evaluate(samples, reference=data)
    genlab.save(model, "ddpm.safetensors")

Importing this package alone imports no torch; the functions are loaded at their first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genlab.api import evaluate, fit, load, load_data, sample, save, save_grid

__version__ = "0.1.0"
__all__ = ["evaluate", "fit", "load", "load_data", "sample", "save", "save_grid"]


def __getattr__(name: str) -> Any:
    """Load a function of `genlab.api` at its first use."""
    if name in __all__:
        from genlab import api

        return getattr(api, name)
    raise AttributeError(f"module 'genlab' has no attribute '{name}'")
