"""MNIST, Fashion-MNIST and CIFAR-10, from the addresses and with the checksums of torchvision.

Nothing is unpickled. The MNIST family consists of IDX files. CIFAR-10 is read in its binary
version, a label byte and 3,072 pixel bytes per image; torchvision's CIFAR10 class would unpickle
the Python version.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np

from genlab.config.sources.torchvision import TorchvisionConfig
from genlab.data.arrays import Source, Split
from genlab.data.downloads import download, existing_file, mirror_addresses
from genlab.data.idx import read_idx
from genlab.errors import GenLabError

CIFAR10 = ("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530")
CIFAR10_MIRROR = "https://www.cs.toronto.edu/~kriz/"
CIFAR10_CLASSES = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]


def _resources(config: TorchvisionConfig) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the mirrors, and the name and the MD5 sum of each file."""
    if config.dataset == "cifar10":
        mirrors, files = [CIFAR10_MIRROR], [CIFAR10]
    else:
        from torchvision.datasets import MNIST, FashionMNIST

        kind = {"mnist": MNIST, "fashion_mnist": FashionMNIST}[config.dataset]
        mirrors, files = list(kind.mirrors), list(kind.resources)
    return ([config.mirror] if config.mirror else mirrors), files


def fetch(config: TorchvisionConfig, raw: Path) -> list[Path]:
    """Return the files in `config.raw`, or download them into `raw` and check them."""
    mirrors, files = _resources(config)
    if config.raw is not None:
        return [existing_file(Path(config.raw), name) for name, _ in files]
    return [download(name, md5, mirror_addresses(name, mirrors), raw) for name, md5 in files]


def _read_cifar10(path: Path) -> Source:
    """Read CIFAR-10's binary version; a row is a label and 32x32 red, green, then blue bytes."""
    members = [f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)]
    try:
        with tarfile.open(path) as archive:
            blocks = []
            for member in [*members, "cifar-10-batches-bin/test_batch.bin"]:
                file = archive.extractfile(member)
                if file is None:
                    raise KeyError(member)
                blocks.append(np.frombuffer(file.read(), np.uint8).reshape(-1, 1 + 3072))
    except (OSError, EOFError, KeyError, ValueError, tarfile.TarError) as error:
        raise GenLabError(f"{path}: not the binary version of CIFAR-10 ({error})") from None
    splits = [
        Split(rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64))
        for rows in (np.concatenate(blocks[:-1]), blocks[-1])
    ]
    return Source(splits[0], splits[1], CIFAR10_CLASSES)


def read(config: TorchvisionConfig, files: list[Path]) -> Source:
    """Read the official training and test split."""
    if config.dataset == "cifar10":
        return _read_cifar10(files[0])
    from torchvision.datasets import MNIST, FashionMNIST

    arrays = {path.name.removesuffix(".gz"): read_idx(path) for path in files}
    train, test = (
        Split(
            arrays[f"{split}-images-idx3-ubyte"][:, None],
            arrays[f"{split}-labels-idx1-ubyte"].astype(np.int64),
        )
        for split in ("train", "t10k")
    )
    kind = {"mnist": MNIST, "fashion_mnist": FashionMNIST}[config.dataset]
    return Source(train, test, list(kind.classes))
