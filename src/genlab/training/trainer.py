"""The stage `train`: one run, from its spec and its data to weights on disk.

Read `train` from top to bottom. What it guarantees: the budget is counted in images; randomness
is a function of (seed, step); a kill at any moment loses at most the time since the last
checkpoint and changes no bit of the result; a loss, gradient, weight or held-out loss that is not
finite ends the run before it reaches a checkpoint or the final weights.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from genlab.config.base import Precision
from genlab.data.randomness import address
from genlab.errors import GenLabError
from genlab.io.files import read_json, sha256, write_json, write_text
from genlab.models.base import Facts, Model, build_model
from genlab.models.batches import Batches, flip, load, read_table
from genlab.models.devices import claim_gpu, resolve_precision
from genlab.models.store import first_stage_run, load_first_stage, save_model
from genlab.results.layout import RunFolder
from genlab.results.origin import run_origin, write_measured
from genlab.results.spec import RunSpec, read_run, read_tracking
from genlab.results.stages import training_code
from genlab.tracking.background import BackgroundMirror
from genlab.tracking.mirror import Status, forget
from genlab.tracking.provenance import read_environment, run_tags
from genlab.tracking.record import flatten, leave_record
from genlab.training import resume
from genlab.training.log import Log, not_finite
from genlab.training.optimisation import ema_decay, learning_rate, make_optimizers, update_ema


@contextlib.contextmanager
def noting_signals() -> Iterator[list[str]]:
    """Names of the SIGTERM and SIGINT received, so that the step under way ends in good order."""
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


def seed(number: int) -> None:
    """`torch.manual_seed`, at every step.

    Where CUDA hasn't begun, that keeps a list of who asked, with the whole stack of calls.
    """
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(number)


@torch.no_grad()
def validate(model: Model, batches: Batches, batch_size: int) -> dict[str, float]:
    """Means of `model.loss` over a split; its random numbers depend on the seed alone."""
    totals: dict[str, float] = {}
    n = len(batches.table.images)
    for start in range(0, n, batch_size):
        which = np.arange(start, min(start + batch_size, n))
        batch = load(batches.table, which, batches.device)
        torch.manual_seed(address(batches.seed, "validate", start))
        for name, value in model.loss(batch).items():
            totals[name] = totals.get(name, 0.0) + float(value) * len(batch.images) / n
    return totals


class Training:
    """The state of one training: model, average, optimisers, data, and how far it has come."""

    def __init__(self, run: RunFolder, spec: RunSpec, accelerator: Accelerator) -> None:
        self.run, self.spec, self.accelerator = run, spec, accelerator
        self.origin = run_origin(run)
        self.precision = "bf16" if accelerator.mixed_precision == "bf16" else "fp32"
        training, data = spec.training, run.data
        facts = Facts.of(read_json(data.manifest))
        self.batches, self.held_out = (
            Batches(
                read_table(data, split, spec.model),
                training.batch_size,
                spec.seed,
                accelerator.device,
                (accelerator.process_index, accelerator.num_processes),
            )
            for split in ("train", "test")
        )
        first = load_first_stage(run, spec)
        self.model = build_model(spec.model, facts, address(spec.seed, "weights"), first)
        self.model.to(accelerator.device)
        begun = time.monotonic()
        self.model.measure(self.batches.table.images)
        measuring = time.monotonic() - begun
        self.optimizers = make_optimizers(self.model, training)
        self.ema = (
            {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
            if training.ema
            else None
        )
        # A resume point belongs to this spec, these data, this very first stage, this precision.
        below = [data.manifest, *([first_stage_run(run, spec).weights] if first else [])]
        self.point = "-".join([spec.digest, *(sha256(path)[:16] for path in below), self.precision])
        found = resume.restore(run, self.point, self.model, self.ema, self.optimizers)
        self.resumed = found is not None
        self.progress = found or resume.Progress(seconds=measuring)
        if training.compile:
            self.model.compile()
        self.wrapped, *self.steppers = accelerator.prepare(self.model, *self.optimizers)

    def step(self) -> tuple[float, dict[str, Tensor]]:
        """One optimiser step; returns the learning rate and the numbers to log."""
        k, training = self.progress.step, self.spec.training
        seed(address(self.spec.seed, "step", k, self.accelerator.process_index))
        batch = self.batches[k]._replace(
            progress=(k + 1) / training.steps,
            epoch=k * training.batch_size // len(self.batches.table.images),
        )
        if training.horizontal_flip:
            batch = flip(batch)
        rate = learning_rate(training, k)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        values: dict[str, Tensor] = self.wrapped(batch)
        self.accelerator.backward(values["loss"])
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), training.clip_norm)
        for stepper in self.steppers:
            stepper.step()
            stepper.zero_grad(set_to_none=True)  # rather than fill them with zeros
        if self.ema is not None:
            update_ema(self.ema, self.model.state_dict(), ema_decay(training.ema, k))
        self.progress.step += 1
        return rate, {**values, "grad_norm": norm}

    def contents(self) -> dict[str, Tensor]:
        """What a checkpoint holds, checked: a step's losses do not show what its update did.

        Raises:
            GenLabError: a weight, an average or a moment is not finite.
        """
        tensors = resume.contents(self.model, self.ema, self.optimizers)
        for name, tensor in tensors.items():
            bad = tensor[~tensor.isfinite()]
            if len(bad):
                raise not_finite(self.run, self.progress.step, {name: float(bad[0])})
        return tensors

    def checkpoint(self) -> None:
        """Write a resume point; the log has been checked before."""
        resume.save(self.run, self.point, self.progress, self.contents())

    def finish(self) -> dict[str, float]:
        """Write the weights and the summary; returns the losses on the held-out images.

        Raises:
            GenLabError: a weight or a held-out loss is not finite.
        """
        self.contents()
        raw = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.model.load_state_dict(self.ema or raw)
        self.model.eval()
        losses = validate(self.model, self.held_out, 500)
        if not np.isfinite(list(losses.values())).all():
            values = {f"held-out {name}": value for name, value in losses.items()}
            raise not_finite(self.run, self.progress.step, values)
        self.model.load_state_dict(raw)
        save_model(self.run, self.spec, self.origin, self.model, self.ema)
        summary = {
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "steps": self.progress.step,
            "images": self.progress.step * self.spec.training.batch_size,
            "precision": self.precision,
            "held_out": losses,
        }
        write_measured(self.run.summary, summary, self.origin)
        return losses


def _run_steps(
    state: Training,
    log: Log,
    mirrored: BackgroundMirror | None,
    seconds: float,
    stopped: list[str],
) -> None:
    """Train to the end of the budget, or until `stopped`, with a checkpoint every `seconds`.

    The last step writes none: its weights are not known to be good before `Training.finish`.
    """
    steps, batch_size = state.spec.training.steps, state.spec.training.batch_size
    main = state.accelerator.is_main_process
    begun, before = time.monotonic(), state.progress.seconds
    last, last_step = begun, state.progress.step
    with tqdm(total=steps, initial=last_step, unit="step", disable=not (main and log.bar)) as bar:
        while state.progress.step < steps:
            rate, values = state.step()
            log.add(state.progress.step, rate, values)
            bar.update()
            if len(log.pending) >= 50 * log.every:
                log.drain()
                bar.set_postfix(loss=f"{log.last['loss']:.4g}")
            now = time.monotonic()
            stopping = bool(stopped)  # asked once: a signal after this waits for the next step
            ended = stopping or state.progress.step == steps
            if ended or now - last >= seconds:
                log.drain()
                state.progress.seconds = before + now - begun
                if main:
                    done = (state.progress.step - last_step) * batch_size
                    log.flush(done / max(now - last, 1e-9))
                    if state.progress.step < steps:
                        state.checkpoint()
                last, last_step = now, state.progress.step
                if mirrored is not None and not ended:
                    mirrored.update()
            if stopping:
                break
    if state.progress.step < steps:
        raise GenLabError(
            f"{state.run.folder}: stopped by {stopped[0]} at step {state.progress.step}; "
            "the same command goes on from there"
        )


def make_accelerator(asked: Precision, cpu: bool) -> Accelerator:
    """Device, processes and mixed precision, for the precision that the config asks for."""
    precision = resolve_precision(asked, cuda=not cpu and torch.cuda.is_available())
    return Accelerator(cpu=cpu, mixed_precision="bf16" if precision == "bf16" else "no")


def begin_history(run: RunFolder, state: Training) -> None:
    """Start from the checkpoint's history, or an empty one; its next rows are logged again.

    Where the tracking services have received another training's rows, they get a new run. Snakemake
    deletes the history before it repeats a training, so a file in `resume/` names the training that
    logged last.
    """
    last = run.resume / "last"
    same = last.exists() and last.read_text(encoding="utf-8") == state.point
    if not (state.resumed and same):
        forget(run)
        write_text(last, state.point)
    write_text(run.history, state.progress.history)


def train(run: RunFolder, *, checkpoint_seconds: float = 60.0, cpu: bool = False) -> None:
    """Train the run whose spec is `run.config` and write its `model/`.

    Args:
        checkpoint_seconds: time between resume points; it changes no result.
        cpu: stay on the CPU where there is a GPU.

    Raises:
        GenLabError: data or checkpoint don't fit, the loss is not finite, another process trains
            this run, or a signal asked to stop.
    """
    spec = read_run(run.config)
    if not cpu:
        claim_gpu()
    accelerator = make_accelerator(spec.training.precision, cpu)
    main = accelerator.is_main_process
    log = Log(run, spec.training.steps)
    environment = read_environment(training_code(spec)) if main else {}
    with resume.only_trainer(run) if main else contextlib.nullcontext():
        state = Training(run, spec, accelerator)
        if main:
            if state.resumed:
                print(f"resuming at step {state.progress.step} of {spec.training.steps}")
            begin_history(run, state)
            params = flatten(spec.model_dump(mode="json"))
            leave_record(run, "config", params=params, tags=run_tags(run.data, environment))
        mirrored = (
            BackgroundMirror(run, read_tracking(run.study.tracking).system_metrics)
            if main
            else None
        )
        if mirrored is not None:
            mirrored.update()
        status: Status = "FAILED"
        try:
            with noting_signals() as stopped:
                _run_steps(state, log, mirrored, checkpoint_seconds, stopped)
            if main:
                losses = state.finish()
                write_json(run.cost, {"train_seconds": state.progress.seconds})
                write_json(run.environment, environment)
                measured = {f"held_out_{name}": value for name, value in losses.items()}
                leave_record(run, "train", metrics=measured)
                resume.clear(run)
            status = "RUNNING"  # sampling and measuring follow
        finally:
            if mirrored is not None:
                mirrored.finish(status)
