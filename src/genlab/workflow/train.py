"""The stage `train`: one run, from its spec and its data to a file of weights."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType

from accelerate import Accelerator
from filelock import FileLock, Timeout

from genlab.config.curves import share_name
from genlab.config.study import TrainingConfig
from genlab.data.randomness import address
from genlab.errors import DivergenceError, GenLabError
from genlab.io.energy import energy_record
from genlab.io.files import read_json, replacing, sha256, write_json, write_text
from genlab.io.history import append_history
from genlab.models.base import Facts, build_model
from genlab.models.store import save_model
from genlab.results.checkpoints import delete_checkpoints
from genlab.results.layout import RunFolder
from genlab.results.origin import KEY, run_origin, write_measured
from genlab.results.spec import RunSpec, read_run, read_tracking
from genlab.results.stages import training_code
from genlab.tracking.background import BackgroundMirror
from genlab.tracking.mirror import forget
from genlab.tracking.provenance import read_environment, run_tags
from genlab.tracking.record import flatten, leave_record
from genlab.tracking.sink import Status
from genlab.training.budget import with_images
from genlab.training.log import Log
from genlab.training.resume import Checkpoint
from genlab.training.size import parameter_count
from genlab.training.trainer import Training, make_accelerator, training_precision
from genlab.workflow.data import read_table
from genlab.workflow.models import first_stage_run, load_first_stage

PATIENCE = 30.0
"""Seconds that a workflow gives the trainer of a killed one to write a checkpoint and end."""
HALF_RATE_SUFFIX = "-halved"
"""End of the name of a training at half the learning rate, after one that diverged."""


@contextlib.contextmanager
def received_signals() -> Iterator[list[str]]:
    """Collect the names of SIGTERM and SIGINT, so that the current step ends in good order."""
    received: list[str] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number).name)

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {n: signal.signal(n, note) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def only_trainer(run: RunFolder) -> Iterator[None]:
    """Lock the run's folder: an orphaned trainer and its successor must not share it.

    Raises:
        GenLabError: another process is training this run, or the folder can't be written.
    """
    patience = PATIENCE if "GENLAB_WORKFLOW" in os.environ else 0.0
    lock = FileLock(run.resume / "lock", timeout=patience)
    holder = run.resume / "pid"
    try:
        run.resume.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        holder.write_text(str(os.getpid()))
    except Timeout:
        raise GenLabError(
            f"{run.folder}: process {holder.read_text() if holder.exists() else '?'} is training "
            "this run already; wait for it, or end it, then run again"
        ) from None
    except OSError as error:
        raise GenLabError(f"{run.resume}: can't be written: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()


def begin_training(run: RunFolder, spec: RunSpec, accelerator: Accelerator) -> Training:
    """Prepare the training of a run, from its checkpoint where there is one.

    A checkpoint belongs to this spec, this code, this data, this very first stage and this
    precision, and to the number of images where a trial fixes it.

    Raises:
        GenLabError: the model has another size than the study's budget.
    """
    facts = Facts.of(read_json(run.data.manifest))

    first = load_first_stage(run, spec)

    def begin(training: TrainingConfig, checkpoint: Checkpoint | None = None) -> Training:
        return Training(
            build_model(spec.model, facts, address(spec.seed, "weights"), first),
            read_table(run.data, "train", spec.model),
            read_table(run.data, "test", spec.model),
            training,
            spec.seed,
            accelerator,
            str(run.folder),
            checkpoint,
            spec.keep,
        )

    below = first_stage_run(run, spec)
    inputs = [run.data.manifest, *([below.weights] if below else [])]
    precision = training_precision(spec.training, accelerator)
    parts = [spec.digest, training_code(spec), *(sha256(path)[:16] for path in inputs), precision]
    point = "-".join(parts)
    training = spec.training
    if training.seconds is not None:
        training = _images_once(run.resume / f"{point}.json", training, begin)
        point += f"-{training.images}"
    if _retry_note(run, point).exists():
        training = training.model_copy(update={"learning_rate": training.learning_rate / 2})
        point += HALF_RATE_SUFFIX
    return begin(training, Checkpoint(run.resume / f"{point}.safetensors", point))


def _retry_note(run: RunFolder, point: str) -> Path:
    """File which says that the training `point` diverged: the next one has half the rate."""
    return run.resume / f"{point}-diverged.json"


def schedule_retry(run: RunFolder, state: Training) -> bool:
    """Let the next attempt take half the learning rate, once, where the study asks for it.

    Returns:
        Whether there will be such an attempt.
    """
    assert state.checkpoint is not None
    point = state.checkpoint.point
    retry = state.training.on_divergence == "retry" and not point.endswith(HALF_RATE_SUFFIX)
    if retry:
        write_json(_retry_note(run, point), {"step": state.progress.step})
    return retry


def _images_once(
    path: Path, training: TrainingConfig, begin: Callable[[TrainingConfig], Training]
) -> TrainingConfig:
    """Return `training` with the number of images in the file `path`, or with that of a trial.

    A resumed training must not measure its speed again.
    """
    if path.exists():
        return training.model_copy(update={"images": read_json(path)["images"]})
    training = with_images(training, begin)
    write_json(path, {"images": training.images})
    return training


def kept_until_done(state: Training, share: float) -> Path:
    """Where the weights of a share of the training wait for its end.

    Snakemake deletes the outputs of a training that failed, but not what lies in `resume/`.
    """
    assert state.checkpoint is not None
    return state.checkpoint.path.with_name(f"{state.checkpoint.point}-at-{share_name(share)}.part")


def keep_weights(run: RunFolder, state: Training, share: float) -> None:
    """Write the weights of a share of the training, to be moved to `model/at` at its end."""
    save_model(kept_until_done(state, share), state.model, state.ema, {KEY: run_origin(run)})


def begin_history(run: RunFolder, state: Training) -> None:
    """Start from the checkpoint's history, or an empty one; its next rows are logged again.

    If the tracking services hold rows of another training, they get a new run. Snakemake deletes
    the history before it repeats a training, so a file in `resume/` names the training that logged
    last.
    """
    assert state.checkpoint is not None
    point, last = state.checkpoint.point, run.resume / "last"
    same = last.exists() and last.read_text(encoding="utf-8") == point
    if not (state.resumed and same):
        forget(run)
        write_text(last, point)
    write_text(run.history, state.progress.history)


def finish_training(run: RunFolder, state: Training, environment: dict[str, str]) -> None:
    """Write a last checkpoint, the weights of a training, and what is recorded of it.

    Snakemake deletes these files if it is killed before it knows that the job has ended. The next
    attempt then makes them again from the checkpoint, without a step.
    """
    origin = run_origin(run)
    weights = state.finish()
    state.save_checkpoint()
    save_model(run.weights, state.model, weights.averaged, {KEY: origin})
    publish_kept(run, state)
    summary = {
        "parameters": parameter_count(state.model),
        "steps": state.progress.step,
        "images": state.progress.step * state.training.batch_size,
        "budget": state.training.budget,
        "learning_rate": state.training.learning_rate,
        "processes": state.accelerator.num_processes,
        "precision": state.precision,
        "held_out": weights.losses,
    }
    write_measured(run.summary, summary, origin)
    seconds = state.progress.seconds
    cost = {"train_seconds": seconds, "seconds_at": state.progress.seconds_at}
    write_json(run.cost, cost | energy_record(state.progress.joules))
    write_json(run.environment, environment)
    losses = {f"held_out_{name}": value for name, value in weights.losses.items()}
    leave_record(run, "train", metrics=losses)
    # Within a workflow its end deletes them (Snakefile), unless it doesn't see the folder.
    if "GENLAB_WORKFLOW" not in os.environ or "GENLAB_RESUME" in os.environ:
        delete_checkpoints(run)


def publish_kept(run: RunFolder, state: Training) -> None:
    """Fill the folder `model/at` with the weights that were kept during the training.

    Raises:
        GenLabError: some were deleted since.
    """
    shutil.rmtree(run.earlier_weights, ignore_errors=True)
    run.earlier_weights.mkdir()
    for share in state.keep:
        waiting = kept_until_done(state, share)
        if not waiting.exists():
            raise GenLabError(f"{waiting}: was deleted; delete {run.resume}, and train again")
        with replacing(run.weights_at(share)) as temporary:
            shutil.copyfile(waiting, temporary)


def train(run: RunFolder, *, checkpoint_seconds: float = 60.0, cpu: bool = False) -> None:
    """Train the run whose spec is `run.config` and write its `model/`.

    Args:
        checkpoint_seconds: time between checkpoints; it changes no result.
        cpu: stay on the CPU where there is a GPU.

    Raises:
        GenLabError: data or checkpoint don't fit, the loss is not finite, another process trains
            this run, or a signal stopped it.
    """
    spec = read_run(run.config)
    accelerator = make_accelerator(spec.training.precision, cpu, spec.training.tf32)
    if not accelerator.is_main_process:
        accelerator.wait_for_everyone()  # until the main process has the run to itself
        state = begin_training(run, spec, accelerator)
        with received_signals() as signals:
            log = Log(state.name, state.training.steps, lambda rows: None, checks=False)
            state.run(log, signals=signals)
        return
    with only_trainer(run):
        accelerator.wait_for_everyone()
        state = begin_training(run, spec, accelerator)
        if state.resumed:
            print(f"resuming at step {state.progress.step} of {state.training.steps}")
        begin_history(run, state)
        params = flatten(spec.model_dump(mode="json"))
        environment = read_environment(training_code(spec))
        leave_record(run, "config", params=params, tags=run_tags(run.data, environment))
        mirror = BackgroundMirror(run, read_tracking(run.study.tracking).system_metrics)
        mirror.update()
        log = Log(state.name, state.training.steps, lambda rows: append_history(run.history, rows))
        status: Status = "FAILED"
        try:
            with received_signals() as signals:
                state.run(
                    log,
                    checkpoint_seconds=checkpoint_seconds,
                    signals=signals,
                    on_checkpoint=mirror.update,
                    on_share=partial(keep_weights, run, state),
                )
            finish_training(run, state, environment)
            status = "RUNNING"  # sampling and measuring follow
        except DivergenceError as error:
            if not schedule_retry(run, state):
                raise
            raise GenLabError(
                f"{error.place}: not finite; by training.on_divergence: retry the next attempt "
                f"starts anew at half the learning rate, {state.training.learning_rate / 2:g}"
            ) from None
        finally:
            mirror.finish(status)
