"""From the content of a study file to a resolved and checked `Study`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from genlab.config.base import build, pick, read_yaml
from genlab.config.evaluators import trained_evaluators
from genlab.config.samplers import SAMPLERS, SamplerConfig
from genlab.config.sources import DatasetConfig, build_source
from genlab.config.study.check import check_study
from genlab.config.study.presets import build_training, load_model, yaml_names
from genlab.config.study.schema import ModelEntry, Study, StudyFile
from genlab.errors import ConfigError, GenLabError, nearest, shown

RESERVED_DATASETS = ("benchmarks", "logs", "published", "report", "tensorboard")
"""Names of other files and folders under results/STUDY."""
RESERVED_STUDIES = ("data", "mlflow-artifacts", "mlflow.db")
"""Names of other files and folders under results."""


def load_dataset(name: str, config_dir: Path, source: str | Path) -> DatasetConfig:
    """Read and check `config/datasets/NAME.yaml`.

    Raises:
        ConfigError: the file is missing or invalid, or the user's own images can't be used.
    """
    folder = config_dir / "datasets"
    if name not in yaml_names(folder):
        raise ConfigError(
            f"{source}: datasets: unknown data set {shown(name)}: "
            f"{nearest(name, yaml_names(folder))}"
        )
    if name in RESERVED_DATASETS:
        raise ConfigError(f"{source}: datasets: the name '{name}' is reserved; rename its file")
    path = folder / f"{name}.yaml"
    config = build_source(read_yaml(path), path)
    try:
        config.check()
    except GenLabError as error:
        raise ConfigError(f"{path}: {error}") from None
    return config


def load_sampler(values: dict[str, Any], source: str | Path) -> SamplerConfig:
    """Validate a sampler's settings by the class that its `sampler:` names."""
    return build(pick(SAMPLERS, "sampler", values, source), values, source)


def load_study(values: dict[str, Any], config_dir: Path, source: str | Path) -> Study:
    """Resolve and check the study that `values` (the content of a study file) describes.

    Args:
        values: the mapping of a study file, perhaps with single values overridden.
        config_dir: the folder with `datasets/` and `models/`.
        source: the study file's name, for error messages.

    Raises:
        ConfigError: a key or a value is unknown, ill-typed or impossible; the message has a line
            per problem, with the closest valid name.
    """
    file = build(StudyFile, values, source)
    if file.name in RESERVED_STUDIES:
        raise ConfigError(f"{source}: name: '{file.name}' is reserved; choose another name")
    _check_training(file, source)
    _check_unique(file.datasets, "datasets", source)
    _check_unique((str(seed) for seed in file.seeds), "seeds", source)
    models = [load_model(entry, file.training, config_dir, source) for entry in file.models]
    _check_unique((entry.name for entry in models), "models", source)
    _check_no_evaluators(models, source)
    evaluators = _load_evaluators(file, models, config_dir, source)
    models = _with_first_stages(models, evaluators, file.training, config_dir, source)
    takes_prompts = any(entry.model.takes_prompts for entry in models)
    samplers, models = _load_samplers(file, models, config_dir, source)
    datasets = {name: load_dataset(name, config_dir, source) for name in file.datasets}
    fields = {
        "name": file.name,
        "description": file.description,
        "datasets": datasets,
        "models": {entry.name: entry for entry in models},
        "seeds": file.seeds,
        "samplers": samplers,
        "evaluation": file.evaluation,
        "likelihood": file.likelihood,
        "curves": file.curves,
        "elbo_study": file.elbo_study,
        "prompts": file.prompts if takes_prompts else None,
        "tracking": file.tracking,
        "evaluators": _without_other_datasets(evaluators, datasets),
    }
    study = build(Study, fields, source)
    problems = [f"{source}: {line}" for line in check_study(study, file.models, config_dir)]
    if problems:
        raise ConfigError("\n".join(problems))
    return study


def _load_samplers(
    file: StudyFile, models: list[ModelEntry], config_dir: Path, source: str | Path
) -> tuple[dict[str, SamplerConfig], list[ModelEntry]]:
    """The samplers by row; and the models, each with the rows that are of other models only.

    Raises:
        ConfigError: the `models:` of a sampler names something that is neither a model of the study
            nor a preset, or a model that the sampler can't draw from.
    """
    samplers = {}
    rows = _default_samplers(models) if file.samplers is None else file.samplers
    for row, values in rows.items():
        where = f"{source}: samplers.{row}"
        settings = {key: value for key, value in values.items() if key != "models"}
        samplers[row] = load_sampler(settings, where)
        if "models" not in values:
            continue
        names = values["models"]
        if not isinstance(names, list) or not names:
            raise ConfigError(f"{where}: models: expected a list of names, got {shown(names)}")
        for name in names:
            if problem := _obstacle(name, samplers[row], models, config_dir):
                raise ConfigError(f"{where}: models: {problem}")
        models = [
            entry
            if entry.name in names
            else entry.model_copy(update={"other_rows": (*entry.other_rows, row)})
            for entry in models
        ]
    return samplers, models


