"""`genlab new-study`: a study and a data set that suit one's pictures, machine and time.

The size of the images follows from a measurement: the largest one at which a diffusion model, in
its share of the time, sees as many images as in the default study.
"""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import yaml

from genlab.app.look import Look, look
from genlab.config.base import read_yaml
from genlab.config.evaluators import CLASSIFIER
from genlab.config.study import load_model, load_study
from genlab.config.study.schema import Entry
from genlab.errors import GenLabError
from genlab.io.files import write_text
from genlab.models.base import Facts, build_model
from genlab.models.batches import Table
from genlab.training.budget import measure_speed
from genlab.training.trainer import Training, make_accelerator

SIDES = (64, 32)
"""Sides of images to choose from, where the pictures are large enough."""
SMALLEST = 8
"""Smallest side of a picture."""
ENOUGH = 64_000
"""Training images of the default study, after which its samples are recognisable."""
TRAINING_SHARE = 0.75
"""Share of the time for training; sampling, metrics and the report have the rest."""
VAE_SHARE = 0.2
"""Seconds of the VAE relative to those of a diffusion model, which learns more slowly."""
FRACTIONS = (0.1, 0.2, 0.3)
"""Shares of held-out pictures to choose from; the first that holds out enough."""
FEWEST = 64
"""Smallest number of samples: the number of the classifier's features."""
TRIAL = 1.0
"""Seconds of a measurement of speed."""


STUDY = """\
# Written by `genlab new-study` for {hours:g} hours on this machine; change what you like.
#
#     snakemake --cores all --configfile config/studies/{name}.yaml
#
# {description}.
# Measured here: ddpm trains on {plan.speed:,.0f} images a second at size {plan.side}, on about
# {plan.images:,} in its time. In the default study these are {enough:,}.
name: {name}
description: A VAE, a DDPM and flow matching on my own pictures.
datasets: [{name}]
models:
  - {{preset: {vae}, training: {{seconds: {vae_seconds}}}}}
  - {ddpm}
  - {flow}
# Seconds for each model, so two runs end with other weights; `images: N` would give the same.
# `horizontal_flip: true` helps where mirrored pictures are as good: faces, but not letters.
training: {{seconds: {plan.seconds}}}
evaluation:
  samples: {samples}  # images per row
  extractors: [classifier, pixel-pca, low-level]
  calibration: [{rows}]
  classifier: {{images: {classifier}}}
likelihood: {{path_images: 16}}
"""


class Plan(NamedTuple):
    """What is written into the two files.

    Attributes:
        side: of the images in pixels.
        speed: images per second in a training of the diffusion model.
        classifier_speed: the same for the classifier.
        seconds: of the training of a diffusion model.
    """

    side: int
    speed: float
    classifier_speed: float
    seconds: int

    @property
    def images(self) -> int:
        """Number of images that a diffusion model sees."""
        return round(self.speed * self.seconds)

    def unet(self, preset: str) -> str:
        """The entry of a preset with a U-Net, in YAML: larger patches for larger images."""
        if self.side <= SIDES[-1]:
            return preset
        return f"{{preset: {preset}, network: {{channels: 48, patch: 4}}}}"


def jobs_at_once(cpu: bool) -> int:
    """Number of trainings that the workflow runs at a time on this machine."""
    on_gpu = torch.cuda.is_available() and not cpu
    return 1 if on_gpu or len(os.sched_getaffinity(0)) == 1 else 2


def speed(entry: Entry, shape: tuple[int, int, int], config_dir: Path, cpu: bool) -> float:
    """Measure the training of a model on noise of `shape`, images per second."""
    model = load_model(entry, {}, config_dir, "genlab new-study")
    training = model.training
    images = np.random.default_rng(0).integers(0, 256, (training.batch_size, *shape), np.uint8)
    table = Table(images, np.zeros(len(images), np.int64))
    accelerator = make_accelerator(training.precision, cpu, training.tf32)
    network = build_model(model.model, Facts(shape, 2), 0)
    run = Training(network, table, table, training, 0, accelerator, model.name)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Converting a tensor with requires_grad", UserWarning)
        return measure_speed(run, TRIAL).rate


