"""The study: data sets x models x seeds x samplers x metrics, under one budget.

A study file says which, the files under `config/datasets` and `config/models` say what they are.
`load_study` brings everything together, checks all of it before any job starts, and returns the
typed `Study`, from which `genlab.results.spec` cuts the part that each run needs.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    SerializeAsAny,
    model_validator,
)

from genlab.config.base import Images, Precision, Strict, build, merge, pick, read_yaml
from genlab.config.datasets import SOURCES, DatasetConfig
from genlab.config.elbo_study import LaboratoryConfig
from genlab.config.evaluators import extractor, extractors, trained_evaluators
from genlab.config.families import FamilyConfig, build_family, family_names
from genlab.config.prompts import PromptsConfig
from genlab.config.samplers import SAMPLERS, SamplerConfig, SteppedSampler
from genlab.errors import ConfigError, GenLabError, nearest, shown

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]*$", max_length=40)]
RESERVED_MODELS = (*trained_evaluators(), "floor", "laboratory", "reference", "report")
RESERVED_DATASETS = ("benchmarks", "logs", "published", "report")
RESERVED_STUDIES = ("data", "mlflow-artifacts", "mlflow.db")


def _known_extractor(name: str) -> str:
    if name not in extractors():
        raise ValueError(f"unknown extractor {shown(name)}: {nearest(name, extractors())}")
    return name


Extractor = Annotated[str, AfterValidator(_known_extractor)]
"""The name of a feature extractor (`genlab.config.evaluators`)."""


class TrainingConfig(Strict):
    """How a model is trained; the budget is counted in images seen."""

    images: PositiveInt = 160_000
    """Training stops after this many images, each epoch counting anew."""
    batch_size: Annotated[int, Field(ge=1, le=2**16)] = 64
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

    samples: Annotated[Images, Field(ge=16)] = 1000
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

    @property
    def fewest(self) -> dict[str, int]:
        """The fewest images that each of these keys can be measured on."""
        return {
            "kid_subset_size": self.kid_subset_size,
            "neighbours": self.neighbours + 1,
            "splits": self.splits,
        }

    @model_validator(mode="after")
    def _fits(self) -> EvaluationConfig:
        for key, needed in self.fewest.items():
            if self.samples < needed:
                raise ValueError(
                    f"{key}: {getattr(self, key)} needs at least {needed} samples, but samples is "
                    f"{self.samples}; change one of them"
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
    description: Annotated[str, Field(min_length=0)] = ""
    datasets: dict[Name, SerializeAsAny[DatasetConfig]]
    models: dict[Name, ModelEntry]
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
    samplers: dict[Name, SerializeAsAny[SamplerConfig]]
    evaluation: EvaluationConfig = EvaluationConfig()
    likelihood: LikelihoodConfig = LikelihoodConfig()
    laboratory: LaboratoryConfig | None = None
    prompts: PromptsConfig | None = None
    """None where no model takes prompts."""
    tracking: TrackingConfig = TrackingConfig()
    evaluators: dict[Name, ModelEntry]
    """The models that the others are measured by, each trained once for each data set."""

    @property
    def features(self) -> dict[str, int]:
        """The dimensions that each extractor's features have."""
        models = {name: entry.model for name, entry in self.evaluators.items()}
        names = self.evaluation.extractors
        return {name: extractor(name).dimensions(models.get(name)) for name in names}

    @property
    def notes(self) -> list[str]:
        """What the study leaves out: rows of `samplers` that draw from none of its models."""
        notes = []
        for row, sampler in self.samplers.items():
            reasons: dict[str | None, list[str]] = {}
            for name, entry in self.models.items():
                reasons.setdefault(sampler.obstacle(entry.model), []).append(name)
            if None not in reasons:
                why = "; ".join(
                    f"{', '.join(names)}: {reason}" for reason, names in reasons.items()
                )
                notes.append(f"samplers: '{row}' is left out, it draws from no model here ({why})")
        return notes

    def entry(self, model: str) -> ModelEntry:
        """What the study says of a model, or of an evaluator."""
        return {**self.models, **self.evaluators}[model]


