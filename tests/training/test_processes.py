"""A training doesn't depend on how its batches are shared: by processes, or part by part."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from pydantic import ValidationError
from servers import free_port
from small_models import SMALL, make_training, small_model, small_training
from torch import Tensor

from genlab.config.families import build_family
from genlab.config.study import TrainingConfig
from genlab.config.study.presets import resolve
from genlab.errors import ConfigError, GenLabError
from genlab.models.base import Batch
from genlab.training.memory import explain_out_of_memory
from genlab.training.shares import BatchNoise, BatchShare
from genlab.training.trainer import Training, make_accelerator

STEPS, PROCESSES = 6, 2
Weights = dict[str, Tensor]


def weights_after_steps(family: str, parts: int = 1) -> Weights:
    """Weights and averages after some steps with batches of 16, in as many processes as there are.

    With AdamW's large epsilon, a gradient of nothing but rounding moves no weight.
    """
    settings = {"accumulation": parts, "horizontal_flip": True, "images": 16 * STEPS}
    training = make_training(family, make_accelerator("fp32", cpu=True), **settings)
    for optimizer in training.optimizers:
        for group in optimizer.param_groups:
            group["eps"] = 1e-3
    for _ in range(STEPS):
        training.step()
    assert training.ema is not None
    state = {**training.model.state_dict(), **{f"ema {k}": v for k, v in training.ema.items()}}
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def train_all(rank: int, port: int, folder: Path) -> None:
    """One of the processes that train every family together."""
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(PROCESSES),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    torch.set_num_threads(1)
    for family in SMALL:
        torch.save(weights_after_steps(family), folder / f"{family}-{rank}.pt")


@pytest.fixture(scope="module")
def process_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights of every family in each of two processes."""
    folder = tmp_path_factory.mktemp("shared")
    mp.spawn(train_all, (free_port(), folder), nprocs=PROCESSES)
    return folder


def difference(first: Weights, second: Weights) -> float:
    """The largest difference of two sets of weights."""
    assert first.keys() == second.keys()
    return max(float((first[name].double() - second[name].double()).abs().max()) for name in first)


@pytest.mark.parametrize("family", SMALL)
def test_two_processes_train_as_one_does(process_weights: Path, family: str) -> None:
    """2 x 8 images are 1 x 16, to the rounding of sums; both processes end with equal weights."""
    both = [torch.load(process_weights / f"{family}-{rank}.pt") for rank in range(PROCESSES)]
    assert difference(*both) == 0
    alone = weights_after_steps(family)
    assert difference(both[0], alone) < 1e-4
    zeros = {name: torch.zeros_like(tensor) for name, tensor in alone.items()}
    assert difference(alone, zeros) > 1e-2


DIVISIBLE = [
    family
    for family, values in SMALL.items()
    if not build_family({"family": family, **values}, family).needs_whole_batch
]


@pytest.mark.parametrize("family", DIVISIBLE)
def test_a_batch_in_parts_trains_as_a_whole_one_does(family: str) -> None:
    assert difference(weights_after_steps(family), weights_after_steps(family, parts=4)) < 1e-4


def test_what_needs_its_whole_batch_is_refused_before_it_is_trained() -> None:
    values = {"family": "vqvae", "training": {"accumulation": 2}}
    with pytest.raises(ConfigError, match=r"study: training.accumulation: 2 .* set it to 1"):
        resolve(values, "study")


