"""Models of a study: presets of `config/models`, the families behind them, and changes to both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genlab.config.base import build, lengths, merge, read_yaml
from genlab.config.evaluators import trained_evaluators
from genlab.config.families import FamilyConfig, build_family, family_names
from genlab.config.study.schema import ModelEntry, TrainingConfig
from genlab.errors import ConfigError, nearest, shown

RESERVED_MODELS = (*trained_evaluators(), "calibration", "elbo-study", "reference", "report")
"""Names of other folders under results/STUDY/DATASET."""


def yaml_names(folder: Path) -> list[str]:
    """Return the names of the YAML files in `folder`, without their suffix."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def build_training(values: dict[str, Any], where: str | Path) -> TrainingConfig:
    """Validate the values of a training, as an author writes them.

    Raises:
        ConfigError: a value is unusable, or two of them set the length.
    """
    training = build(TrainingConfig, values, where)
    if len(lengths(values)) > 1:
        raise ConfigError(
            f"{where}: images: {training.images} and seconds: {training.seconds:g} each set the "
            "length of the training; remove one of them"
        )
    return training


def resolve(values: dict[str, Any], where: str | Path) -> tuple[TrainingConfig, FamilyConfig]:
    """Validate a model's merged values: its training and its hyperparameters.

    Raises:
        ConfigError: a value is unusable, or the family can't be trained with `accumulation`.
    """
    hyperparameters = {key: value for key, value in values.items() if key != "training"}
    training = build_training(values.get("training", {}), f"{where}: training")
    family = build_family(hyperparameters, where)
    if training.accumulation > 1 and family.needs_whole_batch:
        raise ConfigError(
            f"{where}: training.accumulation: {training.accumulation} changes the training of a "
            f"{family.family}, as {family.needs_whole_batch}; set it to 1 for this model"
        )
    return training, family


def _text(value: Any, where: str | Path) -> str:
    """Return `value`, which must be text."""
    if not isinstance(value, str):
        raise ConfigError(f"{where}: expected a name, got {shown(value)}")
    return value


def read_preset(
    name: str, folder: Path, where: str, parents: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Read a preset merged with the one it builds on; the name of a family gives its defaults.

    Args:
        folder: `config/models`.
        where: the place of `name`, for error messages.
        parents: the presets that build on this one, to detect a circle.

    Raises:
        ConfigError: the preset doesn't exist, builds on itself, or is invalid on its own.
    """
    if name in parents:
        raise ConfigError(f"{where}: '{name}' builds on itself: {' -> '.join((*parents, name))}")
    if name in yaml_names(folder):
        path: str | Path = folder / f"{name}.yaml"
        values = read_yaml(Path(path))
        if "preset" in values:
            base = _text(values.pop("preset"), f"{path}: preset")
            values = merge(read_preset(base, folder, f"{path}: preset", (*parents, name)), values)
    elif name in family_names():
        path, values = f"family {name}", {"family": name}
    else:
        names = {*yaml_names(folder), *family_names()}
        raise ConfigError(f"{where}: unknown model {shown(name)}: {nearest(name, names)}")
    resolve(values, path)  # on its own, so that the error names this file and not the study
    return values


def load_model(
    entry: str | dict[str, Any], training: dict[str, Any], config_dir: Path, source: str | Path
) -> ModelEntry:
    """Resolve one entry of a study's `models:`.

    An entry is the name of a preset (`config/models/NAME.yaml`), the name of a family, which stands
    for its defaults, or a mapping with `preset:`, an optional `name:` and changes. A preset may
    build on another one with `preset:` in the same way. The layers from weakest to strongest are
    the family's defaults, the preset, the study's `training:`, and the entry's own changes.

    Raises:
        ConfigError: the entry is invalid.
    """
    changes = {"preset": entry} if isinstance(entry, str) else dict(entry)
    if "preset" not in changes:
        raise ConfigError(
            f"{source}: models: {shown(entry)} has no `preset:`; write {{preset: NAME, ...}}: "
            f"{nearest('', yaml_names(config_dir / 'models'))}"
        )
    preset = _text(changes.pop("preset"), f"{source}: models: preset")
    name = _text(changes.pop("name", preset), f"{source}: models: name")
    values = read_preset(preset, config_dir / "models", f"{source}: models")
    where = f"{source}: models: {name}"
    if name in RESERVED_MODELS and preset != name:
        raise ConfigError(
            f"{source}: models: the name '{name}' is reserved; choose another `name:`"
        )
    budget, model = resolve(merge(values, {"training": training}, changes), where)
    fields = {"name": name, "preset": preset, "training": budget, "model": model}
    return build(ModelEntry, fields, where)
