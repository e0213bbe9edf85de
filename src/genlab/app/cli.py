"""The command `genlab`: one subcommand for each stage; the rules call just these.

A stage is given one file, a `config.yaml` that the workflow wrote under results/, and finds all
other files from there (`genlab.results.layout`).
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from genlab import __version__
from genlab.app.process import work
from genlab.course import SECONDS
from genlab.errors import GenLabError
from genlab.results.layout import (
    RESULTS,
    DataFolder,
    RunFolder,
    SampleFolder,
    StudyFolder,
    with_parents,
)

STRENGTH = 0.6
"""Default of `--strength`."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DataConfig = Annotated[Path, typer.Option("--config", help="results/data/DATASET/config.yaml")]
RunConfig = Annotated[
    Path, typer.Option("--config", help="results/STUDY/DATASET/MODEL/seedK/config.yaml")
]
RowConfig = Annotated[
    Path, typer.Option("--config", help="results/STUDY/DATASET/MODEL/seedK/samples/ROW/config.yaml")
]
StudyConfig = Annotated[Path, typer.Option("--config", help="results/STUDY/study.yaml")]
Gpus = Annotated[
    int, typer.Option(min=0, help="0 stays on the CPU; otherwise a GPU is used where there is one.")
]
SharedGpus = Annotated[
    int, typer.Option(min=0, help="GPUs that share the work, where there are any; 0: the CPU.")
]
Processes = Annotated[
    int | None,
    typer.Option(min=1, help="Processes that share the work, on the CPU or a GPU each."),
]


stage_command = partial(app.command, rich_help_panel="Stages, which Snakemake runs")


def show_version(requested: bool) -> None:
    """Print GenLab's version and end, if that was requested."""
    if requested:
        print(f"genlab {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Train, sample, measure and compare generative models of images, stage by stage."""


def folder(config: Path) -> Path:
    """The folder of the file that `--config` names."""
    if not config.is_file():
        raise GenLabError(f"{config}: no such file; `snakemake --cores all` writes it")
    return with_parents(config.parent)


@app.command(rich_help_panel="For you")
def draw(
    prompt: Annotated[str, typer.Argument(help="A sentence that describes the picture.")],
    out: Annotated[Path, typer.Option(help="Where the picture goes, a PNG file.")],
    model: Annotated[
        str, typer.Option(help="A model's name; uses its newest finished run under results/.")
    ] = "dalle",
    dataset: Annotated[
        str | None, typer.Option(help="The data set it was trained on; default: any.")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="The folder of the run to use instead.")] = None,
    candidates: Annotated[
        int, typer.Option(min=1, help="Number of pictures drawn; CLIP picks the best.")
    ] = 16,
    keep: Annotated[int, typer.Option(min=1, help="Number of pictures written, best first.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the candidates' noise.")] = 0,
    guidance: Annotated[
        float | None,
        typer.Option(help="Guidance scale; default: the best one that the study measured."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Number of steps, if the sampler takes steps.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Temperature of a token sampler; lower varies less.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A picture to start from.")
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(min=0, max=1, help=f"How much of --image is replaced; default: {STRENGTH}."),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="White where --image is inpainted."),
    ] = None,
    gpus: Gpus = 1,
) -> None:
    """Draw pictures for a sentence, and keep those that fit best."""
    from genlab.app.draw import Request, SourcePicture, find_run
    from genlab.app.draw import draw as command

    if image is None and (mask or strength is not None):
        option = "--mask" if mask else "--strength"
        raise GenLabError(f"{option}: needs a picture to start from; name it with --image")
    if mask and strength is not None:
        raise GenLabError("--strength: has no effect with --mask; drop one of the two")
    if run and dataset:
        raise GenLabError("--dataset: the folder after --run determines it; drop one of the two")
    settings = {"guidance": guidance, "steps": steps, "temperature": temperature}
    request = Request(
        prompt,
        candidates,
        keep,
        seed,
        {name: value for name, value in settings.items() if value is not None},
        SourcePicture(image, STRENGTH if strength is None else strength, mask) if image else None,
    )
    chosen = RunFolder(with_parents(run)) if run else find_run(Path(RESULTS), model, dataset)
    work(command, chosen, request, out, cpu=gpus == 0)


