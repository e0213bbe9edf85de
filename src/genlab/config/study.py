"""The study: data sets x models x seeds x samplers x metrics, under one budget.

A study file says which, the files under `config/datasets` and `config/models` say what they are.
`load_study` brings everything together, checks all of it before any job starts, and returns the
typed `Study`, from which `genlab.config.spec` cuts the part that each run needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, SerializeAsAny, model_validator

from genlab.config.base import Precision, Strict, build, merge, read_yaml
from genlab.config.datasets import SOURCES, DatasetConfig
from genlab.config.errors import ConfigError, GenLabError, nearest
from genlab.config.families import FamilyConfig, build_family, family_names
from genlab.config.laboratory import LaboratoryConfig
from genlab.config.layout import CLASSIFIER, CLIP, JUDGE, RULERS
from genlab.config.prompts import PromptsConfig
from genlab.config.samplers import SAMPLERS, SamplerConfig, SteppedSampler

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]*$", max_length=40)]
RESERVED_MODELS = (*RULERS, "floor", "laboratory", "reference", "report")
RESERVED_DATASETS = ("benchmarks", "logs", "published", "report")
RESERVED_STUDIES = ("data", "mlflow-artifacts", "mlflow.db")
Extractor = Literal["classifier", "inception-v3-compat"]


class TrainingConfig(Strict):
    """How a model is trained; the budget is counted in images seen."""

    images: PositiveInt = 160_000
    """Training stops after this many images, each epoch counting anew."""
    batch_size: PositiveInt = 64
    optimizer: Literal["adamw", "muon"] = "adamw"
    """'muon' takes the weights of convolutions and linear layers, AdamW what is left, both at
    `learning_rate`. Which families it serves, and what it costs them: benchmarks/README.md."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the budget over which the learning rate rises from 0."""
    decay: Literal["cosine", "linear", "none"] = "cosine"
    """How the learning rate then falls to 0 at the end of the budget, if at all."""
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradients are scaled down to this norm."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the moving average of the weights, warmed up as min(ema, (1 + n) / (10 + n)).
    0 keeps none; half-life of .995 is 138 steps, of .9999 6931: keep it well below the run."""
    horizontal_flip: bool = False
    """Mirror half of the images at random: good for photos, wrong for digits."""
    precision: Precision = "fp32"
    """'bf16' computes layers in bfloat16 where that is safe; losses and weights stay float32."""
    compile: bool = False
    """Use torch.compile; pays on a GPU and for long runs, costs a minute at the start."""

    @property
    def steps(self) -> int:
        """Optimiser steps: the last batch that reaches the budget included."""
        return -(-self.images // self.batch_size)


class EvaluationConfig(Strict):
    """What is measured, on how many samples, in whose features."""

    samples: Annotated[int, Field(ge=16)] = 1000
    """Images drawn per row; the same for every row, since FID falls with this number."""
    extractors: Annotated[tuple[Extractor, ...], Field(min_length=1)] = ("classifier",)
    """Whose features FID, KID, precision and recall are measured in."""
    inception_weights: str | None = None
    """A local file with the weights of inception-v3-compat; null lets torch-fidelity fetch them."""
    floors: tuple[Literal["real", "noise"], ...] = ("real", "noise")
    """Rows that calibrate the table: held-out real images, and uniform noise."""
    kid_subsets: PositiveInt = 100
    kid_subset_size: Annotated[int, Field(ge=2)] = 500
    neighbours: PositiveInt = 3
    """k of the k-nearest-neighbour balls behind precision and recall."""
    splits: PositiveInt = 10
    """Splits of the inception score."""
    classifier: dict[str, Any] = Field(default_factory=dict)
    """Overrides of the domain classifier's training, e.g. {images: 20000}."""

    @model_validator(mode="after")
    def _fits(self) -> EvaluationConfig:
        if self.kid_subset_size > self.samples:
            raise ValueError(
                f"kid_subset_size {self.kid_subset_size} is larger than samples {self.samples}"
            )
        return self


class LikelihoodConfig(Strict):
    """How bits/dim are estimated on the held-out images."""

    iwae_samples: PositiveInt = 64
    """K of IWAE-K, the importance samples behind the tighter bound of a VAE's bits/dim."""
    path_images: PositiveInt = 64
    """Held-out images, the first so many, that families on a Gaussian path are asked about: each
    takes them hundreds of network evaluations. All others are asked about all."""


class TrackingConfig(Strict):
    """Where the progress goes besides the run's own folder."""

    experiment: str | None = None
    """MLflow experiment; null takes the study's name. The store is MLFLOW_TRACKING_URI, or
    SQLite under results/."""
    tensorboard: bool = True
    system_metrics: bool = True
    wandb: Literal["off", "online", "offline"] = "off"


