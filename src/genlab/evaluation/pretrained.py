"""Extractors whose weights were trained elsewhere: by torch-fidelity, or in its manner."""

from __future__ import annotations

import os

# torch-fidelity loads weights with the full unpickler; this makes torch refuse everything but
# tensors. It must be set before any weights are read.
os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch_fidelity.utils import create_feature_extractor

from genlab.config.evaluators import extractor
from genlab.config.study import EvaluationConfig
from genlab.errors import GenLabError
from genlab.evaluation.extractors import Extractor
from genlab.models.base import Model


class PretrainedExtractor(Extractor):
    """A network of torch-fidelity, from uint8 RGB images to one output for each of `layers`."""

    rgb = True
    name: ClassVar[str]
    layers: ClassVar[tuple[str, ...]]
    """torch-fidelity's names of the features and, where there are any, of the logits."""

    def __init__(self, model: Model | None, config: EvaluationConfig, device: torch.device) -> None:
        if problems := extractor(self.name).problems(config):
            raise GenLabError(f"evaluation.{problems[0]}")
        weights = config.weights.get(self.name)
        try:
            self.network = self.load(weights).requires_grad_(False).to(device).eval()
        except Exception as error:  # torch's readers meet a damaged file with any exception at all
            reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
            raise GenLabError(
                f"the extractor '{self.name}' can't be made ({weights or 'its weights are fetched'}"
                f"): {reason}. "
                f"Where nothing can be downloaded, set evaluation.weights: {{{self.name}: FILE}} "
                "to a local file of tensors, or use the extractor 'classifier'"
            ) from None

    def load(self, weights: str | None) -> nn.Module:
        """The network with the weights of a local file; None fetches them."""
        network: nn.Module = create_feature_extractor(
            self.name,
            list(self.layers),
            cuda=False,
            feature_extractor_weights_path=weights,
            verbose=False,
        )
        return network

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features, *logits = self.network(pixels)
        return features, logits[0] if logits else features[:, :0]


def fetched(url: str, name: str, sha256: str = "") -> Path:
    """The file `name` in torch's folder of weights, downloaded once.

    Args:
        sha256: the first digits of its hash, which a download is checked by.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), sha256 or None, progress=False)
    return path
