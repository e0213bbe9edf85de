"""Muon, against the iteration as the paper writes it, PyTorch's optimiser, and singular values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genlab.config.base import merge
from genlab.config.families import build_family
from genlab.config.study import TrainingConfig
from genlab.models.base import Facts, Model, build_model
from genlab.training.muon import A, B, C, Muon, orthogonalised
from genlab.training.optimisation import make_optimizers

ROUNDING = 1.5e-4  # of float32, 6e-8 in each of five products, made up to a^5 = 485 times as large
SIZES = [(24, 216), (48, 432), (96, 24), (16, 16), (1, 9), (30, 1), (24, 48)]


def normal(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def written_out(x: Tensor) -> Tensor:
    """The iteration of Jordan et al. on the whole matrix, in float64."""
    x = x.double() / x.double().norm()
    for _ in range(5):
        gram = x @ x.T
        x = A * x + (B * gram + C * gram @ gram) @ x
    return x


def test_the_gram_matrices_say_what_the_iteration_on_the_matrices_does() -> None:
    """Matrices of all sizes at once; singular values down to a three-hundredth of the largest."""
    matrices = [normal(*size, seed=i) for i, size in enumerate(SIZES)]
    u, _, v = torch.linalg.svd(normal(20, 50), full_matrices=False)
    matrices.append(u @ torch.logspace(0, -2.5, 20).diag() @ v)
    for matrix, found in zip(matrices, orthogonalised(matrices), strict=True):
        torch.testing.assert_close(found.double(), written_out(matrix), atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("size", SIZES)
def test_singular_values_become_one_and_singular_vectors_stay(size: tuple[int, int]) -> None:
    """To .68 to 1.21, which is how near the polynomial comes five times over."""
    matrix = normal(*size)
    u, _, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    within = u.T @ orthogonalised([matrix])[0].double() @ v.T
    assert within.diagonal().min() > 0.68 and within.diagonal().max() < 1.21
    torch.testing.assert_close(within, within.diagonal().diag(), atol=ROUNDING, rtol=0)


def test_the_size_of_the_gradient_plays_no_part() -> None:
    """But for one that is zero, as behind layers that begin at zero: it moves nothing."""
    large, small, none = orthogonalised(
        [1e3 * normal(8, 24), 1e-5 * normal(8, 24), 0 * normal(8, 24)]
    )
    torch.testing.assert_close(large, small, atol=ROUNDING, rtol=0)
    assert torch.equal(none, torch.zeros(8, 24))


def steps(optimizer: torch.optim.Optimizer, weight: Tensor, n: int) -> None:
    """Down the slopes of random planes, the same for all who are asked for as many numbers."""
    for k in range(n):
        weight.grad = normal(weight.numel(), seed=k).view(weight.shape)
        optimizer.step()


@pytest.mark.parametrize("size", [(12, 40), (40, 12)])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_steps_are_those_of_pytorchs_muon(size: tuple[int, int], decay: float) -> None:
    """Momentum, rate and decay of the weights; PyTorch iterates in bfloat16, of 8 bits."""
    ours, its = nn.Parameter(normal(*size)), nn.Parameter(normal(*size))
    settings = {"lr": 0.02, "weight_decay": decay, "momentum": 0.9}
    steps(Muon([ours], **settings), ours, 5)
    steps(torch.optim.Muon([its], **settings, adjust_lr_fn="match_rms_adamw"), its, 5)
    moved = 5 * 0.02 * 0.2  # the root mean square of five steps of Muon's in one direction
    # Five times five products, each number of which is rounded by 2^-9 at most, at random.
    assert (ours - its).square().mean().sqrt() < 5 * 2**-9 * moved


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_convolution_is_the_matrix_of_its_outputs(layout: torch.memory_format) -> None:
    convolution = nn.Parameter(normal(6, 4, 3, 3).to(memory_format=layout))
    matrix = nn.Parameter(normal(6, 4, 3, 3).flatten(1))
    for weight in (convolution, matrix):
        steps(Muon([weight], lr=0.1), weight, 3)
    torch.testing.assert_close(convolution.flatten(1), matrix)
    assert convolution.is_contiguous(memory_format=layout)


def test_weights_without_a_gradient_stay() -> None:
    idle, moved = nn.Parameter(normal(3, 4)), nn.Parameter(normal(3, 4))
    steps(Muon([idle, moved], lr=0.1, weight_decay=0.1), moved, 1)
    assert torch.equal(idle, normal(3, 4)) and not torch.equal(moved, normal(3, 4))


UNET = {"channels": 8, "multipliers": [1]}
DIT = {"backbone": "dit", "width": 16, "depth": 1, "heads": 2, "patch": 4, "convolution": True}
FAMILIES: list[dict[str, Any]] = [
    {"family": "ddpm", "network": UNET, "conditional": True},
    {"family": "edm", "network": DIT},
    {"family": "glow", "hidden": 8, "steps": [1], "global_steps": 1, "global_hidden": 8},
    {"family": "vae", "channels": 4, "latent": 2},
    {"family": "vqvae", "channels": 4, "codes": 8, "latent": 4},
    {"family": "clip", "channels": 4, "features": 8, "width": 8, "layers": 1},
]


def make(values: dict[str, Any]) -> Model:
    return build_model(build_family(values, "test"), Facts((1, 8, 8), 2), seed=0)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("values", FAMILIES, ids=lambda values: values["family"])
def test_every_weight_is_taken_once(values: dict[str, Any], optimizer: str) -> None:
    model = make(values)
    frozen = next(model.parameters()).requires_grad_(False)
    training = TrainingConfig.model_validate(
        {"optimizer": optimizer, "learning_rate": 0.1, "weight_decay": 0.2}
    )
    optimizers = make_optimizers(model, training)
    groups = [group for made in optimizers for group in made.param_groups]
    taken = [id(weight) for group in groups for weight in group["params"]]
    learnt = {id(weight) for weight in model.parameters()} - {id(frozen)}
    assert len(taken) == len(set(taken)) and set(taken) == learnt
    assert all(group["lr"] == 0.1 and group["weight_decay"] == 0.2 for group in groups)
    assert {type(made) for made in optimizers} == (
        {Muon, torch.optim.AdamW} if optimizer == "muon" else {torch.optim.AdamW}
    )


def test_muon_takes_what_maps_one_space_to_another() -> None:
    """No filters of single channels, embeddings, biases, scales."""
    conditional = make(merge(FAMILIES[1], {"conditional": True}))
    training = TrainingConfig(optimizer="muon")
    muon, adamw = make_optimizers(conditional, training)
    taken = {id(weight) for weight in muon.param_groups[0]["params"]}
    names = dict(conditional.named_parameters())
    by_muon = {name for name, weight in names.items() if id(weight) in taken}
    assert all(names[name].ndim in (2, 4) and name.endswith(".weight") for name in by_muon)
    left = [name for name, weight in names.items() if weight.ndim > 1 and name not in by_muon]
    kept = dict(conditional.named_modules())
    for name in left:
        owner = kept[name.rpartition(".")[0]]
        assert not isinstance(owner, nn.Linear), name
        assert not isinstance(owner, nn.Conv2d) or owner.groups > 1, name
    assert any(isinstance(kept[name.rpartition(".")[0]], nn.Embedding) for name in left)
    assert any(isinstance(kept[name.rpartition(".")[0]], nn.Conv2d) for name in left)
    assert len(adamw.param_groups[0]["params"]) == len(names) - len(by_muon)
