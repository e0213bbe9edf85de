"""Inception v3 with the weights of the original FID, by torch-fidelity."""

from __future__ import annotations

from genlab.evaluation.pretrained import PretrainedExtractor


class InceptionV3(PretrainedExtractor):
    """Features of the pooling layer, and logits without their biases, as the papers use them."""

    name = "inception-v3-compat"
    layers = ("2048", "logits_unbiased")