class ModelEntry(Strict):
    """A model of the study: a preset of `config/models`, its changes, under a name of its own."""

    name: Name
    preset: str
    model: SerializeAsAny[FamilyConfig]
    training: TrainingConfig

    def samplers(self, samplers: dict[str, SamplerConfig]) -> list[str]:
        """The rows of `samplers` that can draw from this model."""
        return [row for row, sampler in samplers.items() if sampler.fits(self.model)]


class Study(Strict):
    """Everything that a study is made of, resolved and checked."""

    name: Name
    description: str = ""
    datasets: dict[Name, SerializeAsAny[DatasetConfig]]
    models: dict[Name, ModelEntry]
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
    samplers: dict[Name, SerializeAsAny[SamplerConfig]]
    evaluation: EvaluationConfig = EvaluationConfig()
    likelihood: LikelihoodConfig = LikelihoodConfig()
    laboratory: LaboratoryConfig | None = None
    prompts: PromptsConfig | None = None
    """None where no model takes prompts; `clip` and `judge` as well."""
    tracking: TrackingConfig = TrackingConfig()
    classifier: ModelEntry
    clip: ModelEntry | None = None
    judge: ModelEntry | None = None

    @property
    def rulers(self) -> list[ModelEntry]:
        """The models that the others are measured by, each trained once for each data set."""
        return [entry for entry in (self.classifier, self.clip, self.judge) if entry]

    def entry(self, model: str) -> ModelEntry:
        """What the study says of a model, those that measure among them."""
        return {**self.models, **{entry.name: entry for entry in self.rulers}}[model]


class StudyFile(Strict):
    """A study as its author writes it: `config/config.yaml` and `config/studies/*.yaml`."""

    name: Name
    description: str = ""
    datasets: Annotated[tuple[str, ...], Field(min_length=1)]
    models: Annotated[tuple[str | dict[str, Any], ...], Field(min_length=1)]
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0,)
    samplers: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]
    training: dict[str, Any] = Field(default_factory=dict)
    evaluation: EvaluationConfig = EvaluationConfig()
    likelihood: LikelihoodConfig = LikelihoodConfig()
    laboratory: LaboratoryConfig | None = None
    """The ELBO laboratory; null leaves it out, {} takes its defaults."""
    prompts: PromptsConfig = PromptsConfig()
    tracking: TrackingConfig = TrackingConfig()


