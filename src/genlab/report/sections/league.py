"""The section on the league: every row of the study, the best values in bold."""

from __future__ import annotations

from typing import Any

from genlab.report.league import league_table
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy


class LeagueSection(Section):
    """Table of all metrics of all rows."""

    title = "League"
    order = 10
    introduction = (
        "One row for each run, sampler and feature extractor. Bold marks the best model of a "
        "column among the rows of the same data set and extractor, and all rows whose 95 % "
        "intervals overlap its own. The grey rows calibrate the metrics: <em>real</em> scores "
        "held-out images of the data set, <em>noise</em> scores uniform noise. Click a column head "
        "to sort."
    )

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        return {"league": league_table(study.league)}
