"""VGG-16 trained on ImageNet: the features in which papers measure precision and recall."""

from __future__ import annotations

from genlab.config.pretrained import Pretrained


class VGG16(Pretrained):
    """The second fully connected layer."""

    name = "vgg16"
    features = 4096
    explanation = (
        "Features of a network trained on the photographs of ImageNet, in which papers measure "
        "precision and recall. Grey images are repeated to three channels."
    )
