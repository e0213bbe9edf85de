"""What ended the training of a model: a number of images, or of seconds."""

from __future__ import annotations

from genlab.evaluation.metrics import Cells, Column, Metric, RowRecord


class Budget(Metric):
    """Images or seconds."""

    columns = (Column("budget", "budget", text=True, over_seeds=False),)
    order = 79
    needs = ("model",)
    explanation = (
        "The budget that ended the training: a number of images, the same on every machine, or of "
        "seconds on this one. For seconds a short trial measures the speed and fixes the number of "
        "images. Trained again, the model sees other numbers of images and its weights differ."
    )

    def read(self, row: RowRecord) -> Cells:
        return {"budget": row.models[0].summary["budget"]}
