"""Own pictures as planning sees them: their splits, classes and contents, from names alone."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from genlab.config.picture_files import Listing, list_pictures
from genlab.config.picture_layout import Layout, arrange, held_out
from genlab.config.sources.image_folder import ImageFolderConfig
from genlab.config.study import load_dataset
from genlab.errors import ConfigError, GenLabError
from genlab.io.hashes import digest, hashes

WHERE = Path("leaves.zip")
Places = dict[str, list[str]]


def arranged(*names: str, others: tuple[str, ...] = (), test_fraction: float = 0.5) -> Layout:
    """The layout of pictures and other files of these names."""
    return arrange(WHERE, Listing(sorted(names), sorted(others)), test_fraction)


def by_class(layout: Layout, split: str) -> Places:
    """The names of a split's pictures by class."""
    places: Places = {kind: [] for kind in layout.classes}
    for name, label in getattr(layout, split):
        places[layout.classes[label]].append(name)
    return places


@pytest.mark.parametrize(
    ("names", "train", "test"),
    [
        pytest.param(
            ["train/cat/0.png", "train/dog/1.png", "test/cat/2.png", "test/dog/3.png"],
            {"cat": ["train/cat/0.png"], "dog": ["train/dog/1.png"]},
            {"cat": ["test/cat/2.png"], "dog": ["test/dog/3.png"]},
            id="split/class/picture",
        ),
        pytest.param(
            ["Training/cat/0.png", "TESTING/cat/2.png"],
            {"cat": ["Training/cat/0.png"]}, {"cat": ["TESTING/cat/2.png"]},
            id="other names of the splits",
        ),
        pytest.param(
            ["cat/0.png", "cat/1.png", "dog/2.png", "dog/3.png"],
            {"cat": ["cat/0.png"], "dog": ["dog/2.png"]},
            {"cat": ["cat/1.png"], "dog": ["dog/3.png"]},
            id="class/picture",
        ),
        pytest.param(
            ["0.png", "1.png"], {"leaves": ["0.png"]}, {"leaves": ["1.png"]},
            id="picture: one class, named as the whole",
        ),
        pytest.param(
            ["train/0.png", "test/0.png", "train/1.png"],
            {"leaves": ["train/0.png", "train/1.png"]}, {"leaves": ["test/0.png"]},
            id="split/picture: one class",
        ),
        pytest.param(
            ["train/0.png", "train/1.png"],
            {"leaves": ["train/0.png"]}, {"leaves": ["train/1.png"]},
            id="train alone",
        ),
        pytest.param(
            ["car/0.png", "car/1.png", "train/2.png", "train/3.png"],
            {"car": ["car/0.png"], "train": ["train/2.png"]},
            {"car": ["car/1.png"], "train": ["train/3.png"]},
            id="a train among vehicles is a class",
        ),
        pytest.param(
            ["x/train/cat/0.png", "x/test/cat/1.png"],
            {"cat": ["x/train/cat/0.png"]}, {"cat": ["x/test/cat/1.png"]},
            id="a folder around splits",
        ),
        pytest.param(
            ["x/cat/0.png", "x/cat/1.png", "x/dog/2.png", "x/dog/3.png"],
            {"cat": ["x/cat/0.png"], "dog": ["x/dog/2.png"]},
            {"cat": ["x/cat/1.png"], "dog": ["x/dog/3.png"]},
            id="a folder around classes",
        ),
        pytest.param(
            ["x/train/0.png", "x/test/1.png"],
            {"leaves": ["x/train/0.png"]}, {"leaves": ["x/test/1.png"]},
            id="a folder around splits without classes",
        ),
        pytest.param(
            ["train/cat/0.png", "val/cat/1.png"],
            {"cat": ["train/cat/0.png"]}, {"cat": ["val/cat/1.png"]},
            id="val in the place of test",
        ),
    ],
)  # fmt: skip
def test_names_tell_split_and_class(names: list[str], train: Places, test: Places) -> None:
    layout = arranged(*names)
    assert by_class(layout, "train") == train
    assert by_class(layout, "test") == test
    assert layout.remarks == []


def test_val_and_test_are_not_pooled() -> None:
    layout = arranged("train/a/0.png", "test/a/1.png", "val/a/2.png", "val/only here/3.png")
    assert by_class(layout, "test") == {"a": ["test/a/1.png"]}
    assert layout.remarks == ["2 pictures in 'val' are ignored; 'test' is used"]


def test_other_files_are_mentioned() -> None:
    layout = arranged("0.png", "1.png", others=("a.heic", "b.heic", "c.txt", "d.txt"))
    assert layout.remarks == ["4 other files are ignored: 'a.heic', 'b.heic', 'c.txt' ..."]


def test_classes_are_sorted_by_the_numbers_in_their_names() -> None:
    names = [f"{k}/{i}.png" for k in range(12) for i in range(2)]
    assert arranged(*names).classes == [str(k) for k in range(12)]
    names = [f"{kind}/{i}.png" for kind in ("b", "a10", "a9", "a", "09", "A1") for i in range(2)]
    assert arranged(*names).classes == ["09", "A1", "a", "a9", "a10", "b"]


