"""Linear probe of a model's latents, which the stage `explore` measures."""

from __future__ import annotations

from genlab.evaluation.metrics import ONE_CLASS, Cells, Column, Metric, RowRecord


class LinearProbe(Metric):
    """Accuracy of a linear classifier on the latents of held-out images."""

    columns = (Column("linear_probe", "linear probe", better="higher"),)
    order = 53
    needs = ("latents",)
    explanation = (
        "Accuracy on held-out images of a logistic regression on the latents of up to 2,000 "
        "training images: how plainly the classes lie in the latent space. Each latent is "
        "standardised, and inactive ones are left out."
    )

    def read(self, row: RowRecord) -> Cells:
        accuracy = row.models[0].latents["linear_probe"]
        return {"linear_probe": ONE_CLASS if accuracy is None else accuracy}
