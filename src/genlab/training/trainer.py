"""Training: from a model and a data set to weights.

Read `Training` from top to bottom. What it guarantees: the budget is counted in images; randomness
is a function of (seed, step); a kill at any moment loses at most the time since the last
checkpoint and changes no bit of the result; a loss, gradient, weight or held-out loss that is not
finite ends the training before it reaches a checkpoint or the final weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor
from tqdm import tqdm

from genlab.config.base import Precision
from genlab.config.curves import share_name, steps_at
from genlab.config.study import TrainingConfig
from genlab.data.arrays import fair_share
from genlab.data.randomness import address
from genlab.errors import GenLabError
from genlab.io.energy import EnergyMeter
from genlab.io.history import as_lines
from genlab.models.base import Batch, Model
from genlab.models.batches import AT_ONCE, Batches, Table, flip, load
from genlab.models.devices import allow_tf32, pick_device, resolve_precision, visible_cards
from genlab.training import resume
from genlab.training.log import Log, not_finite
from genlab.training.memory import explain_out_of_memory, recompute_blocks
from genlab.training.optimisation import ema_decay, learning_rate, make_optimizers, update_ema
from genlab.training.shares import BatchShare, split_share
from genlab.training.size import check_size

VALIDATIONS = 10
"""The loss on held-out images is measured after every 1/10 of the training ..."""
VALIDATION_IMAGES = 200
"""... on so many of them, or on one batch where its size matters: about 1 % of the time of a
training on 64,000 images."""
SIGNAL_CHECK_STEPS = 5
"""Steps after which several processes tell each other of signals; they wait for that."""


def set_seed(number: int) -> None:
    """Seed torch's generators, as `torch.manual_seed` does, at every step.

    `torch.manual_seed` queues a traceback per call until CUDA is initialised, which would leak.
    """
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(number)


@torch.no_grad()
def validate(
    model: Model, batches: Batches, images: int | None = None, at_once: int = AT_ONCE
) -> dict[str, float]:
    """Means of `model.loss` over a split; its random numbers depend on the seed alone.

    Where the size of a batch matters, batches are as large as in training, so that both losses can
    be compared. The last batch is filled up with images of the one before it.

    Args:
        images: only so many images, which represent the split; None: all.
        at_once: images of a batch where its size does not matter.
    """
    order, whole = fair_share(len(batches.table.images)), model.batch_size_matters
    size = batches.batch_size if whole else at_once
    if images is not None:
        order = order[: max(images, size if whole else 0)]
    totals: dict[str, float] = {}
    for start in range(0, len(order), size):
        end = min(start + size, len(order))
        indices = order[max(end - size, 0) if whole else start : end]
        torch.manual_seed(address(batches.seed, "validate", start))
        for name, value in model.loss(load(batches.table, indices, batches.device)).items():
            totals[name] = totals.get(name, 0.0) + float(value) * (end - start) / len(order)
    return totals


def make_accelerator(precision: Precision, cpu: bool, tf32: bool = False) -> Accelerator:
    """Device, processes and mixed precision for a training.

    A GPU is one that `pick_device` would take.

    Args:
        precision, tf32: as the configuration has them.
        cpu: stay on the CPU where there is a GPU.
    """
    cpu = pick_device(cpu).type == "cpu"
    resolved = resolve_precision(precision, cuda=not cpu)
    if tf32 and not cpu:
        allow_tf32()
    # accelerate keeps device and precision for the whole process; the next training may differ.
    AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=cpu, mixed_precision="bf16" if resolved == "bf16" else "no")


def training_precision(training: TrainingConfig, accelerator: Accelerator) -> str:
    """Precision that layers compute in where that is safe: 'bf16', 'tf32' or 'fp32'."""
    if accelerator.mixed_precision == "bf16":
        return "bf16"
    return "tf32" if training.tf32 and accelerator.device.type == "cuda" else "fp32"


class Weights(NamedTuple):
    """What a training ends with.

    Attributes:
        raw, averaged: tensors by name; no averaged ones where `training.ema` is 0.
        losses: means over the held-out images, of the averaged weights where there are any.
    """

    raw: dict[str, Tensor]
    averaged: dict[str, Tensor] | None
    losses: dict[str, float]


class Training:
    """The state of one training: model, average, optimisers, data, and how far it has come.

    Args:
        model: with its initial weights.
        data, held_out: the images to train on, and those that the final losses are measured on.
        name: what the training is called in messages.
        checkpoint: where the training continues, and writes its checkpoints.
        keep: shares of the training after which `run` hands its weights on.

    Raises:
        GenLabError: the model has another size than its budget, the checkpoint doesn't fit, the
            processes would get batches of different sizes, or a training with `compile` has more
            than one process.
    """

    def __init__(
        self,
        model: Model,
        data: Table,
        held_out: Table,
        training: TrainingConfig,
        seed: int,
        accelerator: Accelerator,
        name: str,
        checkpoint: resume.Checkpoint | None = None,
        keep: Sequence[float] = (),
    ) -> None:
        self.training, self.seed, self.accelerator = training, seed, accelerator
        self.name, self.checkpoint, self.keep = name, checkpoint, keep
        check_size(name, model, training)
        processes, parts = accelerator.num_processes, training.accumulation
        if training.compile and processes > 1:
            raise GenLabError(
                f"{name}: training.compile: true is for one process, but {processes} share this "
                "training; set it to false, or ask for one GPU"
            )
        if training.batch_size % (processes * parts):
            division = f"{processes} processes" + (f" in {parts} parts each" if parts > 1 else "")
            raise GenLabError(
                f"{name}: training.batch_size: {training.batch_size} images can't be shared evenly "
                f"by {division}; choose a multiple, or fewer processes"
            )
        self.batch_share = BatchShare(accelerator.process_index, processes)
        self.precision = training_precision(training, accelerator)
        self.batches, self.held_out = (
            Batches(
                table,
                training.batch_size,
                seed,
                accelerator.device,
                self.batch_share,
            )
            for table in (data, held_out)
        )
        self.model = model.to(accelerator.device)
        start = time.monotonic()
        self.model.measure(self.batches.table.images)
        seconds = time.monotonic() - start
        self.optimizers = make_optimizers(self.model, training)
        self.ema = (
            {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
            if training.ema
            else None
        )
        earlier = (
            resume.restore(checkpoint, self.model, self.ema, self.optimizers)
            if checkpoint
            else None
        )
        self.resumed = earlier is not None
        self.progress = earlier or resume.Progress(seconds=seconds)
        if training.recompute:
            recompute_blocks(self.model)
        if training.compile:
            self.model.compile()
        self.wrapped, *self.steppers = accelerator.prepare(self.model, *self.optimizers)

    def step(self) -> tuple[float, dict[str, Tensor]]:
        """Take one optimiser step; return the learning rate and the numbers to log."""
        k, training = self.progress.step, self.training
        batch = self.batches[k]._replace(
            progress=(k + 1) / training.steps,
            epoch=k * training.batch_size // len(self.batches.table.images),
        )
        rate = learning_rate(training, k)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        values = self._accumulate_gradients(batch, address(self.seed, "step", k, 0))
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), training.clip_norm)
        for stepper in self.steppers:
            stepper.step()
            stepper.zero_grad(set_to_none=True)  # rather than fill them with zeros
        if self.ema is not None:
            update_ema(self.ema, self.model.state_dict(), ema_decay(training.ema, k))
        self.progress.step += 1
        return rate, {**values, "grad_norm": norm}

    def _accumulate_gradients(self, batch: Batch, seed: int) -> dict[str, Tensor]:
        """Add up the gradients of this process's share of a batch; return the values of its loss.

        Every part of every process starts from the same seed, see `genlab.training.shares`.
        """
        parts = self.training.accumulation
        reports: list[dict[str, Tensor]] = []
        for part, noise in split_share(batch, self.batch_share, parts):
            set_seed(seed)
            last = len(reports) == parts - 1  # when processes exchange their gradients
            with noise, nullcontext() if last else self.accelerator.no_sync(self.wrapped):
                images = flip(part) if self.training.horizontal_flip else part
                values: dict[str, Tensor] = self.wrapped(images)
                self.accelerator.backward(values["loss"] / parts)
            reports.append({name: value.detach() for name, value in values.items()})
        if parts == 1:
            return reports[0]
        return {name: torch.stack([report[name] for report in reports]).mean() for name in values}

    def run(
        self,
        log: Log,
        *,
        checkpoint_seconds: float = 60.0,
        signals: Sequence[str] = (),
        on_checkpoint: Callable[[], None] = lambda: None,
        on_share: Callable[[float], None] = lambda share: None,
    ) -> None:
        """Train to the end of the budget, or until there are `signals`.

        The last step writes no checkpoint: its weights are not known to be good before `finish`.
        A training that continues from its end takes no step.

        Args:
            checkpoint_seconds: time between checkpoints; it changes no result.
            signals: names of the signals received, which may grow meanwhile.
            on_checkpoint: called after each checkpoint.
            on_share: called with each share of `keep` after its last step.

        Raises:
            GenLabError: a number is not finite, or a signal stopped the training.
        """
        steps, batch_size = self.training.steps, self.training.batch_size
        main = self.accelerator.is_main_process
        start, before = time.monotonic(), self.progress.seconds
        meter = EnergyMeter(self._cards(), self.progress.joules)
        last, last_step = start, self.progress.step
        with (
            explain_out_of_memory(self.name, self.model, self.training, self.batch_share.total),
            tqdm(
                total=steps, initial=last_step, unit="step", disable=not (main and log.bar)
            ) as bar,
        ):
            while self.progress.step < steps:
                rate, values = self.step()
                log.add(self.progress.step, rate, values)
                if main and self._validates_at(self.progress.step):
                    log.add_held_out(self._held_out_losses(VALIDATION_IMAGES))
                bar.update()
                if len(log.pending) >= 50 * log.every:
                    log.drain()
                    bar.set_postfix(loss=f"{log.last['loss']:.4g}")
                for share in self.shares_at(self.progress.step) if main else ():
                    on_share(share)
                    seconds = before + time.monotonic() - start
                    self.progress.seconds_at[share_name(share)] = seconds
                now = time.monotonic()
                stopping = self._should_stop(signals)  # once a step
                ended = stopping or self.progress.step == steps
                if ended or now - last >= checkpoint_seconds:
                    log.drain()
                    self.progress.seconds = before + now - start
                    self.progress.joules = meter.read()
                    if main:
                        self._flush(log, (self.progress.step - last_step) * batch_size, now - last)
                    last, last_step = now, self.progress.step
                    if main and not ended:
                        on_checkpoint()
                if stopping:
                    break
        if main and self.progress.step < steps:  # the others end quietly, and don't end it
            reason = signals[0] if signals else "a signal to another process"
            raise GenLabError(
                f"{self.name}: stopped by {reason} at step {self.progress.step}; "
                "the same command goes on from there"
            )

    def _should_stop(self, signals: Sequence[str]) -> bool:
        """Whether this or another process got a signal; all of them stop after the same step."""
        if self.accelerator.num_processes == 1:
            return bool(signals)
        if self.progress.step % SIGNAL_CHECK_STEPS:
            return False
        number = torch.tensor(len(signals), device=self.accelerator.device)
        return bool(self.accelerator.reduce(number, reduction="sum"))

    def shares_at(self, step: int) -> list[float]:
        """The shares of `keep` that are reached with `step` steps."""
        return [share for share in self.keep if steps_at(share, self.training.steps) == step]

    def _validates_at(self, step: int) -> bool:
        """Whether the held-out loss is measured after `step` steps; `finish` measures the last."""
        tenths = step * VALIDATIONS // self.training.steps
        return tenths > (step - 1) * VALIDATIONS // self.training.steps and tenths < VALIDATIONS

    def _held_out_losses(self, images: int | None = None) -> dict[str, float]:
        """Losses on held-out images, of the averaged weights where there are any.

        Args:
            images: as in `validate`.
        """
        raw = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.model.load_state_dict(self.ema or raw)
        self.model.eval()
        losses = validate(self.model, self.held_out, images)
        self.model.load_state_dict(raw)
        self.model.train()
        return losses

    def _cards(self) -> list[str]:
        """The GPU that the training uses, as NVML names it."""
        return visible_cards() if self.accelerator.device.type == "cuda" else []

    def _flush(self, log: Log, images: int, seconds: float) -> None:
        """Add what was logged to the history; write a checkpoint unless this was the last step."""
        self.progress.history += as_lines(log.flush(images / max(seconds, 1e-9)))
        if self.progress.step < self.training.steps:
            self.save_checkpoint()

    def contents(self) -> dict[str, Tensor]:
        """Return what a checkpoint holds; a step's losses do not show what its update did.

        Raises:
            GenLabError: a weight, an average or a moment is not finite.
        """
        tensors = resume.contents(self.model, self.ema, self.optimizers)
        for name, tensor in tensors.items():
            bad = tensor[~tensor.isfinite()]
            if len(bad):
                raise not_finite(self.name, self.progress.step, {name: float(bad[0])})
        return tensors

    def save_checkpoint(self) -> None:
        """Write a checkpoint, where the training has a place for it."""
        if self.checkpoint is not None:
            resume.save(self.checkpoint, self.progress, self.contents())

    def finish(self) -> Weights:
        """Return the final weights, and measure the losses on the held-out images.

        Raises:
            GenLabError: a weight or a held-out loss is not finite.
        """
        self.contents()
        raw = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        losses = self._held_out_losses()
        if not np.isfinite(list(losses.values())).all():
            values = {f"held-out {name}": value for name, value in losses.items()}
            raise not_finite(self.name, self.progress.step, values)
        self.model.eval()
        return Weights(raw, self.ema, losses)
