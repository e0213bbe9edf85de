"""The typed study: data sets x models x seeds x samplers x metrics, under one budget.

`StudyFile` is a study as its author writes it, with the names of data sets and models. `Study` is
the same study resolved: every name is replaced by what its file says, with all defaults filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    SerializeAsAny,
    model_validator,
)

from genlab.config.base import Images, Precision, Strict
from genlab.config.calibration import calibration_rows
from genlab.config.curves import CurvesConfig
from genlab.config.elbo_study import ElboStudyConfig
from genlab.config.evaluators import extractor, extractors
from genlab.config.families import FamilyConfig
from genlab.config.pretrained import Pretrained
from genlab.config.prompts import PromptsConfig
from genlab.config.samplers import SamplerConfig
from genlab.config.sources import DatasetConfig
from genlab.errors import nearest, shown

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]*$", max_length=40)]
"""Name of a study, a data set, a model or a row; folders and columns bear it."""


def _known_extractor(name: str) -> str:
    if name not in extractors():
        raise ValueError(f"unknown extractor {shown(name)}: {nearest(name, extractors())}")
    return name


def _takes_weights(name: str) -> str:
    names = [one for one, facts in extractors().items() if isinstance(facts, Pretrained)]
    if name not in names:
        raise ValueError(f"{shown(name)} reads no file of weights: {nearest(name, names)}")
    return name


Extractor = Annotated[str, AfterValidator(_known_extractor)]
"""Name of a feature extractor (`genlab.config.evaluators`)."""


def _known_calibration_row(name: str) -> str:
    if name not in calibration_rows():
        raise ValueError(
            f"unknown calibration row {shown(name)}: {nearest(name, calibration_rows())}"
        )
    return name


CalibrationRow = Annotated[str, AfterValidator(_known_calibration_row)]
"""Name of a calibration row (`genlab.config.calibration`)."""


class TrainingConfig(Strict):
    """How a model is trained. The budget counts images, not epochs or steps."""

    images: PositiveInt = 160_000
    """Number of training images to process; an image counts again in every epoch."""
    seconds: Annotated[float, Field(gt=0)] | None = None
    """Seconds to train for on this machine, in place of `images`. A trial before the training
    measures its speed, as far as no other work takes the core, and fixes the number of images. So
    another call ends with other weights. A model's own `images` replaces the study's `seconds`."""
    parameters: PositiveInt | None = None
    """Number of parameters that a model which draws images must have, within 5 %; null takes any
    size. The length of the training is still that of `images` or `seconds`."""
    batch_size: Annotated[int, Field(ge=1, le=2**16)] = 64
    """Number of images in one optimiser step."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """'muon' updates the weights of convolutions and linear layers with Muon and all other
    parameters with AdamW, both at `learning_rate`. benchmarks/README.md compares the two."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Learning rate after the warm-up."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay of the optimiser."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the budget over which the learning rate rises linearly from 0."""
    decay: Literal["cosine", "linear", "none"] = "cosine"
    """How the learning rate falls to 0 after the warm-up; 'none' keeps it constant."""
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient; a larger gradient is scaled down to it."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the exponential moving average of the weights, warmed up as
    min(ema, (1 + n) / (10 + n)) at step n; 0 keeps no average. The half-life is 138 steps for .995
    and 6931 for .9999; choose one well below the number of training steps."""
    horizontal_flip: bool = False
    """Mirror each training image with probability 1/2. Suits photos, but not digits or letters."""
    precision: Precision = "fp32"
    """'bf16' runs layers in bfloat16 where that is safe; losses and weights stay in float32."""
    tf32: bool = False
    """Let a GPU round the inputs of matrix products and convolutions in float32 to TensorFloat-32:
    several times as fast, with three digits instead of seven. A CPU computes float32 in full."""
    compile: bool = False
    """Use torch.compile. It takes a minute to start and pays off for long runs on a GPU. Only for
    one process and without `accumulation`: compiled code would draw other random numbers for a
    share of a batch than for the whole batch."""
    accumulation: Annotated[int, Field(ge=1, le=2**16)] = 1
    """Number of parts in which each batch is computed, one after the other, with the same result
    up to rounding. A GPU then holds the activations of one part."""
    recompute: bool = False
    """Compute the blocks of the network once more in the backward pass rather than keep their
    activations: less memory for about a third more time, with the same result."""
    on_divergence: Literal["stop", "retry"] = "stop"
    """What happens when a loss or a weight is NaN or infinite. 'stop' ends the training and keeps
    the last checkpoint before that. With 'retry' the next attempt, which Snakemake begins by
    itself, starts anew at half the learning rate. If that diverges too, the training stops."""

    @model_validator(mode="after")
    def _batches_have_equal_parts(self) -> TrainingConfig:
        if self.batch_size % self.accumulation:
            raise ValueError(
                f"accumulation: {self.accumulation} does not divide batch_size: {self.batch_size}"
            )
        return self

    @model_validator(mode="after")
    def _compiled_batches_are_whole(self) -> TrainingConfig:
        if self.compile and self.accumulation > 1:
            raise ValueError(
                f"compile: true does not go with accumulation: {self.accumulation}; leave out one "
                "of them"
            )
        return self

    @property
    def steps(self) -> int:
        """Number of optimiser steps; the last one reaches or exceeds the budget."""
        return -(-self.images // self.batch_size)

    @property
    def budget(self) -> str:
        """What ends the training: 'images' or 'seconds'."""
        return "images" if self.seconds is None else "seconds"


class EvaluationConfig(Strict):
    """What is measured, on how many samples, and in whose features."""

    renamed_keys: ClassVar[Mapping[str, str]] = {
        "floors": "calibration",
        "inception_weights": "weights: {inception-v3-compat: FILE}",
    }
    removed_keys: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("kid_subsets", "kid_subset_size"), "KID takes all images now; remove this key"
    )

    samples: Annotated[Images, Field(ge=16)] = 1000
    """Number of images per row of the league. It is the same for all rows, because FID depends on
    it."""
    extractors: Annotated[tuple[Extractor, ...], Field(min_length=1)] = (
        "classifier",
        "contrastive",
        "autoencoder-latent",
        "pixel-pca",
        "low-level",
    )
    """Feature extractors for FID, KID, precision and recall; the league has a row for each."""
    weights: dict[Annotated[str, AfterValidator(_takes_weights)], str] = Field(default_factory=dict)
    """Local files with the weights of extractors, e.g. {dinov2-vit-b-14: weights.pth}; those of all
    others that were trained elsewhere are downloaded."""
    calibration: tuple[CalibrationRow, ...] = ("real", "noise", "blur-2", "memoriser")
    """Calibration rows of the league, whose images no model draws: real images, and images with a
    known flaw. `genlab.config.calibration` lists them; config/studies/ladder.yaml has all."""
    neighbours: PositiveInt = 3
    """k of the k-nearest-neighbour balls that precision and recall are computed with."""
    splits: PositiveInt = 10
    """Number of splits that the inception score is averaged over."""
    classifier: dict[str, Any] = Field(default_factory=dict)
    """Changes to the training of the domain classifier, e.g. {images: 20000}."""
    contrastive: dict[str, Any] = Field(default_factory=dict)
    """Changes to the training of the contrastive encoder."""
    autoencoder_latent: dict[str, Any] = Field(default_factory=dict)
    """Changes to the training of the autoencoder whose latent is an extractor."""

    @property
    def fewest(self) -> dict[str, int]:
        """Smallest number of images that each of these keys can be used with."""
        return {"neighbours": self.neighbours + 1, "splits": self.splits}

    @model_validator(mode="after")
    def _enough_samples(self) -> EvaluationConfig:
        for key, minimum in self.fewest.items():
            if self.samples < minimum:
                raise ValueError(
                    f"{key}: {getattr(self, key)} needs at least {minimum} samples, but samples is "
                    f"{self.samples}; change one of them"
                )
        return self


class LikelihoodConfig(Strict):
    """How bits/dim of the held-out images are estimated."""

    iwae_samples: PositiveInt = 64
    """K of IWAE-K, the number of importance samples in the tighter bound of a VAE."""
    path_images: PositiveInt = 64
    """Number of held-out images, drawn at random, for families on a Gaussian path, which need
    hundreds of network evaluations per image. All other families use all held-out images."""


class TrackingConfig(Strict):
    """Which tracking services mirror the runs."""

    experiment: str | None = None
    """Name of the MLflow experiment and the Weights & Biases project; null is genlab-STUDY.
    The MLflow store is MLFLOW_TRACKING_URI, or SQLite under results/."""
    tensorboard: bool = True
    """Write TensorBoard event files into results/STUDY/tensorboard."""
    system_metrics: bool = True
    """Log the use of CPU, memory and GPU to MLflow during training."""
    wandb: Literal["off", "online", "offline"] = "off"
    """Mode of Weights & Biases; 'offline' writes a run to be synchronised later."""

    def experiment_of(self, study: str) -> str:
        """The name of the experiment of a study."""
        return self.experiment or f"genlab-{study}"


class ModelEntry(Strict):
    """A model of the study: a preset of `config/models` with changes, under its own name."""

    name: Name
    preset: str
    model: SerializeAsAny[FamilyConfig]
    training: TrainingConfig
    other_rows: tuple[Name, ...] = ()
    """Rows of the study that are drawn from other models only: those that the `models:` of their
    sampler names."""

    other_datasets: tuple[Name, ...] = ()
    """Data sets of the study that this evaluator is not trained on."""

    def obstacle(self, row: str, sampler: SamplerConfig) -> str | None:
        """Return why the study's `row` is not drawn from this model; None if it is."""
        if row in self.other_rows:
            return "its `models:` names others"
        return sampler.obstacle(self.model)

    def samplers(self, samplers: dict[str, SamplerConfig]) -> list[str]:
        """Return the names of the `samplers` that sample from this model."""
        return [row for row, one in samplers.items() if self.obstacle(row, one) is None]


