"""Damaged pictures and archives: read, or refused by a message; never a traceback."""

from __future__ import annotations

import gzip
import io
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from genlab.config.sources.image_folder import ImageFolderConfig
from genlab.data.decoding import load_picture, to_pixels
from genlab.data.sources.image_folder import fetch, read
from genlab.errors import GenLabError

ANY_FOLDER = [HealthCheck.function_scoped_fixture]  # each example writes its own file anew


def picture(kind: str, mode: str) -> bytes:
    """A valid picture file of 6x6 random pixels."""
    colours = np.random.default_rng(0).integers(0, 256, (6, 6, 4), np.uint8)
    file = io.BytesIO()
    Image.fromarray(colours).convert(mode).save(file, kind)
    return file.getvalue()


PICTURES = [
    picture(kind, mode)
    for kind, modes in {
        "PNG": ("L", "RGB", "RGBA", "P", "LA", "1", "I;16"), "JPEG": ("L", "RGB", "CMYK"),
        "WEBP": ("RGB", "RGBA"), "BMP": ("L", "RGB"), "GIF": ("P",),
        "TIFF": ("L", "RGBA", "CMYK", "F"),
    }.items()
    for mode in modes
]  # fmt: skip


def archive(method: int) -> bytes:
    """A valid zip of small pictures in two classes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as writer:
        for i in range(4):
            writer.writestr(f"{'ab'[i % 2]}/{i}.png", PICTURES[i])
    return file.getvalue()


ARCHIVES = [archive(method) for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]


def tar(kind: int) -> bytes:
    """A valid tar file of small pictures in two classes, without the padding at its end."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as writer:
        for i in range(4):
            member = tarfile.TarInfo(f"{'ab'[i % 2]}/{'long' * 30}{i}.png")  # a header of its own
            member.size = len(PICTURES[i])
            writer.addfile(member, io.BytesIO(PICTURES[i]))
        end = file.tell()
    return file.getvalue()[: end + 2 * tarfile.BLOCKSIZE]


TARS = [tar(kind) for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)]
PACKED = [gzip.compress(content) for content in TARS]


@st.composite
def damaged(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """One of `files`, cut off, or with some bytes replaced, left out or put in."""
    content = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        change = draw(st.sampled_from(["cut", "replace", "insert", "remove"]))
        new = draw(st.binary(min_size=1, max_size=8))
        if change == "cut":
            del content[at:]
        elif change == "replace":
            content[at : at + len(new)] = new
        elif change == "insert":
            content[at:at] = new
        else:
            del content[at : at + len(new)]
    return bytes(content)


@settings(max_examples=300)
@given(damaged(PICTURES))
def test_a_damaged_picture_is_read_or_refused(content: bytes) -> None:
    config = ImageFolderConfig(path="own", size=6, resize=True, convert=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about what it passes over
        try:
            pixels = to_pixels(load_picture(content), config)
        except GenLabError as error:
            assert str(error)
        else:
            assert (pixels.dtype, pixels.shape) == (np.uint8, (3, 6, 6))


@settings(max_examples=150, suppress_health_check=ANY_FOLDER)
@given(damaged(ARCHIVES))
def test_a_damaged_archive_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    read_or_refused(tmp_path / "own.zip", content)


@settings(max_examples=200, suppress_health_check=ANY_FOLDER)
@given(damaged(TARS))
def test_a_damaged_tar_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    read_or_refused(tmp_path / "own.tar", content)


@settings(max_examples=100, suppress_health_check=ANY_FOLDER)
@given(damaged(PACKED))
def test_a_damaged_compressed_tar_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    read_or_refused(tmp_path / "own.tar.gz", content)


def read_or_refused(path: Path, content: bytes) -> None:
    """Read the archive of this content at `path`, or get a message that names it."""
    path.write_bytes(content)
    config = ImageFolderConfig(path=str(path), size=6, convert=True, test_fraction=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            source = read(config, fetch(config, path))
        except GenLabError as error:
            assert str(error).startswith(f"{path}: ")
        else:
            assert source.train.images.shape[1:] == (3, 6, 6)


# A zip ends a name at its first zero byte.
NAMES = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=12)


@settings(max_examples=50, suppress_health_check=ANY_FOLDER)
@given(st.lists(NAMES, min_size=1, max_size=5, unique=True))
def test_an_archive_of_any_names_is_read_or_refused(tmp_path: Path, names: list[str]) -> None:
    path = tmp_path / "own.zip"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are the same to a zip
        with zipfile.ZipFile(path, "w") as writer:
            for name in names:
                encodable = name.encode(errors="replace").decode()
                writer.writestr(f"{encodable}/0.png", PICTURES[0])
                writer.writestr(f"{encodable}/1.png", PICTURES[1])
    config = ImageFolderConfig(path=str(path), size=6, convert=True)
    try:
        source = read(config, fetch(config, tmp_path / "raw"))
    except GenLabError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        assert len(source.train.images) == len(source.test.images) == len(source.classes)