def _default_samplers(models: list[ModelEntry]) -> dict[str, dict[str, Any]]:
    """The families' own samplers by row, each with the `models:` of these families."""
    rows: dict[str, dict[str, Any]] = {}
    for entry in models:
        for row, settings in entry.model.default_samplers.items():
            rows.setdefault(row, {**settings, "models": []})["models"].append(entry.name)
    return rows


def _obstacle(
    name: Any, sampler: SamplerConfig, models: list[ModelEntry], config_dir: Path
) -> str | None:
    """Why a sampler's `models:` can't name this model; None for a preset that is left out."""
    names = {entry.name: entry for entry in models}
    presets = yaml_names(config_dir / "models")
    if not isinstance(name, str) or name not in {*names, *presets}:
        return f"unknown model {shown(name)}: {nearest(str(name), {*names, *presets})}"
    if name in names:
        obstacle = sampler.obstacle(names[name].model)
        return f"it can't draw from '{name}': {obstacle}" if obstacle else None
    other_name = next((entry.name for entry in models if entry.preset == name), None)
    return f"'{name}' is called {other_name} here" if other_name else None


def _check_training(file: StudyFile, source: str | Path) -> None:
    """Validate each `training` on its own; merged into a model, the error would blame the model."""
    build_training(file.training, f"{source}: training")
    for evaluator in trained_evaluators().values():
        key = f"{evaluator.section}.{evaluator.key}"
        build_training(evaluator.training(file), f"{source}: {key}")


def _check_unique(names: Iterable[str], key: str, source: str | Path) -> None:
    """Refuse a name that occurs twice."""
    previous: set[str] = set()
    for name in names:
        if name in previous:
            remedy = "give one of them another `name:`" if key == "models" else "remove one of them"
            raise ConfigError(f"{source}: {key}: '{name}' is listed twice; {remedy}")
        previous.add(name)


def _check_no_evaluators(models: Iterable[ModelEntry], source: str | Path) -> None:
    """Refuse evaluators among the models that a study lists."""
    for entry in models:
        if evaluator := trained_evaluators().get(entry.name):
            key = f"{evaluator.section}.{evaluator.key}"
            remedy = f"change its training under {key}" if evaluator.section else "remove it"
            raise ConfigError(f"{source}: models: '{entry.name}' is an evaluator; {remedy}")


def _load_evaluators(
    file: StudyFile, models: list[ModelEntry], config_dir: Path, source: str | Path
) -> dict[str, ModelEntry]:
    """Load the evaluators that a study of `models` needs, without its `training:`."""
    families = [entry.model for entry in models]
    entries: dict[str, ModelEntry] = {}
    for name, evaluator in trained_evaluators().items():
        if not evaluator.needed(families, file.evaluation.extractors):
            continue
        values = {"preset": name, "training": evaluator.training(file)}
        entries[name] = load_model(values, {}, config_dir, source)
        if entries[name].model.family != evaluator.key:
            path = config_dir / "models" / f"{name}.yaml"
            raise ConfigError(
                f"{path}: family: must be {evaluator.key}, because other models are measured by it"
            )
    return entries


def _without_other_datasets(
    evaluators: dict[str, ModelEntry], datasets: dict[str, DatasetConfig]
) -> dict[str, ModelEntry]:
    """Return `evaluators`, each with the data sets that it is not trained on."""
    configs = trained_evaluators()
    return {
        name: entry.model_copy(
            update={
                "other_datasets": tuple(
                    each for each, data in datasets.items() if not configs[name].trains_on(data)
                )
            }
        )
        for name, entry in evaluators.items()
    }


def _with_first_stages(
    models: list[ModelEntry],
    evaluators: dict[str, ModelEntry],
    training: dict[str, Any],
    config_dir: Path,
    source: str | Path,
) -> list[ModelEntry]:
    """Return `models`, each after the first stages it builds on; missing ones are loaded.

    An evaluator may be a first stage, but is not added: the study trains it in any case.
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
