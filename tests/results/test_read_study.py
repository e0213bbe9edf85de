"""`study.yaml` is read back as the typed study that it was written from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from genlab.config.base import dump_yaml, read_yaml
from genlab.config.study import load_study
from genlab.errors import GenLabError
from genlab.results.spec import read_study

CONFIG = Path(__file__).parents[2] / "config"
STUDIES = [CONFIG / "config.yaml", *sorted((CONFIG / "studies").glob("*.yaml"))]


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_a_study_that_was_written_is_read_back_the_same(file: Path, tmp_path: Path) -> None:
    study = load_study(read_yaml(file), CONFIG, file)
    path = tmp_path / "study.yaml"
    path.write_text(dump_yaml(study), encoding="utf-8")
    again = read_study(path)
    assert again == study
    for part in ("datasets", "samplers"):
        before, after = getattr(study, part), getattr(again, part)
        assert [type(after[name]) for name in before] == [type(one) for one in before.values()]
    for name, entry in study.models.items():
        assert type(again.models[name].model) is type(entry.model)


def test_an_invalid_value_is_named_with_its_place(tmp_path: Path) -> None:
    study = load_study(read_yaml(CONFIG / "studies/smoke.yaml"), CONFIG, "smoke.yaml")
    path = tmp_path / "study.yaml"
    text = dump_yaml(study)
    assert "family: ddpm" in text
    path.write_text(text.replace("family: ddpm", "family: ddpn"), encoding="utf-8")
    with pytest.raises(GenLabError, match=r"study\.yaml: models\.ddpm: model: family: .*ddpm"):
        read_study(path)


@pytest.mark.parametrize(
    "change",
    [
        {"evaluators": None},
        {"models": ["vae", "ddpm"]},
        {"models": {"vae": {"preset": "vae"}}},
        {"models": {"vae": "vae"}},
        {"samplers": {"prior": "prior"}},
        {"datasets": {"sprites": None}},
    ],
)
def test_a_study_of_another_form_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    """As another version wrote it, or after a change by hand."""
    study = load_study(read_yaml(CONFIG / "studies/smoke.yaml"), CONFIG, "smoke.yaml")
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study.model_dump(mode="json") | change), encoding="utf-8")
    message = f"{path}: not a study that this version wrote; run the workflow again"
    with pytest.raises(GenLabError, match=re.escape(message)):
        read_study(path)


def test_a_study_without_a_part_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("name: mine\n")
    with pytest.raises(GenLabError, match="not a study that this version wrote"):
        read_study(path)
