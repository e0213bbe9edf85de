"""The image encoder of OpenAI's CLIP ViT-B/32, by torch-fidelity."""

from __future__ import annotations

import warnings
import zipfile
from typing import Any

import torch
import torch_fidelity.feature_extractor_clip as clip
from torch import Tensor, nn

from genlab.evaluation.pretrained import PretrainedExtractor, fetched


class WebCLIP(PretrainedExtractor):
    """The embedding of images."""

    name = "clip-vit-b-32"
    layers = ("clip",)

    def load(self, weights: str | None) -> nn.Module:
        sha256 = clip.MODEL_METADATA[self.name]["hash"]
        name = f"{self.name}-{sha256}.pt"
        path = weights or str(fetched(clip.MODEL_URLS[self.name], name, sha256))
        return _Encoder(clip.build_model(_tensors(path), torch.float32))


class _Encoder(clip.FeatureExtractorCLIP):  # type: ignore[misc]
    """torch-fidelity's extractor around a network that is loaded already."""

    def __init__(self, model: Any) -> None:
        clip.FeatureExtractorBase.__init__(self, WebCLIP.name, list(WebCLIP.layers))
        self.feature_extractor_internal_dtype = torch.float32
        self.model = model
        self.resolution = model.visual.input_resolution


def _tensors(path: str) -> dict[str, Tensor]:
    """The weights in OpenAI's own file, which is TorchScript, or in a file of tensors.

    Neither is unpickled: TorchScript has a reader of its own that knows no Python.
    """
    with zipfile.ZipFile(path) as archive:
        script = any("/code/" in name for name in archive.namelist())
    if not script:
        tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return tensors
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # OpenAI's file has no other format
        state: dict[str, Tensor] = torch.jit.load(path, map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
    return state