class Study(Strict):
    """A complete study, resolved and checked."""

    name: Name
    description: Annotated[str, Field(min_length=0)] = ""
    datasets: dict[Name, SerializeAsAny[DatasetConfig]]
    models: dict[Name, ModelEntry]
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
    samplers: dict[Name, SerializeAsAny[SamplerConfig]]
    evaluation: EvaluationConfig = EvaluationConfig()
    likelihood: LikelihoodConfig = LikelihoodConfig()
    curves: CurvesConfig | None = None
    elbo_study: ElboStudyConfig | None = None
    prompts: PromptsConfig | None = None
    """None if no model takes prompts."""
    tracking: TrackingConfig = TrackingConfig()
    evaluators: dict[Name, ModelEntry]
    """Models that other models are measured by; `evaluators_of` names those of a data set."""

    @property
    def features(self) -> dict[str, int]:
        """Number of features of each extractor."""
        models = {name: entry.model for name, entry in self.evaluators.items()}
        names = self.evaluation.extractors
        return {name: extractor(name).dimensions(models.get(name)) for name in names}

    @property
    def notes(self) -> list[str]:
        """Sentences on samplers that are left out because they fit no model of the study."""
        notes = []
        for row, sampler in self.samplers.items():
            reasons: dict[str | None, list[str]] = {}
            for name, entry in self.models.items():
                reasons.setdefault(entry.obstacle(row, sampler), []).append(name)
            if None not in reasons:
                details = "; ".join(
                    f"{', '.join(names)}: {reason}" for reason, names in reasons.items()
                )
                notes.append(
                    f"samplers: '{row}' is left out, because it fits no model of this study "
                    f"({details})"
                )
        return notes

    def evaluators_of(self, dataset: str) -> dict[str, ModelEntry]:
        """Return the evaluators that are trained on a data set, each once, by name."""
        return {
            name: entry
            for name, entry in self.evaluators.items()
            if dataset not in entry.other_datasets
        }

    def entry(self, model: str) -> ModelEntry:
        """Return the entry of a model or an evaluator."""
        return {**self.models, **self.evaluators}[model]

    def trained_on(self, model: str) -> tuple[str, ...]:
        """Names of the extractors whose features trained `model` or a model that it builds on.

        A distance in these features is no fair measure of the model.
        """
        family = self.entry(model).model
        first = family.first_stage_name
        below = self.trained_on(first) if first else ()
        return tuple(dict.fromkeys((*family.trained_on, *below)))


