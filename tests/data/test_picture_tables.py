"""Captions, classes and factors of own pictures from a table, and captions from file names."""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tiny import png

from genlab.config.picture_table import file_words, read_table
from genlab.config.sources.image_folder import ImageFolderConfig
from genlab.errors import GenLabError
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.results.layout import DataFolder

COLOURS, SIZES = ("red", "green"), ("small", "10 cm", "2 cm")
NAMES = [f"{i}.png" for i in range(6)]
ROWS = [
    {"file": name, "label": "leaf" if i < 3 else "bark", "colour": COLOURS[i % 2],
     "size": SIZES[i % 3], "caption": f'A {COLOURS[i % 2]} thing, "{SIZES[i % 3]}".'}
    for i, name in enumerate(NAMES)
]  # fmt: skip


def as_csv(rows: list[dict[str, str]]) -> bytes:
    quoted = [[cell.replace('"', '""') for cell in row.values()] for row in rows]
    lines = [",".join(rows[0]), *(",".join(f'"{cell}"' for cell in row) for row in quoted)]
    return ("\ufeff" + "\r\n".join(lines)).encode()  # as a spreadsheet program writes it


def as_jsonl(rows: list[dict[str, str]]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode() + b"\n\n"


def pictures(names: list[str]) -> dict[str, bytes]:
    return {name: png(np.full((4, 4), 10 * i, np.uint8)) for i, name in enumerate(names)}


def write(path: Path, files: dict[str, bytes]) -> None:
    """Write `files` into a new zip or folder."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    if path.name.endswith(".tar.gz"):
        path.rename(path.with_name("temporary"))
        with tarfile.open(path, "w:gz") as tar:
            tar.add(path.with_name("temporary"), "own")


Prepare = Callable[..., DataFolder]


@pytest.fixture
def prepare(tmp_path: Path, genlab: Callable[..., Any]) -> Prepare:
    def run(path: Path, ignored: str = "", **values: Any) -> DataFolder:
        at = DataFolder(tmp_path / "data")
        at.folder.mkdir()
        base = {"source": "image_folder", "path": str(path), "size": 4, "channels": 1}
        at.config.write_text(yaml.safe_dump({**base, "test_fraction": 0.34, **values}))
        for stage in ("fetch", "prepare"):
            ended = genlab(stage, "--config", at.config)
            assert ended.status == 0, ended.err
            assert ended.out == (ignored if stage == "fetch" else "")
        return at

    return run


def captions(at: DataFolder, split: str) -> dict[int, list[str]]:
    """The captions of the images of a split by their grey value."""
    texts = read_json(at.texts)["texts"]
    images, rows = read_array(at.images(split)), read_array(at.captions(split))
    return {
        int(image[0, 0, 0]): [texts[i] for i in row]
        for image, row in zip(images, rows, strict=True)
    }


@pytest.mark.parametrize("place", ["inside", "beside"])
@pytest.mark.parametrize("kind", ["own", "own.zip", "own.tar.gz"])
@pytest.mark.parametrize(("table", "content"), [("t.csv", as_csv), ("t.jsonl", as_jsonl)])
def test_captions_classes_and_factors_come_from_a_table(
    kind: str, place: str, table: str, content: Any, prepare: Prepare, tmp_path: Path
) -> None:
    path, files = tmp_path / kind, pictures(NAMES)
    if place == "inside":
        files[table] = content([*ROWS[::-1], ROWS[0] | {"file": "elsewhere.png"}])
    else:
        (tmp_path / table).write_bytes(content(ROWS[::-1]))
    write(path, files)
    ignored = ""
    if place == "inside":
        where = f"{path}: {'own/' * kind.endswith('gz')}{table}"
        ignored = f"{where}: 1 rows are ignored, as there are no such pictures\n"
    at = prepare(path, ignored, table=table, factor_columns=["size", "colour"])
    manifest = read_json(at.manifest)
    assert manifest["classes"] == ["bark", "leaf"]
    assert manifest["factors"] == {"size": 3, "colour": 2}
    values = {"size": ["2 cm", "10 cm", "small"], "colour": ["green", "red"]}
    assert manifest["values"] == values
    assert manifest["described"] == manifest["subject"] == ["size", "colour"]
    seen = {}
    for split in ("train", "test"):
        seen |= captions(at, split)
        for image, label, factors in zip(
            read_array(at.images(split)), read_array(at.labels(split)),
            read_array(at.factors(split)), strict=True,
        ):  # fmt: skip
            row = ROWS[int(image[0, 0, 0]) // 10]
            assert manifest["classes"][label] == row["label"]
            assert [values[name][k] for name, k in zip(values, factors, strict=True)] == [
                row["size"], row["colour"]
            ]  # fmt: skip
    assert seen == {10 * i: [row["caption"]] for i, row in enumerate(ROWS)}


def test_captions_combine_columns_class_and_file_name(prepare: Prepare, tmp_path: Path) -> None:
    names = ["x/an-oak_leaf_012.png", "x/wet leaf (3).png", "y/Bark.png", "y/dry_bark-1.png"]
    rows = [{"file": name.split("/")[1], "tone": str(i)} for i, name in enumerate(names)]
    write(tmp_path / "own", pictures(names) | {"t.csv": as_csv(rows)})
    at = prepare(
        tmp_path / "own", table="t.csv", test_fraction=0.5, names=["leaves", "trees"],
        captions=["{file} in tone {tone}", "{class}: {name}"],
    )  # fmt: skip
    assert captions(at, "train") | captions(at, "test") == {
        0: ["an oak leaf in tone 0", "x: leaves"],
        10: ["wet leaf in tone 1", "x: leaves"],
        20: ["Bark in tone 2", "y: trees"],
        30: ["dry bark in tone 3", "y: trees"],
    }


def test_labels_allow_any_nesting_and_keep_the_splits(prepare: Prepare, tmp_path: Path) -> None:
    names = ["own/train/1/2/3/a.png", "own/train/b.png", "own/test/deep/c.png", "own/test/d.png"]
    rows = [{"file": name.split("/")[-1], "label": "pq"[i % 2]} for i, name in enumerate(names)]
    write(tmp_path / "own.zip", pictures(names) | {"own/t.csv": as_csv(rows)})
    at = prepare(tmp_path / "own.zip", table="t.csv", captions=["{name}"])
    assert captions(at, "train") == {0: ["p"], 10: ["q"]}
    assert captions(at, "test") == {20: ["p"], 30: ["q"]}


def config(tmp_path: Path, **values: Any) -> ImageFolderConfig:
    values = {"path": str(tmp_path / "own"), "size": 4, **values}
    return ImageFolderConfig(**values)


WRONG: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "missing": (b"", {"table": "u.csv"}, r"table: 'u.csv' is neither in .*own nor beside it"),
    "no file column": (b"name,caption\n0.png,x", {}, r"t.csv: has no column 'file', but 'name'"),
    "empty": (b"", {}, r"t.csv: has no column 'file', but no columns"),
    "not UTF-8": (b"file,caption\n0.png,\xff", {}, r"t.csv: can't be read \('utf-8'"),
    "a cell too many": (b"file,caption\n0.png,x,y", {}, r"t.csv: line 2: expected one value"),
    "a cell too few": (b"file,caption\n0.png,x\n1.png", {}, r"t.csv: line 3: expected one value"),
    "an empty cell": (b"file,caption\n0.png, ", {}, r"t.csv: line 2: 'caption' is empty"),
    "twice": (b"file,caption\n0.png,x\n./0.png,y", {}, r"line 3: '0.png' has a row already"),
    "reserved": (b"file,name\n0.png,x", {}, r"the column 'name' has the name of a placeholder"),
    "no row": (b"file,caption\n0.png,x", {}, r"has no row for 5 pictures: '1.png', '2.png', '3"),
    "placeholder": (
        as_csv(ROWS), {"captions": ["{color}"]},
        r"captions: unknown placeholder \{color\}; use .*\{file\}, \{label\}, \{colour\}",
    ),
    "factor": (as_csv(ROWS), {"factor_columns": ["x"]}, r"factor_columns: 'x' is no column"),
    "constant": (
        as_csv([row | {"size": "1"} for row in ROWS]), {"factor_columns": ["size"]},
        r"factor_columns: 'size' has 1 values \('1'\), but a factor has 2 to 256",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "values", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_table_is_named_when_planning(
    content: bytes, values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write(tmp_path / "own", pictures(NAMES) | {"t.csv": content})
    with pytest.raises(GenLabError, match=message):
        config(tmp_path, **{"table": "t.csv", **values}).check()


def test_a_factor_that_varies_in_an_ignored_split_alone_is_refused(tmp_path: Path) -> None:
    """`val` is not used beside `test`."""
    names = ["train/a.png", "train/b.png", "test/c.png", "val/d.png"]
    rows = [{"file": name, "size": "2" if name == names[-1] else "1"} for name in names]
    write(tmp_path / "own", pictures(names) | {"t.csv": as_csv(rows)})
    with pytest.raises(GenLabError, match=r"factor_columns: 'size' has 1 values \('1'\)"):
        config(tmp_path, table="t.csv", captions=["{file}"], factor_columns=["size"]).check()


@pytest.mark.parametrize(
    ("line", "message"),
    [(b"{", "can't be read"), (b"[1]", "can\'t be read .line 1 is no object"),
     (b'{"file": "a", "caption": ["x"]}', "line 1: expected one value"),
     (b'{"file": "a", "flag": true}', "line 1: expected one value")],
)  # fmt: skip
def test_wrong_json_lines_are_named(line: bytes, message: str) -> None:
    with pytest.raises(GenLabError, match=rf"t\.jsonl: {message}"):
        read_table("t.jsonl", line)


def test_a_table_in_two_places_or_rows_for_two_pictures_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "own", pictures(["a/0.png", "b/0.png"]))
    (tmp_path / "t.csv").write_bytes(b"file,caption\n0.png,x")
    with pytest.raises(GenLabError, match=r"the row of '0.png' is not the only one for 'a/0.png'"):
        config(tmp_path, table="t.csv").check()
    (tmp_path / "own/t.csv").touch()
    with pytest.raises(GenLabError, match=r"table: 't.csv' is several files"):
        config(tmp_path, table="t.csv").check()


def test_file_names_without_words_are_refused() -> None:
    assert file_words("a/red__car (2).jpg") == "red car"
    for name in ("012.png", "__.png"):
        with pytest.raises(GenLabError, match=r"captions: \{file\}: the name '.*' has no words"):
            file_words(name)


def test_planning_follows_the_table_and_decodes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "own", dict.fromkeys(NAMES, b"no picture") | {"t.csv": as_csv(ROWS)})
    own = config(tmp_path, table="t.csv", factor_columns=["colour"], captions=["a {name}"])
    own.check()
    assert (own.class_count, own.train_count, own.held_out) == (2, 4, 2)
    assert (own.described, own.checkable) == ((), False)
    assert own.own_files[-1] == tmp_path / "own/t.csv"
    assert config(tmp_path, table="t.csv", captions=["a {name}"]).checkable
    assert not config(tmp_path, table="t.csv").checkable  # the class need not be in a caption
    assert own.layout.remarks == []  # a table is no file that is ignored
