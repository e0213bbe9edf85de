"""Pictures of the candidates that were drawn for prompts."""

from __future__ import annotations

import textwrap
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.prompt_evaluators import PromptEvaluators
from genlab.evaluation.prompt_measures import by_factor
from genlab.evaluation.prompts import Candidates, Prompts

COLUMNS = 8  # candidates of a prompt, to the left of the best and the worst one


class CandidateSheet(NamedTuple):
    """The candidates of the first prompts of each kind, and the best one by CLIP score.

    Attributes:
        facts: kind and text of each prompt, and whether the subject of its best one is correct.
        best: uint8 [N, C, H, W], the best candidate of each prompt.
        rows: candidates, a gap, the best and the worst one, uint8 [T, C, H, W], by the row's name.
    """

    facts: list[dict[str, Any]]
    best: NDArray[np.uint8]
    rows: dict[str, NDArray[np.uint8]]


def candidate_sheet(
    prompts: dict[str, Prompts], candidates: dict[str, Candidates], evaluators: PromptEvaluators
) -> CandidateSheet:
    """A row for each prompt whose candidates were kept.

    Args:
        prompts, candidates: by kind of prompt, 'seen' and 'unseen'.
    """
    facts: list[dict[str, Any]] = []
    best: list[NDArray[np.uint8]] = []
    rows: dict[str, NDArray[np.uint8]] = {}
    for kind, of_kind in candidates.items():
        first, last = of_kind.scores.argmax(dim=1).tolist(), of_kind.scores.argmin(dim=1).tolist()
        subject = by_factor(of_kind.correct, evaluators.names, evaluators.subject)["subject"]
        for i, images in enumerate(of_kind.images.cpu().numpy()):
            text, k = prompts[kind].texts[i], first[i]
            facts.append({"kind": kind, "prompt": text, "right": bool(subject[i, k])})
            best.append(images[k])
            name = textwrap.fill(f"{len(rows) + 1}. {kind}: {text}", 36)
            gap = np.full_like(images[:1], 255)
            rows[name] = np.concatenate([images[:COLUMNS], gap, images[[k, last[i]]]])
    return CandidateSheet(facts, np.stack(best), rows)
