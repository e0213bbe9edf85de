"""MNIST and its like over HTTP: downloaded, checked, fetched again where damaged, never trusted.

A real server on this machine serves small archives of the real formats to torchvision's real
downloader; only the table of expected checksums is replaced.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from servers import Mirror, serving
from torchvision.datasets import MNIST, FashionMNIST

import genlab.data.sources.torchvision as source
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.results.layout import DataFolder

Genlab = Callable[..., Any]
RANDOM = np.random.default_rng(0)
ARRAYS: dict[str, NDArray[np.uint8]] = {
    "train-images-idx3-ubyte": RANDOM.integers(0, 256, (30, 28, 28), np.uint8),
    "train-labels-idx1-ubyte": RANDOM.integers(0, 10, 30, np.uint8),
    "t10k-images-idx3-ubyte": RANDOM.integers(0, 256, (10, 28, 28), np.uint8),
    "t10k-labels-idx1-ubyte": RANDOM.integers(0, 10, 10, np.uint8),
}


def idx(array: NDArray[np.uint8]) -> bytes:
    """`array` in the IDX format: magic number, lengths, bytes."""
    lengths = struct.pack(f">{array.ndim}I", *array.shape)
    return struct.pack(">HBB", 0, 8, array.ndim) + lengths + array.tobytes()


ARCHIVES = {f"{name}.gz": gzip.compress(idx(array), mtime=0) for name, array in ARRAYS.items()}
FIRST = "train-images-idx3-ubyte.gz"


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A server of the small archives, whose checksums stand in for the published ones."""
    for kind in (MNIST, FashionMNIST):
        monkeypatch.setattr(kind, "resources", [(n, md5(c)) for n, c in ARCHIVES.items()])
    with serving(Mirror(ARCHIVES)) as server:
        yield server


@pytest.fixture
def dataset(tmp_path: Path, mirror: Mirror) -> Callable[..., DataFolder]:
    """`dataset(...)` is a data set's folder with a config that names the mirror."""

    def make(**values: Any) -> DataFolder:
        at = DataFolder(tmp_path / "results/data/it")
        at.folder.mkdir(parents=True)
        defaults = {"source": "torchvision", "dataset": "mnist", "mirror": mirror.address}
        at.config.write_text(yaml.safe_dump({**defaults, **values}))
        return at

    return make


@pytest.mark.parametrize(
    ("name", "first"), [("mnist", "0 - zero"), ("fashion_mnist", "T-shirt/top")]
)
def test_a_download_becomes_arrays(
    name: str, first: str, dataset: Callable[..., DataFolder], genlab: Genlab
) -> None:
    at = dataset(dataset=name)
    assert genlab("fetch", "--config", at.config).status == 0
    assert genlab("prepare", "--config", at.config).status == 0
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = read_array(at.images(split)), read_array(at.labels(split))
        assert np.array_equal(images[:, 0], ARRAYS[f"{prefix}-images-idx3-ubyte"])
        assert np.array_equal(labels, ARRAYS[f"{prefix}-labels-idx1-ubyte"])
        assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    manifest = read_json(at.manifest)
    assert manifest["shape"] == [1, 28, 28]
    assert manifest["classes"][0] == first
    for split in ("train", "test"):
        digest = hashlib.sha256(at.images(split).read_bytes()).hexdigest()
        assert manifest[split]["images_sha256"] == digest


