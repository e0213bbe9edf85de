"""CelebA's aligned faces (Liu et al. 2015, arXiv:1411.7766), downloaded from its Google Drive.

Three files: the pictures as they come, a zip of JPEG files of 178 x 218 pixels; the attributes of
each, 1 or -1 (how many pictures, then the names, then a row for each); and which of three parts
each belongs to, 0 for training, 1 for validation and 2 for testing. Faces of the second part are
left aside. Training and test have no person in common.
"""

from __future__ import annotations

import functools
import io
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genlab.config.datasets import FACE_ATTRIBUTES, CelebAConfig
from genlab.data.arrays import Source, Split
from genlab.data.downloads import Get, as_it_is, by_google_drive, download, on_mirrors
from genlab.errors import GenLabError

ALIGNED = (178, 218)
TRAIN, TEST = 0, 2
PICTURES, ATTRIBUTES, PARTS = (
    "img_align_celeba.zip",
    "list_attr_celeba.txt",
    "list_eval_partition.txt",
)
UNREADABLE = (KeyError, ValueError, OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile,
              Image.DecompressionBombError)  # fmt: skip
"""What a file of a zip that is missing, damaged, encrypted or no picture is answered with."""
BY_HAND = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"


def fetch(config: CelebAConfig, raw: Path) -> list[Path]:
    """The three files: those in `config.raw` as they are, or downloaded into `raw` and checked.

    Raises:
        GenLabError: they can't be had; Google lends each only so often a day.
    """
    config.check()  # before 1.4 GB are fetched
    if config.raw is not None:
        return [as_it_is(Path(config.raw), name) for name in (PICTURES, ATTRIBUTES, PARTS)]
    from torchvision.datasets import CelebA

    published = {name: (identifier, md5) for identifier, md5, name in CelebA.file_list}
    files = []
    for name in (PICTURES, ATTRIBUTES, PARTS):
        identifier, md5 = published[name]
        ways: dict[str, Get]
        if config.mirror:
            ways = on_mirrors(name, [config.mirror])
        else:
            address = f"https://drive.google.com/file/d/{identifier}"
            ways = {address: functools.partial(by_google_drive, identifier)}
        try:
            files.append(download(name, md5, ways, raw))
        except GenLabError as error:
            raise GenLabError(
                f"{error}\nOr get {PICTURES}, {ATTRIBUTES} and {PARTS} by hand ({BY_HAND}), and "
                "name their folder as the data set's `raw`"
            ) from None
    return files


def _rows(path: Path) -> list[list[str]]:
    """The lines of a text file, in words."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GenLabError(f"{path}: can't be read ({error})") from None
    return [line.split() for line in lines if line.strip()]


def read_parts(path: Path) -> dict[str, int]:
    """The part that each picture belongs to, in the order of the file.

    Raises:
        GenLabError: not CelebA's list of parts, or one without training or test pictures.
    """
    rows = _rows(path)
    known = {str(part) for part in range(3)}
    if any(len(row) != 2 or row[1] not in known for row in rows):
        raise GenLabError(f"{path}: not lines of a picture's name and a part, 0, 1 or 2")
    parts = {name: int(part) for name, part in rows}
    if len(parts) < len(rows) or not {TRAIN, TEST} <= set(parts.values()):
        raise GenLabError(
            f"{path}: names a picture twice, or none of part {TRAIN} (training) or {TEST} (test)"
        )
    return parts


def read_classes(path: Path, attributes: tuple[str, ...]) -> dict[str, int]:
    """The class of each picture: its attributes as binary digits, the first one the highest.

    Raises:
        GenLabError: not CelebA's list of attributes.
    """
    lines = _rows(path)
    heads, rows = lines[:2], lines[2:]
    right = all(len(row) == 41 and set(row[1:]) <= {"1", "-1"} for row in rows)
    pictures = len({row[0] for row in rows})
    if not right or heads != [[str(pictures)], list(FACE_ATTRIBUTES)]:
        raise GenLabError(
            f"{path}: not CelebA's list: how many pictures, the names of 40 attributes, and a row "
            "of 1 and -1 for each picture"
        )
    columns = [1 + FACE_ATTRIBUTES.index(attribute) for attribute in attributes]
    return {
        row[0]: sum((row[k] == "1") << i for i, k in enumerate(reversed(columns))) for row in rows
    }


def class_names(attributes: tuple[str, ...]) -> list[str]:
    """What each class has and has not, such as 'Male, not Smiling'."""
    n = len(attributes)
    return [
        ", ".join(a if k >> (n - 1 - i) & 1 else f"not {a}" for i, a in enumerate(attributes))
        for k in range(2**n)
    ]


def decode(content: bytes, config: CelebAConfig) -> NDArray[np.uint8]:
    """The middle of a picture as uint8 [3, size, size].

    Raises:
        ValueError: not of the aligned size.
    """
    picture = Image.open(io.BytesIO(content), formats=("JPEG",)).convert("RGB")
    if picture.size != ALIGNED:
        raise ValueError(f"{picture.size[0]}x{picture.size[1]} pixels instead of 178x218")
    left, top = ((side - config.crop) // 2 for side in ALIGNED)
    box = (left, top, left + config.crop, top + config.crop)
    scaled = picture.crop(box).resize((config.size, config.size), Image.Resampling.LANCZOS)
    return np.asarray(scaled).transpose(2, 0, 1)


def read_split(
    archive: zipfile.ZipFile, names: list[str], config: CelebAConfig
) -> NDArray[np.uint8]:
    """These pictures, uint8 [N, 3, size, size].

    Raises:
        GenLabError: one is missing, damaged or of another size.
    """
    images = np.empty((len(names), *config.shape), np.uint8)
    for i, name in enumerate(names):
        try:
            images[i] = decode(archive.read(f"img_align_celeba/{name}"), config)
        except UNREADABLE as error:
            said = error.args[0] if isinstance(error, KeyError) else error
            raise GenLabError(f"{archive.filename}: {name}: {said}") from None
    return images


def read(config: CelebAConfig, files: list[Path]) -> Source:
    """Training and test faces, labelled by their attributes.

    Raises:
        GenLabError: a file isn't CelebA's, or lacks a picture.
    """
    pictures, attributes, parts = files
    part_of, class_of = read_parts(parts), read_classes(attributes, config.attributes)
    if missing := part_of.keys() - class_of.keys():
        raise GenLabError(f"{attributes}: has no row for {min(missing)}")

    def split(archive: zipfile.ZipFile, part: int) -> Split:
        names = [name for name, of in part_of.items() if of == part]
        labels = np.array([class_of[name] for name in names], np.int64)
        return Split(read_split(archive, names, config), labels)

    try:
        with zipfile.ZipFile(pictures) as archive:
            train, test = split(archive, TRAIN), split(archive, TEST)
    except (OSError, zipfile.BadZipFile) as error:
        raise GenLabError(f"{pictures}: can't be read ({error})") from None
    return Source(train, test, class_names(config.attributes))