def available(folder: Path) -> list[str]:
    """Names of the YAML files in `folder`."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _kind(kinds: dict[str, Any], key: str, values: dict[str, Any], source: str | Path) -> Any:
    """The class that `values[key]` names among `kinds`."""
    name = values.get(key)
    if name not in kinds:
        said = "missing" if name is None else f"unknown {key} '{name}'"
        raise ConfigError(f"{source}: {key}: {said}: {nearest(str(name), kinds)}")
    return kinds[name]


def load_dataset(name: str, config_dir: Path, source: str | Path) -> DatasetConfig:
    """Read `config/datasets/NAME.yaml`."""
    folder = config_dir / "datasets"
    if name not in available(folder):
        raise ConfigError(
            f"{source}: datasets: unknown data set '{name}': {nearest(name, available(folder))}"
        )
    if name in RESERVED_DATASETS:
        raise ConfigError(f"{source}: datasets: the name '{name}' is taken; rename its file")
    path = folder / f"{name}.yaml"
    values = read_yaml(path)
    kind: type[DatasetConfig] = _kind(SOURCES, "source", values, path)
    config = build(kind, values, path)
    try:
        config.check()
    except GenLabError as error:
        raise ConfigError(f"{path}: {error}") from None
    return config


def load_sampler(values: dict[str, Any], source: str | Path) -> SamplerConfig:
    """Validate a sampler by the class that its `sampler:` names."""
    kind: type[SamplerConfig] = _kind(SAMPLERS, "sampler", values, source)
    return build(kind, values, source)


def _resolve(layers: dict[str, Any], where: str | Path) -> tuple[TrainingConfig, FamilyConfig]:
    """The training and the hyperparameters that the `layers` of a model describe."""
    family = {key: value for key, value in layers.items() if key != "training"}
    training = build(TrainingConfig, layers.get("training", {}), f"{where}: training")
    return training, build_family(family, where)


def _preset(name: str, folder: Path, where: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """All that a preset says, with what it builds on; or a family's name, for its defaults.

    Args:
        where: what error messages name as the place where `name` stands.
        above: the presets that build on this one.

    Raises:
        ConfigError: there is none of this name, it builds on itself, or it is wrong in itself.
    """
    if name in above:
        raise ConfigError(f"{where}: '{name}' builds on itself: {' -> '.join((*above, name))}")
    if name in available(folder):
        path: str | Path = folder / f"{name}.yaml"
        values = read_yaml(Path(path))
        if "preset" in values:
            below = str(values.pop("preset"))
            values = merge(_preset(below, folder, f"{path}: preset", (*above, name)), values)
    elif name in family_names():
        path, values = f"family {name}", {"family": name}
    else:
        known = {*available(folder), *family_names()}
        raise ConfigError(f"{where}: unknown model '{name}': {nearest(name, known)}")
    _resolve(values, path)  # alone first: a mistake of the preset is not the study's
    return values


def load_model(
    entry: str | dict[str, Any], training: dict[str, Any], config_dir: Path, source: str | Path
) -> ModelEntry:
    """Resolve one entry of a study's `models:`.

    An entry is the name of a preset (`config/models/NAME.yaml`) or of a family, whose defaults it
    then takes; or a mapping with `preset:`, an optional `name:` and changes. What counts, weakest
    first: defaults, the preset, the study's `training:`, the entry's own changes. A preset may name
    another one with `preset:` as well, and then says only what differs.
    """
    changes = {"preset": entry} if isinstance(entry, str) else dict(entry)
    preset = str(changes.pop("preset", ""))
    name = str(changes.pop("name", preset))
    values = _preset(preset, config_dir / "models", f"{source}: models")
    where = f"{source}: models: {name}"
    if name in RESERVED_MODELS and preset != name:
        raise ConfigError(f"{source}: models: the name '{name}' is taken; choose another `name:`")
    budget, model = _resolve(merge(values, {"training": training}, changes), where)
    fields = {"name": name, "preset": preset, "training": budget, "model": model}
    return build(ModelEntry, fields, where)


def _ruler(name: str, file: StudyFile, config_dir: Path, source: str | Path) -> ModelEntry:
    """One of the models that others are measured by; the study's `training:` isn't for them."""
    section = file.evaluation if name == CLASSIFIER else file.prompts
    return load_model({"preset": name, "training": getattr(section, name)}, {}, config_dir, source)


def _with_first_stages(
    models: list[ModelEntry],
    classifier: ModelEntry,
    training: dict[str, Any],
    config_dir: Path,
    source: str | Path,
) -> list[ModelEntry]:
    """`models`, and before each all it builds on where the study doesn't name it.

    The classifier is the study's own, and none of its models.
    """
    by_name = {entry.name: entry for entry in [*models, classifier]}
    complete: dict[str, ModelEntry] = {}

    def add(entry: ModelEntry) -> None:
        name = entry.model.first_stage_name
        if name is not None:
            first = by_name.get(name) or load_model(name, training, config_dir, source)
            for problem in entry.model.first_stage_problems(first.model):
                raise ConfigError(f"{source}: models: '{entry.name}': {problem}")
            add(first)
        if entry is not classifier:
            complete.setdefault(entry.name, entry)

    for entry in models:
        add(entry)
    return list(complete.values())


def _no_twins(names: Iterable[str], what: str, source: str | Path) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ConfigError(f"{source}: {what}: '{name}' stands twice; give one another `name:`")
        seen.add(name)


def _check_model(study: Study, name: str, entry: ModelEntry, source: str | Path) -> None:
    """Refuse a model that can't be trained on the study's data, or drawn from by its samplers."""
    silent = entry.model.generates == "nothing"
    if silent and not entry.model.reconstructs:
        raise ConfigError(f"{source}: models: '{name}' generates no images: drop it")
    rows = entry.samplers(study.samplers)
    if not silent and not rows:
        fitting = [n for n, kind in SAMPLERS.items() if kind(sampler=n).fits(entry.model)]
        obstacles = "; ".join(
            f"{row}: {sampler.obstacle(entry.model)}" for row, sampler in study.samplers.items()
        )
        raise ConfigError(
            f"{source}: samplers: none can draw from '{name}' ({obstacles}); "
            f"add one with sampler: {' or '.join(fitting)}"
        )
    for row in rows:
        sampler, limit = study.samplers[row], entry.model.max_steps
        if not isinstance(sampler, SteppedSampler) or limit is None:
            continue
        if sampler.spacing == "uniform" and sampler.steps > limit:
            raise ConfigError(
                f"{source}: samplers.{row}.steps: {sampler.steps} asked, but '{name}' has "
                f"only {limit} timesteps"
            )
    below = entry.model.first_stage_name
    told = entry.model.reads_captions or entry.model.knows_factors
    shrinks = study.entry(below).model.shrinks if below else 1
    for dataset, config in study.datasets.items():
        channels, size = config.shape[:2]
        if told and entry.training.horizontal_flip and config.factors:
            raise ConfigError(
                f"{source}: models: '{name}': training.horizontal_flip mirrors the images of "
                f"'{dataset}', but not what is said of them (left, right ...); leave it out"
            )
        for problem in entry.model.problems(channels, size // shrinks):
            raise ConfigError(f"{source}: model '{name}' on '{dataset}': {problem}")


def _check_dataset(study: Study, name: str, config: DatasetConfig, source: str | Path) -> None:
    """Refuse a data set that is too small for what is measured on it."""
    if study.laboratory is not None:
        for problem in study.laboratory.problems(math.prod(config.shape)):
            raise ConfigError(f"{source}: laboratory: on '{name}': {problem}")
    n = study.evaluation.samples
    if config.held_out is not None and "real" in study.evaluation.floors and n > config.held_out:
        raise ConfigError(
            f"{source}: evaluation.samples: {n} asked, but '{name}' holds out only "
            f"{config.held_out} images for the row of real data; ask for fewer, "
            "or leave 'real' out of evaluation.floors"
        )


def _check(study: Study, source: str | Path) -> None:
    """Refuse what can't run, before any job does."""
    for name, entry in study.models.items():
        _check_model(study, name, entry, source)
    for row, sampler in study.samplers.items():
        if row in study.evaluation.floors:
            raise ConfigError(f"{source}: samplers: the name '{row}' is taken; choose another")
        obstacles = {n: sampler.obstacle(entry.model) for n, entry in study.models.items()}
        if all(obstacles.values()):
            why = "; ".join(f"{name}: {obstacle}" for name, obstacle in obstacles.items())
            raise ConfigError(
                f"{source}: samplers: '{row}' ({sampler.sampler}) draws from no model here "
                f"({why}); change it or drop it"
            )
    for name, config in study.datasets.items():
        _check_dataset(study, name, config, source)
    if study.prompts is not None and study.prompts.samplers:
        _check_prompts(study, study.prompts.samplers, source)


