"""Commands find a run from inside its own folder, too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genlab.results.layout import StudyFolder, with_parents


def test_a_run_is_found_from_its_own_folder(
    trained_study: StudyFolder, genlab: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained_study.run("stripes", "vae", 0)
    monkeypatch.chdir(run.folder)
    commands = {
        run.weights: ("train", "--config", "config.yaml", "--gpus", 0),
        run.samples("prior").samples: (
            *("sample", "--config", "samples/prior/config.yaml"),
            *("--gpus", 0),
        ),
        run.metrics: ("evaluate", "--run", "."),
        trained_study.run("stripes", "ddpm", 0).metrics: ("evaluate", "--run", "../../ddpm/seed0"),
        trained_study.ranking: ("rank", "--config", "../../../study.yaml"),
    }
    for path, command in commands.items():
        before = path.read_bytes()
        path.unlink()
        ended = genlab(*command)
        assert ended.status == 0, ended.err
        assert path.read_bytes() == before


def test_a_path_that_names_results_stays_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    short = Path("results/default/digits/vae/seed0")
    assert with_parents(short) == short
    assert with_parents(Path("seed0/../seed1")) == tmp_path / "seed1"
