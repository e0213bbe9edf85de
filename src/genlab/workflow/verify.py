"""The command `verify-row`: a row of the league, made again and compared with what was published.

The row is drawn, its features are extracted and its metrics computed by the same stages as in the
workflow. They run in a folder of links to the study's files, so nothing in the study is written.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from genlab.config.evaluators import CALIBRATION
from genlab.errors import GenLabError, nearest
from genlab.io.files import read_json
from genlab.results.layout import RESULTS, RunFolder, SampleFolder, StudyFolder, with_parents
from genlab.results.spec import read_study
from genlab.results.stages import rows_of
from genlab.tracking.provenance import processor
from genlab.workflow.calibration import calibrate
from genlab.workflow.compare import (
    Compared,
    Redrawn,
    compare_published,
    compare_redrawn,
    compare_weights,
    trained_extractors,
)
from genlab.workflow.evaluate import evaluate
from genlab.workflow.features import features
from genlab.workflow.sample import sample

WRITTEN = ("metrics.json", "tracking", "resume")
"""Entries of a run's folder that its stages write."""


def verify_row(at: SampleFolder, *, cpu: bool = False) -> None:
    """Make a row again, and print what of it was compared with what was published.

    Raises:
        GenLabError: names the first difference.
    """
    start = time.perf_counter()
    print(f"{at.folder}:", flush=True)
    with TemporaryDirectory(prefix="genlab-verify-") as scratch:
        _show(compare_weights(at))
        again = redraw(at, Path(scratch), cpu=cpu)
        if not again.exact:
            print(
                "note: made on another kind of processor, or by another version of torch; the "
                "metrics must lie within the published intervals"
            )
        _show(compare_redrawn(at, again))
        _show(compare_published(at))
    print(f"OK: made again in {time.perf_counter() - start:.0f} s, and no difference")


def _show(results: Iterator[Compared]) -> None:
    """Print each result as soon as it is there."""
    for name, amount in results:
        print(f"  OK  {name:<40} {amount}", flush=True)


def find_study(name: str) -> StudyFolder:
    """The study in the folder `name`, or of this name under results/.

    Raises:
        GenLabError: there is none.
    """
    for folder in (with_parents(Path(name)), Path(RESULTS) / name):
        if StudyFolder(folder).config.is_file():
            return StudyFolder(folder)
    raise GenLabError(
        f"--study {name}: no results of a study; name its folder, such as {RESULTS}/default"
    )


def find_row(
    study: StudyFolder, model: str, row: str, dataset: str | None = None, seed: int | None = None
) -> SampleFolder:
    """The row of a study; its first data set and its first seed unless others are named.

    Raises:
        GenLabError: the study has no such row.
    """
    settings = read_study(study.config)
    models = {**dict.fromkeys(settings.models, settings.seeds), CALIBRATION: (0,)}
    _check_choice("model", model, models)
    _check_choice("sampler", row, rows_of(settings, model))
    seeds = [str(number) for number in models[model]]
    if dataset is not None:
        _check_choice("--dataset", dataset, settings.datasets)
    if seed is not None:
        _check_choice("--seed", str(seed), seeds)
    chosen = next(iter(settings.datasets)) if dataset is None else dataset
    return study.run(chosen, model, seeds[0] if seed is None else seed).samples(row)


def _check_choice(kind: str, value: str, choices: object) -> None:
    """Refuse a value that is none of `choices`."""
    names = [str(choice) for choice in choices]  # type: ignore[attr-defined]
    if value not in names:
        raise GenLabError(f"{kind} {value}: the study has no such row; {nearest(value, names)}")


def redraw(at: SampleFolder, scratch: Path, *, cpu: bool = False) -> Redrawn:
    """Draw a row again from its weights, and measure it, in the empty folder `scratch`."""
    copy, environment = link_study(at, scratch), _environment(at)
    with _threads(int(environment.get("threads", torch.get_num_threads()))):
        if at.run.model_name == CALIBRATION:
            calibrate(copy)
        else:
            sample(copy, cpu=cpu)
    with _threads(1):  # as the rules of these stages
        features(copy.run.study, at.run.dataset, copy.samples, copy.folder / "features", cpu=cpu)
        evaluate(copy.run, [at.folder.name])
    own = {"processor": processor(), "torch": str(torch.__version__)}
    return Redrawn(copy, all(environment.get(key, value) == value for key, value in own.items()))


def link_study(at: SampleFolder, scratch: Path) -> SampleFolder:
    """The row in a results folder under `scratch` that has links for all files but the row's own.

    A stage that replaces a linked file replaces the link.
    """
    run, study = at.run, at.run.study
    copy = RunFolder(scratch / run.folder.relative_to(study.results)).samples(at.folder.name)
    copy.folder.mkdir(parents=True)
    copy.config.symlink_to(at.config.resolve())
    (scratch / "data").symlink_to((study.results / "data").resolve())
    for folder in (run.folder, run.folder.parent, run.folder.parent.parent, study.folder):
        target = scratch / folder.relative_to(study.results)
        for entry in folder.iterdir():
            if entry.name not in WRITTEN and not (target / entry.name).exists():
                (target / entry.name).symlink_to(entry.resolve())
    return copy


def _environment(at: SampleFolder) -> dict[str, str]:
    """Where a row was made, as its training or that of its extractor recorded it."""
    runs = trained_extractors(at) if at.run.model_name == CALIBRATION else [at.run]
    return dict(read_json(runs[0].environment)) if runs else {}


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Let torch compute with `number` threads, which decides the order of its sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
