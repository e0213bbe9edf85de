"""The JSON schema of a study file says what the configuration classes say."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from genlab.config.base import read_yaml
from genlab.config.study import load_study
from genlab.errors import ConfigError

CONFIG = Path(__file__).parents[2] / "config"
SCHEMA = CONFIG / "study.schema.json"
STUDIES = [CONFIG / "config.yaml", *sorted((CONFIG / "studies").glob("*.yaml"))]
CHECK = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
STUDY = {
    "name": "tiny",
    "datasets": ["digits"],
    "models": ["ddpm", {"preset": "vae", "name": "mine", "training": {"images": 64}}],
    "samplers": {
        "prior": {"sampler": "prior"},
        "fast": {"sampler": "dpm-solver", "steps": 10, "models": ["ddpm"]},
    },
    "evaluation": {"classifier": {"images": 640}},
}
MISTAKES: dict[str, Any] = {
    "nme": "tiny",
    "name": "Two Words",
    "datasets": [],
    "models": [{"name": "mine"}],
    "seeds": [-1],
    "samplers": {"fast": {"sampler": "dpm"}},
    "samplers.fast.sampler": "no-such",
    "samplers.fast.steps": 0,
    "samplers.fast.order": 2,
    "samplers.fast.spacing": "log",
    "samplers.fast.models": [],
    "samplers.Fast": {"sampler": "prior"},
    "samplers.nameless": {"steps": 10},
    "training": {"imges": 64},
    "evaluation.samples": 15,
    "evaluation.extractors": ["clasifier"],
    "evaluation.calibration": ["blur-9"],
    "evaluation.classifier": {"learning_rate": 0},
    "prompts": {"clip": {"ema": 1}},
    "curves": {"samples": "many"},
    "tracking": {"wandb": "of"},
}


def changed(key: str, value: Any) -> dict[str, Any]:
    """The study with one value set; the `key` is a path with dots."""
    study: dict[str, Any] = copy.deepcopy(STUDY)
    *parents, last = key.split(".")
    place = study
    for parent in parents:
        place = place[parent]
    place[last] = value
    return study


def test_the_file_is_what_the_command_prints() -> None:
    Draft202012Validator.check_schema(CHECK.schema)
    done = subprocess.run(
        [sys.executable, "-m", "genlab", "schema"], capture_output=True, text=True, check=True
    )
    assert done.stdout == SCHEMA.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_studies_of_the_project_fit_and_name_the_schema(path: Path) -> None:
    assert [error.message for error in CHECK.iter_errors(read_yaml(path))] == []
    line = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text(encoding="utf-8"))
    assert line is not None
    assert (path.parent / line[1]).resolve() == SCHEMA


def test_a_study_with_no_mistake_passes_both() -> None:
    assert CHECK.is_valid(STUDY)
    assert load_study(STUDY, CONFIG, "test").name == "tiny"


@pytest.mark.parametrize(("key", "value"), MISTAKES.items(), ids=MISTAKES)
def test_schema_and_classes_refuse_the_same_mistakes(key: str, value: Any) -> None:
    study = changed(key, value)
    assert not CHECK.is_valid(study)
    with pytest.raises(ConfigError):
        load_study(study, CONFIG, "test")