def _entry(value: Any) -> str | dict[str, Any]:
    if not isinstance(value, str | dict) or not value:
        raise ValueError(f"expected a name such as vae, or {{preset: vae}}, got {shown(value)}")
    return value


Entry = Annotated[Any, BeforeValidator(_entry)]
"""A model in a study file: the name of a preset, or {preset: NAME, name: ANOTHER, key: value}."""


class StudyFile(Strict):
    """A study as its author writes it: `config/config.yaml` and `config/studies/*.yaml`."""

    renamed_keys: ClassVar[Mapping[str, str]] = {"laboratory": "elbo_study"}

    name: Name
    """Name of the study, and of its folder under results/."""
    description: Annotated[str, Field(min_length=0)] = ""
    """A sentence for the report."""
    datasets: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of files in `config/datasets`."""
    models: Annotated[tuple[Entry, ...], Field(min_length=1)]
    """Names of files in `config/models`, or {preset: NAME, name: ANOTHER, key: value ...}."""
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0,)
    """Every model is trained once with each of these seeds."""
    samplers: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)] | None = None
    """Settings of each sampler by the name of its row in the league. A sampler draws from each
    model that it fits, or from those that its `models: [NAME, ...]` names. null, or no such key,
    draws from each model by the samplers of its family (`default_samplers` in
    `genlab.config.families`)."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Changes to the training of all models; a model's own changes take precedence."""
    evaluation: EvaluationConfig = EvaluationConfig()
    likelihood: LikelihoodConfig = LikelihoodConfig()
    curves: CurvesConfig | None = None
    """Settings of the learning curves; null leaves them out, {} draws them with the defaults."""
    elbo_study: ElboStudyConfig | None = None
    """Settings of the ELBO study; null leaves it out, {} runs it with its defaults."""
    prompts: PromptsConfig = PromptsConfig()
    tracking: TrackingConfig = TrackingConfig()
