"""Many pictures: unreadable ones are skipped, and nothing is decoded twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tiny import png

from genlab.data import decoded
from genlab.data.sources import image_folder
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.results.layout import DataFolder

COUNT = 40


class Own:
    """Forty pictures of the grey values 0 to 39, prepared in blocks of eight."""

    def __init__(self, root: Path, genlab: Callable[..., Any], decodings: list[int]) -> None:
        self.pictures, self.at = root / "own", DataFolder(root / "data")
        self.genlab, self.decodings = genlab, decodings
        self.pictures.mkdir()
        for i in range(COUNT):
            self.picture(i).write_bytes(png(np.full((4, 4), i, np.uint8)))

    def picture(self, i: int) -> Path:
        return self.pictures / f"{i:02}.png"

    def prepare(self, **config: Any) -> Any:
        """Run both stages; count the pictures that are decoded."""
        self.at.folder.mkdir(exist_ok=True)
        values = {"source": "image_folder", "path": str(self.pictures), "size": 4, "channels": 1}
        self.at.config.write_text(yaml.safe_dump(values | config))
        self.decodings.clear()
        ended = self.genlab("fetch", "--config", self.at.config)
        return ended if ended.status else self.genlab("prepare", "--config", self.at.config)

    def values(self, split: str) -> list[int]:
        return [int(image[0, 0, 0]) for image in read_array(self.at.images(split))]


@pytest.fixture
def own(tmp_path: Path, genlab: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Own:
    decodings: list[int] = []
    load = image_folder.load_picture

    def counted(content: bytes) -> Any:
        decodings.append(len(content))
        return load(content)

    monkeypatch.setattr(image_folder, "load_picture", counted)
    monkeypatch.setattr(decoded, "BLOCK_PICTURES", 8)
    return Own(tmp_path, genlab, decodings)


TEST = [9, 19, 29, 39]
TRAIN = [i for i in range(COUNT) if i not in TEST]


def test_unreadable_pictures_are_skipped_named_and_recorded(own: Own) -> None:
    own.picture(3).write_bytes(b"no picture")
    own.picture(29).write_bytes(own.picture(29).read_bytes()[:-20])
    ended = own.prepare(unreadable=2)
    assert ended.status == 0
    assert own.values("train") == [i for i in TRAIN if i != 3]
    assert own.values("test") == [9, 19, 39]
    manifest = read_json(own.at.manifest)
    assert [manifest[split]["images"] for split in ("train", "test")] == [35, 3]
    assert [len(read_array(own.at.labels(split))) for split in ("train", "test")] == [35, 3]
    assert manifest["skipped"].keys() == {"03.png", "29.png"}
    for name, reason in manifest["skipped"].items():
        assert reason.startswith("not a readable picture (")
        assert f"{own.pictures}: {name}: skipped: {reason}\n" in ended.out


def test_nothing_is_recorded_as_skipped_if_nothing_is(own: Own) -> None:
    assert own.prepare(unreadable=2).status == 0
    assert (own.values("train"), own.values("test")) == (TRAIN, TEST)
    assert "skipped" not in read_json(own.at.manifest)


def test_more_than_allowed_is_an_error_that_a_higher_limit_lifts(own: Own) -> None:
    """What was decoded by then is kept."""
    for i in (1, 2, 4, 5, 6):
        own.picture(i).write_bytes(b"no picture")
    ended = own.prepare(unreadable=1)
    assert ended.status == 1
    assert ended.err.startswith(f"error: {own.pictures}: 01.png: not a readable picture (")
    assert ended.err.endswith(
        ", and 4 more such as '02.png', '04.png', '05.png' ...; remove or replace what is "
        "unreadable, or allow more than `unreadable: 1` to be skipped\n"
    )
    assert not own.at.manifest.exists()
    assert own.prepare(unreadable=2).status == 1
    assert own.decodings == []
    assert own.prepare(unreadable=5, test_fraction=0.2).status == 0


def test_a_class_without_readable_training_pictures_is_refused(own: Own) -> None:
    for kind, first in (("a", 0), ("b", 38)):
        (own.pictures / kind).mkdir()
        for i in range(first, first + 38 if kind == "a" else COUNT):
            own.picture(i).rename(own.pictures / kind / f"{i:02}.png")
    (own.pictures / "b/38.png").write_bytes(b"no picture")
    ended = own.prepare(unreadable=1)
    assert ended.status == 1
    assert "all training pictures of the class 'b' are unreadable" in ended.err


def test_planning_counts_the_pictures_that_remain_for_certain(own: Own) -> None:
    config = image_folder.ImageFolderConfig(path=str(own.pictures), size=4, unreadable=3)
    config.check()
    assert (config.train_count, config.held_out) == (33, 1)
    ended = own.prepare(unreadable=3)
    assert (ended.status, own.values("test")) == (0, TEST)


class Killed(BaseException):
    """The end of a process, as far as files are concerned."""


def test_a_killed_job_goes_on_where_it_was(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    own.picture(2).write_bytes(b"no picture")
    add, blocks = decoded.PixelFiles.add, []

    def add_or_die(self: decoded.PixelFiles, *block: Any) -> None:
        if len(blocks) == 3:
            raise Killed
        add(self, *block)
        blocks.append(block)

    with monkeypatch.context() as patched:
        patched.setattr(decoded.PixelFiles, "add", add_or_die)
        with pytest.raises(Killed):
            own.prepare(unreadable=1)
    ended = own.prepare(unreadable=1)
    assert ended.status == 0
    assert f"{own.pictures}: 24 of 40 pictures are decoded already\n" in ended.out
    assert len(own.decodings) == COUNT - 24
    assert (own.values("train"), own.values("test")) == ([i for i in TRAIN if i != 2], TEST)
    assert "02.png" in read_json(own.at.manifest)["skipped"]


def test_other_captions_decode_nothing_again_and_other_pixels_all(own: Own) -> None:
    assert own.prepare().status == 0
    assert len(own.decodings) == COUNT
    first = own.at.images("train").read_bytes()
    own.at.images("train").unlink()  # as Snakemake does before it runs a job again
    assert own.prepare(captions=["{name}"]).status == 0
    assert own.decodings == []
    assert own.at.images("train").read_bytes() == first
    for change in ({"background": "black"}, {"test_fraction": 0.2}):
        assert own.prepare(**change).status == 0
        assert len(own.decodings) == COUNT
    own.picture(0).write_bytes(png(np.full((4, 4), 200, np.uint8)))
    assert own.prepare().status == 0
    assert own.values("train")[0] == 200


@pytest.mark.parametrize("damage", ["pixels", "journal", "torn line", "all"])
def test_damaged_blocks_are_decoded_again(own: Own, damage: str) -> None:
    assert own.prepare().status == 0
    journal, pixels = own.at.decoded / "journal.jsonl", own.at.decoded / "train.npy"
    lines = journal.read_text().splitlines()
    assert len(lines) == 1 + COUNT / 8
    if damage == "pixels":
        content = bytearray(pixels.read_bytes())
        content[-1] ^= 1  # of 38.png, in the last block
        pixels.write_bytes(content)
    elif damage == "journal":
        block = json.loads(lines[2])
        block[0][0] = 10**6
        journal.write_text("\n".join([*lines[:2], json.dumps(block), *lines[3:]]))
    elif damage == "torn line":
        journal.write_text("\n".join(lines)[:-30])
    else:
        pixels.unlink()
    for split in ("train", "test"):
        own.at.images(split).unlink()
    assert own.prepare().status == 0
    assert len(own.decodings) == (COUNT if damage == "all" else 8)
    assert (own.values("train"), own.values("test")) == (TRAIN, TEST)
