"""The section on seeds: mean and standard deviation of each row over the seeds."""

from __future__ import annotations

from typing import Any

from genlab.report.sections import Section
from genlab.report.seeds import over_seeds
from genlab.report.study import ReportedStudy


class SeedsSection(Section):
    """Mean and standard deviation of each row over the seeds."""

    title = "Variation over seeds"
    order = 20

    def applies(self, study: ReportedStudy) -> bool:
        return len(study.settings.seeds) > 1

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        return {"seeds": over_seeds(study.league)}
