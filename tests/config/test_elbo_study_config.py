"""Mistakes in the configuration of the ELBO study, and sizes that it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from genlab.config.base import dump_yaml
from genlab.config.elbo_study import ElboStudyConfig, read_elbo_study
from genlab.errors import ConfigError


@pytest.mark.parametrize(
    ("changes", "dimensions", "images", "messages"),
    [
        ({}, 3072, None, []),
        ({}, 3 * 64**2, None, ["ppca.train_images: 10000 images of 12288 .* 4096 at most"]),
        ({}, 3 * 64**2, 4096, []),
        ({"train_images": 4096, "held_out": 20_000}, 3 * 64**2, None, ["ppca.held_out: .* 10922"]),
        ({"train_images": 2000}, 3 * 256**2, None, ["ppca.train.* 682 at", "ppca.held_out: .*"]),
        ({"train_images": 16}, 784, None, ["ppca.latent: 16 .* have 15", "gradients.latents: 32"]),
    ],
)
def test_what_is_too_large_is_refused_from_the_config_alone(
    changes: dict[str, int], dimensions: int, images: int | None, messages: list[str]
) -> None:
    config = ElboStudyConfig.model_validate({"ppca": changes})
    problems = sorted(config.problems(dimensions, images), reverse=True)
    assert len(problems) == len(messages)
    assert all(
        re.search(pattern, problem) for pattern, problem in zip(messages, problems, strict=True)
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("bounds: {samples: [1, 10], draws: 19}", "bounds: draws: 19 is too few: .* 20 draws"),
        ("bounds: {samples: [10, 1]}", "bounds: samples: must rise"),
        ("ppca: {widen: 1}", "ppca.widen"),
        ("annealing: {chains: 1}", "annealing.chains"),
        ("annealing: {temperature: 9}", "unknown key 'temperature': did you mean 'temperatures'"),
        ("local: {steps: -1}", "local.steps"),
    ],
)
def test_mistakes_are_named(changes: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "elbo_study.yaml"
    path.write_text(changes)
    with pytest.raises(ConfigError, match=message) as caught:
        read_elbo_study(path)
    assert str(caught.value).startswith(str(path))


def test_a_config_survives_its_file(tmp_path: Path) -> None:
    config = ElboStudyConfig.model_validate({"bounds": {"samples": [1, 5]}, "local": {"steps": 2}})
    path = tmp_path / "elbo_study.yaml"
    path.write_text(dump_yaml(config))
    assert read_elbo_study(path) == config
    assert config != ElboStudyConfig()
