"""Archives of own pictures: all kinds give the same data set, and none can do harm."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny import png

from genlab.config.picture_archives import LARGEST_RATIO, archive_members
from genlab.config.picture_files import list_pictures
from genlab.config.sources.image_folder import ImageFolderConfig
from genlab.data.arrays import Source
from genlab.data.sources.image_folder import fetch, read
from genlab.errors import GenLabError

Files = dict[str, bytes]
PICTURES: Files = {
    f"{kind}/{i}.{suffix}": png(np.full((4, 4), 40 * i + 20 * (kind == "b"), np.uint8))
    for kind in ("b", "a")
    for i, suffix in ((2, "PNG"), (0, "png"), (1, "Png"))
}
SYSTEM: Files = dict.fromkeys(
    ("a/.DS_Store", "a/._0.png", "__MACOSX/a/0.png", "a/Thumbs.db", ".hidden/a/0.png",
     "b/desktop.ini"), b"no picture"
)  # fmt: skip


def as_folder(path: Path, files: Files) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def as_zip(path: Path, files: Files) -> Path:
    path = path.with_name(path.name + ".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def as_tar(path: Path, files: Files, suffix: str = ".tar", end: str = "") -> Path:
    path = path.with_name(path.name + suffix)
    kind = tarfile.GNU_FORMAT if suffix == ".TGZ" else tarfile.PAX_FORMAT
    with tarfile.open(path, f"w:{end}", format=kind) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def as_tar_gz(path: Path, files: Files) -> Path:
    return as_tar(path, files, ".tar.gz", "gz")


def as_tgz(path: Path, files: Files) -> Path:
    return as_tar(path, files, ".TGZ", "gz")


def read_own(path: Path) -> Source:
    config = ImageFolderConfig(path=str(path), size=4, channels=1, test_fraction=0.5)
    config.check()
    return read(config, fetch(config, path))


@pytest.mark.parametrize("make", [as_folder, as_zip, as_tar, as_tar_gz, as_tgz])
def test_all_kinds_give_the_same_pictures_in_the_same_order(
    make: Callable[[Path, Files], Path], tmp_path: Path
) -> None:
    """By name, not by their places in the archive; system files are left out."""
    source = read_own(make(tmp_path / "own", SYSTEM | {f"x/{n}": c for n, c in PICTURES.items()}))
    assert source.classes == ["a", "b"]
    assert source.train.images[:, 0, 0, 0].tolist() == [0, 80, 20, 100]
    assert source.train.labels.tolist() == [0, 0, 1, 1]
    assert source.test.images[:, 0, 0, 0].tolist() == [40, 60]


@pytest.mark.parametrize("make", [as_zip, as_tar, as_tar_gz, as_tgz])
def test_the_only_class_has_the_name_of_the_archive(
    make: Callable[[Path, Files], Path], tmp_path: Path
) -> None:
    flat = {name.replace("/", ""): content for name, content in PICTURES.items()}
    assert read_own(make(tmp_path / "leaves.2", flat)).classes == ["leaves.2"]


@pytest.mark.parametrize("make", [as_zip, as_tar, as_tar_gz])
def test_nothing_is_written_by_reading(make: Callable[[Path, Files], Path], tmp_path: Path) -> None:
    """Names that lead out of the archive are names like any other."""
    inner = tmp_path / "one/two"
    inner.mkdir(parents=True)
    outside = {f"../../{n}": c for n, c in PICTURES.items()}
    path = make(inner / "own", outside | {"/etc/genlab-test/0.txt": b"x"})
    before = sorted(tmp_path.rglob("*"))
    assert read_own(path).classes == ["a", "b"]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_are_refused(kind: bytes, tmp_path: Path) -> None:
    path = as_tar(tmp_path / "own", PICTURES)
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo("a/7.png")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(GenLabError, match=r"own\.tar: a/7\.png: is a link, a pipe or a device"):
        list_pictures(path)


@pytest.mark.parametrize("make", [as_zip, as_tar])
def test_a_picture_that_is_stored_twice_is_refused(
    make: Callable[[Path, Files], Path], tmp_path: Path
) -> None:
    path = make(tmp_path / "own", {"a/0.png": b"1", "a/./0.png": b"2"})
    with pytest.raises(GenLabError, match=r"a/0\.png: is stored twice; remove one"):
        list_pictures(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("make", [as_tar, as_tar_gz])
def test_an_archive_that_is_cut_off_is_refused(
    make: Callable[[Path, Files], Path], share: float, tmp_path: Path
) -> None:
    """Also where it is cut between two members, which tarfile takes for its end."""
    path = make(tmp_path / "own", PICTURES)
    content = path.read_bytes()
    data = 1024 * 6 if path.suffix == ".tar" else len(content)  # without the padding at the end
    path.write_bytes(content[: int(data * share) // 512 * 512 or int(data * share)])
    with pytest.raises(GenLabError, match=r"own\.tar.*: can't be read \("):
        list_pictures(path)


def test_a_damaged_checksum_of_gzip_is_noticed(tmp_path: Path) -> None:
    path = as_tar_gz(tmp_path / "own", PICTURES)
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    with pytest.raises(GenLabError, match=r"own\.tar\.gz: can't be read \(CRC check failed"):
        list_pictures(path)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """The header of a member that declares `size` bytes."""
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_header_that_would_fill_the_memory_is_not_read(kind: bytes, tmp_path: Path) -> None:
    path = tmp_path / "own.tar"
    with path.open("wb") as file:
        file.write(header("long", 2**34, kind))
        file.truncate(2**35)  # no bytes on disk
    with pytest.raises(GenLabError, match=r"own\.tar: unpacks to far more"):
        list_pictures(path)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """A member of 100 GB of zeros, which gzip packs a thousandfold, is refused by its header."""
    path = tmp_path / "own.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write(header("zeros.bin", 10**11) + bytes(2**20))
    assert path.stat().st_size * LARGEST_RATIO < 2**30
    with pytest.raises(GenLabError, match=r"own\.tar\.gz: unpacks to far more"):
        list_pictures(path)


def test_a_large_member_is_named_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "own.tar"
    with path.open("wb") as file:
        file.write(header("0.png", 2**30))
        file.truncate(2**31)
    with pytest.raises(GenLabError, match=r"own\.tar: 0\.png: has 1 GiB, but the limit"):
        list_pictures(path)


def test_a_compressed_tar_is_read_once_from_front_to_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To go back by one byte, gzip would unpack all from the beginning. Sizes of whole blocks."""
    path = as_tar_gz(tmp_path / "own", {f"{i}.png": struct.pack("B", i) * 8192 for i in range(9)})

    def refuse(self: object) -> None:
        raise AssertionError("went back")

    monkeypatch.setattr(gzip._GzipReader, "_rewind", refuse)  # type: ignore[attr-defined]
    contents = [member.read() for member in archive_members(path)]
    assert contents == [struct.pack("B", i) * 8192 for i in range(9)]
