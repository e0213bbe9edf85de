"""The section on methods: how each number was measured, and the settings of the study."""

from __future__ import annotations

from typing import Any

from genlab.config.evaluators import CLASSIFIER
from genlab.report.environment import mixed_environments
from genlab.report.league import explanations
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy, read_run_file


class MethodsSection(Section):
    """Data, definitions of the metrics, training and settings."""

    title = "How each number was measured"
    order = 170

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        settings = study.settings
        classifiers = (
            {name: study.folder.classifier(name) for name in settings.datasets}
            if CLASSIFIER in settings.evaluation.extractors
            else {}
        )
        measuring = settings.evaluation.model_dump() | settings.likelihood.model_dump()
        return {
            "environments": mixed_environments(study.runs),
            "manifests": study.manifests,
            "explanations": explanations(measuring),
            "classifiers": {
                name: read_run_file(run, run.summary) for name, run in classifiers.items()
            },
            "precisions": {
                run.model_name: read_run_file(run, run.summary)["precision"] for run in study.runs
            },
            "settings": study.folder.config.read_text(encoding="utf-8"),
        }
