"""Sliced Wasserstein distance of patches (Karras et al. 2018, arXiv:1710.10196, section 5)."""

from __future__ import annotations

from genlab.evaluation.metrics import Column, RowComparison, RowMetric, RowValues
from genlab.evaluation.sliced_wasserstein import DIRECTIONS, PATCHES, SIDE, sliced_wasserstein

SCALE = 1000  # the paper's


class SWD(RowMetric):
    """SCALE times the distance: its mean over the levels, and those of the finest and coarsest."""

    columns = (
        Column("swd", "SWD ×10³", better="lower", reference="held-out"),
        Column("swd_fine", "SWD fine", better="lower", over_seeds=False, reference="held-out"),
        Column("swd_coarse", "SWD coarse", better="lower", over_seeds=False, reference="held-out"),
    )
    order = 45
    needs = ("samples",)
    explanation = (
        f"Sliced Wasserstein distance, times {SCALE:,}, between patches of {SIDE} x {SIDE} pixels "
        f"of the samples and of as many held-out images: up to {PATCHES} patches of each image and "
        f"level of a Laplacian pyramid, in {DIRECTIONS} random directions. It needs no network: "
        "the fine level shows edges and noise, the coarse one larger shapes. Patches are "
        "normalised over a set, so it does not see brightness and contrast. Of two sets of real "
        "images it is not 0, and the smaller the sets the larger; the row “real” consists of "
        "held-out images itself, so its values are too low."
    )

    def compute(self, row: RowComparison) -> RowValues:
        distances = None
        if row.held_out is not None:
            distances = sliced_wasserstein(row.generated, row.held_out)
        if distances is None:
            return self.nothing()
        return {
            "swd": SCALE * sum(distances) / len(distances),
            "swd_fine": SCALE * distances[0],
            "swd_coarse": SCALE * distances[-1],
        }
