"""Measures of whether a model that takes prompts draws what they describe.

Prompts are captions of held-out images whose factors are known. For each prompt several candidates
are drawn and CLIP scores how well each fits. A judge, which took no part in drawing or ranking,
checks which factors are correct: over all candidates, and for the best-scoring of n.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genlab.evaluation.prompt_evaluators import PromptEvaluators
from genlab.evaluation.prompt_measures import best_of, by_factor, map_nested
from genlab.models.batches import to_float, to_uint8
from genlab.processes.noise import SampleNoise

BATCH = 400  # candidates drawn at a time

Generate = Callable[[SampleNoise, Tensor], Tensor]
"""(noise of B samples, tokens int64 [B, L]) -> images [B, C, H, W] on [0, 1]."""


class Prompts(NamedTuple):
    """Captions of images: texts, tokens int64 [P, L], and the images' factors int64 [P, F]."""

    texts: list[str]
    tokens: Tensor
    factors: Tensor


class Candidates(NamedTuple):
    """The candidates of every prompt at one guidance scale.

    Attributes:
        scores: [P, N], the cosine of each candidate with its prompt, by CLIP.
        correct: bool [P, N, F], which factors the judge recognises as the prompt has them.
        images: uint8 [S, N, C, H, W], those of the first S prompts.
    """

    scores: Tensor
    correct: Tensor
    images: Tensor


@torch.no_grad()
def draw_candidates(
    generate: Generate,
    evaluators: PromptEvaluators,
    prompts: Prompts,
    *,
    candidates: int,
    shown: int,
    seed: int,
) -> Candidates:
    """Draw, score and judge the candidates of every prompt.

    Candidate k of prompt i starts from the noise of sample i N + k, whatever the guidance.

    Args:
        candidates: the number N for each prompt.
        shown: the number S of prompts whose images are kept.
    """
    total = len(prompts.texts) * candidates
    sentences = evaluators.clip.embed_texts(prompts.tokens)  # [P, E]
    scores, correct, images = [], [], []
    for start in range(0, total, BATCH):
        samples = range(start, min(start + BATCH, total))
        owner = torch.tensor([i // candidates for i in samples], device=evaluators.device)
        noise = SampleNoise(seed, samples, evaluators.device)
        pixels = to_uint8(generate(noise, prompts.tokens[owner]))
        batch = to_float(pixels)
        scores.append((evaluators.clip.embed_images(batch) * sentences[owner]).sum(dim=1))
        correct.append(evaluators.correct(batch, prompts.factors[owner]))
        images.append(pixels[owner < shown])
    return Candidates(
        torch.cat(scores).reshape(-1, candidates),
        torch.cat(correct).reshape(len(prompts.texts), candidates, -1),
        torch.cat(images).reshape(-1, candidates, *pixels.shape[1:]),
    )


def measure(
    candidates: Candidates, evaluators: PromptEvaluators, counts: list[int]
) -> dict[str, Any]:
    """Share correct and CLIP score (100 times the cosine) of the best of n, for each n."""
    correct = by_factor(candidates.correct, evaluators.names, evaluators.subject)
    scores = candidates.scores
    return {
        **map_nested(lambda values: best_of(values, scores, counts), correct),
        "clip_score": best_of(100 * scores, scores, counts),
    }


class PromptStudy(NamedTuple):
    """Measures of how well a model follows prompts, at several guidance scales.

    Attributes:
        measured: for each kind of prompts, a dictionary of measures for each scale.
        best: the index of the best scale.
        candidates: those of the best scale, for each kind of prompts.
    """

    measured: dict[str, list[dict[str, Any]]]
    best: int
    candidates: dict[str, Candidates]


def study(
    generators: Mapping[float, Generate],
    evaluators: PromptEvaluators,
    prompts: dict[str, Prompts],
    counts: list[int],
    *,
    shown: int,
    seed: int,
) -> PromptStudy:
    """Draw and measure candidates for every kind of prompts and every guidance scale.

    Args:
        generators: a function that draws images, for each guidance scale.
        prompts: by kind; the best scale is that of the kind 'seen'.
        counts: the numbers n of the best-of-n curves; the last is the number of candidates.
    """
    measured: dict[str, list[dict[str, Any]]] = {kind: [] for kind in prompts}
    candidates: dict[str, list[Candidates]] = {kind: [] for kind in prompts}
    for kind, of_kind in prompts.items():
        for scale, generate in generators.items():
            of_scale = draw_candidates(
                generate, evaluators, of_kind, candidates=counts[-1], shown=shown, seed=seed
            )
            candidates[kind].append(of_scale)
            facts = {"guidance": scale, "prompts": len(of_kind.texts)}
            measured[kind].append(facts | measure(of_scale, evaluators, counts))
    best = best_scale(list(generators), measured["seen"])
    return PromptStudy(measured, best, {kind: some[best] for kind, some in candidates.items()})


def best_scale(scales: Sequence[float], measured: list[dict[str, Any]]) -> int:
    """The index of the guidance scale with the largest share of correct subjects, without ranking.

    Args:
        measured: what `measure` returns for each scale. A scale of 0, which ignores the prompt,
            is chosen only if there is no other.
    """
    conditional = [i for i, scale in enumerate(scales) if scale > 0] or [0]
    return max(conditional, key=lambda i: measured[i]["subject"][0])
