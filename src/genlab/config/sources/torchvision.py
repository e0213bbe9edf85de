"""MNIST, Fashion-MNIST and CIFAR-10."""

from __future__ import annotations

from typing import Literal

from genlab.config.sources import LabelledConfig


class TorchvisionConfig(LabelledConfig):
    """A data set whose addresses and checksums torchvision knows, with its official split."""

    source: Literal["torchvision"] = "torchvision"
    dataset: Literal["mnist", "fashion_mnist", "cifar10"]
    """Name of the data set."""
    raw: str | None = None
    """Folder that already holds the downloaded files, which is only read; null downloads them."""
    mirror: str | None = None
    """Address of a folder to download from instead of the usual servers."""

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, 32, 32) if self.dataset == "cifar10" else (1, 28, 28)

    @property
    def class_count(self) -> int:
        return 10

    @property
    def train_count(self) -> int:
        return 50_000 if self.dataset == "cifar10" else 60_000

    @property
    def held_out(self) -> int:
        return 10_000
