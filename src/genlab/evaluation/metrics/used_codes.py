"""Codes of the codebook that are in use, which the stage `train` counts on the held-out images."""

from __future__ import annotations

from genlab.evaluation.metrics import Cells, Column, Metric, RowRecord

NO_CODES = "no codes"


class UsedCodes(Metric):
    """Codes in use, of a model or first stage with a codebook."""

    columns = (Column("used_codes", "used codes", over_seeds=False),)
    order = 52
    needs = ("reconstructions",)
    explanation = (
        "Number of different codes in the encoding of a batch of up to 500 held-out images, "
        "averaged over batches."
    )

    def read(self, row: RowRecord) -> Cells:
        return {"used_codes": row.autoencoder.summary["held_out"].get("used_codes", NO_CODES)}
