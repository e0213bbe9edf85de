"""Which split and class each picture of a folder or zip belongs to, by its name.

Three layouts are understood and told apart by the depth of the pictures: `split/class/picture`,
`class/picture` and `picture`. `train/picture` beside `test/picture` are splits of a single class.
A folder around all of this does not count.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from genlab.config.picture_files import SUFFIXES, Listing, examples, printable
from genlab.errors import GenLabError

TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation")
"""Folders of a split, in upper or lower case. The first that exists is used."""
LAYOUTS = "split/class/picture, class/picture or picture"

Folders = tuple[str, ...]
Place = tuple[str, str]
"""Split, in lower case, and class."""


class Layout(NamedTuple):
    """The pictures of both splits with the numbers of their classes, and the classes' names.

    `remarks` are sentences about what is left aside.
    """

    train: list[tuple[str, int]]
    test: list[tuple[str, int]]
    classes: list[str]
    remarks: list[str]


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """A key that sorts numbers within names by value: 2 before 10."""
    parts = re.split(r"([0-9]+)", name)  # text, number, text, number ...
    parts[1::2] = [number.lstrip("0") for number in parts[1::2]]
    return [(len(part) * (i % 2), part) for i, part in enumerate(parts)], name


def held_out(pictures: int, fraction: float) -> set[int]:
    """Which pictures of a class are held out: for a tenth 9, 19, ...; at least one, never all."""
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
    """The folders on top that hold all pictures and are no split; at least one folder is left."""
    wrapper: Folders = ()
    while len(next(iter(folders))) > 1:
        tops = {parts[0] for parts in folders}
        if len(tops) > 1 or min(tops).lower() in TRAIN + TEST:
            break
        wrapper += (*tops,)
        folders = {parts[1:] for parts in folders}
    return wrapper


def _has_splits(folders: set[Folders]) -> bool:
    """Whether the folders on top are splits; beside folders called otherwise, train is a class."""
    tops = {parts[0].lower() for parts in folders if parts}
    train, test = tops & {*TRAIN}, tops & {*TEST}
    alone = bool(tops) and tops == train | test
    return len(min(folders)) == 2 or alone or bool(train and test)


def _splits(where: Path, names: set[str]) -> tuple[str, str | None]:
    """The training split and, if there is one, the test split among the splits' names."""
    if unknown := names - {*TRAIN, *TEST}:
        raise GenLabError(
            f"{where}: unknown split '{printable(min(unknown))}'; name the folders train and test"
        )
    train, test = (next((n for n in known if n in names), None) for known in (TRAIN, TEST))
    if train is None:
        raise GenLabError(f"{where}: holds no train split")
    return train, test


def _check_classes(where: Path, places: Iterable[Place], train: str, test: str | None) -> None:
    """Refuse classes that can't be trained, or whose names can't be written."""
    kinds = {split: {kind for s, kind in places if s == split} for split in (train, test)}
    for kind in sorted(kinds[train] | kinds[test]):
        if printable(kind) != kind:
            raise GenLabError(
                f"{where}: the name of the folder '{printable(kind)}' is not UTF-8; rename it"
            )
        if kind not in kinds[train]:
            raise GenLabError(
                f"{where}: the class '{kind}' is in '{test}' but not in '{train}'; add pictures "
                "to train on, or move it away"
            )


def _share(
    where: Path, pictures: list[tuple[str, int]], classes: list[str], fraction: float
) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """`pictures` split in two: all but a share of each class, and this share."""
    sizes = Counter(label for _, label in pictures)
    for label, kind in enumerate(classes):
        if sizes[label] == 1:
            raise GenLabError(
                f"{where}: too few pictures to hold any out for testing: the class '{kind}' has "
                "one; add a second, or make a test split"
            )
    ranks = {label: held_out(n, fraction) for label, n in sizes.items()}
    position: Counter[int] = Counter()
    parts: tuple[list[tuple[str, int]], ...] = ([], [])
    for picture in pictures:
        label = picture[1]
        parts[position[label] in ranks[label]].append(picture)
        position[label] += 1
    return parts[0], parts[1]


def _check_others(where: Path, lost: list[Place]) -> None:
    """Refuse a class's or split's folder that has other files, but no picture."""
    if lost:
        split, kind = lost[0]
        raise GenLabError(
            f"{where}: none of the {lost.count(lost[0])} files of the class '{printable(kind)}' in "
            f"'{printable(split)}' is a picture that can be read ({' '.join(SUFFIXES)}); convert "
            "them, or move the folder away"
        )


def arrange(where: Path, listing: Listing, test_fraction: float) -> Layout:
    """Sort the pictures of the folder or zip `where` into splits and classes.

    Args:
        test_fraction: share of each class that is held out where there is no test split.

    Raises:
        GenLabError: there are no pictures, or they lie in none of the layouts.
    """
    if not listing.pictures:
        besides = f", only {examples(listing.others)}" if listing.others else ""
        raise GenLabError(f"{where}: holds no pictures ({' '.join(SUFFIXES)}){besides}")
    _same_depth(where, listing.pictures)
    wrapper = _wrapper({_folders(name) for name in listing.pictures})
    folders = {name: _folders(name)[len(wrapper) :] for name in listing.pictures}
    depth, has_splits = len(min(folders.values())), _has_splits({*folders.values()})
    if depth > 2:
        raise GenLabError(
            f"{where}: '{printable(listing.pictures[0])}' lies too deep; expected {LAYOUTS}"
        )

    def place(parts: Folders) -> Place:
        """Pictures that lie in no class's folder are of one class, named as the whole."""
        split = parts[0].lower() if has_splits else TRAIN[0]
        return split, parts[depth - 1] if depth > int(has_splits) else where.stem

    places = {name: place(parts) for name, parts in folders.items()}
    sizes = Counter(split for split, _ in places.values())
    train, test = _splits(where, {*sizes})
    used = {*TRAIN, *TEST} if test is None else {train, test}
    others = [_folders(name) for name in listing.others]
    others = [parts[len(wrapper) :] for parts in others if parts[: len(wrapper)] == wrapper]
    elsewhere = [place(parts) for parts in others if len(parts) >= depth > 0]
    taken = {*places.values()}
    _check_others(where, [p for p in elsewhere if p[0] in used and p not in taken])
    _check_classes(where, taken, train, test)
    remarks = [
        f"{n} pictures in '{split}' are left aside: '{train if split in TRAIN else test}' is used"
        for split, n in sizes.items()
        if split not in (train, test)
    ]
    if n := len(listing.others):
        remarks.append(f"{n} other files are left aside: {examples(listing.others)}")
    classes = sorted({kind for split, kind in taken if split == train}, key=natural)
    label = {kind: i for i, kind in enumerate(classes)}
    of = {
        part: [(name, label[kind]) for name, (split, kind) in places.items() if split == part]
        for part in (train, test)
        if part is not None
    }
    if test is None:
        return Layout(*_share(where, of[train], classes, test_fraction), classes, remarks)
    return Layout(of[train], of[test], classes, remarks)
