"""Checks of a resolved study: what can't run is refused before any job starts.

Every check yields its problems as lines that begin with the key to change.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from genlab.config.calibration import KINDS, dropped_classes, split_row
from genlab.config.evaluators import extractor
from genlab.config.families import FamilyConfig
from genlab.config.samplers import SAMPLERS, SteppedSampler
from genlab.config.sources import DatasetConfig
from genlab.config.study.presets import load_model, yaml_names
from genlab.config.study.schema import Entry, ModelEntry, Study
from genlab.errors import ConfigError, nearest, shown


def check_study(study: Study, models: tuple[Entry, ...], config_dir: Path) -> Iterator[str]:
    """Yield all problems of `study`.

    Args:
        models: the study file's own `models:`, for the suggestion of a corrected line.
        config_dir: the folder with `models/`, where replacements are looked up.
    """
    yield from check_image_shapes(study, models, config_dir)
    for entry in study.models.values():
        yield from check_samplers(study, entry)
        yield from check_steps(study, entry)
        yield from check_flips(study, entry)
    for row in study.samplers:
        if row in study.evaluation.calibration:
            yield f"samplers: the name '{row}' is reserved for a calibration row; choose another"
    yield from check_features(study)
    yield from check_extractors(study)
    for name, config in study.datasets.items():
        yield from check_elbo_study(study, name, config)
        yield from check_image_counts(study, name, config)
        yield from check_dropped_classes(study, name, config)
    if study.prompts is not None and study.prompts.samplers:
        yield from check_prompts(study, study.prompts.samplers)


def check_image_shapes(study: Study, models: tuple[Entry, ...], config_dir: Path) -> Iterator[str]:
    """Every model accepts the image shape of every data set; else suggest other presets."""
    entries = {
        entry if isinstance(entry, str) else entry.get("name", entry["preset"]): entry
        for entry in models
    }
    line = dict(entries)
    for name, entry in study.models.items():
        if problems := _shape_problems(entry.model, study):
            own = entries.get(name, name)
            changes = {} if isinstance(own, str) else own
            taken = {*study.models, *(one for one in line.values() if isinstance(one, str))}
            preset = _sibling(entry, changes, study, taken, config_dir)
            remedy = f"; replace {entry.preset} by {preset}" if preset else ""
            yield from (f"models: '{name}' {problem}{remedy}" for problem in problems)
            if preset and name in line:
                line[name] = {**changes, "preset": preset} if changes else preset
    if line != entries:
        text = yaml.safe_dump(
            [*line.values()], default_flow_style=True, width=math.inf, sort_keys=False
        ).strip()
        yield f"models: with these changes the line is `models: {text}`"


def _shape_problems(model: FamilyConfig, study: Study) -> list[str]:
    """Return why `model` can't be trained on the data sets of the study; empty if it can."""
    first = model.first_stage_name
    shrinks = study.entry(first).model.shrinks if first else 1
    return [
        f"on '{name}': {problem}"
        for name, config in study.datasets.items()
        for problem in model.problems(config.shape[0], config.shape[1] // shrinks)
    ]


def _sibling(
    entry: ModelEntry, changes: dict[str, Any], study: Study, taken: set[str], config_dir: Path
) -> str | None:
    """Return the preset of the same family that fits all data sets and differs least; or None.

    Args:
        changes: the study's own entry of the model, whose keys apply to the sibling as well.
        taken: names that another model of the study has.
    """
    own = entry.model.model_dump()
    siblings: list[tuple[int, float, str]] = []
    for name in sorted({*yaml_names(config_dir / "models")} - taken):
        try:
            model = load_model({**changes, "preset": name}, {}, config_dir, "").model
        except ConfigError:  # a key that this preset can't have
            continue
        same = (model.family, model.first_stage_name) == (
            own["family"],
            entry.model.first_stage_name,
        )
        if same and not _shape_problems(model, study):
            differences = sum(value != own[key] for key, value in model.model_dump().items())
            likeness = difflib.SequenceMatcher(None, entry.preset, name).ratio()
            siblings.append((differences, -likeness, name))
    return min(siblings)[2] if siblings else None


def check_samplers(study: Study, entry: ModelEntry) -> Iterator[str]:
    """The study has a sampler for the model, or the model reconstructs and needs none."""
    model = entry.model
    if model.generates == "nothing":
        if not model.reconstructs:
            yield f"models: '{entry.name}' generates no images; remove it"
        return
    if not entry.samplers(study.samplers):
        fitting = [name for name, kind in SAMPLERS.items() if kind(sampler=name).fits(model)]
        obstacles = "; ".join(
            f"{row}: {entry.obstacle(row, sampler)}" for row, sampler in study.samplers.items()
        )
        yield (
            f"samplers: none fits '{entry.name}' ({obstacles}); add a line such as "
            f"`{fitting[0]}: {{sampler: {fitting[0]}}}` (sampler: {' or '.join(fitting)}), or "
            "leave out `samplers:` for those of the families"
        )


def check_steps(study: Study, entry: ModelEntry) -> Iterator[str]:
    """Uniformly spaced samplers take no more steps than the model has timesteps."""
    limit = entry.model.max_steps
    for row in entry.samplers(study.samplers):
        sampler = study.samplers[row]
        if not isinstance(sampler, SteppedSampler) or limit is None:
            continue
        if sampler.spacing == "uniform" and sampler.steps > limit:
            yield (
                f"samplers.{row}.steps: {sampler.steps} steps are more than the {limit} timesteps "
                f"of '{entry.name}'; take {limit} or fewer"
            )


def check_flips(study: Study, entry: ModelEntry) -> Iterator[str]:
    """Images are not mirrored if captions or factors say where something is."""
    described = entry.model.reads_captions or entry.model.knows_factors
    for name, config in study.datasets.items():
        if described and entry.training.horizontal_flip and config.factors:
            yield (
                f"models: '{entry.name}': training.horizontal_flip mirrors the images of '{name}' "
                "but not their captions and factors (left, right ...); remove it"
            )


def check_features(study: Study) -> Iterator[str]:
    """There are at least as many samples as features, or the covariances of FID are singular."""
    evaluation = study.evaluation
    for name, features in study.features.items():
        if evaluation.samples < features:
            yield (
                f"evaluation.samples: {evaluation.samples} are too few for FID in the {features} "
                f"features of {name}; take {features} or more"
                + (f", or remove {name} from evaluation.extractors" * (features > 1000))
            )
        if study.curves is not None and study.curves.samples < features:
            yield (
                f"curves.samples: {study.curves.samples} are too few for FID in the {features} "
                f"features of {name}; take {features} or more"
            )


def check_extractors(study: Study) -> Iterator[str]:
    """Every extractor can be used, for example because its file of weights exists."""
    for name in study.evaluation.extractors:
        problems = extractor(name).problems(study.evaluation)
        yield from (f"evaluation.{problem}" for problem in problems)


def check_elbo_study(study: Study, name: str, config: DatasetConfig) -> Iterator[str]:
    """The ELBO study fits the size and the number of the images."""
    if study.elbo_study is not None:
        problems = study.elbo_study.problems(math.prod(config.shape), config.train_count)
        yield from (f"elbo_study: on '{name}': {problem}" for problem in problems)


def check_image_counts(study: Study, name: str, config: DatasetConfig) -> Iterator[str]:
    """The data set has enough images for the metrics and for the rows of held-out images."""
    evaluation = study.evaluation
    n, held_out, train = evaluation.samples, config.held_out, config.train_count
    rows = [r for r in evaluation.calibration if KINDS[split_row(r)[0]].origin == "held-out"]
    if held_out is not None and rows and n > held_out:
        names = ", ".join(f"'{row}'" for row in rows)
        yield (
            f"evaluation.samples: {n} are more than the {held_out} held-out images of '{name}', "
            f"which the calibration rows {names} consist of; take fewer, or remove these from "
            "evaluation.calibration"
        )
    minima = {"neighbours": evaluation.fewest["neighbours"]}
    minima |= {f"extractors: {one}": count for one, count in study.features.items()}
    for key, minimum in minima.items():
        if train is not None and train < minimum:
            yield (
                f"datasets: '{name}' has only {train} training images, but evaluation.{key} "
                f"needs at least {minimum}; add images, or change that key"
            )


def check_dropped_classes(study: Study, name: str, config: DatasetConfig) -> Iterator[str]:
    """The rows that leave out classes leave one at least."""
    classes = config.class_count
    for row in study.evaluation.calibration:
        kind, strength = split_row(row)
        if kind != "dropped-class" or classes is None:
            continue
        dropped = dropped_classes(strength, classes)
        if dropped >= classes:
            yield (
                f"evaluation.calibration: '{row}' leaves out {dropped} of the classes of '{name}', "
                f"which has only {classes}; remove it"
            )


def check_prompts(study: Study, rows: tuple[str, ...]) -> Iterator[str]:
    """All of `prompts.samplers` exist, and one of them fits each model that takes prompts."""
    samplers = {row: study.samplers[row] for row in rows if row in study.samplers}
    for row in rows:
        if row not in samplers:
            yield f"prompts.samplers: unknown sampler {shown(row)}: {nearest(row, study.samplers)}"
    for name, entry in study.models.items():
        if entry.model.takes_prompts and not entry.samplers(samplers):
            yield (
                f"prompts.samplers: none of {', '.join(rows)} fits '{name}'; "
                f"add one of {', '.join(entry.samplers(study.samplers))}"
            )
