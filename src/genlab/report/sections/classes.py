"""The section on classes: metrics within each class, for conditional samples."""

from __future__ import annotations

from typing import Any

from genlab.report.classes import by_class
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy


class ClassesSection(Section):
    """Metrics of each class."""

    title = "Results per class"
    order = 40
    introduction = (
        "Metrics within one class, for samples that were conditioned on a class or on a caption: "
        "the samples of a class are compared with the training images of this class. A metric is "
        "missing where the class has too few images for it."
    )

    def applies(self, study: ReportedStudy) -> bool:
        return bool(self._tables(study))

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        return {"tables": self._tables(study)}

    def _tables(self, study: ReportedStudy) -> list[dict[str, Any]]:
        return by_class(study.runs, list(study.settings.evaluation.extractors))
