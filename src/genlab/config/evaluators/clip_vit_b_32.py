"""OpenAI's CLIP: features that are learned from pictures of the web and their captions."""

from __future__ import annotations

from genlab.config.pretrained import Pretrained


class WebCLIP(Pretrained):
    """The embedding of images by ViT-B/32. The evaluator `clip` is trained by the workflow."""

    name = "clip-vit-b-32"
    features = 512
    explanation = (
        "Image embedding of OpenAI's CLIP (ViT-B/32), trained on captioned pictures of the web. "
        "Grey images are repeated to three channels."
    )
