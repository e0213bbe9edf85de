"""The section on the league: every row of the study, the best values with intervals in bold."""

from __future__ import annotations

from typing import Any

from genlab.report.league import league_table
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy


class LeagueSection(Section):
    """Table of all metrics of all rows."""

    title = "All rows"
    order = 10
    introduction = (
        "Every row of the study: one for each run, sampler and feature space. Bold marks the best "
        "value of a column among the models of one data set and space, and all values whose 95 % "
        "intervals overlap its own. Columns without intervals have no bold values. Grey rows "
        "calibrate the metrics: <em>real</em> is the score of held-out images, <em>noise</em> that "
        "of uniform noise. Click a head to rank by it."
    )

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        return {"league": league_table(study.league)}
