"""Find the split and the class of each picture of a folder or archive from its name.

The depth of the pictures tells which of three layouts applies: `split/class/picture`,
`class/picture` or `picture`. `train/picture` and `test/picture` are splits with a single class. A
folder around the layout is ignored.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from genlab.config.picture_archives import archive_stem
from genlab.config.picture_files import Listing
from genlab.config.picture_names import SUFFIXES, examples, printable
from genlab.errors import GenLabError

TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation")
"""Names of a split's folder, in upper or lower case; the first that exists is used."""
LAYOUTS = "split/class/picture, class/picture or picture"

Folders = tuple[str, ...]
Place = tuple[str, str]
"""Split, in lower case, and class."""


class Layout(NamedTuple):
    """The pictures of both splits.

    Attributes:
        train, test: name and class index of each picture.
        classes: names of the classes.
        remarks: sentences about files that are ignored.
    """

    train: list[tuple[str, int]]
    test: list[tuple[str, int]]
    classes: list[str]
    remarks: list[str]


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key by which numbers within names are ordered by value: 2 before 10."""
    parts = re.split(r"([0-9]+)", name)  # text, number, text, number ...
    parts[1::2] = [number.lstrip("0") for number in parts[1::2]]
    return [(len(part) * (i % 2), part) for i, part in enumerate(parts)], name


def held_out(pictures: int, fraction: float) -> set[int]:
    """Return the indices of a class's held-out pictures: 9, 19 ... for 0.1; never none or all."""
    counts = [int(i * fraction + 1e-9) for i in range(pictures + 1)]  # 0.29 * 100 is below 29
    ranks = {i for i in range(pictures) if counts[i + 1] > counts[i]} or {pictures - 1}
    return ranks - {0} if len(ranks) == pictures else ranks


def _folders(name: str) -> Folders:
    return tuple(name.split("/")[:-1])


def _same_depth(where: Path, pictures: list[str]) -> None:
    low, *_, high = sorted(pictures, key=lambda name: len(_folders(name))) * 2
    if len(_folders(low)) != len(_folders(high)):
        raise GenLabError(
            f"{where}: pictures lie at different depths ('{printable(low)}', "
            f"'{printable(high)}'); expected {LAYOUTS} throughout"
        )


def _wrapper(folders: set[Folders]) -> Folders:
    """Return the outer folders that contain all pictures and are no split, except the last."""
    wrapper: Folders = ()
    while len(next(iter(folders))) > 1:
        tops = {parts[0] for parts in folders}
        if len(tops) > 1 or min(tops).lower() in TRAIN + TEST:
            break
        wrapper += (*tops,)
        folders = {parts[1:] for parts in folders}
    return wrapper


def _has_splits(folders: set[Folders]) -> bool:
    """Return whether the top folders are splits; `train` beside other names is a class."""
    tops = {parts[0].lower() for parts in folders if parts}
    train, test = tops & {*TRAIN}, tops & {*TEST}
    alone = bool(tops) and tops == train | test
    return len(min(folders)) == 2 or alone or bool(train and test)


def _splits(where: Path, names: set[str]) -> tuple[str, str | None]:
    """Return the names of the training split and of the test split, which may be missing."""
    if unknown := names - {*TRAIN, *TEST}:
        raise GenLabError(
            f"{where}: unknown split '{printable(min(unknown))}'; name the folders train and test"
        )
    train, test = (next((n for n in split if n in names), None) for split in (TRAIN, TEST))
    if train is None:
        raise GenLabError(f"{where}: has no training split; name its folder train")
    return train, test


def _check_classes(where: Path, places: Iterable[Place], train: str, test: str | None) -> None:
    """Refuse classes without training pictures, and names that are not UTF-8."""
    kinds = {split: {kind for s, kind in places if s == split} for split in (train, test)}
    for kind in sorted(kinds[train] | kinds[test]):
        if printable(kind) != kind:
            raise GenLabError(
                f"{where}: the name of the folder '{printable(kind)}' is not UTF-8; rename it"
            )
        if kind not in kinds[train]:
            raise GenLabError(
                f"{where}: the class '{kind}' is in '{test}' but not in '{train}'; add training "
                "pictures, or remove the class"
            )


