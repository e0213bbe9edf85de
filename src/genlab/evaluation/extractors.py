"""Feature extractors, as torch-fidelity knows them.

`inception-v3-compat` is torch-fidelity's own. `classifier` is the domain classifier that the
workflow trains for each data set, registered with torch-fidelity under that name.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

# torch-fidelity loads Inception's weights with the full unpickler; this makes torch refuse
# everything but tensors. It must stand before the weights are read.
os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"

from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY, register_feature_extractor
from torch_fidelity.utils import create_feature_extractor

from genlab.config.evaluators import CLASSIFIER
from genlab.config.study import weights_problem
from genlab.errors import GenLabError
from genlab.models.batches import to_float
from genlab.models.classifier import Classifier
from genlab.results.layout import RunFolder
from genlab.results.origin import run_origin
from genlab.workflow.models import load_trained


class Layers(NamedTuple):
    """Which outputs of an extractor serve which metric."""

    features: str
    logits: str


LAYERS = {
    "classifier": Layers("features", "logits"),
    "inception-v3-compat": Layers("2048", "logits_unbiased"),
}


class DomainClassifier(FeatureExtractorBase):  # type: ignore[misc]
    """uint8 [B, C, H, W] -> features [B, F] and logits [B, classes] of the trained classifier.

    `feature_extractor_weights_path` is the folder of the classifier's run.
    """

    def __init__(
        self,
        name: str,
        features_list: list[str],
        feature_extractor_weights_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, features_list)
        if feature_extractor_weights_path is None:
            raise GenLabError("the extractor 'classifier' needs the folder of a trained classifier")
        run = RunFolder(Path(feature_extractor_weights_path))
        classifier = load_trained(run, origin=run_origin(run))
        if not isinstance(classifier, Classifier):
            raise GenLabError(f"{run.folder}: holds a {type(classifier).__name__}, no classifier")
        self.classifier = classifier

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return tuple(LAYERS[CLASSIFIER])

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return LAYERS[CLASSIFIER].logits if metric == "isc" else LAYERS[CLASSIFIER].features

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        features = self.classifier.features(to_float(pixels))
        outputs = {"features": features, "logits": self.classifier.head(features)}
        return tuple(outputs[name].float() for name in self.features_list)


def make_extractor(name: str, classifier: RunFolder, weights: str | None, cuda: bool) -> Any:
    """The extractor `name`, ready to be called on uint8 images.

    Args:
        classifier: the run of the domain classifier, used by 'classifier'.
        weights: a local file with Inception's weights; None lets torch-fidelity fetch them.

    Raises:
        GenLabError: the weights can't be fetched or read, or are of another architecture.
    """
    if CLASSIFIER not in FEATURE_EXTRACTORS_REGISTRY:
        register_feature_extractor(CLASSIFIER, DomainClassifier)
    path = str(classifier.folder) if name == CLASSIFIER else weights
    if name != CLASSIFIER and weights is not None and (problem := weights_problem(weights)):
        raise GenLabError(f"evaluation.inception_weights: {problem}")
    try:
        return create_feature_extractor(
            name, list(LAYERS[name]), cuda=cuda, feature_extractor_weights_path=path, verbose=False
        )
    except GenLabError:
        raise
    except Exception as error:  # torch's readers meet a damaged file with any exception at all
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise GenLabError(
            f"the extractor '{name}' can't be made ({path or 'its weights are fetched'}): "
            f"{reason}. "
            "Where nothing can be downloaded, set evaluation.inception_weights to a local file "
            "of tensors, or use the extractor 'classifier'"
        ) from None
