"""Cost of sampling, which the stage `sample` measures."""

from __future__ import annotations

from genlab.evaluation.metrics import Cells, Column, Metric, RowRecord


class SamplingCost(Metric):
    """Evaluations, seconds and precision."""

    columns = (
        Column("evaluations", "NFE", over_seeds=False),
        Column("seconds_per_image", "s/image", better="lower", over_seeds=False),
        Column("computed_in", "drawn in", text=True, over_seeds=False),
    )
    order = 70
    needs = ("model", "samples")
    explanation = (
        "Network evaluations per sample (NFE), counted during sampling, and wall-clock seconds per "
        "sample in batches, without start-up. “drawn in” is the precision of the layers: float32, "
        "or bfloat16 where the sampler's “precision” allows it and the processor supports it."
    )

    def read(self, row: RowRecord) -> Cells:
        return {column.name: row.sampling_cost[column.name] for column in self.columns}