def _entry(value: Any) -> str | dict[str, Any]:
    if not isinstance(value, str | dict) or not value:
        raise ValueError(f"expected a name such as vae, or {{preset: vae}}, got {shown(value)}")
    return value


Entry = Annotated[Any, BeforeValidator(_entry)]
"""A model as a study names it: a preset, or {preset: NAME, name: ANOTHER, key: value ...}."""


class StudyFile(Strict):
    """A study as its author writes it: `config/config.yaml` and `config/studies/*.yaml`."""

    name: Name
    description: Annotated[str, Field(min_length=0)] = ""
    datasets: Annotated[tuple[str, ...], Field(min_length=1)]
    models: Annotated[tuple[Entry, ...], Field(min_length=1)]
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


def load_dataset(name: str, config_dir: Path, source: str | Path) -> DatasetConfig:
    """Read `config/datasets/NAME.yaml`."""
    folder = config_dir / "datasets"
    if name not in available(folder):
        raise ConfigError(
            f"{source}: datasets: unknown data set {shown(name)}: "
            f"{nearest(name, available(folder))}"
        )
    if name in RESERVED_DATASETS:
        raise ConfigError(f"{source}: datasets: the name '{name}' is taken; rename its file")
    path = folder / f"{name}.yaml"
    values = read_yaml(path)
    config: DatasetConfig = build(pick(SOURCES, "source", values, path), values, path)
    try:
        config.check()
    except GenLabError as error:
        raise ConfigError(f"{path}: {error}") from None
    return config


def load_sampler(values: dict[str, Any], source: str | Path) -> SamplerConfig:
    """Validate a sampler by the class that its `sampler:` names."""
    return build(pick(SAMPLERS, "sampler", values, source), values, source)


def _resolve(layers: dict[str, Any], where: str | Path) -> tuple[TrainingConfig, FamilyConfig]:
    """The training and the hyperparameters that the `layers` of a model describe."""
    family = {key: value for key, value in layers.items() if key != "training"}
    training = build(TrainingConfig, layers.get("training", {}), f"{where}: training")
    return training, build_family(family, where)


def _name_of(value: Any, where: str | Path) -> str:
    """`value`, which must be text."""
    if not isinstance(value, str):
        raise ConfigError(f"{where}: expected a name, got {shown(value)}")
    return value


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
            below = _name_of(values.pop("preset"), f"{path}: preset")
            values = merge(_preset(below, folder, f"{path}: preset", (*above, name)), values)
    elif name in family_names():
        path, values = f"family {name}", {"family": name}
    else:
        known = {*available(folder), *family_names()}
        raise ConfigError(f"{where}: unknown model {shown(name)}: {nearest(name, known)}")
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
    if "preset" not in changes:
        raise ConfigError(
            f"{source}: models: {shown(entry)} has no `preset:`; write {{preset: NAME, ...}}: "
            f"{nearest('', available(config_dir / 'models'))}"
        )
    preset = _name_of(changes.pop("preset"), f"{source}: models: preset")
    name = _name_of(changes.pop("name", preset), f"{source}: models: name")
    values = _preset(preset, config_dir / "models", f"{source}: models")
    where = f"{source}: models: {name}"
    if name in RESERVED_MODELS and preset != name:
        raise ConfigError(f"{source}: models: the name '{name}' is taken; choose another `name:`")
    budget, model = _resolve(merge(values, {"training": training}, changes), where)
    fields = {"name": name, "preset": preset, "training": budget, "model": model}
    return build(ModelEntry, fields, where)


def _evaluators(
    file: StudyFile, models: list[ModelEntry], config_dir: Path, source: str | Path
) -> dict[str, ModelEntry]:
    """The evaluators that a study of `models` needs; its `training:` doesn't apply to them."""
    families = [entry.model for entry in models]
    entries: dict[str, ModelEntry] = {}
    for name, evaluator in trained_evaluators().items():
        if not evaluator.needed(families):
            continue
        values = {"preset": name, "training": evaluator.training(file)}
        entries[name] = load_model(values, {}, config_dir, source)
        if entries[name].model.family != name:
            path = config_dir / "models" / f"{name}.yaml"
            raise ConfigError(f"{path}: family: must be {name}, which others are measured by")
    return entries


