"""DINOv2 ViT-B/14."""

from __future__ import annotations

from genlab.evaluation.dinov2 import DINOv2


class DINOv2Base(DINOv2):
    """The class token after the last layer."""

    name = "dinov2-vit-b-14"
