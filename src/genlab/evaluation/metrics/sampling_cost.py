"""Cost of sampling, which the stage `sample` measures."""

from __future__ import annotations

from genlab.evaluation.metrics import Cells, Column, Metric, RowRecord


class SamplingCost(Metric):
    """Evaluations, seconds and precision."""

    columns = (
        Column("evaluations", "NFE", over_seeds=False),
        Column("seconds_per_image", "s/image", over_seeds=False),
        Column("milliseconds_per_evaluation", "ms/NFE", over_seeds=False),
        Column("computed_in", "drawn in", text=True, over_seeds=False),
    )
    order = 70
    needs = ("model", "samples")
    explanation = (
        "Network evaluations per sample (NFE), counted during sampling, and wall-clock seconds per "
        "sample in the fastest batch, without start-up. Times are those of this machine and rank "
        "nothing; “ms/NFE” is the time of one evaluation for one sample. “drawn in” is the "
        "precision of the layers: float32, or bfloat16 where the sampler's “precision” allows it "
        "and the processor supports it."
    )

    def read(self, row: RowRecord) -> Cells:
        cost = row.sampling_cost
        seconds, evaluations = cost["seconds_per_image"], cost["evaluations"]
        return {
            "evaluations": evaluations,
            "seconds_per_image": seconds,
            "milliseconds_per_evaluation": 1000 * seconds / evaluations,
            "computed_in": cost["computed_in"],
        }