def _check_prompts(study: Study, rows: tuple[str, ...], source: str | Path) -> None:
    """Refuse `prompts.samplers` that aren't there, or leave a model with none."""
    for row in rows:
        if row not in study.samplers:
            said = f"unknown sampler '{row}': {nearest(row, study.samplers)}"
            raise ConfigError(f"{source}: prompts.samplers: {said}")
    chosen = {row: study.samplers[row] for row in rows}
    for name, entry in study.models.items():
        if entry.model.takes_prompts and not entry.samplers(chosen):
            raise ConfigError(
                f"{source}: prompts.samplers: none of {', '.join(rows)} draws from '{name}'; "
                f"add one of {', '.join(entry.samplers(study.samplers))}"
            )


def load_study(values: dict[str, Any], config_dir: Path, source: str | Path) -> Study:
    """Resolve and check the study that `values` (a study file's content) describes.

    Args:
        values: the mapping of a study file, perhaps with single values overridden.
        config_dir: the folder with `datasets/` and `models/`.
        source: what error messages name as the place of a mistake.

    Raises:
        ConfigError: anything unknown, ill-typed or impossible, with the nearest valid name.
    """
    file = build(StudyFile, values, source)
    if file.name in RESERVED_STUDIES:
        raise ConfigError(f"{source}: name: '{file.name}' is taken under results/; choose another")
    # Alone first: in a model's layers nobody could tell who wrote the mistake.
    build(TrainingConfig, file.training, f"{source}: training")
    build(TrainingConfig, file.evaluation.classifier, f"{source}: evaluation.classifier")
    for name in (CLIP, JUDGE):
        build(TrainingConfig, getattr(file.prompts, name), f"{source}: prompts.{name}")
    models = [load_model(m, file.training, config_dir, source) for m in file.models]
    _no_twins((m.name for m in models), "models", source)
    classifier = _ruler(CLASSIFIER, file, config_dir, source)
    models = _with_first_stages(models, classifier, file.training, config_dir, source)
    _no_twins(file.datasets, "datasets", source)
    _no_twins((str(seed) for seed in file.seeds), "seeds", source)
    prompted = any(entry.model.takes_prompts for entry in models)
    fields = {
        "name": file.name,
        "description": file.description,
        "datasets": {name: load_dataset(name, config_dir, source) for name in file.datasets},
        "models": {model.name: model for model in models},
        "seeds": file.seeds,
        "samplers": {
            row: load_sampler(values, f"{source}: samplers.{row}")
            for row, values in file.samplers.items()
        },
        "evaluation": file.evaluation,
        "likelihood": file.likelihood,
        "laboratory": file.laboratory,
        "prompts": file.prompts if prompted else None,
        "tracking": file.tracking,
        "classifier": classifier,
        **{name: _ruler(name, file, config_dir, source) for name in (CLIP, JUDGE) if prompted},
    }
    study = build(Study, fields, source)
    _check(study, source)
    return study
