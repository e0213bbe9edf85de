"""The section on ranks: which model is best, and which rows can't be told apart."""

from __future__ import annotations

from typing import Any

from genlab.io.files import read_json
from genlab.report.league import MEASURED
from genlab.report.ranking import columns_beside, ranked_rows
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy


class RankingSection(Section):
    """Tiers and rank intervals of all rows."""

    title = "Ranks of all rows"
    order = 5

    def applies(self, study: ReportedStudy) -> bool:
        return any(entry["rows"] for entry in read_json(study.folder.ranking).values())

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        ranking = read_json(study.folder.ranking)
        tables = [
            {
                **entry,
                "dataset": dataset,
                "rows": ranked_rows(entry, study.league[study.league["dataset"] == dataset]),
            }
            for dataset, entry in ranking.items()
            if entry["rows"]
        ]
        return {"tables": tables, "beside": [MEASURED[name].head for name in columns_beside()]}
