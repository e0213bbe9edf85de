"""Your own pictures, from a folder or a zip, through `fetch` and `prepare`."""

from __future__ import annotations

import io
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image, ImageOps
from tiny import png

from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.results.layout import DataFolder

Genlab = Callable[..., Any]
Files = dict[str, bytes]


def grey(value: int, side: int = 4) -> bytes:
    """A picture of one grey value, by which it is known again."""
    return png(np.full((side, side), value, np.uint8))


SPLITS = {
    f"{split}/{kind}/{i}.png": grey(100 * (split == "test") + 10 * (kind == "dog") + i)
    for split in ("train", "test")
    for kind in ("cat", "dog")
    for i in range(3)
}
CLASSES = {
    f"{kind}/{i}.png": grey(10 * (kind == "dog") + i) for kind in ("cat", "dog") for i in range(4)
}
FLAT = {f"{i}.png": grey(i) for i in range(8)}


@pytest.fixture(params=["folder", "zip"])
def prepared(
    request: pytest.FixtureRequest, tmp_path: Path, genlab: Genlab
) -> Callable[..., tuple[DataFolder, Any]]:
    """`prepared(files, **config)` runs `fetch` and `prepare`: the data's folder, how it ended."""

    def prepare(files: Files, **config: Any) -> tuple[DataFolder, Any]:
        path = tmp_path / "pictures"
        if request.param == "zip":
            path = path.with_suffix(".zip")
            with zipfile.ZipFile(path, "w") as archive:
                for name, content in files.items():
                    archive.writestr(name, content)
        else:
            path.mkdir()
            for name, content in files.items():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_bytes(content)
        at = DataFolder(tmp_path / "results/data/own")
        at.folder.mkdir(parents=True)
        values = {"source": "image_folder", "path": str(path), "size": 4, "channels": 1}
        at.config.write_text(yaml.safe_dump(values | config))
        ended = genlab("fetch", "--config", at.config)
        return at, ended if ended.status else genlab("prepare", "--config", at.config)

    return prepare


def contents(at: DataFolder, split: str) -> list[tuple[int, int]]:
    """(grey value, label) of every image of a split."""
    images: NDArray[np.uint8] = read_array(at.images(split))
    return list(
        zip(images[:, 0, 0, 0].tolist(), read_array(at.labels(split)).tolist(), strict=True)
    )


@pytest.mark.parametrize("test", ["test", "val", "valid", "validation"])
def test_splits_and_classes_are_taken_from_the_folders(prepared: Any, test: str) -> None:
    at, ended = prepared({name.replace("test", test): c for name, c in SPLITS.items()})
    assert ended.status == 0
    expected = [(0, 0), (1, 0), (2, 0), (10, 1), (11, 1), (12, 1)]
    assert contents(at, "train") == expected
    assert contents(at, "test") == [(value + 100, label) for value, label in expected]
    manifest = read_json(at.manifest)
    assert manifest["classes"] == ["cat", "dog"]
    assert manifest["test"]["per_class"] == [3, 3]


def test_where_there_is_no_test_split_a_share_of_each_class_is_held_out(prepared: Any) -> None:
    at, _ = prepared(CLASSES, test_fraction=0.25)
    assert contents(at, "train") == [(0, 0), (1, 0), (2, 0), (10, 1), (11, 1), (12, 1)]
    assert contents(at, "test") == [(3, 0), (13, 1)]


def test_the_same_share_is_held_out_of_a_train_split_alone(prepared: Any) -> None:
    at, _ = prepared({f"train/{name}": c for name, c in CLASSES.items()}, test_fraction=0.25)
    assert contents(at, "test") == [(3, 0), (13, 1)]


def test_pictures_without_classes_are_one_class(prepared: Any) -> None:
    at, _ = prepared(FLAT, test_fraction=0.5)
    assert contents(at, "train") == [(value, 0) for value in (0, 2, 4, 6)]
    assert contents(at, "test") == [(value, 0) for value in (1, 3, 5, 7)]


