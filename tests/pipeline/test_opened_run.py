"""A notebook opens a run of the default study that nobody has trained yet."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from project import Project

from genlab.app.notebook import open_run
from genlab.errors import GenLabError

STUDY: dict[str, Any] = {
    "name": "default",
    "datasets": ["sprites"],
    "models": [{"preset": "vae", "channels": 8, "latent": 4}, "glow"],
    "samplers": {"prior": {"sampler": "prior"}},
    "training": {"images": 640},
    "tracking": {"tensorboard": False, "system_metrics": False},
}
VAE = "results/default/sprites/vae/seed0"


@pytest.fixture
def project(bare: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a small default study, in whose environment this process is."""
    (bare.root / "config/config.yaml").write_text(yaml.safe_dump(STUDY))
    for name, value in bare.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return bare


def test_it_is_trained_and_nothing_else_is(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    run = open_run(project.root / VAE)
    assert run.batch(4).images.shape[0] == 4
    output = capsys.readouterr().out
    assert output == f"training {VAE}: snakemake --cores all {VAE}/model/weights.safetensors\n"
    runs = {path.parents[2].name for path in project.root.glob("results/**/weights.safetensors")}
    assert runs == {"vae"}
    open_run(project.root / VAE)
    assert capsys.readouterr().out == ""  # it is there


def test_a_training_that_fails_says_why(project: Project) -> None:
    study = STUDY | {"training": {"images": 640, "learnin_rate": 1}}
    (project.root / "config/config.yaml").write_text(yaml.safe_dump(study))
    with pytest.raises(GenLabError, match=r"its training failed:[\s\S]*learnin_rate"):
        open_run(project.root / VAE)


@pytest.mark.parametrize("path", ["sprites/glowing", "spirals/vae"])
def test_a_run_that_the_study_does_not_name_is_refused_without_a_traceback(
    project: Project, path: str
) -> None:
    run = f"results/default/{path}/seed0"
    with pytest.raises(GenLabError, match=f"No rule to produce {run}/model") as error:
        open_run(project.root / run)
    assert "Traceback" not in str(error.value)
