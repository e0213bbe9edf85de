"""The section on methods: how each number was measured, and the settings of the study."""

from __future__ import annotations

from typing import Any

from genlab.config.evaluators import extractor
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
        measuring = settings.evaluation.model_dump() | settings.likelihood.model_dump()
        return {
            "environments": mixed_environments(study.runs),
            "manifests": study.manifests,
            "explanations": explanations(measuring),
            "evaluators": [
                _trained_extractor(study, dataset, name)
                for name in settings.evaluation.extractors
                if extractor(name).trained
                for dataset in settings.datasets
            ],
            "precisions": {
                run.model_name: read_run_file(run, run.summary)["precision"] for run in study.runs
            },
            "settings": study.folder.config.read_text(encoding="utf-8"),
        }


def _trained_extractor(study: ReportedStudy, dataset: str, name: str) -> dict[str, Any]:
    """What the page says of a trained extractor: its training, and how well it does its task."""
    run = study.folder.run(dataset, name, 0)
    summary = read_run_file(run, run.summary)
    measured = summary["held_out"], len(study.manifests[dataset]["classes"])
    return {
        "name": name,
        "dataset": dataset,
        "images": summary["images"],
        "parameters": summary["parameters"],
        "quality": extractor(name).quality(*measured),
        "warning": extractor(name).warning(*measured),
    }
