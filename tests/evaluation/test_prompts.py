"""Measures of candidates against brute force."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from genlab.evaluation.prompt_evaluators import first_evaluation_image
from genlab.evaluation.prompt_measures import best_of, by_factor, counts_up_to
from genlab.evaluation.prompt_pictures import candidate_sheet
from genlab.evaluation.prompts import Candidates, Prompts, best_scale


def test_the_curve_is_the_mean_over_all_subsets() -> None:
    values, scores = torch.rand(5, 6), torch.rand(5, 6)
    for n, expected in zip((1, 2, 3, 5, 6), best_of(values, scores, [1, 2, 3, 5, 6]), strict=True):
        kept = [
            float(values[prompt, max(subset, key=lambda k: float(scores[prompt, k]))])
            for prompt in range(5)
            for subset in itertools.combinations(range(6), n)
        ]
        assert expected == pytest.approx(sum(kept) / len(kept))


def test_the_curve_goes_from_the_mean_to_what_scores_best() -> None:
    values, scores = torch.rand(7, 16), torch.rand(7, 16)
    first, last = best_of(values, scores, [1, 16])
    assert first == pytest.approx(float(values.double().mean()))
    best = values.double().gather(1, scores.argmax(dim=1, keepdim=True))
    assert last == pytest.approx(float(best.mean()))


@pytest.mark.parametrize(
    ("candidates", "counts"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 4]), (10, [1, 2, 4, 8, 10])],
)
def test_the_curve_has_every_power_of_two_and_its_end(candidates: int, counts: list[int]) -> None:
    assert counts_up_to(candidates) == counts


def test_a_picture_is_correct_by_factor_by_subject_and_altogether() -> None:
    correct = torch.tensor([[1, 1, 0], [1, 0, 1], [1, 1, 1], [0, 1, 1]], dtype=torch.bool)
    parts = by_factor(correct, ["digit", "colour", "size"], ["digit", "colour"])
    assert parts["factors"]["digit"].tolist() == [True, True, True, False]
    assert parts["factors"]["size"].tolist() == [False, True, True, True]
    assert parts["subject"].tolist() == [True, False, True, False]
    assert parts["all"].tolist() == [False, False, True, False]


def test_the_judge_is_evaluated_on_images_that_it_was_not_trained_on() -> None:
    """Its training includes the first half of the unseen combinations, 3 of 7."""
    assert (first_evaluation_image(7, "test"), first_evaluation_image(7, "unseen")) == (0, 3)


def test_the_best_scale_has_the_most_correct_subjects_before_ranking() -> None:
    def of(*shares: float) -> list[dict[str, list[float]]]:
        return [{"subject": [share, 1 - share]} for share in shares]

    assert best_scale([1.0, 2.0, 4.0], of(0.2, 0.9, 0.5)) == 1
    assert best_scale([0.0, 1.0, 2.0], of(0.9, 0.2, 0.5)) == 2  # 0 ignores the prompt
    assert best_scale([0.0], of(0.9)) == 0


def test_a_row_of_candidates_ends_with_the_best_and_the_worst() -> None:
    """Of ten candidates, whose pixels are their numbers, the first eight are shown as well."""
    images = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(1, 10, 1, 2, 2)
    scores = torch.tensor([[0.5, 0.1, 0.6, 0.3, 0.4, 0.2, 0.7, 0.8, 0.9, 0.0]])
    correct = torch.arange(10)[None, :, None] == 8
    evaluators: Any = SimpleNamespace(names=["digit"], subject=["digit"])
    prompts = {"seen": Prompts(["an eight"], torch.zeros(1, 1), torch.full((1, 1), 8))}
    sheet = candidate_sheet(prompts, {"seen": Candidates(scores, correct, images)}, evaluators)
    assert sheet.facts == [{"kind": "seen", "prompt": "an eight", "right": True}]
    assert sheet.best[:, 0, 0, 0].tolist() == [8]
    (row,) = sheet.rows.values()
    assert row[:, 0, 0, 0].tolist() == [*range(8), 255, 8, 9]
