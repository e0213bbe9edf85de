"""Energy of training and of sampling, which the stages `train` and `sample` measure."""

from __future__ import annotations

from genlab.evaluation.metrics import Cells, Column, Metric, RowRecord
from genlab.io.energy import NOT_MEASURED


class Energy(Metric):
    """Joules of the training, and for each sample."""

    columns = (
        Column("train_joules", "training energy", unit="J", over_seeds=False),
        Column("joules_per_image", "J/image", over_seeds=False),
    )
    order = 85
    needs = ("model", "samples")
    explanation = (
        "Energy by the counters of the processor (RAPL: package and memory) and of the GPU (NVML), "
        "with whatever else ran on them at the time; “not measured” where no counter can be read. "
        "The energy of a second stage includes that of its first."
    )

    def read(self, row: RowRecord) -> Cells:
        joules = [model.training_cost["joules"] for model in row.models]
        sampling = row.sampling_cost["joules_per_image"]
        return {
            "train_joules": NOT_MEASURED if None in joules else sum(joules),
            "joules_per_image": NOT_MEASURED if sampling is None else sampling,
        }
