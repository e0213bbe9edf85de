"""DINOv2 ViT-B/14: features that are learned from photographs without labels."""

from __future__ import annotations

from genlab.config.pretrained import Pretrained


class DINOv2Base(Pretrained):
    """The class token after the last layer."""

    name = "dinov2-vit-b-14"
    features = 768
    explanation = (
        "Features of DINOv2 ViT-B/14, trained on photographs without labels; FD in DINOv2's "
        "features agrees best with people (arXiv:2306.04675). Grey images are repeated to three "
        "channels."
    )
