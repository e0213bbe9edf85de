"""CLIP, judge and the rule `prompts`: planned where a model takes prompts, and nowhere else."""

from __future__ import annotations

from project import SMOKE, Job, Project

OF_PROMPTS = {Job("prompts", "dalle"), Job("train", "clip"), Job("train", "judge")}


def with_dalle(project: Project) -> None:
    """Add a model that takes prompts, and a sampler for it, to the smoke study."""
    model, sampler = "  - {preset: dalle, width: 16}\n", "  tokens: {sampler: tokens}\n"
    project.edit(SMOKE, lambda text: text.replace("samplers:\n", f"{model}samplers:\n{sampler}"))


def test_only_a_study_with_prompts_trains_clip_and_judge(bare: Project) -> None:
    before = bare.plan()
    assert not {job for job in before if job.rule == "prompts" or job.model in ("clip", "judge")}
    with_dalle(bare)
    added = bare.plan() - before
    assert added >= OF_PROMPTS
    assert {job.model for job in added} == {"dalle", "clip", "judge"}