def test_files_that_are_no_pictures_are_left_alone(prepared: Any) -> None:
    at, ended = prepared(FLAT | {"notes.txt": b"not a picture"}, test_fraction=0.5)
    assert ended.status == 0
    assert sum(read_json(at.manifest)[split]["images"] for split in ("train", "test")) == len(FLAT)


def test_pictures_are_scaled_cropped_and_converted_where_that_is_asked_for(prepared: Any) -> None:
    """As Pillow does it, on pictures of every mode and shape."""
    random = np.random.default_rng(0)
    colour = Image.fromarray(random.integers(0, 256, (9, 14, 3), np.uint8))
    pictures = [colour, colour.convert("L"), colour.convert("CMYK"), colour.convert("P")]
    files = {}
    for i, picture in enumerate(pictures * 2):
        file = io.BytesIO()
        picture.save(file, "TIFF")
        files[f"{i}.tif"] = file.getvalue()
    at, ended = prepared(files, size=6, channels=3, resize=True, convert=True, test_fraction=0.5)
    assert ended.status == 0
    expected = [np.asarray(ImageOps.fit(p.convert("RGB"), (6, 6), Image.Resampling.LANCZOS))
                for p in pictures]  # fmt: skip
    wanted = np.stack([expected[i % 4] for i in range(0, 8, 2)]).transpose(0, 3, 1, 2)
    assert np.array_equal(read_array(at.images("train")), wanted)


WRONG: dict[str, tuple[Files, dict[str, Any], str]] = {
    "nothing": ({"readme.txt": b""}, {}, ": has no pictures (.png .jpg"),
    "unreadable": (FLAT | {"5.png": b"not a PNG"}, {}, ": 5.png: not a readable picture"),
    "truncated": (FLAT | {"5.png": grey(5)[:-20]}, {}, ": 5.png: not a readable picture"),
    "size": (
        FLAT | {"5.png": grey(5, side=6)},
        {},
        ": 5.png: 6x6 pixels, but size: 4 means 4x4; set `resize: true`",
    ),
    "mode": (
        FLAT | {"5.png": png(np.zeros((4, 4, 3), np.uint8))},
        {},
        ": 5.png: colour mode RGB, but channels: 1 means L; set `convert: true`",
    ),
    "mode, the other way": (
        FLAT,
        {"channels": 3},
        ": 0.png: colour mode L, but channels: 3 means RGB; set `convert: true`",
    ),
    "depths": (
        FLAT | {"cat/5.png": grey(5)},
        {},
        ": pictures lie at different depths ('0.png', 'cat/5.png')",
    ),
    "too deep": (
        {f"{name[-5]}/{name}": c for name, c in SPLITS.items()},
        {},
        ": '0/test/cat/0.png' lies too deep; expected split/class/picture, class/picture or",
    ),
    "split": (
        SPLITS | {"extra/cat/5.png": grey(5)},
        {},
        ": unknown split 'extra'; name the folders train and test",
    ),
    "no train split": (
        {name: c for name, c in SPLITS.items() if name.startswith("test")},
        {},
        ": has no training split",
    ),
    "too few": ({"0.png": grey(0)}, {}, ": too few pictures to hold any out for testing"),
}