def _share(
    where: Path, pictures: list[tuple[str, int]], classes: list[str], fraction: float
) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Split `pictures` in two: a `fraction` of each class is held out."""
    sizes = Counter(label for _, label in pictures)
    for label, kind in enumerate(classes):
        if sizes[label] == 1:
            raise GenLabError(
                f"{where}: too few pictures to hold any out for testing: the class '{kind}' has "
                "one; add a second picture, or make a test split"
            )
    ranks = {label: held_out(n, fraction) for label, n in sizes.items()}
    position: Counter[int] = Counter()
    parts: tuple[list[tuple[str, int]], ...] = ([], [])
    for picture in pictures:
        label = picture[1]
        parts[position[label] in ranks[label]].append(picture)
        position[label] += 1
    return parts[0], parts[1]


def _check_others(where: Path, places: list[Place]) -> None:
    """Refuse a class whose folder has files, but no pictures."""
    if places:
        split, kind = places[0]
        raise GenLabError(
            f"{where}: none of the {places.count(places[0])} files of the class "
            f"'{printable(kind)}' in '{printable(split)}' is a picture "
            f"({' '.join(SUFFIXES)}); convert them, or remove the folder"
        )


def _places_by_folder(where: Path, listing: Listing) -> tuple[dict[str, Place], list[Place]]:
    """Return the place of each picture, and the places of other files."""
    _same_depth(where, listing.pictures)
    wrapper = _wrapper({_folders(name) for name in listing.pictures})
    folders = {name: _folders(name)[len(wrapper) :] for name in listing.pictures}
    depth, has_splits = len(min(folders.values())), _has_splits({*folders.values()})
    if depth > 2:
        raise GenLabError(
            f"{where}: '{printable(listing.pictures[0])}' lies too deep; expected {LAYOUTS}"
        )

    def place(parts: Folders) -> Place:
        """Return split and class; without folders of classes, the whole names the only class."""
        split = parts[0].lower() if has_splits else TRAIN[0]
        return split, parts[depth - 1] if depth > int(has_splits) else archive_stem(where)

    others = [_folders(name) for name in listing.others]
    inner = [parts[len(wrapper) :] for parts in others if parts[: len(wrapper)] == wrapper]
    return (
        {name: place(parts) for name, parts in folders.items()},
        [place(parts) for parts in inner if len(parts) >= depth > 0],
    )


def _places_by_label(pictures: list[str], labels: Mapping[str, str]) -> dict[str, Place]:
    """Return the place of each picture; a folder of a split counts if all lie in one."""
    splits = {
        name: next((part.lower() for part in _folders(name) if part.lower() in TRAIN + TEST), None)
        for name in pictures
    }
    has_splits = None not in splits.values()
    return {
        name: ((split or "") if has_splits else TRAIN[0], labels[name])
        for name, split in splits.items()
    }


def arrange(
    where: Path,
    listing: Listing,
    test_fraction: float,
    labels: Mapping[str, str] | None = None,
) -> Layout:
    """Sort the pictures of the folder or archive `where` into splits and classes.

    Args:
        test_fraction: share of each class that is held out where there is no test split.
        labels: the class of each picture, if not its folder names it; folders may then be nested.

    Raises:
        GenLabError: there are no pictures, or they fit none of the layouts.
    """
    if not listing.pictures:
        others = f", only {examples(listing.others)}" if listing.others else ""
        raise GenLabError(f"{where}: has no pictures ({' '.join(SUFFIXES)}){others}")
    if labels is None:
        places, places_of_others = _places_by_folder(where, listing)
    else:
        places, places_of_others = _places_by_label(listing.pictures, labels), []
    sizes = Counter(split for split, _ in places.values())
    train, test = _splits(where, {*sizes})
    used = {*TRAIN, *TEST} if test is None else {train, test}
    occupied = {*places.values()}
    _check_others(where, [p for p in places_of_others if p[0] in used and p not in occupied])
    _check_classes(where, occupied, train, test)
    remarks = [
        f"{n} pictures in '{split}' are ignored; '{train if split in TRAIN else test}' is used"
        for split, n in sizes.items()
        if split not in (train, test)
    ]
    if n := len(listing.others):
        remarks.append(f"{n} other files are ignored: {examples(listing.others)}")
    classes = sorted({kind for split, kind in occupied if split == train}, key=natural)
    label = {kind: i for i, kind in enumerate(classes)}
    by_split = {
        part: [(name, label[kind]) for name, (split, kind) in places.items() if split == part]
        for part in (train, test)
        if part is not None
    }
    if test is None:
        return Layout(*_share(where, by_split[train], classes, test_fraction), classes, remarks)
    return Layout(by_split[train], by_split[test], classes, remarks)
