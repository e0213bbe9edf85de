"""Whether the runs of a study were trained with the same versions and the same code."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from genlab.io.files import read_json
from genlab.results.layout import RunFolder

VERSIONS = {"genlab": "GenLab", "python": "Python", "torch": "torch"}


def mixed_environments(runs: Iterable[RunFolder]) -> str | None:
    """Return a sentence that says how the environments of `runs` differ; None if they don't.

    The hash of the code is that of a family, so it is compared among the runs of each model.

    Raises:
        GenLabError: a run has no record of its environment.
    """
    records = [(run.model_name, read_json(run.environment)) for run in runs]
    differences = []
    for key, name in VERSIONS.items():
        values = sorted(record[key] for _, record in records)
        counts = [(value, len(list(group))) for value, group in groupby(values)]
        if len(counts) > 1:
            listed = ", ".join(f"{value} ({counted(count, 'run')})" for value, count in counts)
            differences.append(f"{name} {listed}")
    codes: dict[str, set[str]] = {}
    for model, record in records:
        codes.setdefault(model, set()).add(record["code"])
    if several := sorted(model for model, hashes in codes.items() if len(hashes) > 1):
        differences.append(f"different code for the runs of {', '.join(several)}")
    if not differences:
        return None
    return f"The runs were trained in different environments: {'; '.join(differences)}."


def counted(number: int, noun: str) -> str:
    """Return '1 run' or '2,000 runs'."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
