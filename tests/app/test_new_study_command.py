"""`genlab new-study` on real zip files: what it sees, what it writes, and what it refuses."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny import png

from genlab.app.look import SAMPLE, is_grey, look
from genlab.app.new_study import ENOUGH, VAE_SHARE, Plan, study_text
from genlab.config.base import read_yaml
from genlab.config.study import load_study
from genlab.errors import GenLabError

CONFIG = Path(__file__).parents[2] / "config"
Run = Callable[..., Any]


def picture(side: int, colour: bool = True, wide: int = 0) -> bytes:
    """A PNG file of noise."""
    shape = (side, side + wide, 3) if colour else (side, side)
    return png(np.random.default_rng(0).integers(0, 256, shape, np.uint8))


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    """A zip of `files`."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's config/ with the real presets, as the working directory's."""
    monkeypatch.chdir(tmp_path)
    for folder in ("datasets", "studies"):
        Path("config", folder).mkdir(parents=True)
    Path("config/models").symlink_to(CONFIG / "models")
    return tmp_path


def test_colour_pictures_in_classes_become_a_study_that_plans(project: Path, genlab: Run) -> None:
    content = picture(12, wide=5)
    zipped(project / "leaves.zip", {f"{'ab'[i % 2]}/{i}.png": content for i in range(1000)})
    ended = genlab("new-study", "leaves.zip", "--out", "config/studies/leaves.yaml", "--hours", 3)
    assert ended.status == 0, ended.err
    assert "1,000 pictures in 2 classes; 200 of them opened: sides of 12 to 17" in ended.out
    out = Path("config/studies/leaves.yaml")
    study = load_study(read_yaml(out), Path("config"), out)
    data = study.datasets["leaves"]
    assert (data.shape, data.held_out, data.class_count) == ((3, 12, 12), 100, 2)
    assert data.own_files == [project / "leaves.zip"]
    assert list(study.models) == ["vae", "ddpm", "flow"]
    assert study.evaluation.samples == 100
    assert study.notes == []
    seconds = {name: entry.training.seconds for name, entry in study.models.items()}
    assert seconds["ddpm"] == seconds["flow"]
    assert seconds["vae"] == round(VAE_SHARE * seconds["ddpm"])
    # Neither one after the other nor two at a time do the trainings take longer than the study.
    assert 0.5 * 3 * 3600 < seconds["vae"] + seconds["ddpm"] < 3 * 3600


def test_grey_pictures_in_a_folder_are_grey_in_the_study(project: Path, genlab: Run) -> None:
    (project / "own").mkdir()
    for i in range(120):
        (project / f"own/{i}.png").write_bytes(picture(9, colour=False))
    ended = genlab("new-study", "own", "--out", "config/studies/own.yaml", "--hours", 0.5)
    assert ended.status == 0, ended.err
    study = load_study(read_yaml(Path("config/studies/own.yaml")), Path("config"), "own.yaml")
    assert study.datasets["own"].shape == (1, 8, 8)
    assert "vae-bernoulli" in study.models
    # Too few are held out for rows of real images.
    assert study.evaluation.calibration == ("noise", "memoriser")
    assert study.evaluation.samples == 64


def test_more_are_held_out_of_few_pictures(project: Path, genlab: Run) -> None:
    zipped(project / "few.zip", {f"{i}.png": picture(8) for i in range(400)})
    ended = genlab("new-study", "few.zip", "--out", "config/studies/few.yaml")
    assert ended.status == 0, ended.err
    assert read_yaml(Path("config/datasets/few.yaml"))["test_fraction"] == 0.2
    assert read_yaml(Path("config/studies/few.yaml"))["evaluation"]["samples"] == 80


