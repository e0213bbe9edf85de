"""What the page says of a study whose runs were trained in different environments."""

from __future__ import annotations

from pathlib import Path

from genlab.io.files import write_json
from genlab.report.environment import mixed_environments
from genlab.results.layout import RunFolder, StudyFolder

SAME = {"genlab": "1.0", "python": "3.11.7", "torch": "2.9.1+cpu", "code": "aa",
        "git_commit": "1"}  # fmt: skip


def runs(folder: Path, *records: tuple[str, int, dict[str, str]]) -> list[RunFolder]:
    """A run for each (model, seed, what differs from `SAME`)."""
    folders = []
    for model, seed, record in records:
        run = StudyFolder(folder / "study").run("data", model, seed)
        write_json(run.environment, SAME | record)
        folders.append(run)
    return folders


def test_the_same_environment_everywhere_needs_no_words(tmp_path: Path) -> None:
    """The code of two families differs, and so may the commits: a change of words is one."""
    other_family, other_commit = {"code": "bb"}, {"git_commit": "2"}
    same = runs(tmp_path, ("vae", 0, {}), ("ddpm", 0, other_family), ("vae", 1, other_commit))
    assert mixed_environments(same) is None
    assert mixed_environments([]) is None


def test_versions_that_differ_are_named_with_their_runs(tmp_path: Path) -> None:
    mixed = runs(tmp_path, ("vae", 0, {}), ("vae", 1, {"torch": "2.10.0"}), ("ddpm", 0, {}))
    assert mixed_environments(mixed) == (
        "The runs were trained in different environments: torch 2.10.0 (1 run), 2.9.1+cpu (2 runs)."
    )


def test_models_whose_runs_had_different_code_are_named(tmp_path: Path) -> None:
    mixed = runs(tmp_path, ("vae", 0, {}), ("vae", 1, {"code": "bb", "python": "3.13.0"}))
    assert mixed_environments(mixed) == (
        "The runs were trained in different environments: Python 3.11.7 (1 run), 3.13.0 (1 run); "
        "different code for the runs of vae."
    )
