"""Inception v3 trained on ImageNet, in torch-fidelity's version: the features of the literature."""

from __future__ import annotations

from genlab.config.pretrained import Pretrained


class Inception(Pretrained):
    """The pooling layer, in which the FID of papers is measured."""

    name = "inception-v3-compat"
    features = 2048
    predicts_classes = True
    explanation = (
        "Features of a network trained on the photographs of ImageNet, as in published tables; of "
        "drawings or digits they say less. Grey images are repeated to three channels."
    )