@pytest.mark.parametrize(("files", "config", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_can_not_be_used_is_named(
    files: Files, config: dict[str, Any], said: str, prepared: Any, tmp_path: Path
) -> None:
    at, ended = prepared(files, **config)
    assert ended.status == 1
    assert ended.err.startswith(f"error: {tmp_path}/pictures")
    assert said in ended.err
    assert not at.manifest.exists()


def test_an_empty_folder_and_a_missing_one_are_named(tmp_path: Path, genlab: Genlab) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"{{source: image_folder, path: {tmp_path}/own, size: 4}}")
    ended = genlab("fetch", "--config", config)
    assert (ended.status, ended.err) == (
        1, f"error: {tmp_path}/own: no such folder, zip or tar file\n"
    )  # fmt: skip
    (tmp_path / "own").mkdir()
    ended = genlab("fetch", "--config", config)
    kinds = ".png .jpg .jpeg .webp .bmp .gif .tif .tiff"
    assert (ended.status, ended.err) == (
        1, f"error: {tmp_path}/own: has no pictures ({kinds})\n"
    )  # fmt: skip


@pytest.mark.parametrize("content", [b"no zip", b"PK\x03\x04 cut off"])
def test_a_damaged_zip_is_named(content: bytes, tmp_path: Path, genlab: Genlab) -> None:
    (tmp_path / "own.zip").write_bytes(content)
    config = tmp_path / "config.yaml"
    config.write_text(f"{{source: image_folder, path: {tmp_path}/own.zip, size: 4}}")
    ended = genlab("fetch", "--config", config)
    assert ended.status == 1
    assert f"error: {tmp_path}/own.zip: can't be read (" in ended.err


def test_a_picture_damaged_within_a_zip_is_named(tmp_path: Path, genlab: Genlab) -> None:
    """The zip's own checksum finds it."""
    path, config = tmp_path / "own.zip", tmp_path / "config.yaml"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0.png", b"A" * 100)
        archive.writestr("1.png", grey(0))
    path.write_bytes(path.read_bytes().replace(b"A" * 100, b"A" * 99 + b"B"))
    config.write_text(f"{{source: image_folder, path: {path}, size: 4, channels: 1}}")
    assert genlab("fetch", "--config", config).status == 0
    ended = genlab("prepare", "--config", config)
    assert ended.status == 1
    assert f"error: {path}: 0.png: can't be read (Bad CRC-32" in ended.err


def test_all_suffixes_are_read_in_any_case(prepared: Any) -> None:
    picture, files = Image.fromarray(np.full((4, 4), 77, np.uint8)), {}
    kinds = {"png": "PNG", "JPG": "JPEG", "jpeg": "JPEG", "WebP": "WEBP", "bmp": "BMP",
             "gif": "GIF", "TIF": "TIFF", "tiff": "TIFF"}  # fmt: skip
    for suffix, kind in kinds.items():
        file = io.BytesIO()
        picture.save(file, kind, **({"lossless": True} if kind == "WEBP" else {}))
        files[f"picture.{suffix}"] = file.getvalue()
    at, ended = prepared(files, convert=True)
    assert ended.status == 0
    images = [read_array(at.images(split)) for split in ("train", "test")]
    assert np.array_equal(np.concatenate(images), np.full((8, 1, 4, 4), 77))


def test_fetch_says_what_it_leaves_aside(tmp_path: Path, genlab: Genlab) -> None:
    own, config = tmp_path / "own", tmp_path / "config.yaml"
    for name in ("train/a/0.png", "test/a/0.png", "val/a/0.png", "train/a/0.heic"):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_bytes(grey(0))
    config.write_text(f"{{source: image_folder, path: {own}, size: 4}}")
    assert genlab("fetch", "--config", config).out == (
        f"{own}: 1 pictures in 'val' are ignored; 'test' is used\n"
        f"{own}: 1 other files are ignored: 'train/a/0.heic'\n"
    )


def test_transparency_is_mentioned(prepared: Any) -> None:
    file = io.BytesIO()
    Image.new("LA", (4, 4), (10, 0)).save(file, "PNG")
    files = FLAT | {"1.png": file.getvalue()}
    at, ended = prepared(files, convert=True, background="black", test_fraction=0.5)
    assert "1 transparent pictures; background: black" in ended.out
    assert contents(at, "test") == [(value, 0) for value in (0, 3, 5, 7)]


def test_an_encrypted_picture_is_named(tmp_path: Path, genlab: Genlab) -> None:
    path, config = tmp_path / "own.zip", tmp_path / "config.yaml"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0.png", grey(0))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1  # the flag in the central directory
    path.write_bytes(content)
    config.write_text(f"{{source: image_folder, path: {path}, size: 4}}")
    assert genlab("fetch", "--config", config).err == (
        f"error: {path}: 0.png: is encrypted; make a zip without a password\n"
    )


@pytest.mark.parametrize("declared", [0, 100])
def test_a_member_that_grows_beyond_what_it_declares_is_not_read_on(
    declared: int, tmp_path: Path, genlab: Genlab
) -> None:
    path, config = tmp_path / "own.zip", tmp_path / "config.yaml"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.png", bytes(2**26))
        archive.writestr("1.png", grey(0))
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\1\2") + 24
    content[at : at + 4] = declared.to_bytes(4, "little")
    path.write_bytes(content)
    config.write_text(f"{{source: image_folder, path: {path}, size: 4, channels: 1}}")
    assert genlab("fetch", "--config", config).status == 0
    tracemalloc.start()
    ended = genlab("prepare", "--config", config)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ended.err.startswith(f"error: {path}: 0.png: ")
    assert peak < 2**25  # half of what it holds


def test_a_large_file_is_named_and_not_read(tmp_path: Path, genlab: Genlab) -> None:
    (tmp_path / "own").mkdir()
    with (tmp_path / "own/0.png").open("wb") as file:
        file.truncate(5 * 2**30)
    config = tmp_path / "config.yaml"
    config.write_text(f"{{source: image_folder, path: {tmp_path}/own, size: 4}}")
    assert genlab("fetch", "--config", config).err == (
        f"error: {tmp_path}/own: 0.png: has 5 GiB, but the limit for a picture file is 0.5 GiB; "
        "remove it\n"
    )


def test_a_large_member_is_named_and_not_read(tmp_path: Path, genlab: Genlab) -> None:
    path, config = tmp_path / "own.zip", tmp_path / "config.yaml"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0.png", b"")
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\1\2") + 24
    content[at : at + 4] = (2**32 - 2).to_bytes(4, "little")
    path.write_bytes(content)
    config.write_text(f"{{source: image_folder, path: {path}, size: 4}}")
    assert genlab("fetch", "--config", config).err == (
        f"error: {path}: 0.png: has 4 GiB, but the limit for a picture file is 0.5 GiB; remove it\n"
    )


def test_a_picture_that_changes_between_the_stages_is_named(tmp_path: Path, genlab: Genlab) -> None:
    own, config = tmp_path / "own", tmp_path / "config.yaml"
    own.mkdir()
    for name, content in FLAT.items():
        (own / name).write_bytes(content)
    config.write_text(f"{{source: image_folder, path: {own}, size: 4, channels: 1}}")
    assert genlab("fetch", "--config", config).status == 0
    (own / "3.png").write_bytes(grey(9))
    ended = genlab("prepare", "--config", config)
    assert ended.status == 1
    assert ended.err == (
        f"error: {own}/3.png: has changed since `fetch` listed it; delete "
        f"{tmp_path}/fetched.json and run again\n"
    )


def test_names_that_are_not_utf_8_are_read_and_printed(tmp_path: Path, genlab: Genlab) -> None:
    own, config = tmp_path / "own", tmp_path / "config.yaml"
    own.mkdir()
    for i in range(2):
        Path(os.fsdecode(os.fsencode(own) + b"/\xff%d.png" % i)).write_bytes(grey(i))
    config.write_text(f"{{source: image_folder, path: {own}, size: 4, channels: 1}}")
    assert genlab("fetch", "--config", config).status == 0
    assert genlab("prepare", "--config", config).status == 0
    config.write_text(f"{{source: image_folder, path: {own}, size: 4, channels: 3}}")
    ended = genlab("prepare", "--config", config)
    assert ended.err.startswith(f"error: {own}: \\xff0.png: colour mode L, but channels: 3")
