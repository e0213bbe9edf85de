"""DINOv2 ViT-L/14: features that are learned from photographs without labels."""

from __future__ import annotations

from genlab.config.pretrained import Pretrained


class DINOv2Large(Pretrained):
    """The class token after the last layer."""

    name = "dinov2-vit-l-14"
    features = 1024
    explanation = (
        "Features of DINOv2 ViT-L/14, trained on photographs without labels; FD in DINOv2's "
        "features agrees best with people (arXiv:2306.04675). Grey images are repeated to three "
        "channels."
    )