def make_plan(pictures: Look, hours: float, config_dir: Path, cpu: bool) -> Plan:
    """Measure this machine and choose the side of the images."""
    largest = min(SIDES[0], pictures.sides[0] // 4 * 4)  # the models halve the side twice
    jobs = jobs_at_once(cpu)
    # One after the other, or both diffusion models side by side and then the VAE
    share = TRAINING_SHARE / (VAE_SHARE + 2 / jobs)
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // 2))
    try:
        for side in [largest, *(side for side in SIDES if side < largest)]:
            shape = (pictures.channels, side, side)
            plan = Plan(side, 0.0, 0.0, round(3600 * hours * share))
            entry = yaml.safe_load(plan.unet("ddpm"))
            plan = plan._replace(speed=speed(entry, shape, config_dir, cpu))
            if plan.images >= ENOUGH:
                break
        classifier = speed(CLASSIFIER, shape, config_dir, cpu)
    finally:
        torch.set_num_threads(before)
    return plan._replace(classifier_speed=classifier)


def dataset_text(path: Path, pictures: Look, plan: Plan, fraction: float) -> str:
    """The file of the data set."""
    where = yaml.safe_dump({"path": str(path.resolve())}, allow_unicode=True, width=math.inf)
    return (
        f"# {pictures.description}.\n"
        "# config/datasets/pictures.yaml explains every key.\n"
        f"source: image_folder\n{where}size: {plan.side}\nchannels: {pictures.channels}\n"
        f"resize: true\nconvert: true\ntest_fraction: {fraction}\n"
        + (f"unreadable: {pictures.unreadable}\n" if pictures.broken else "")
    )


def study_text(name: str, pictures: Look, plan: Plan, held_out: int, hours: float) -> str:
    """The file of the study."""
    # A twentieth of the time for the classifier, within what is useful
    classifier = min(60_000, max(10_000, plan.classifier_speed * 180 * hours))
    return STUDY.format(
        name=name,
        hours=hours,
        description=pictures.description,
        plan=plan,
        enough=ENOUGH,
        vae="vae-bernoulli" if pictures.channels == 1 else "vae, latent: 64",
        vae_seconds=round(VAE_SHARE * plan.seconds),
        ddpm=plan.unet("ddpm"),
        flow=plan.unet("flow"),
        samples=min(1000, max(FEWEST, held_out)),
        rows="real, blur-2, memoriser" if held_out >= FEWEST else "noise, memoriser",
        classifier=1000 * round(classifier / 1000),
    )


def write_checked(files: dict[Path, str], study: Path, config_dir: Path) -> None:
    """Write new files and load the study among them; none is left where that fails.

    Raises:
        GenLabError: the study is refused, or a file can't be written.
    """
    try:
        for path, text in files.items():
            write_text(path, text)
        load_study(read_yaml(study), config_dir, study)
    except GenLabError:
        for path in files:
            path.unlink(missing_ok=True)
        raise


def new_study(path: Path, out: Path, hours: float, *, cpu: bool = False) -> None:
    """Look at the pictures, measure this machine, and write the study `out` and its data set.

    Raises:
        GenLabError: a file exists, `out` is in another folder, or the pictures can't be used.
    """
    config_dir = out.parent.parent
    dataset = config_dir / "datasets" / f"{out.stem}.yaml"
    if (
        out.suffix != ".yaml"
        or out.parent.name != "studies"
        or not (config_dir / "models").is_dir()
    ):
        raise GenLabError(
            f"--out: {out} is no file of the project's studies; give config/studies/NAME.yaml"
        )
    for file in (out, dataset):
        if file.exists():
            raise GenLabError(f"--out: {file} exists; choose another name")
    pictures = look(path, FRACTIONS)
    print(f"{path}: {pictures.description}")
    for remark in pictures.layouts[FRACTIONS[0]].remarks:
        print(f"{path}: {remark}")
    for broken in pictures.broken:
        print(f"{path}: {broken}; it will be skipped")
    if pictures.sides[0] < SMALLEST:
        raise GenLabError(f"{path}: a side has only {pictures.sides[0]} pixels, not {SMALLEST}")
    plan = make_plan(pictures, hours, config_dir, cpu)
    counts = {
        fraction: len(layout.test) - pictures.unreadable
        for fraction, layout in pictures.layouts.items()
    }
    fraction = next((f for f, n in counts.items() if n >= FEWEST), FRACTIONS[0])
    files = {
        dataset: dataset_text(path, pictures, plan, fraction),
        out: study_text(out.stem, pictures, plan, counts[fraction], hours),
    }
    write_checked(files, out, config_dir)
    print(
        f"size {plan.side}: ddpm trains on {plan.speed:,.0f} images a second here, on about "
        f"{plan.images:,} in its time"
    )
    if plan.images < ENOUGH:
        needed = math.ceil(hours * ENOUGH / plan.images)
        print(f"Expect poor pictures: --hours {needed} would give it {ENOUGH:,} images")
    print(f"wrote {dataset} and {out}; next: snakemake --cores all --configfile {out}")
