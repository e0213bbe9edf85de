"""DINOv2 ViT-S/14."""

from __future__ import annotations

from genlab.evaluation.dinov2 import DINOv2


class DINOv2Small(DINOv2):
    """The class token after the last layer."""

    name = "dinov2-vit-s-14"