@pytest.mark.parametrize("damage", ["corrupt", "truncated"])
def test_a_damaged_download_is_deleted_fetched_again_and_then_refused(
    damage: str, mirror: Mirror, dataset: Callable[..., DataFolder], genlab: Genlab
) -> None:
    good = ARCHIVES[FIRST]
    if damage == "corrupt":
        received = b"\x00" + good[1:]
        mirror.content[FIRST] = [received]
    else:
        received = good[: len(good) // 2]
        mirror.cut.add(FIRST)
    at = dataset()
    ended = genlab("fetch", "--config", at.config)
    assert ended.status == 1
    assert f"error: {at.folder}/raw/{FIRST}: could not be downloaded:\n" in ended.err
    assert f"MD5 {md5(received)}, expected {md5(good)}" in ended.err
    assert mirror.asked.count(FIRST) == 4  # two downloads
    assert list((at.folder / "raw").iterdir()) == []
    assert not at.fetched.exists()


def test_a_second_download_may_be_whole(
    mirror: Mirror, dataset: Callable[..., DataFolder], genlab: Genlab
) -> None:
    mirror.content[FIRST] = [b"half a file", ARCHIVES[FIRST]]
    at = dataset()
    assert genlab("fetch", "--config", at.config).status == 0
    assert {p.name: p.read_bytes() for p in (at.folder / "raw").iterdir()} == ARCHIVES


def test_a_damaged_file_that_is_there_is_fetched_anew_and_a_whole_one_kept(
    mirror: Mirror, dataset: Callable[..., DataFolder], genlab: Genlab
) -> None:
    at = dataset()
    raw = at.folder / "raw"
    raw.mkdir()
    for name, content in ARCHIVES.items():
        (raw / name).write_bytes(content[:-1] if name == FIRST else content)
    ended = genlab("fetch", "--config", at.config)
    assert ended.status == 0
    assert f"{FIRST}: damaged (MD5 {md5(ARCHIVES[FIRST][:-1])}" in ended.out
    assert (raw / FIRST).read_bytes() == ARCHIVES[FIRST]
    assert set(mirror.asked) == {FIRST}


def test_a_file_that_is_not_served_and_a_server_that_is_down_are_named(
    mirror: Mirror, dataset: Callable[..., DataFolder], genlab: Genlab
) -> None:
    del mirror.content[FIRST]
    at = dataset()
    ended = genlab("fetch", "--config", at.config)
    assert ended.status == 1
    assert f"{mirror.address}{FIRST}: HTTP Error 404" in ended.err
    at.config.write_text("{source: torchvision, dataset: mnist, mirror: 'http://127.0.0.1:9'}")
    ended = genlab("fetch", "--config", at.config)
    assert ended.status == 1
    assert f"http://127.0.0.1:9/{FIRST}: <urlopen error" in ended.err


def test_files_of_one_s_own_are_used_as_they_are(
    tmp_path: Path, mirror: Mirror, dataset: Callable[..., DataFolder], genlab: Genlab
) -> None:
    """Gzipped or not; nothing is downloaded or copied; what is missing is named."""
    own = tmp_path / "own"
    own.mkdir()
    at = dataset(raw=str(own))
    ended = genlab("fetch", "--config", at.config)
    assert (ended.status, ended.err) == (
        1, f"error: {own}: has no file {FIRST}; set `raw: null` to download it\n"
    )  # fmt: skip
    for name, array in ARRAYS.items():
        (own / name).write_bytes(idx(array))
    assert genlab("fetch", "--config", at.config).status == 0
    assert genlab("prepare", "--config", at.config).status == 0
    assert np.array_equal(read_array(at.images("train"))[:, 0], ARRAYS[FIRST.removesuffix(".gz")])
    assert mirror.asked == []
    assert not (at.folder / "raw").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (FIRST, ARCHIVES[FIRST][:-9], "not a complete IDX file"),
        (FIRST, b"no gzip at all", "not a complete IDX file"),
        (FIRST, gzip.compress(idx(ARRAYS["train-images-idx3-ubyte"])[:-1]), "not a complete IDX"),
        (FIRST, gzip.compress(b"\0\0\x0d\1" + bytes(8)), "not an IDX file of unsigned bytes"),
        (FIRST, gzip.compress(b""), "not a complete IDX file"),
        (
            "train-labels-idx1-ubyte.gz",
            gzip.compress(idx(ARRAYS["train-labels-idx1-ubyte"][:-1])),
            "the train split has 30 images, but 29 labels",
        ),
        (
            FIRST,
            gzip.compress(idx(ARRAYS["train-images-idx3-ubyte"][:, :-1])),
            "expected images [1, 28, 28], but the train split has [1, 27, 28]",
        ),
    ],
    ids=["truncated", "no gzip", "short", "floats", "empty", "fewer labels", "another side"],
)
def test_wrong_content_is_named(
    name: str, content: bytes, said: str,
    tmp_path: Path, dataset: Callable[..., DataFolder], genlab: Genlab,
) -> None:  # fmt: skip
    for archive, whole in ARCHIVES.items():
        (tmp_path / archive).write_bytes(content if archive == name else whole)
    at = dataset(raw=str(tmp_path))
    assert genlab("fetch", "--config", at.config).status == 0
    ended = genlab("prepare", "--config", at.config)
    assert ended.status == 1
    assert said in ended.err
    assert not at.manifest.exists()


def cifar10(images: NDArray[np.uint8], labels: NDArray[np.uint8], names: list[str]) -> bytes:
    """A tar.gz of CIFAR-10's binary version, the images in equal parts over `names`."""
    rows = np.concatenate([labels[:, None], images.reshape(len(images), -1)], axis=1)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, part in zip(names, np.split(rows, len(names)), strict=True):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            member.size = part.size
            archive.addfile(member, io.BytesIO(part.tobytes()))
    return file.getvalue()


PARTS = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


def test_cifar10_is_read_without_unpickling(
    mirror: Mirror, dataset: Callable[..., DataFolder], genlab: Genlab,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Five batches in their order make the training set; a row is label, red, green, blue."""
    images = RANDOM.integers(0, 256, (24, 3, 32, 32), np.uint8)
    labels = RANDOM.integers(0, 10, 24, np.uint8)
    content = cifar10(images, labels, PARTS)
    monkeypatch.setattr(source, "CIFAR10", (source.CIFAR10[0], md5(content)))
    mirror.content[source.CIFAR10[0]] = [content]
    at = dataset(dataset="cifar10")
    assert genlab("fetch", "--config", at.config).status == 0
    assert genlab("prepare", "--config", at.config).status == 0
    assert np.array_equal(read_array(at.images("train")), images[:20])
    assert np.array_equal(read_array(at.labels("train")), labels[:20])
    assert np.array_equal(read_array(at.images("test")), images[20:])
    assert np.array_equal(read_array(at.labels("test")), labels[20:])
    assert read_json(at.manifest)["classes"][-1] == "truck"


@pytest.mark.parametrize(
    "content",
    [b"no tar", cifar10(np.zeros((5, 3, 32, 32), np.uint8), np.zeros(5, np.uint8), PARTS[:5])],
    ids=["no tar", "a batch is missing"],
)
def test_another_archive_in_cifar10_s_place_is_named(
    content: bytes, tmp_path: Path, dataset: Callable[..., DataFolder], genlab: Genlab
) -> None:
    (tmp_path / source.CIFAR10[0]).write_bytes(content)
    at = dataset(dataset="cifar10", raw=str(tmp_path))
    assert genlab("fetch", "--config", at.config).status == 0
    ended = genlab("prepare", "--config", at.config)
    assert ended.status == 1
    assert f"{source.CIFAR10[0]}: not the binary version of CIFAR-10" in ended.err
