"""A study on a folder of own pictures without classes, through the real Snakemake."""

from __future__ import annotations

import csv
import json
import os
import tarfile

import numpy as np
import pytest
import yaml
from PIL import Image
from project import CORES, Job, Project

STUDY = "config/studies/own.yaml"
SIDE, PICTURES = 8, 170
ALL = {
    Job("fetch"), Job("prepare"), Job("train", "classifier"), Job("train", "vae"),
    Job("reference_features"), Job("calibrate"), Job("sample", "vae"), Job("features", "vae"),
    Job("features", "calibration"), Job("evaluate", "vae"), Job("evaluate", "calibration"),
    Job("reconstruct", "vae"), Job("rfid", "vae"), Job("likelihood", "vae"), Job("explore", "vae"),
    Job("rank"), Job("league"), Job("report"), Job("publish"),
}  # fmt: skip


def draw(project: Project, name: str, seed: int) -> None:
    """A picture that is light above and dark below, with noise."""
    noise = np.random.default_rng(seed).integers(0, 60, (SIDE, SIDE))
    light = np.linspace(180, 20, SIDE)[:, None]
    Image.fromarray((light + noise).astype(np.uint8)).save(project.root / "pictures" / name)


def write_study(project: Project, **dataset: object) -> None:
    """Pictures in a folder, and a study of one model on them."""
    (project.root / "pictures").mkdir()
    for i in range(PICTURES):
        draw(project, f"{i:03}.png", i)
    leaves = {"source": "image_folder", "path": "pictures", "size": SIDE, "channels": 1,
              "test_fraction": 0.4, **dataset}  # fmt: skip
    study = {
        "name": "own", "datasets": ["leaves"],
        "models": [{"preset": "vae", "channels": 4, "latent": 2}],
        "samplers": {"prior": {"sampler": "prior"}}, "training": {"images": 320},
        "evaluation": {"samples": 64, "extractors": ["classifier"],
                       "classifier": {"images": 2560}},
        "tracking": {"tensorboard": False, "system_metrics": False},
    }  # fmt: skip
    for path, content in (("config/datasets/leaves.yaml", leaves), (STUDY, study)):
        (project.root / path).write_text(yaml.safe_dump(content))


def test_own_pictures_from_a_flat_folder(bare: Project) -> None:
    """Planned, broken, mended, run; then what a touched, another, a removed picture redo."""
    write_study(bare)
    broken = bare.root / "pictures/200.png"
    broken.write_bytes(b"not a picture")

    # A broken picture is named; once it is deleted, nobody asks for it.
    done = bare.run("snakemake", "--cores", CORES, "--configfile", STUDY)
    log = (bare.root / "results/own/logs/leaves/prepare.log").read_text()
    assert done.returncode == 1
    assert log.startswith("error: pictures: 200.png: not a readable picture")
    broken.unlink()
    bare.snakemake("--cores", CORES, study=STUDY)

    # One class: the report names what the features are of, and no number stands for its classes.
    with (bare.root / "results/own/league.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["model"] for row in rows} == {"calibration", "vae"}
    for row in rows:
        assert row["extractor"] == "classifier of turns"
        assert (row["inception_score"], row["inception_score_std"]) == ("one class", "one class")
        assert (row["samples"], row["reference_images"]) == ("64", "102")
    fid = {row["sampler"]: float(row["fid"]) for row in rows}
    assert fid["real"] < fid["noise"]
    page = (bare.root / "results/own/report/index.html").read_text(encoding="utf-8")
    assert "by which of four quarter turns an image was rotated" in page

    # The same content at another time redoes nothing, another content does.
    os.utime(bare.root / "pictures/000.png")
    assert bare.plan(study=STUDY) == set()
    old = (bare.root / "pictures/000.png").read_bytes()
    for change in (
        lambda: draw(bare, "000.png", 999),
        lambda: draw(bare, "200.png", 200),
        (bare.root / "pictures/001.png").unlink,
    ):
        change()
        assert bare.plan(study=STUDY) == ALL
        (bare.root / "pictures/000.png").write_bytes(old)
        (bare.root / "pictures/200.png").unlink(missing_ok=True)
    draw(bare, "001.png", 1)
    assert bare.plan(study=STUDY) == set()


def test_pictures_in_a_tar_with_a_table(bare: Project) -> None:
    """One is unreadable and skipped; a new caption is noticed, and decodes no picture again."""
    write_study(bare, path="own.tar", table="own.csv", unreadable=1)
    (bare.root / "pictures/000.png").write_bytes(b"not a picture")
    with tarfile.open(bare.root / "own.tar", "w") as archive:
        archive.add(bare.root / "pictures", "pictures")
    table = ["file,caption", *(f"{i:03}.png,picture {i}" for i in range(PICTURES))]
    (bare.root / "own.csv").write_text("\n".join(table))
    log = bare.root / "results/own/logs/leaves/prepare.log"

    bare.snakemake("--cores", CORES, "--until", "prepare", study=STUDY)
    manifest = json.loads((bare.root / "results/data/leaves/manifest.json").read_text())
    assert (manifest["train"]["images"], manifest["test"]["images"]) == (101, 68)
    assert [*manifest["skipped"]] == ["pictures/000.png"]
    assert "own.tar: pictures/000.png: skipped: not a readable picture (" in log.read_text()
    assert "decoded already" not in log.read_text()

    (bare.root / "own.csv").write_text("\n".join(table).replace("picture 5", "another"))
    assert {Job("fetch"), Job("prepare")} <= bare.plan(study=STUDY)
    config = bare.root / "config/datasets/leaves.yaml"
    (bare.root / "own.csv").write_text("\n".join(table))
    config.write_text(config.read_text() + "captions: ['a {caption}']\n")
    bare.snakemake("--cores", CORES, "--until", "prepare", study=STUDY)
    assert "own.tar: 170 of 170 pictures are decoded already" in log.read_text()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "config/datasets/pictures.yaml: path: pictures: no such folder, zip"),
        (lambda p: p.write_bytes(b"no zip"), "pictures.yaml: path: pictures: can't be read (File"),
    ],
)
def test_pictures_that_can_not_be_used_are_named_when_planning(
    bare: Project, make: object, message: str
) -> None:
    make(bare.root / "pictures")  # type: ignore[operator]
    done = bare.run("snakemake", "-n", "--config", "datasets=[pictures]")
    assert done.returncode == 1
    assert message in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
