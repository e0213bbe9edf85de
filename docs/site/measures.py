"""The columns of the league and the feature spaces, as the report explains them."""

from __future__ import annotations

from options import prose

from genlab.config.evaluators import extractors
from genlab.config.study import EvaluationConfig
from genlab.config.study.schema import LikelihoodConfig
from genlab.report.league import explanations


def page() -> str:
    """The page of all measures."""
    settings = EvaluationConfig().model_dump() | LikelihoodConfig().model_dump()
    rows = ["| column | explanation |", "|---|---|"]
    for one in explanations(settings | {"extractors": list(extractors())}):
        rows.append(f"| {prose(one['heads'])} | {prose(one['text'])} |")
    lead = (
        "What each column of the league measures, and what the features of each extractor see. "
        "Numbers in the text are those of the default settings."
    )
    return "\n\n".join(["# Measures", lead, "\n".join(rows)]) + "\n"