@app.command(rich_help_panel="For you")
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where it is served.")] = 5000,
) -> None:
    """Show all runs in MLflow's interface, until Ctrl-C."""
    from genlab.app.ui import ui as stage

    work(stage, Path(RESULTS), port)


@app.command(rich_help_panel="For you")
def verify_row(
    model: Annotated[str, typer.Argument(help="A model of the study, or `calibration`.")],
    sampler: Annotated[str, typer.Argument(help="A row of it: the name of a sampler, or `real`.")],
    study: Annotated[
        str, typer.Option(help="The study's folder, or its name under results/.")
    ] = f"{RESULTS}/default",
    dataset: Annotated[str | None, typer.Option(help="Default: the study's first one.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the run; default: the study's first one.")
    ] = None,
    gpus: Gpus = 1,
) -> None:
    """Draw and measure a row of the league again; compare it with all that was published of it."""
    # The stages that measure get one thread each; BLAS reads these when it is loaded.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    from genlab.workflow.verify import find_row, find_study
    from genlab.workflow.verify import verify_row as command

    work(command, find_row(find_study(study), model, sampler, dataset, seed), cpu=gpus == 0)


@app.command(rich_help_panel="For you")
def new_study(
    pictures: Annotated[Path, typer.Argument(help="A folder, zip or tar file of pictures.")],
    out: Annotated[Path, typer.Option(help="The study's file, config/studies/NAME.yaml.")],
    hours: Annotated[
        float, typer.Option(min=0.1, max=1000, help="Time that the study may take here.")
    ] = 2.0,
    gpus: Gpus = 1,
) -> None:
    """Write a study, and its data set, that suit your pictures, this machine and your time."""
    from genlab.app.new_study import new_study as command

    work(command, pictures, out, hours, cpu=gpus == 0)


