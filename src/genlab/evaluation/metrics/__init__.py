"""Metrics of the league, one file each, found by its name.

A metric fills one column of the league, or several that are measured together. Its class carries
all facts about it: tables, bold numbers, reasons in empty cells, explanations and the names in
tracking services follow from them. There are three kinds:

- a `FeatureMetric` compares generated with real images in the features of one extractor, once for
  each extractor: `compute`;
- a `RowMetric` is computed once for a row, from the images themselves or from several feature
  spaces: `compute`;
- any other `Metric` is measured by another stage, and picks its values out of what that wrote:
  `read`.

The report reads the facts, so no module here imports torch at its top; `compute` may import it.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from genlab.config.families import FamilyConfig
from genlab.config.study import EvaluationConfig
from genlab.errors import GenLabError
from genlab.registry import classes_in

Array = NDArray[np.float32]
Features = dict[str, Array]
"""`features` [N, F] and `logits` [N, K] of N images; K = 0 without classes."""
Images = NDArray[np.uint8]
Values = dict[str, float | None]
"""Results by column; None where there are too few images to compute one."""
RowValues = dict[str, float | str | None]
"""Results of a row as a whole by column; some columns hold words."""
Cells = dict[str, Any]
"""Cells of the league by column: a number, a word, or the reason why there is no number."""

Better = Literal["lower", "higher", "none"]
Need = Literal[
    "model", "samples", "features", "logits", "classes", "reconstructions", "latents", "likelihood"
]  # fmt: skip
"""What a metric is measured on: a trained model (calibration rows have none), generated images,
their features or class logits in an extractor, the classes that the samples were requested to be
of, reconstructions of the held-out images, their latents, their likelihood."""
TOO_FEW = "too few images"
ONE_CLASS = "one class"
Reference = Literal["training", "held-out", "both", "none"]
"""The real images that a number depends on."""


@dataclass(frozen=True)
class Column:
    """One column of the league."""

    name: str
    """In league.csv, metrics.json and tracking services."""
    label: str
    """In tables and figures."""
    unit: str = ""
    better: Better = "none"
    """Which values are better; the best one is bold if it has an interval. 'none' ranks nothing."""
    text: bool = False
    """Whether it holds words."""
    over_seeds: bool = True
    """Whether the page shows its mean and spread over several seeds."""
    interval: bool = False
    """Whether the metric yields the ends of a 95 % interval as well, as NAME_low and NAME_high."""
    reference: Reference | None = None
    """The real images that the values depend on; None: as what the metric needs says."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of league.csv: its own, and those of the interval."""
        return (self.name, *self.ends) if self.interval else (self.name,)

    @property
    def ends(self) -> tuple[str, str]:
        """Names of the ends of the interval."""
        return f"{self.name}_low", f"{self.name}_high"

    @property
    def head(self) -> str:
        """The label with its unit."""
        return f"{self.label} {self.unit}".rstrip()


class ModelRecord(Protocol):
    """A trained model, and what the stages wrote about it."""

    @property
    def family(self) -> FamilyConfig: ...
    @property
    def summary(self) -> dict[str, Any]:
        """From training: parameters, images seen, values on the held-out images."""

    @property
    def training_cost(self) -> dict[str, Any]: ...
    @property
    def likelihood(self) -> dict[str, Any]:
        """Bits/dim by kind of estimate."""

    @property
    def reconstruction(self) -> dict[str, Any]:
        """Errors of the reconstructed held-out images."""

    @property
    def reconstruction_fid(self) -> dict[str, float | None]:
        """FID of the reconstructions by extractor."""

    @property
    def latents(self) -> dict[str, Any]:
        """Numbers of the latent space."""


@dataclass(frozen=True)
class RowRecord:
    """What is on record about one row of the league, in the features of one extractor."""

    models: Sequence[ModelRecord]
    """The model, its first stage, and so on; none in a calibration row."""
    missing: Mapping[Need, str]
    """What the row lacks, and why."""
    extractor: str
    sampling_cost: Mapping[str, Any]
    measured: Mapping[str, Any]
    """Results of `measure` and `measure_row`."""
    ranking: Mapping[str, Any] | None = None
    """Its entry in ranking.json; None where nothing could be ranked."""

    @property
    def autoencoder(self) -> ModelRecord:
        """The first of `models` that reconstructs: it bounds the quality of those before it."""
        return next(model for model in self.models if model.family.reconstructs)