def _with_first_stages(
    models: list[ModelEntry],
    evaluators: dict[str, ModelEntry],
    training: dict[str, Any],
    config_dir: Path,
    source: str | Path,
) -> list[ModelEntry]:
    """`models`, and before each all it builds on where the study doesn't name it.

    An evaluator can be a first stage; it is none of the study's models.
    """
    by_name = {entry.name: entry for entry in [*models, *evaluators.values()]}
    complete: dict[str, ModelEntry] = {}

    def add(entry: ModelEntry) -> None:
        name = entry.model.first_stage_name
        if name is not None:
            first = by_name.get(name) or load_model(name, training, config_dir, source)
            for problem in entry.model.first_stage_problems(first.model):
                raise ConfigError(f"{source}: models: '{entry.name}': {problem}")
            add(first)
        if entry.name not in evaluators:
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


def _misfits(model: FamilyConfig, study: Study) -> list[str]:
    """What stands against training `model` on the data sets of the study; empty if nothing."""
    first = model.first_stage_name
    shrinks = study.entry(first).model.shrinks if first else 1
    return [
        f"on '{name}': {problem}"
        for name, config in study.datasets.items()
        for problem in model.problems(config.shape[0], config.shape[1] // shrinks)
    ]


def _sibling(entry: ModelEntry, study: Study, config_dir: Path) -> str | None:
    """The preset of the same family, nearest in name, that fits all data sets of the study."""
    folder, own = config_dir / "models", entry.model
    siblings = []
    for name in sorted(set(available(folder)) - study.models.keys()):
        _, model = _resolve(_preset(name, folder, name), name)
        same = (model.family, model.first_stage_name) == (own.family, own.first_stage_name)
        if same and not _misfits(model, study):
            siblings.append(name)
    close = difflib.get_close_matches(entry.preset, siblings, n=1, cutoff=0)
    return close[0] if close else None


def _check_fit(study: Study, file: StudyFile, config_dir: Path) -> Iterator[str]:
    """Refuse models that can't be trained on a data set; name one in the place of each."""
    instead: dict[str, str] = {}
    for name, entry in study.models.items():
        if problems := _misfits(entry.model, study):
            sibling = _sibling(entry, study, config_dir)
            remedy = f"; replace {name} by {sibling}" if sibling else ""
            yield from (f"models: '{name}' {problem}{remedy}" for problem in problems)
            instead |= {name: sibling} if sibling else {}
    if instead:
        names = [
            one if isinstance(one, str) else one.get("name", one["preset"]) for one in file.models
        ]
        models = [instead.get(name, one) for name, one in zip(names, file.models, strict=True)]
        line = yaml.safe_dump(models, default_flow_style=True, width=math.inf).strip()
        yield f"models: with these changes the line is `models: {line}`"


def _check_model(study: Study, name: str) -> Iterator[str]:
    """Refuse a model that can't be drawn from by the study's samplers."""
    entry = study.models[name]
    silent = entry.model.generates == "nothing"
    if silent and not entry.model.reconstructs:
        yield f"models: '{name}' generates no images: drop it"
    rows = entry.samplers(study.samplers)
    if not silent and not rows:
        fitting = [n for n, kind in SAMPLERS.items() if kind(sampler=n).fits(entry.model)]
        obstacles = "; ".join(
            f"{row}: {sampler.obstacle(entry.model)}" for row, sampler in study.samplers.items()
        )
        yield (
            f"samplers: none can draw from '{name}' ({obstacles}); add a line such as "
            f"`{fitting[0]}: {{sampler: {fitting[0]}}}` (sampler: {' or '.join(fitting)})"
        )
    for row in rows:
        sampler, limit = study.samplers[row], entry.model.max_steps
        if not isinstance(sampler, SteppedSampler) or limit is None:
            continue
        if sampler.spacing == "uniform" and sampler.steps > limit:
            yield (
                f"samplers.{row}.steps: {sampler.steps} asked, but '{name}' has "
                f"only {limit} timesteps"
            )
    described = entry.model.reads_captions or entry.model.knows_factors
    for dataset, config in study.datasets.items():
        if described and entry.training.horizontal_flip and config.factors:
            yield (
                f"models: '{name}': training.horizontal_flip mirrors the images of "
                f"'{dataset}', but not what is said of them (left, right ...); leave it out"
            )


def _check_dataset(study: Study, name: str, config: DatasetConfig) -> Iterator[str]:
    """Refuse a data set that is too small for what is measured on it."""
    evaluation, images = study.evaluation, config.train_count
    if study.laboratory is not None:
        for problem in study.laboratory.problems(math.prod(config.shape), images):
            yield f"laboratory: on '{name}': {problem}"
    n = evaluation.samples
    if config.held_out is not None and "real" in evaluation.floors and n > config.held_out:
        yield (
            f"evaluation.samples: {n} asked, but '{name}' holds out only "
            f"{config.held_out} images for the row of real data; ask for fewer, "
            "or leave 'real' out of evaluation.floors"
        )
    needs = {key: evaluation.fewest[key] for key in ("kid_subset_size", "neighbours")}
    needs |= {f"extractors: {name}": n for name, n in study.features.items()}
    for key, needed in needs.items():
        if images is not None and images < needed:
            yield (
                f"datasets: '{name}' has only {images} images to train on, but evaluation.{key} "
                f"needs at least {needed}; add images, or change it"
            )


def _check_evaluation(study: Study) -> Iterator[str]:
    """Refuse fewer samples than features, and extractors that can't be used."""
    evaluation = study.evaluation
    for name, features in study.features.items():
        if evaluation.samples < features:
            yield (
                f"evaluation.samples: {evaluation.samples} are too few for FID in the {features} "
                f"features of {name}; draw {features} or more"
                + (f", or take {name} out of evaluation.extractors" if features > 1000 else "")
            )
    for name in evaluation.extractors:
        yield from (f"evaluation.{problem}" for problem in extractor(name).problems(evaluation))


def _check(study: Study, file: StudyFile, config_dir: Path) -> Iterator[str]:
    """What can't run, each in a line that begins with its key."""
    yield from _check_fit(study, file, config_dir)
    for name in study.models:
        yield from _check_model(study, name)
    for row in study.samplers:
        if row in study.evaluation.floors:
            yield f"samplers: the name '{row}' is taken; choose another"
    yield from _check_evaluation(study)
    for name, config in study.datasets.items():
        yield from _check_dataset(study, name, config)
    if study.prompts is not None and study.prompts.samplers:
        yield from _check_prompts(study, study.prompts.samplers)


def _check_prompts(study: Study, rows: tuple[str, ...]) -> Iterator[str]:
    """Refuse `prompts.samplers` that don't exist, or leave a model with none."""
    chosen = {row: study.samplers[row] for row in rows if row in study.samplers}
    for row in rows:
        if row not in chosen:
            yield f"prompts.samplers: unknown sampler {shown(row)}: {nearest(row, study.samplers)}"
    for name, entry in study.models.items():
        if entry.model.takes_prompts and not entry.samplers(chosen):
            yield (
                f"prompts.samplers: none of {', '.join(rows)} draws from '{name}'; "
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
    for name, evaluator in trained_evaluators().items():
        build(TrainingConfig, evaluator.training(file), f"{source}: {evaluator.section}.{name}")
    models = [load_model(m, file.training, config_dir, source) for m in file.models]
    _no_twins((m.name for m in models), "models", source)
    measuring = _evaluators(file, models, config_dir, source)
    models = _with_first_stages(models, measuring, file.training, config_dir, source)
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
        "evaluators": measuring,
    }
    study = build(Study, fields, source)
    if problems := [f"{source}: {problem}" for problem in _check(study, file, config_dir)]:
        raise ConfigError("\n".join(problems))
    return study
