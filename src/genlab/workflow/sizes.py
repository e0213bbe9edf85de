"""The budget in parameters, checked before any job starts: every model is built and counted."""

from __future__ import annotations

from pathlib import Path

from genlab.config.study import ModelEntry, Study
from genlab.errors import ConfigError
from genlab.io.files import read_json
from genlab.models.base import Facts, Model, build_model
from genlab.results.layout import StudyFolder
from genlab.results.origin import KEY
from genlab.training.size import TOLERANCE, fits, parameter_count


def planned_facts(study: Study, dataset: str, results: Path) -> Facts | None:
    """The facts that models of a data set are built for; None where some are not known yet.

    The number of classes, and of tokens in a caption, may be known only once it is prepared.
    A manifest of other settings of the data set doesn't count.
    """
    path, config = StudyFolder(results / study.name).data(dataset).manifest, study.datasets[dataset]
    manifest = read_json(path) if path.exists() else {}
    if manifest.get(KEY) == config.digest:
        return Facts.of(manifest)
    return Facts(config.shape, config.class_count) if config.class_count else None


def build_planned(study: Study, entry: ModelEntry, facts: Facts) -> Model:
    """Build the model of an entry on an untrained first stage."""
    below = entry.model.first_stage_name
    first = build_planned(study, study.entry(below), facts) if below else None
    return build_model(entry.model, facts, 0, first)


def reads_captions(study: Study, entry: ModelEntry) -> bool:
    """Whether a model, or one that it builds on, has a size that depends on the captions."""
    below = entry.model.first_stage_name
    if entry.model.reads_captions or below is None:
        return entry.model.reads_captions
    return reads_captions(study, study.entry(below))


def check_sizes(study: Study, source: str, results: Path) -> None:
    """Refuse models that draw images and have another size than `training.parameters`.

    What can't be counted before the data are prepared is checked by its training.

    Raises:
        ConfigError: with a table of all counts.
    """
    lines, wrong = [], False
    for dataset in study.datasets:
        facts = planned_facts(study, dataset, results)
        for name, entry in study.models.items():
            budget = entry.training.parameters
            if facts is None or budget is None or entry.model.generates == "nothing":
                continue
            if reads_captions(study, entry) and facts.words.length == 1:
                continue
            count = parameter_count(build_planned(study, entry, facts))
            wrong |= not fits(count, budget)
            lines.append(f"  {name} on {dataset}: {count:,} parameters, {count / budget:.2f} of it")
    if wrong:
        raise ConfigError(
            f"{source}: training.parameters: all models must be within {TOLERANCE:.0%} of this "
            "budget; change their widths:\n" + "\n".join(lines)
        )
