"""The trained evaluators of a study: models that measure or rank what other models draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import torch

from genlab.errors import GenLabError
from genlab.evaluation.prompt_evaluators import PromptEvaluators
from genlab.io.files import read_json
from genlab.models.base import Model, Words
from genlab.models.clip import CLIP
from genlab.models.judge import Judge
from genlab.results.layout import RunFolder
from genlab.results.origin import run_origin
from genlab.workflow.models import load_trained

M = TypeVar("M", bound=Model)


def load_evaluator(run: RunFolder, kind: type[M], device: torch.device) -> M:
    """Load the trained evaluator of a run.

    Raises:
        GenLabError: the run holds a model of another kind.
    """
    model = load_trained(run, device, run_origin(run))
    if not isinstance(model, kind):
        raise GenLabError(
            f"{run.folder}: holds a {type(model).__name__}, but a {kind.__name__} is needed here"
        )
    return model


def check_tokenizer(model: Model, manifest: dict[str, Any], source: Path) -> None:
    """Refuse a model that was trained on the tokens of another tokenizer.

    Raises:
        GenLabError: the data set at `source` was prepared with another tokenizer since.
    """
    if model.config.reads_captions and model.facts.words != Words(**manifest["text"]):
        raise GenLabError(
            f"{source}: the captions were prepared again with another tokenizer than the one that "
            f"this {type(model).__name__} was trained with; run its study again"
        )


def load_prompt_evaluators(run: RunFolder, device: torch.device) -> PromptEvaluators:
    """Load CLIP and judge of the run's data set.

    Raises:
        GenLabError: one of them is missing, or was trained on other tokens.
    """
    clip = load_evaluator(run.study.clip(run.dataset), CLIP, device)
    judge = load_evaluator(run.study.judge(run.dataset), Judge, device)
    manifest = read_json(run.data.manifest)
    for model in (clip, judge):
        check_tokenizer(model, manifest, run.data.manifest)
    factors = list(judge.factors)
    return PromptEvaluators(
        clip,
        judge,
        manifest.get("described") or factors,
        manifest.get("subject") or factors,
        device,
    )
