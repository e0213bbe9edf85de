"""The user's own pictures in a folder or zip (layouts: `genlab.config.picture_layout`)."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from genlab.config.picture_files import UNREADABLE, Listing, printable, zip_members
from genlab.config.picture_layout import arrange
from genlab.config.sources.image_folder import ImageFolderConfig
from genlab.data.arrays import Source, Split
from genlab.data.decoding import load_picture, to_pixels
from genlab.errors import GenLabError


def fetch(config: ImageFolderConfig, raw: Path) -> list[Path]:
    """Return the zip file, or every picture of the folder; nothing is copied to `raw`."""
    for remark in config.layout.remarks:
        print(f"{config.path}: {remark}")
    return config.own_files


def _contents(path: Path, names: list[str]) -> Iterator[bytes]:
    """Yield the content of each of the files `names` in the folder or zip `path`.

    Raises:
        GenLabError: a file is missing or damaged.
    """
    name = ""
    try:
        if path.is_file():
            with zipfile.ZipFile(path) as archive:
                members = zip_members(archive)
                for name in names:
                    with archive.open(members[name]) as member:
                        # A zip bomb unpacks to more than the size that it declares.
                        content = member.read(members[name].file_size)
                    yield content
        else:
            for name in names:
                yield (path / name).read_bytes()
    except UNREADABLE as error:
        raise GenLabError(f"{path}: {printable(name)}: can't be read ({error})") from None


def read(config: ImageFolderConfig, files: list[Path]) -> Source:
    """Decode the pictures of both splits.

    Raises:
        GenLabError: a picture is unreadable, or of another size or colour mode.
    """
    path = Path(config.path)
    listing = config.listing
    if not path.is_file():
        listing = Listing([str(file.relative_to(path)) for file in files], [])
    layout = arrange(path, listing, config.test_fraction)
    pictures = layout.train + layout.test
    images = np.empty((len(pictures), *config.shape), np.uint8)
    labels = np.array([label for _, label in pictures], np.int64)
    names = [name for name, _ in pictures]
    transparent = 0
    for i, (name, content) in enumerate(zip(names, _contents(path, names), strict=True)):
        try:
            picture = load_picture(content)
            images[i] = to_pixels(picture, config)
        except GenLabError as error:
            raise GenLabError(f"{path}: {printable(name)}: {error}") from None
        transparent += picture.has_transparency_data
    if transparent:
        print(f"{path}: {transparent} transparent pictures; background: {config.background}")
    n = len(layout.train)
    train, test = Split(images[:n], labels[:n]), Split(images[n:], labels[n:])
    return Source(train, test, layout.classes)
