"""Optimisers, learning rate schedule, and the moving average of the weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from genlab.config.study import TrainingConfig
from genlab.training.muon import Muon, is_matrix


def make_optimizers(model: nn.Module, training: TrainingConfig) -> list[torch.optim.Optimizer]:
    """Create one optimiser or two for the trainable weights of `model`.

    AdamW takes all of them; with `optimizer: muon`, Muon takes the matrices and AdamW the rest.
    """
    matrices = {id(module.weight) for module in model.modules() if is_matrix(module)}
    by_muon: list[nn.Parameter] = []
    by_adamw: list[nn.Parameter] = []
    for weight in model.parameters():
        if weight.requires_grad:
            muon = training.optimizer == "muon" and id(weight) in matrices
            (by_muon if muon else by_adamw).append(weight)
    rate, decay = training.learning_rate, training.weight_decay
    optimizers: list[torch.optim.Optimizer] = []
    if by_muon:
        optimizers.append(Muon(by_muon, rate, decay))
    if by_adamw:
        optimizers.append(torch.optim.AdamW(by_adamw, rate, weight_decay=decay, fused=True))
    return optimizers


def learning_rate(training: TrainingConfig, step: int) -> float:
    """Learning rate of step 0, 1, ...: linear warm-up, then the decay of the configuration.

    Under a decay the rate of the last step is 0, so its gradient moves no weight.
    """
    done = (step + 1) / training.steps
    if done <= training.warmup:
        return training.learning_rate * done / training.warmup
    rest = (done - training.warmup) / (1 - training.warmup)  # 0..1 after the warm-up
    factor = {
        "none": 1.0,
        "linear": 1 - rest,
        "cosine": 0.5 * (1 + math.cos(math.pi * rest)),
    }[training.decay]
    return training.learning_rate * factor


def ema_decay(decay: float, step: int) -> float:
    """Decay of the average after step 0, 1, ...: min(decay, (1 + n) / (10 + n)).

    The warm-up keeps the random initial weights out of the average of a short run.
    """
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_ema(ema: dict[str, Tensor], weights: dict[str, Tensor], decay: float) -> None:
    """ema <- decay ema + (1 - decay) weights; integer buffers are copied."""
    floats = [name for name, tensor in ema.items() if tensor.is_floating_point()]
    torch._foreach_lerp_([ema[n] for n in floats], [weights[n] for n in floats], 1 - decay)
    for name in ema.keys() - set(floats):
        ema[name].copy_(weights[name])