@pytest.mark.parametrize("taken", ["config/studies/leaves.yaml", "config/datasets/leaves.yaml"])
def test_nothing_is_overwritten(taken: str, project: Path, genlab: Run) -> None:
    zipped(project / "leaves.zip", {"0.png": picture(8), "1.png": picture(8)})
    Path(taken).write_text("mine")
    ended = genlab("new-study", "leaves.zip", "--out", "config/studies/leaves.yaml")
    assert ended.status == 1
    assert ended.err == f"error: --out: {taken} exists; choose another name\n"
    assert Path(taken).read_text() == "mine"
    assert len([*Path("config").rglob("leaves.yaml")]) == 1


@pytest.mark.parametrize(
    ("files", "out", "message"),
    [
        ({"a.png": b"", "b.png": picture(8)}, "leaves", "1 of the 2 pictures that were"),
        ({"a.txt": b""}, "leaves", "leaves.zip: has no pictures"),
        ({f"{i}.png": picture(7) for i in range(200)}, "leaves", "a side has only 7 pixels"),
        ({f"{i}.png": picture(8) for i in range(30)}, "leaves", "has only 27 training images"),
        ({f"{i}.png": picture(8) for i in range(200)}, "My Leaves", "a name has a-z, 0-9"),
    ],
)  # fmt: skip
def test_what_makes_no_study_is_named_and_nothing_is_left(
    files: dict[str, bytes], out: str, message: str, project: Path, genlab: Run
) -> None:
    zipped(project / "leaves.zip", files)
    ended = genlab("new-study", "leaves.zip", "--out", f"config/studies/{out}.yaml")
    assert ended.status == 1
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not [path for path in (project / "config").rglob("*eaves*") if path.is_file()]


def test_out_is_among_the_project_s_studies(project: Path, genlab: Run) -> None:
    ended = genlab("new-study", "leaves.zip", "--out", "leaves.yaml")
    assert ended.status == 1
    assert "--out: leaves.yaml is no file of the project's studies; give config/" in ended.err


def test_of_many_pictures_a_sample_is_opened(tmp_path: Path) -> None:
    """Spread over all, so that a broken one far behind is not always seen."""
    content = picture(8)
    path = zipped(tmp_path / "many.zip", {f"{i:04}.png": content for i in range(3 * SAMPLE + 1)})
    assert SAMPLE / 2 < look(path, (0.1,)).opened <= SAMPLE


def test_some_broken_pictures_may_be_skipped(project: Path, genlab: Run) -> None:
    """They are named, and the data set allows for them."""
    files = {f"{i:03}.png": picture(8) for i in range(99)} | {"broken.png": b"no picture"}
    path = zipped(project / "some.zip", files)
    ended = genlab("new-study", path, "--out", "config/studies/own.yaml", "--hours", 0.1)
    assert ended.status == 0, ended.err
    assert "'broken.png' not a readable picture" in ended.out
    assert "unreadable: 1\n" in Path("config/datasets/own.yaml").read_text()


def test_many_broken_pictures_are_refused_with_the_reason(tmp_path: Path) -> None:
    path = zipped(tmp_path / "own.zip", {"a.png": picture(8), "b.png": b"no picture"})
    with pytest.raises(GenLabError, match=r"own\.zip: 1 of .*'b\.png' not a readable picture"):
        look(path, (0.1,))


def test_grey_saved_in_colour_is_grey() -> None:
    """Also as JPEG, which changes each channel a little."""
    grey = np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8)
    file = BytesIO()
    Image.fromarray(grey).convert("RGB").save(file, "JPEG")
    assert is_grey(Image.open(file))
    assert not is_grey(Image.fromarray(np.stack([grey, grey, grey // 2], axis=2)))


def test_large_images_have_a_network_of_larger_patches(tmp_path: Path) -> None:
    path = zipped(tmp_path / "own.zip", {f"{i}.png": picture(64) for i in range(4)})
    plan = Plan(64, 100.0, 300.0, 1000)
    text = study_text("own", look(path, (0.1,)), plan, 100, 2)
    assert "- {preset: flow, network: {channels: 48, patch: 4}}" in text
    assert f"# 100,000 in its time. In the default study these are {ENOUGH:,}." in text
