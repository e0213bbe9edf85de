"""Pixel errors of reconstructed held-out images, which the stage `reconstruct` measures."""

from __future__ import annotations

from genlab.evaluation.metrics import Cells, Column, Metric, RowRecord


class Reconstruction(Metric):
    """Errors of the model, or of the first of its stages that reconstructs."""

    columns = (
        Column("reconstruction_mse", "MSE", better="lower"),
        Column("reconstruction_psnr", "PSNR", unit="dB", better="higher", over_seeds=False),
    )
    order = 50
    needs = ("reconstructions",)
    explanation = (
        "Errors of the reconstructions of all held-out images, with pixels in [0, 1]; PSNR is the "
        "mean over images. A model that draws through the decoder of another model shows the "
        "errors of that one, since they limit its own quality."
    )

    def read(self, row: RowRecord) -> Cells:
        return {column.name: row.autoencoder.reconstruction[column.name] for column in self.columns}
