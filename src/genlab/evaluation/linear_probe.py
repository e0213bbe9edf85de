"""Linear probe of latents (Alain & Bengio 2016, arXiv:1610.01644).

How well a linear classifier tells the classes from a model's latents: the more of a class is in
few directions of the latent space, the more accurate it is.
"""

from __future__ import annotations

import numpy as np

from genlab.evaluation.regression import Floats, Labels, fit_regression


def linear_probe(
    train: tuple[Floats, Labels], test: tuple[Floats, Labels], active: float
) -> float | None:
    """Accuracy on held-out images of a regression on the latents of training images.

    Each latent is standardised by its mean and deviation over the training images. Latents whose
    variance is below `active` become 0: standardised, their small variation would count as much as
    that of the others.

    Args:
        train: latents [N, L] and classes [N] of training images.
        test: those of held-out images.

    Returns:
        A share on [0, 1]; None where the training images are of one class.
    """
    if len(np.unique(train[1])) < 2:
        return None
    mean, deviation = train[0].mean(axis=0), train[0].std(axis=0)
    scale = np.zeros_like(deviation)
    np.divide(1, deviation, out=scale, where=np.square(deviation) > active)
    classes = int(max(train[1].max(), test[1].max())) + 1
    regression = fit_regression((train[0] - mean) * scale, train[1], classes)
    return float((regression.predict((test[0] - mean) * scale) == test[1]).mean())
