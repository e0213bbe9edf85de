"""CLIP, judge and the rule `prompts`: planned where a model takes prompts, and nowhere else."""

from __future__ import annotations

from project import Job, Project


def of_prompts(plan: set[Job]) -> set[Job]:
    return {job for job in plan if job.rule == "prompts" or job.model in ("clip", "judge")}


def test_only_a_study_with_prompts_trains_clip_and_judge(bare: Project) -> None:
    assert not of_prompts(bare.plan(study="config/studies/beta.yaml"))
    assert of_prompts(bare.plan()) >= {
        Job("prompts", "dalle"), Job("train", "clip"), Job("train", "judge"),
    }  # fmt: skip
