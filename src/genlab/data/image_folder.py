"""Your own pictures, from a folder or a zip file.

Three layouts are understood, and told apart by the depth of the pictures:
`split/class/picture.png` with the splits `train` and `test` (or `val`), `class/picture.png`, and
`picture.png`. Where there is no test split, a share of each class is held out.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from genlab.config.datasets import ImageFolderConfig
from genlab.config.errors import GenLabError
from genlab.data.arrays import Source, Split, hold_out

SUFFIXES = {".png", ".jpg", ".jpeg"}
TRAIN, TEST = {"train"}, {"test", "val", "valid", "validation"}


def fetch(config: ImageFolderConfig, raw: Path) -> list[Path]:
    """The zip file, or every picture of the folder; used where they are."""
    path = Path(config.path)
    if not path.exists():
        raise GenLabError(f"{path}: no such folder or zip file (the data set's `path`)")
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)


def _pictures(
    config: ImageFolderConfig, files: list[Path]
) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Every picture's path within the folder or zip, and its content, in order of the paths."""
    path = Path(config.path)
    try:
        if path.is_file():
            with zipfile.ZipFile(path) as archive:
                for name in sorted(archive.namelist()):
                    if PurePosixPath(name).suffix.lower() in SUFFIXES:
                        yield PurePosixPath(name), archive.read(name)
        else:
            for file in files:
                yield PurePosixPath(file.relative_to(path)), file.read_bytes()
    except (OSError, zipfile.BadZipFile) as error:
        raise GenLabError(f"{path}: can't be read ({error})") from None


def decode(name: PurePosixPath, content: bytes, config: ImageFolderConfig) -> NDArray[np.uint8]:
    """One picture as uint8 [C, H, W] of the shape that the config asks for."""
    where = f"{config.path}: {name}"
    mode, side = ("L", "RGB")[config.channels == 3], config.size
    try:
        picture: Image.Image = Image.open(io.BytesIO(content))
        picture.load()
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise GenLabError(f"{where}: not a readable picture ({error})") from None
    if picture.mode != mode:
        if not config.convert:
            raise GenLabError(
                f"{where}: colour mode {picture.mode}, but channels: {config.channels} means "
                f"{mode}; set `convert: true` to convert such pictures"
            )
        picture = picture.convert(mode)
    if picture.size != (side, side):
        if not config.resize:
            raise GenLabError(
                f"{where}: {picture.size[0]}x{picture.size[1]} pixels, but size: {side} asks for "
                f"{side}x{side}; set `resize: true` to scale and crop such pictures"
            )
        picture = ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)
    pixels = np.asarray(picture, dtype=np.uint8)
    return pixels[None] if config.channels == 1 else pixels.transpose(2, 0, 1)


def read(config: ImageFolderConfig, files: list[Path]) -> Source:
    """Decode all pictures and sort them into splits and classes.

    Raises:
        GenLabError: no picture at all, an unreadable one, one of another size or mode, or
            pictures at different depths.
    """
    names, images = [], []
    for name, content in _pictures(config, files):
        names.append(name)
        images.append(decode(name, content, config))
    if not names:
        raise GenLabError(f"{config.path}: holds no .png, .jpg or .jpeg pictures")
    depths = {len(name.parts) for name in names}
    if len(depths) > 1 or max(depths) > 3:
        odd = max(names, key=lambda name: len(name.parts))
        other = min(names, key=lambda name: len(name.parts))
        raise GenLabError(
            f"{config.path}: pictures lie at different depths or too deep ('{other}', '{odd}'); "
            "expected split/class/picture, class/picture or picture throughout"
        )
    kinds = [name.parent.name for name in names]
    classes = sorted(set(kinds))
    labels = np.array([classes.index(kind) for kind in kinds], dtype=np.int64)
    stack = np.stack(images)
    if depths == {3}:
        return _by_split(config, [name.parts[0] for name in names], stack, labels, classes)
    train, test = hold_out(stack, labels, every=max(2, round(1 / config.test_fraction)))
    if not len(test.images):
        raise GenLabError(f"{config.path}: too few pictures to hold any out for testing")
    return Source(train, test, classes)


def _by_split(
    config: ImageFolderConfig,
    splits: list[str],
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    classes: list[str],
) -> Source:
    """The split that each picture's first folder names."""
    unknown = set(splits) - TRAIN - TEST
    if unknown:
        raise GenLabError(
            f"{config.path}: unknown split '{min(unknown)}'; name the folders train and test"
        )
    is_test = np.array([split in TEST for split in splits])
    if is_test.all():
        raise GenLabError(f"{config.path}: holds no train split")
    train = Split(images[~is_test], labels[~is_test])
    if is_test.any():
        return Source(train, Split(images[is_test], labels[is_test]), classes)
    parts = hold_out(train.images, train.labels, every=max(2, round(1 / config.test_fraction)))
    return Source(*parts, classes)
