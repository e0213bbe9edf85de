"""The section on classes: metrics within each class, for conditional samples."""

from __future__ import annotations

import functools
from typing import Any

from genlab.report.classes import by_class
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy


@functools.lru_cache(maxsize=1)  # `applies` and `read` share it
def read_tables(study: ReportedStudy) -> list[dict[str, Any]]:
    """Return a table for each data set and extractor."""
    return by_class(study.runs, list(study.settings.evaluation.extractors))


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
        return bool(read_tables(study))

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        return {"tables": read_tables(study)}
