"""Size of a model and cost of its training, which the stage `train` measures."""

from __future__ import annotations

from genlab.evaluation.metrics import Cells, Column, Metric, RowRecord


class TrainingCost(Metric):
    """Parameters, images and seconds."""

    columns = (
        Column("parameters", "parameters", over_seeds=False),
        Column("images_seen", "images seen", over_seeds=False),
        Column("train_seconds", "training", unit="s"),
    )
    order = 80
    needs = ("model",)
    explanation = (
        "Parameters of the model, images seen in training (each epoch counts anew) and wall-clock "
        "seconds of training. Images and seconds of a second stage include those of its first."
    )

    def read(self, row: RowRecord) -> Cells:
        return {
            "parameters": row.models[0].summary["parameters"],
            "images_seen": sum(model.summary["images"] for model in row.models),
            "train_seconds": sum(model.training_cost["train_seconds"] for model in row.models),
        }