class Metric(ABC):
    """A measurement: facts about its columns, and how their cells are read."""

    columns: ClassVar[tuple[Column, ...]]
    order: ClassVar[int]
    """Its place in the league; smaller numbers come first."""
    needs: ClassVar[tuple[Need, ...]]
    """A row that lacks one of these shows the reason instead of a number."""
    explanation: ClassVar[str]
    """What readers should know, in about two sentences. `{samples:,}` inserts a value of the
    study's `evaluation:` or `likelihood:`."""

    @property
    def of_extractor(self) -> bool:
        """Whether values compare within one extractor only."""
        return not {"features", "logits"}.isdisjoint(self.needs)

    def reference(self, column: Column) -> Reference:
        """The real images that the values of one of its columns depend on.

        Features of samples are compared with those of the training images, unless the column says
        otherwise; reconstructions, latents and likelihoods are those of held-out images.
        """
        if column.reference is not None:
            return column.reference
        if not {"reconstructions", "latents", "likelihood"}.isdisjoint(self.needs):
            return "held-out"
        return "training" if "features" in self.needs else "none"

    @abstractmethod
    def read(self, row: RowRecord) -> Cells:
        """The cells of a row that lacks nothing of `needs`.

        Raises:
            KeyError: a value has not been measured.
        """

    def empty(self, reason: str) -> Cells:
        """The cells of a row that lacks what is measured."""
        return {name: reason for column in self.columns for name in column.names}

    def cells(self, row: RowRecord) -> Cells:
        """The cells of any row."""
        reasons = [row.missing[need] for need in self.needs if need in row.missing]
        return self.empty(reasons[0]) if reasons else self.read(row)


@dataclass(frozen=True)
class Comparison:
    """Generated and real images in the features of one extractor."""

    generated: Features
    training: Features
    config: EvaluationConfig
    held_out: Features | None = None
    """None where no real images are held out; metrics that need them are None then."""
    classes: bool = True
    """Whether the logits are those of classes."""

    @property
    def features(self) -> tuple[Array, Array]:
        """Features [N, F] of the generated and [M, F] of the training images."""
        return self.generated["features"], self.training["features"]


@dataclass(frozen=True)
class RowComparison:
    """Everything that a row is measured on: its images, and their features in every space."""

    generated: Images
    training: Images
    held_out: Images | None
    spaces: Mapping[str, Comparison]
    """By the name of the extractor."""
    config: EvaluationConfig
    requested: NDArray[np.int64] | None = None
    """The class that each sample was requested to be of, [N]; None without classes."""
    training_labels: NDArray[np.int64] | None = None
    held_out_labels: NDArray[np.int64] | None = None


class ComputedMetric(Metric):
    """A metric that the stage `evaluate` computes."""

    def read(self, row: RowRecord) -> Cells:
        values = {name: row.measured[name] for name in self.names}
        return {name: TOO_FEW if value is None else value for name, value in values.items()}

    @property
    def names(self) -> list[str]:
        """The columns of league.csv that it fills."""
        return [name for column in self.columns for name in column.names]

    def nothing(self) -> dict[str, Any]:
        """None in all columns: there are too few images."""
        return dict.fromkeys(self.names)


class RowMetric(ComputedMetric):
    """A metric of generated images that is computed once for a row, not for each extractor."""

    @abstractmethod
    def compute(self, row: RowComparison) -> RowValues:
        """The values of all columns, and the ends of their intervals."""


class FeatureMetric(ComputedMetric):
    """A metric of generated images that is computed from their features or logits."""

    class_rank: ClassVar[int | None] = None
    """Its place in the cells of the class-by-class table, which is sorted by the first; None
    leaves it out. Classes have few images."""

    @abstractmethod
    def compute(self, comparison: Comparison) -> Values:
        """The values of all columns, and the ends of their intervals."""

    def requirements(self, dimensions: int, config: EvaluationConfig) -> dict[str, int]:
        """Fewest generated and reference images, by what needs them.

        Args:
            dimensions: of the features.
        """
        return {}


@functools.cache
def metrics() -> tuple[Metric, ...]:
    """All metrics in the order of the league."""
    kinds = classes_in(__name__, Metric)  # type: ignore[type-abstract]
    return tuple(kind() for kind in sorted(kinds, key=lambda kind: kind.order))


def feature_metrics() -> list[FeatureMetric]:
    """The metrics that are computed from features, in the order of the league."""
    return [metric for metric in metrics() if isinstance(metric, FeatureMetric)]


def row_metrics() -> list[RowMetric]:
    """The metrics that are computed once for a row, in the order of the league."""
    return [metric for metric in metrics() if isinstance(metric, RowMetric)]


def measure(comparison: Comparison) -> Values:
    """Compute every metric of one extractor's features; those of logits are None without classes.

    Raises:
        GenLabError: fewer images than a metric needs.
    """
    _check_counts(comparison)
    classes = comparison.classes and comparison.generated["logits"].shape[1] > 0
    values: Values = {}
    for metric in feature_metrics():
        if "logits" in metric.needs and not classes:
            values |= metric.nothing()
        else:
            values |= metric.compute(comparison)
    return values


def measure_row(row: RowComparison) -> RowValues:
    """Compute every metric of a row as a whole."""
    values: RowValues = {}
    for metric in row_metrics():
        if "classes" in metric.needs and row.requested is None:
            values |= metric.nothing()
        else:
            values |= metric.compute(row)
    return values


def _check_counts(comparison: Comparison) -> None:
    """Refuse fewer images than a metric needs."""
    names = ("samples", "training images")
    for name, features in zip(names, comparison.features, strict=True):
        n, dimensions = features.shape
        needs: dict[str, int] = {}
        for metric in feature_metrics():
            needs |= metric.requirements(dimensions, comparison.config)
        if n < max(needs.values(), default=0):
            *first, last = needs
            raise GenLabError(
                f"evaluation: {n} {name} are too few: {', '.join(first)} and {last} need at least "
                f"{max(needs.values())}"
            )
