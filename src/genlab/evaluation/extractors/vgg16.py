"""VGG-16 with torchvision's weights, by torch-fidelity."""

from __future__ import annotations

from genlab.evaluation.pretrained import PretrainedExtractor


class VGG16(PretrainedExtractor):
    """The second fully connected layer after its ReLU (Kynkaanniemi et al., arXiv:1904.06991)."""

    name = "vgg16"
    layers = ("fc2_relu",)
