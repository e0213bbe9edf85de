"""CelebA's aligned faces (Liu et al. 2015, arXiv:1411.7766), from their authors' Google Drive.

There are three files: a zip of JPEG files of 178 x 218 pixels; a table of attributes, 1 or -1,
after lines with the number of pictures and the names of the attributes; and a table of the part
that each picture belongs to, 0 for training, 1 for validation and 2 for testing. The validation
part is not used. No person is in both training and test.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genlab.config.sources.celeba import FACE_ATTRIBUTES, CelebAConfig
from genlab.data.arrays import Source, Split
from genlab.data.downloads import download, existing_file, google_drive, http, mirror_addresses
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
"""Errors that a missing, damaged or encrypted member of a zip raises, or one that is no picture."""
HOMEPAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"


def fetch(config: CelebAConfig, raw: Path) -> list[Path]:
    """Return the three files in `config.raw`, or download them into `raw` and check them.

    Raises:
        GenLabError: a file can't be downloaded; Google Drive limits the downloads per day.
    """
    config.check()  # before 1.4 GB are downloaded
    if config.raw is not None:
        return [existing_file(Path(config.raw), name) for name in (PICTURES, ATTRIBUTES, PARTS)]
    from torchvision.datasets import CelebA

    published = {name: (identifier, md5) for identifier, md5, name in CelebA.file_list}
    files = []
    for name in (PICTURES, ATTRIBUTES, PARTS):
        identifier, md5 = published[name]
        if config.mirror:
            addresses, transfer = mirror_addresses(name, [config.mirror]), http
        else:
            addresses, transfer = [f"https://drive.google.com/file/d/{identifier}"], google_drive
        try:
            files.append(download(name, md5, addresses, raw, transfer))
        except GenLabError as error:
            raise GenLabError(
                f"{error}\nYou can download {PICTURES}, {ATTRIBUTES} and {PARTS} by hand "
                f"({HOMEPAGE}) and set the data set's `raw` to their folder"
            ) from None
    return files


def _rows(path: Path) -> list[list[str]]:
    """Return the words of each line of a text file."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GenLabError(f"{path}: can't be read ({error})") from None
    return [line.split() for line in lines if line.strip()]


def read_parts(path: Path) -> dict[str, int]:
    """Return the part that each picture belongs to, in the order of the file.

    Raises:
        GenLabError: the file is not CelebA's list of parts, or has no training or test pictures.
    """
    rows = _rows(path)
    if any(len(row) != 2 or row[1] not in ("0", "1", "2") for row in rows):
        raise GenLabError(f"{path}: expected lines of a picture's name and its part, 0, 1 or 2")
    parts = {name: int(part) for name, part in rows}
    if len(parts) < len(rows) or not {TRAIN, TEST} <= set(parts.values()):
        raise GenLabError(
            f"{path}: lists a picture twice, or none in part {TRAIN} (training) or {TEST} (test)"
        )
    return parts


def read_classes(path: Path, attributes: tuple[str, ...]) -> dict[str, int]:
    """Return the class of each picture: its attributes as binary digits, the first one highest.

    Raises:
        GenLabError: the file is not CelebA's list of attributes.
    """
    lines = _rows(path)
    header, rows = lines[:2], lines[2:]
    valid = all(len(row) == 41 and set(row[1:]) <= {"1", "-1"} for row in rows)
    pictures = len({row[0] for row in rows})
    if not valid or header != [[str(pictures)], list(FACE_ATTRIBUTES)]:
        raise GenLabError(
            f"{path}: not CelebA's list of attributes; expected the number of pictures, the names "
            "of 40 attributes, and a row of 1 and -1 for each picture"
        )
    columns = [1 + FACE_ATTRIBUTES.index(attribute) for attribute in attributes]
    return {
        row[0]: sum((row[k] == "1") << i for i, k in enumerate(reversed(columns))) for row in rows
    }


def class_names(attributes: tuple[str, ...]) -> list[str]:
    """Return the name of each class, such as 'Male, not Smiling'."""
    n = len(attributes)
    return [
        ", ".join(a if k >> (n - 1 - i) & 1 else f"not {a}" for i, a in enumerate(attributes))
        for k in range(2**n)
    ]


def decode(content: bytes, config: CelebAConfig) -> NDArray[np.uint8]:
    """Crop the centre of a JPEG file and scale it, uint8 [3, size, size].

    Raises:
        ValueError: the picture does not have the size of the aligned faces.
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
    """Decode the pictures `names` of the zip, uint8 [N, 3, size, size].

    Raises:
        GenLabError: a picture is missing, damaged or of another size.
    """
    images = np.empty((len(names), *config.shape), np.uint8)
    for i, name in enumerate(names):
        try:
            images[i] = decode(archive.read(f"img_align_celeba/{name}"), config)
        except UNREADABLE as error:
            message = error.args[0] if isinstance(error, KeyError) else error
            raise GenLabError(f"{archive.filename}: {name}: {message}") from None
    return images


def read(config: CelebAConfig, files: list[Path]) -> Source:
    """Read the training and test faces, labelled by their attributes.

    Raises:
        GenLabError: a file isn't CelebA's, or a picture is missing.
    """
    pictures, attributes, parts = files
    part_of, class_of = read_parts(parts), read_classes(attributes, config.attributes)
    if missing := part_of.keys() - class_of.keys():
        raise GenLabError(f"{attributes}: has no row for {min(missing)}")

    def split(archive: zipfile.ZipFile, part: int) -> Split:
        names = [name for name, its_part in part_of.items() if its_part == part]
        labels = np.array([class_of[name] for name in names], np.int64)
        return Split(read_split(archive, names, config), labels)

    try:
        with zipfile.ZipFile(pictures) as archive:
            train, test = split(archive, TRAIN), split(archive, TEST)
    except (OSError, zipfile.BadZipFile) as error:
        raise GenLabError(f"{pictures}: can't be read ({error})") from None
    return Source(train, test, class_names(config.attributes))