@pytest.mark.parametrize(
    ("n", "fraction", "expected"),
    [
        (25, 0.1, {9, 19}),
        (5, 0.1, {4}),
        (10, 0.9, {1, 2, 3, 4, 5, 6, 7, 8, 9}),
        (10, 0.4, {2, 4, 7, 9}),
        (4, 0.25, {3}),
        (4, 0.5, {1, 3}),
        (2, 0.99, {1}),
        (2, 0.01, {1}),
    ],
)
def test_the_share_that_is_held_out(n: int, fraction: float, expected: set[int]) -> None:
    """A tenth is every tenth picture; of few pictures at least one is in either split."""
    assert held_out(n, fraction) == expected


@pytest.mark.parametrize("fraction", [0.01, 0.29, 0.4, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("n", [2, 3, 7, 100, 1000])
def test_a_share_is_what_it_says(n: int, fraction: float) -> None:
    share = round(1000 * fraction) * n // 1000  # in whole numbers
    assert len(held_out(n, fraction)) == min(max(share, 1), n - 1)


@pytest.mark.parametrize(
    ("names", "others", "message"),
    [
        ([], ("a.heic",), "has no pictures (.png .jpg .jpeg .webp .bmp .gif .tif .tiff), "
                          "only 'a.heic'"),
        (["0.png", "cat/1.png"], (), "different depths ('0.png', 'cat/1.png')"),
        (["a/b/c/0.png", "a/b/d/1.png", "b/b/c/2.png"], (), "'a/b/c/0.png' lies too deep"),
        (["a/cat/0.png", "b/dog/1.png"], (), "unknown split 'a'; name the folders train and test"),
        (["train/0.png", "test/1.png", "more/2.png"], (), "unknown split 'more'"),
        (["test/0.png"], (), "has no training split"),
        (["train/cat/0.png", "test/cat/1.png", "test/dog/2.png"], (),
         "the class 'dog' is in 'test' but not in 'train'"),
        (["0.png"], (), "too few pictures to hold any out for testing: the class 'leaves' has one"),
        (["a/0.png", "a/1.png", "b/2.png"], (), "the class 'b' has one"),
        (["a/0.png", "a/1.png"], ("b/0.heic", "b/1.heic", "a/x.txt"),
         "none of the 2 files of the class 'b' in 'train' is a picture (.png"),
        (["train/a/0.png", "test/a/1.png"], ("test/b/0.avif",), "the class 'b' in 'test'"),
        (["train/0.png", "train/1.png"], ("test/0.heic",), "the class 'leaves' in 'test'"),
        (["x/a/0.png", "x/a/1.png", "x/b/2.png", "x/b/3.png"], ("x/c/0.heic",), "the class 'c'"),
        (["d\udcff/0.png", "d\udcff/1.png"], (), r"the folder 'd\xff' is not UTF-8; rename it"),
    ],
)  # fmt: skip
def test_what_can_not_be_arranged_is_named(
    names: list[str], others: tuple[str, ...], message: str
) -> None:
    with pytest.raises(GenLabError) as caught:
        arranged(*names, others=others)
    assert str(caught.value).startswith("leaves.zip: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "other", ["notes.txt", "y/notes.txt", "x/notes.txt", "x/a/notes.txt", "y/z/notes.txt"]
)
def test_files_beside_the_pictures_are_no_class(other: str) -> None:
    names = ("x/train/a/0.png", "x/test/a/1.png")
    assert arranged(*names, others=(other,)).classes == ["a"]


SYSTEM = (
    "__MACOSX/._a.png", "a/._0.png", "a/.DS_Store", "a/Thumbs.db", "a/desktop.ini",
    ".ipynb_checkpoints/0.png", "a/.ipynb_checkpoints/0-checkpoint.png", ".hidden/0.png",
)  # fmt: skip


@pytest.mark.parametrize("zipped", [False, True])
def test_files_of_the_system_are_none_of_ours(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "own.zip"
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("a/0.PNG", "a/1.TiFF", "a/notes.txt", *SYSTEM):
                archive.writestr(name, b"")
    else:
        for name in ("a/0.PNG", "a/1.TiFF", "a/notes.txt", *SYSTEM):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).touch()
    assert list_pictures(path) == (["a/0.PNG", "a/1.TiFF"], ["a/notes.txt"])


def test_names_within_a_zip_are_brought_to_one_form(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
        for name in ("./a/0.png", "/b/1.png", "c\\2.png", "d//3.png", "e/"):
            archive.writestr(name, b"")
    expected = ["a/0.png", "b/1.png", "c/2.png", "d/3.png"]
    assert list_pictures(tmp_path / "own.zip").pictures == expected


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    own, elsewhere = tmp_path / "own", tmp_path / "elsewhere"
    for folder in (own / "cat", elsewhere):
        folder.mkdir(parents=True)
        (folder / "0.png").touch()
    (own / "dog").symlink_to(elsewhere)
    (own / "cat/back").symlink_to(own)
    (elsewhere / "itself").symlink_to(elsewhere)
    assert list_pictures(own).pictures == ["cat/0.png", "dog/0.png"]


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    "make",
    [pipe, lambda p: p.symlink_to("/dev/zero"), lambda p: p.symlink_to("gone.png")],
    ids=["pipe", "device", "broken link"],
)
def test_what_is_no_file_is_named_and_not_read(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    (tmp_path / "0.png").touch()
    make(tmp_path / "1.png")
    with pytest.raises(GenLabError, match=r"1\.png: is a pipe, a device or a broken link"):
        list_pictures(tmp_path)


def test_a_pipe_in_the_place_of_the_zip_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "own.zip")
    with pytest.raises(GenLabError, match=r"own\.zip: neither a folder nor a zip or tar file"):
        list_pictures(tmp_path / "own.zip")


def dataset(tmp_path: Path, **values: object) -> ImageFolderConfig:
    """A data set of `tmp_path`/own, loaded as planning does."""
    values = {"source": "image_folder", "path": str(tmp_path / "own"), "size": 4} | values
    (tmp_path / "datasets").mkdir(exist_ok=True)
    (tmp_path / "datasets/own.yaml").write_text(yaml.safe_dump(values))
    config = load_dataset("own", tmp_path, "study.yaml")
    assert isinstance(config, ImageFolderConfig)
    return config


def test_planning_counts_the_pictures(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    for i in range(30):
        (tmp_path / f"own/{i}.png").touch()
    config = dataset(tmp_path, test_fraction=0.2)
    assert (config.train_count, config.held_out, config.class_count) == (24, 6, 1)


def test_planning_names_the_file_and_the_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        dataset(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/datasets/own.yaml: path: {tmp_path}/own: no such folder, zip or tar file"
    )
    with pytest.raises(ConfigError, match=r"own\.yaml: path: is empty; write a value"):
        dataset(tmp_path, path="")
    for i in range(4):
        (tmp_path / f"own/{i % 2}/").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"own/{i % 2}/{i}.png").touch()
    with pytest.raises(ConfigError) as caught:
        dataset(tmp_path, names=["cat"])
    assert str(caught.value) == (
        f"{tmp_path}/datasets/own.yaml: names: 1 names for 2 classes; give one per class"
    )


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ({"source": "digits"}, 10), ({"source": "sprites"}, 3),
        ({"source": "torchvision", "dataset": "cifar10"}, 10),
    ],
)  # fmt: skip
def test_names_are_counted_when_planning(
    values: dict[str, str], classes: int, tmp_path: Path
) -> None:
    (tmp_path / "datasets").mkdir()
    file = tmp_path / "datasets/own.yaml"
    file.write_text(yaml.safe_dump(values | {"names": ["one", "two"]}))
    with pytest.raises(ConfigError) as caught:
        load_dataset("own", tmp_path, "study.yaml")
    message = f"{file}: names: 2 names for {classes} classes; give one per class"
    assert str(caught.value) == message


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose content was hashed."""
    import hashlib

    read: list[str] = []
    original = hashlib.file_digest

    def note(file: object, *arguments: str) -> object:
        read.append(Path(file.name).name)  # type: ignore[attr-defined]
        return original(file, *arguments)  # type: ignore[call-overload]

    monkeypatch.setattr(hashlib, "file_digest", note)
    return read


def test_only_files_that_changed_are_read_again(tmp_path: Path, counted: list[str]) -> None:
    files = [tmp_path / name for name in ("a", "b", "c")]
    for file in files:
        file.write_text(f"content of {file.name}")
    table = tmp_path / "cache/hashes.json"
    first = digest(hashes(files, table, keep=True))
    assert counted == ["a", "b", "c"]
    assert digest(hashes(files, table)) == first
    assert counted == ["a", "b", "c"]

    files[1].touch()  # another time, the same content
    assert digest(hashes(files, table, keep=True)) == first
    assert digest(hashes(files, table, keep=True)) == first
    assert counted == ["a", "b", "c", "b"]

    times = files[2].stat()
    files[2].write_text("Content of c")  # as long as before, and with the same time
    os.utime(files[2], ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digest(hashes(files, table)) != first
    assert counted == ["a", "b", "c", "b", "c"]


def test_files_added_removed_or_renamed_change_the_digest(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a", "b", "c")]
    for file in files[:2]:
        file.write_text("the same")
    files[2].write_text("another")
    table = tmp_path / "hashes.json"
    sets = [files[:2], files[:1], files[1:2], files[::2], files]
    assert len({digest(hashes(chosen, table)) for chosen in sets}) == 5


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": [1, 2]}', "\x00"])
def test_a_damaged_cache_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("content")
    expected = hashes([tmp_path / "a"], tmp_path / "none")
    (tmp_path / "hashes.json").write_text(text)
    assert hashes([tmp_path / "a"], tmp_path / "hashes.json", keep=True) == expected


def test_names_that_are_not_utf_8_have_a_digest(tmp_path: Path) -> None:
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    file.write_text("content")
    (name,) = list_pictures(tmp_path).pictures
    table = tmp_path / "hashes.json"
    assert hashes([tmp_path / name], table, keep=True) == hashes([file], table)
