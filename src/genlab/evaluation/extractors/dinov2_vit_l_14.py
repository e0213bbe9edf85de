"""DINOv2 ViT-L/14."""

from __future__ import annotations

from genlab.evaluation.dinov2 import DINOv2


class DINOv2Large(DINOv2):
    """The class token after the last layer."""

    name = "dinov2-vit-l-14"
