"""What a training keeps in `resume/` to go on from."""

from __future__ import annotations

from genlab.results.layout import RunFolder, StudyFolder


def delete_checkpoints(run: RunFolder) -> None:
    """Delete the checkpoints of a run and what belongs to them."""
    for pattern in ("*.safetensors", "*.part", "*.json"):
        for path in run.resume.glob(pattern):
            path.unlink()


def delete_finished_checkpoints(study: StudyFolder) -> None:
    """Delete the checkpoints of all trainings of a study that ended.

    Only where no workflow is running: one that is killed may leave files that look finished, and
    the next one needs the checkpoint to make them again.
    """
    for cost in study.folder.glob("*/*/seed*/model/cost.json"):
        delete_checkpoints(RunFolder(cost.parent.parent))
