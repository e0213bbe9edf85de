"""Evaluators that were trained elsewhere, on photographs: their weights are fetched, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from genlab.config.evaluators import Evaluator
from genlab.config.families import FamilyConfig

if TYPE_CHECKING:
    from genlab.config.study import EvaluationConfig

TORCH_FILES = (b"PK\x03\x04", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.")
"""The first bytes of what torch.save writes: a zip, or, before torch 1.6, its magic number."""


class Pretrained(Evaluator):
    """A fixed extractor whose weights are fetched or come from a local file."""

    extracts = True
    predicts_classes = False
    features: ClassVar[int]
    """Number of features."""

    def dimensions(self, model: FamilyConfig | None) -> int:
        return self.features

    def files(self, config: EvaluationConfig) -> list[str]:
        return [config.weights[self.name]] if self.name in config.weights else []

    def problems(self, config: EvaluationConfig) -> list[str]:
        problems = map(weights_problem, self.files(config))
        return [f"weights: {self.name}: {problem}" for problem in problems if problem]


def weights_problem(path: str) -> str | None:
    """Why the file at `path` can't hold weights; None if it may."""
    file = Path(path)
    if not file.exists():
        return f"{path}: no such file"
    if not file.is_file():
        return f"{path}: not a file"
    try:
        with file.open("rb") as content:
            beginning = content.read(16)
    except OSError as error:
        return f"{path}: can't be read: {error.strerror}"
    if not beginning:
        return f"{path}: the file is empty"
    if not beginning.startswith(TORCH_FILES):
        return f"{path}: not a file of weights that torch.save wrote"
    return None