@app.command(rich_help_panel="For you")
def check(
    exercise: Annotated[
        str | None, typer.Argument(help="Its number, such as 5.1; without one, lists them all.")
    ] = None,
    file: Annotated[
        Path | None, typer.Argument(help="A Python file that defines the exercise's function.")
    ] = None,
    template: Annotated[
        bool, typer.Option("--template", help="Print a file to start from.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option("--all", help="Grade all NAME.py and NAME/*.py of a folder.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="With --all: write a CSV file too.")] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="Time limit of one exercise in seconds.")
    ] = SECONDS,
) -> None:
    """Check your answer to an exercise of the course, or list the exercises.

    The answer's code runs as you, without a sandbox.
    """
    from genlab.app import check as commands

    if folder is not None and exercise is not None:
        raise GenLabError(f"--all: checks every exercise; drop {exercise}")
    if out is not None and folder is None:
        raise GenLabError("--out: needs --all FOLDER")
    if template and (exercise is None or folder is not None):
        raise GenLabError("--template: needs an exercise, such as 5.1, and no --all")
    if folder is not None:
        work(commands.grade_folder, folder, out, seconds)
    elif exercise is None:
        work(commands.list_exercises)
    elif template:
        work(commands.print_template, exercise)
    else:
        work(commands.check_answer, exercise, file, seconds)


@app.command(rich_help_panel="For you")
def schema() -> None:
    """Print the JSON schema of a study file, for editors: config/study.schema.json."""
    from genlab.config.study.json_schema import study_schema

    print(json.dumps(study_schema(), indent=2))


@stage_command()
def fetch(config: DataConfig) -> None:
    """Download a data set's raw files, or find them on this machine, and check them."""
    from genlab.workflow.fetch import fetch as stage

    work(stage, DataFolder(folder(config)))


@stage_command()
def prepare(config: DataConfig) -> None:
    """Turn the raw files into arrays of pixels, with a manifest."""
    from genlab.workflow.prepare import prepare as stage

    work(stage, DataFolder(folder(config)))


def run_in_processes(gpus: int, processes: int | None) -> bool:
    """Run this command in several processes, if it asks for them and isn't one of them already.

    Returns:
        Whether it was run.

    Raises:
        GenLabError: the two options contradict each other.
    """
    from genlab.app.launcher import is_launched, launch

    if processes is not None and gpus > 1 and processes != gpus:
        raise GenLabError(f"--processes: {processes}, but --gpus: {gpus}; leave out one of them")
    count = processes or max(1, gpus)
    if count == 1 or is_launched():
        return False
    work(launch, count, gpus > 0, sys.argv[1:])
    return True


@stage_command()
def train(
    config: RunConfig,
    gpus: SharedGpus = 1,
    processes: Processes = None,
    checkpoint_seconds: Annotated[
        float, typer.Option(help="Seconds between resume points; changes no result.")
    ] = 60.0,
) -> None:
    """Train a model; after a kill, the same command goes on from the last checkpoint."""
    if run_in_processes(gpus, processes):
        return
    from genlab.workflow.train import train as stage

    work(stage, RunFolder(folder(config)), checkpoint_seconds=checkpoint_seconds, cpu=gpus == 0)


@stage_command()
def sample(
    config: RowConfig,
    gpus: SharedGpus = 1,
    processes: Processes = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images drawn at a time.")] = 100,
) -> None:
    """Draw the samples of one row from a trained model."""
    if run_in_processes(gpus, processes):
        return
    from genlab.workflow.sample import sample as stage

    work(stage, SampleFolder(folder(config)), batch_size=batch_size, cpu=gpus == 0)


@stage_command()
def calibrate(config: RowConfig) -> None:
    """Write a calibration row: real images, or images with a known flaw."""
    from genlab.workflow.calibration import calibrate as stage

    work(stage, SampleFolder(folder(config)))


@stage_command()
def reconstruct(config: RunConfig, gpus: Gpus = 1) -> None:
    """Encode and decode the held-out images; measure MSE and PSNR."""
    from genlab.workflow.reconstruct import reconstruct as stage

    work(stage, RunFolder(folder(config)), cpu=gpus == 0)


@stage_command()
def rfid(config: RunConfig, gpus: Gpus = 1) -> None:
    """Measure the FID of reconstructions, as if they were samples."""
    from genlab.workflow.rfid import rfid as stage

    work(stage, RunFolder(folder(config)), cpu=gpus == 0)


@stage_command()
def likelihood(
    config: RunConfig,
    gpus: Gpus = 1,
    k: Annotated[int, typer.Option(min=1, help="Importance samples of IWAE-K.")] = 64,
    images: Annotated[
        int | None, typer.Option(min=1, help="Held-out images, the first ones; else all.")
    ] = None,
) -> None:
    """Measure bits/dim of the held-out images: exact, ELBO, IWAE-K or by the ODE."""
    from genlab.workflow.likelihood import likelihood as stage

    work(stage, RunFolder(folder(config)), k=k, images=images, cpu=gpus == 0)


@stage_command()
def explore(config: RunConfig, gpus: Gpus = 1) -> None:
    """Show a model's latent space: traversals, interpolations, attribute vectors."""
    from genlab.workflow.explore import explore as stage

    work(stage, RunFolder(folder(config)), cpu=gpus == 0)


@stage_command()
def curve(config: RunConfig, gpus: Gpus = 1) -> None:
    """Measure the quality of a run's samples at several points of its training."""
    from genlab.workflow.curve import curve as stage

    work(stage, RunFolder(folder(config)), cpu=gpus == 0)


@stage_command()
def trajectories(config: RunConfig, gpus: Gpus = 1) -> None:
    """Show trajectories between noise and image: denoising, samplers, inversion, inpainting."""
    from genlab.workflow.trajectories import trajectories as stage

    work(stage, RunFolder(folder(config)), cpu=gpus == 0)


@stage_command()
def prompts(config: RunConfig, gpus: Gpus = 1) -> None:
    """Measure whether a model draws what prompts describe, before and after CLIP's ranking."""
    from genlab.workflow.prompts import prompts as stage

    work(stage, RunFolder(folder(config)), cpu=gpus == 0)


@stage_command()
def disentangle(config: RunConfig, gpus: Gpus = 1) -> None:
    """Measure how well latents encode the known factors of a data set: MIG and DCI."""
    from genlab.workflow.disentangle import disentangle as stage

    work(stage, RunFolder(folder(config)), cpu=gpus == 0)


@stage_command()
def elbo(config: RunConfig, gpus: Gpus = 1) -> None:
    """Decompose the ELBO of a trained VAE: KL terms, IWAE-K, and the gap to log p(x)."""
    from genlab.config.elbo_study import read_elbo_study
    from genlab.workflow.elbo import elbo as stage

    run = RunFolder(folder(config))
    work(stage, run, read_elbo_study(run.study.elbo_study_config), cpu=gpus == 0)


@stage_command()
def elbo_study(
    config: StudyConfig,
    dataset: Annotated[str, typer.Option(help="The data set to fit probabilistic PCA to.")],
    gpus: Gpus = 1,
) -> None:
    """Study the ELBO on probabilistic PCA, a model whose log p(x) is known."""
    from genlab.config.elbo_study import read_elbo_study
    from genlab.workflow.elbo_study import elbo_study as stage

    study = StudyFolder(folder(config))
    work(stage, study, dataset, read_elbo_study(study.elbo_study_config), cpu=gpus == 0)


@stage_command()
def features(
    config: StudyConfig,
    dataset: Annotated[str, typer.Option(help="The data set the images belong to.")],
    images: Annotated[Path, typer.Option(help="uint8 images, .npy [N, C, H, W].")],
    out: Annotated[Path, typer.Option(help="The folder that the features go to.")],
    gpus: Gpus = 1,
) -> None:
    """Extract the features of images in every extractor, once for all metrics."""
    from genlab.workflow.features import features as stage

    work(stage, StudyFolder(folder(config)), dataset, images, out, cpu=gpus == 0)


@stage_command()
def evaluate(
    run: Annotated[Path, typer.Option(help="The run's folder, results/STUDY/DATASET/MODEL/seedK")],
    row: Annotated[
        list[str] | None,
        typer.Option(
            help="A row; metrics.json then holds the named rows alone. Default: all with features."
        ),
    ] = None,
) -> None:
    """Compute the metrics of a run's rows from their features: metrics.json."""
    from genlab.workflow.evaluate import evaluate as stage

    work(stage, RunFolder(with_parents(run)), row)


@stage_command()
def publish(config: StudyConfig) -> None:
    """Send what the runs' folders hold to MLflow, TensorBoard and Weights & Biases."""
    from genlab.tracking.mirror import publish as stage

    work(stage, StudyFolder(folder(config)))


@stage_command()
def rank(config: StudyConfig) -> None:
    """Rank all rows by their features, with intervals and tiers: ranking.json."""
    from genlab.workflow.rank import rank_rows as stage

    work(stage, StudyFolder(folder(config)))


@stage_command()
def league(config: StudyConfig) -> None:
    """Bring all rows together: league.csv, .parquet, .md, .tex and .html, and the long table."""
    from genlab.workflow.league import league as stage

    work(stage, StudyFolder(folder(config)))


@stage_command()
def report(config: StudyConfig) -> None:
    """Write the study's one page, report/index.html."""
    from genlab.workflow.report import report as stage

    work(stage, StudyFolder(folder(config)))


def main() -> None:
    """Run the command line; a mistake of the user ends it with one message and status 1."""
    try:
        app()
    except GenLabError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
