"""FID of reconstructed held-out images, which the stage `rfid` measures."""

from __future__ import annotations

from genlab.evaluation.metrics import TOO_FEW, Cells, Column, Metric, RowRecord


class ReconstructionFID(Metric):
    """FID of the model, or of the first of its stages that reconstructs."""

    columns = (
        Column(
            "reconstruction_fid", "rFID", better="lower", over_seeds=False, reference="training"
        ),
    )
    order = 51
    needs = ("reconstructions", "features")
    explanation = (
        "FID of reconstructions, measured as if they were samples: of the same held-out images as "
        "the row “real”, and as many. The difference between the two is what the autoencoder loses."
    )

    def read(self, row: RowRecord) -> Cells:
        fid = row.autoencoder.reconstruction_fid[row.extractor]
        return {"reconstruction_fid": TOO_FEW if fid is None else fid}