def kept_bytes(training: Training) -> int:
    """Bytes that the graph of one step keeps for its backward pass."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        training.step()
    return sum(kept.values())


@pytest.mark.parametrize("family", ["ddpm", "flow_matching", "dalle", "code_prior", "glow"])
def test_blocks_that_are_computed_twice_train_to_the_same_bits(family: str) -> None:
    plain, twice = (small_training(family, recompute=recompute) for recompute in (False, True))
    for _ in range(3):
        assert kept_bytes(twice) < kept_bytes(plain)
    assert difference(plain.model.state_dict(), twice.model.state_dict()) == 0


def test_a_gpu_without_enough_memory_names_what_needs_less() -> None:
    training = TrainingConfig(batch_size=64, accumulation=2)
    remedies = {"ddpm": ("accumulation: 4", "recompute: true"), "vqvae": ()}
    for family, possible in remedies.items():
        model = small_model(family)
        with (
            pytest.raises(GenLabError, match=r"16 images .* \(CUDA out of memory\)") as refused,
            explain_out_of_memory(family, model, training, 2),
        ):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        assert "training.batch_size: 32" in str(refused.value)
        for remedy in remedies["ddpm"]:
            assert (f"training.{remedy}" in str(refused.value)) == (remedy in possible)


def channels_last(rows: Tensor) -> Tensor:
    images = rows[:, :, None, None].expand(-1, -1, 2, 2)
    return images.contiguous(memory_format=torch.channels_last)


@pytest.fixture
def whole_and_shares() -> tuple[Tensor, list[BatchNoise]]:
    torch.manual_seed(0)
    return torch.rand(12, 3), [BatchNoise(BatchShare(number, 3), 4) for number in range(3)]


@pytest.mark.parametrize(
    "draw",
    [
        lambda rows: torch.randn(len(rows), 2),
        lambda rows: torch.rand((len(rows), 2), dtype=torch.float64),
        lambda rows: torch.randint(5, (len(rows),)),
        lambda rows: torch.randint(2, 9, rows.shape),
        torch.rand_like,
        lambda rows: torch.randn_like(channels_last(rows)),
        torch.bernoulli,
        lambda rows: torch.nn.functional.dropout(rows, 0.5),
    ],
)
def test_a_share_gets_its_rows_of_what_is_drawn_for_the_batch(
    draw: Callable[[Tensor], Tensor], whole_and_shares: tuple[Tensor, list[BatchNoise]]
) -> None:
    whole, shares = whole_and_shares
    torch.manual_seed(1)
    expected = draw(whole)
    for noise in shares:
        torch.manual_seed(1)
        with noise:
            rows = draw(noise.share.rows(whole))
        assert torch.equal(rows, noise.share.rows(expected))


def test_two_views_of_a_batch_are_shared_view_by_view() -> None:
    torch.manual_seed(1)
    first, second = torch.randn(24, 2).chunk(2)
    torch.manual_seed(1)
    share = BatchShare(1, 3)
    with BatchNoise(share, 4):
        rows = torch.randn(8, 2)
    assert torch.equal(rows, torch.cat([share.rows(first), share.rows(second)]))


def test_what_has_no_row_for_each_image_is_equal_in_every_share() -> None:
    numbers = []
    for number in range(3):
        torch.manual_seed(1)
        with BatchNoise(BatchShare(number, 3), 4):
            numbers.append(torch.randn(5, 2))
    assert torch.equal(numbers[0], numbers[1])
    assert torch.equal(numbers[0], numbers[2])


def test_a_share_has_the_images_of_its_number() -> None:
    batch = Batch(torch.arange(12.0).view(12, 1, 1, 1), torch.arange(12), progress=0.5)
    part = BatchShare(1, 2).batch(BatchShare(2, 3).batch(batch))
    assert part.labels.tolist() == [5, 11]
    assert BatchShare(1, 2).within(BatchShare(2, 3)) == (5, 6)
    assert part.images.flatten().tolist() == [5, 11]
    assert part.progress == 0.5
    assert part.tokens is None


def test_shares_of_different_sizes_are_refused() -> None:
    """The mean of means over them would not be the mean over the batch."""
    accelerator = make_accelerator("fp32", cpu=True)
    accelerator.state.num_processes = 3
    with pytest.raises(GenLabError, match=r"training.batch_size: 16 .* by 3 processes"):
        make_training("vae", accelerator)
    assert make_training("vae", accelerator, batch_size=15).batches.part == (0, 3)


def test_shares_are_not_compiled() -> None:
    """Compiled code would draw the same numbers for each of them."""
    accelerator = make_accelerator("fp32", cpu=True)
    accelerator.state.num_processes = 2
    with pytest.raises(GenLabError, match=r"training.compile: true is for one process, but 2"):
        make_training("vae", accelerator, compile=True)
    with pytest.raises(ValidationError, match="compile: true does not go with accumulation: 2"):
        TrainingConfig(compile=True, accumulation=2)
