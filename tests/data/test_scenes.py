"""The scenes: that a picture shows what its factors say, and its captions say the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from scipy.stats import chisquare

from genlab.config.base import build
from genlab.config.families import build_family
from genlab.config.sources.digits import DigitsConfig
from genlab.config.sources.scenes import COLOURS, DIGITS, HELD_OUT, ScenesConfig
from genlab.data.arrays import Source
from genlab.data.randomness import generator
from genlab.data.sources import digits
from genlab.data.sources.scenes import RGB, cut_out, draw_scene
from genlab.data.sources.scenes import fetch as fetch_scenes
from genlab.data.sources.scenes import read as read_scenes
from genlab.errors import ConfigError
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.results.layout import DataFolder
from genlab.workflow.data import read_table
from genlab.workflow.fetch import fetch
from genlab.workflow.prepare import prepare
from genlab.workflow.prompts import prompts_of

SMALL = {"source": "scenes", "train": 300, "test": 60, "unseen": 60}
SPLITS = ("train", "test", "unseen")
MIDDLES = {
    "centre": [(16, 16)],
    "top": [(16, 9)],
    "bottom": [(16, 23)],
    "left": [(9, 16)],
    "right": [(23, 16)],
    "vertical": [(16, 8), (16, 24)],
    "horizontal": [(8, 16), (24, 16)],
}


@pytest.fixture(scope="module")
def source() -> Source:
    """Three small splits."""
    config = build(ScenesConfig, SMALL, "here")
    return read_scenes(config, fetch_scenes(config, Path()))


def said(factors: NDArray[np.int64]) -> dict[str, str]:
    """The names of a scene's values."""
    values = ScenesConfig().values
    return {name: values[name][k] for name, k in zip(values, factors, strict=True)}


def things(facts: dict[str, str]) -> list[tuple[str, str, str]]:
    """Digit, colour and size of each digit of a scene."""
    both = [tuple(facts[f"{which}{name}"] for name in ("digit", "colour", "size"))
            for which in ("", "second ")]  # fmt: skip
    return [thing for thing in both if "none" not in thing]


def halves(image: NDArray[np.uint8], layout: str) -> list[NDArray[np.uint8]]:
    """Where the digits of a picture [3, 32, 32] are: in all of it, or each in one half."""
    if layout == "vertical":
        return [image[:, :16], image[:, 16:]]
    if layout == "horizontal":
        return [image[:, :, :16], image[:, :, 16:]]
    return [image]


def found(part: NDArray[np.uint8], ground: NDArray[np.int64]) -> tuple[Any, ...]:
    """Colour, and box (top, bottom, left, right), of what lies on the ground of `part`."""
    off = np.abs(part.astype(np.int64) - ground[:, None, None]).sum(axis=0)
    y, x = np.unravel_index(off.argmax(), off.shape)
    rows, columns = (np.flatnonzero(off.any(axis=axis)) for axis in (1, 0))
    return part[:, y, x].tolist(), (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1)


@pytest.mark.parametrize("split", SPLITS)
def test_a_picture_shows_what_its_factors_say(source: Source, split: str) -> None:
    """Ground, and colour, size and place of each digit, measured in the pixels."""
    scenes = source.splits()[split]
    assert scenes.factors is not None
    for image, factors in zip(scenes.images, scenes.factors, strict=True):
        facts = said(factors)
        pixels, counts = np.unique(image.reshape(3, -1), axis=1, return_counts=True)
        ground = pixels[:, counts.argmax()].astype(np.int64)
        assert ground.tolist() == list(RGB[facts["background"]])
        parts, expected = halves(image, facts["layout"]), things(facts)
        assert len(parts) == len(expected)
        for i, (_, colour, size) in enumerate(expected):
            in_colour, (top, bottom, left, right) = found(parts[i], ground)
            assert in_colour == list(RGB[colour])
            longer = {"small": 12, "large": 16}[size]
            # A row at the edge may be so faint that it rounds to the ground.
            assert longer - 2 <= max(bottom - top, right - left) <= longer
            down = 16 * i if facts["layout"] == "vertical" else 0
            across = 16 * i if facts["layout"] == "horizontal" else 0
            x, y = MIDDLES[facts["layout"]][i]
            # A pixel of jitter, half of one where a side is odd, half of one for a faint edge.
            assert abs((left + right) / 2 + across - x) <= 2
            assert abs((top + bottom) / 2 + down - y) <= 2


@pytest.mark.parametrize("split", SPLITS)
def test_the_digits_are_handwritten_ones_of_their_class_and_split(
    source: Source, split: str
) -> None:
    """The mask, solved for from the pixels, is that of just one of the embedded digits."""
    embedded = digits.read(DigitsConfig(), digits.fetch(DigitsConfig(), Path()))
    written = embedded.train if split == "train" else embedded.test
    scenes = source.splits()[split]
    assert scenes.factors is not None
    for image, factors in zip(scenes.images[:6], scenes.factors[:6], strict=True):
        facts = said(factors)
        ground = np.array(RGB[facts["background"]], float)
        parts = halves(image, facts["layout"])
        for part, (digit, colour, size) in zip(parts, things(facts), strict=True):
            span = np.array(RGB[colour]) - ground  # pixel = ground + mask * span
            mask = np.tensordot(span, part - ground[:, None, None], 1) / (span @ span)
            near = []
            for candidate in written.images[written.labels == DIGITS.index(digit), 0]:
                shape = cut_out(candidate, {"small": 12, "large": 16}[size])
                windows = np.lib.stride_tricks.sliding_window_view(mask, shape.shape)
                apart = np.abs(windows - shape).max(axis=(2, 3)).min()
                near.append(apart if np.isclose(mask.sum(), shape.sum(), rtol=0.05) else 1)
            # A channel is rounded to half a grey value of a span of at least 100.
            assert (np.array(near) < 0.006).sum() == 1


def test_a_digit_is_cut_out_at_its_edges_and_keeps_its_proportions() -> None:
    digit = np.zeros((28, 28), np.uint8)
    digit[4:24, 10:15] = 200
    shape = cut_out(digit, 12)
    assert shape.shape == (12, 3)
    np.testing.assert_allclose(shape, 1)  # as bright as can be, up to the edge


def test_no_training_or_test_scene_holds_a_digit_in_its_held_out_colour(source: Source) -> None:
    for split, scenes in source.splits().items():
        assert scenes.factors is not None
        odd = [
            sum(HELD_OUT[digit] == colour for digit, colour, _ in things(said(factors)))
            for factors in scenes.factors
        ]
        assert set(odd) == ({1} if split == "unseen" else {0})


def test_every_digit_has_a_colour_held_out_and_every_colour_two_digits() -> None:
    assert list(HELD_OUT) == list(DIGITS)
    assert sorted(HELD_OUT.values()) == sorted([*COLOURS, *COLOURS])


@pytest.mark.parametrize("unseen", [False, True])
def test_each_value_is_drawn_as_often_as_any_other(unseen: bool) -> None:
    """Of 10,000 scenes, by Pearson's test; half of them are pairs."""
    drawn = [draw_scene(generator("test", i), unseen) for i in range(10_000)]
    factors = np.array([scene.factors for scene in drawn])
    pairs = factors[:, 5] < len(DIGITS)
    assert chisquare(np.bincount(pairs)).pvalue > 1e-3
    assert chisquare(np.bincount(factors[~pairs, 1])).pvalue > 1e-3  # places
    assert chisquare(np.bincount(factors[pairs, 1])[5:]).pvalue > 1e-3  # one above, or beside
    for column in (0, 2, 3, 4):
        assert chisquare(np.bincount(factors[:, column])).pvalue > 1e-3
    for column in (5, 6, 7):
        assert chisquare(np.bincount(factors[pairs, column])).pvalue > 1e-3


THING = r"(?:(?P<size{0}>small|large) )?(?P<colour{0}>\w+) (?P<digit{0}>\w+)"
ONE, TWO = THING.format(1), THING.format(2)
GROUND = r"on a (?P<background>\w+) background"
WHERE = r"(?:in the|at the|on the) (?P<where>\w+)"
BESIDE = r"(?P<beside>above|below|left of|right of)"
FORMS = [
    [rf"a {ONE} {WHERE} {GROUND}", rf"a {ONE} {BESIDE} a {TWO} {GROUND}"],
    [rf"{GROUND}, a {ONE} {WHERE}", rf"a {ONE} {BESIDE} a {TWO} {GROUND}"],
    [rf"(?P<background>\w+) background: {ONE}, (?P<where>\w+)",
     rf"(?P<background>\w+) background: {ONE} {BESIDE} {TWO}"],
    [rf"a {ONE} {GROUND}", rf"a {ONE} and a {TWO} {GROUND}"],
]  # fmt: skip


def understood(caption: str, forms: list[str]) -> dict[str, str]:
    """The facts that a caption states, by one of `forms`; of two digits the first comes first."""
    (match,) = [match for form in forms if (match := re.fullmatch(form, caption))]
    part = {name: value for name, value in match.groupdict().items() if value}
    order = ("1", "2") if "digit2" in part else ("1",)
    facts = {"background": part["background"]}
    if beside := part.get("beside"):
        facts["layout"] = "vertical" if beside in ("above", "below") else "horizontal"
        order = ("2", "1") if beside in ("below", "right of") else ("1", "2")
    if "where" in part:
        facts["layout"] = part["where"]
    for which, k in zip(("", "second "), order, strict=False):
        for name in ("digit", "colour", "size"):
            if f"{name}{k}" in part:
                facts[f"{which}{name}"] = part[f"{name}{k}"]
    return facts


def test_captions_say_what_the_factors_say(source: Source) -> None:
    """Read back by a grammar of their own: the first three say all, the last leaves out a part."""
    for scenes in source.splits().values():
        assert scenes.factors is not None
        assert scenes.captions is not None
        for factors, captions in zip(scenes.factors, scenes.captions, strict=True):
            facts = {name: value for name, value in said(factors).items() if value != "none"}
            short = {k: v for k, v in facts.items() if "size" not in k and k != "layout"}
            assert len(set(captions)) == 4
            for i, caption in enumerate(captions):
                assert understood(caption, FORMS[i]) == (short if i == 3 else facts), caption


def test_wordings_stand_in_their_order(source: Source) -> None:
    """A pair's second wording begins with the other digit; an example of each."""
    scenes = source.train
    assert scenes.captions is not None
    assert scenes.captions[0] == [
        "a small yellow four above a small pink one on a brown background",
        "a small pink one below a small yellow four on a brown background",
        "brown background: small yellow four above small pink one",
        "a yellow four and a pink one on a brown background",
    ]
    assert scenes.captions[2] == [
        "a large green zero at the bottom on a black background",
        "on a black background, a large green zero at the bottom",
        "black background: large green zero, bottom",
        "a green zero on a black background",
    ]


def test_a_scene_is_a_function_of_its_number(source: Source) -> None:
    """Of fewer scenes each is the same, and no two of two splits are."""
    config = ScenesConfig(train=20, test=20, unseen=1)
    fewer = read_scenes(config, fetch_scenes(config, Path()))
    for split in SPLITS:
        few, many = fewer.splits()[split], source.splits()[split]
        n = len(few.images)
        assert few.images.tobytes() == many.images[:n].tobytes()
        assert few.captions == (many.captions or [])[:n]
    both = np.concatenate([source.train.images, source.test.images])
    assert len({image.tobytes() for image in both}) == len(both)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], DataFolder]:
    """Prepares the scenes in a folder."""

    def make(name: str) -> DataFolder:
        at = DataFolder(tmp_path_factory.mktemp(name))
        at.config.write_text(yaml.safe_dump(SMALL))
        fetch(at)
        prepare(at)
        return at

    return make


def test_prepare_writes_all_splits_and_the_same_bytes_in_every_call(
    prepared: Callable[[str], DataFolder],
) -> None:
    first, second = prepared("first"), prepared("second")
    manifest = read_json(first.manifest)
    assert manifest["factors"] == {name: len(v) for name, v in manifest["values"].items()}
    assert manifest["values"]["second size"] == ["small", "large", "none"]
    assert manifest["subject"] == ["digit", "colour", "second digit", "second colour"]
    for split in SPLITS:
        assert manifest[split]["images"] == SMALL[split]
        assert read_array(first.captions(split)).shape == (SMALL[split], 4)
        factors = read_array(first.factors(split))
        assert (factors[:, 2] == read_array(first.labels(split))).all()
    assert build(ScenesConfig, SMALL, "here").held_out == manifest["test"]["images"]
    files = sorted(path.name for path in first.folder.iterdir())
    assert len(files) > 15
    for name in files:
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes(), name


def test_captions_by_class_are_refused() -> None:
    """A scene's captions come from its factors."""
    with pytest.raises(ConfigError, match="unknown key 'captions'"):
        build(ScenesConfig, {"source": "scenes", "captions": ["a {name}"]}, "scenes.yaml")


def test_unseen_scenes_come_with_all_that_a_family_reads(
    prepared: Callable[[str], DataFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their captions too, for a family that reads them and knows factors."""
    data, family = prepared("read"), build_family({"family": "judge"}, "here")
    monkeypatch.setattr(type(family), "reads_captions", True)
    table, half = read_table(data, "train", family), SMALL["unseen"] // 2
    assert table.captions is not None and table.tokens is not None
    train, unseen = (read_array(data.captions(split)) for split in ("train", "unseen"))
    assert np.array_equal(table.captions, np.concatenate([train, unseen[:half]]))
    assert np.array_equal(table.tokens, read_array(data.tokens))
    assert len(read_table(data, "unseen", family).images) == SMALL["unseen"]


def test_the_judge_is_trained_on_half_of_the_unseen_scenes_and_asked_about_the_others(
    prepared: Callable[[str], DataFolder],
) -> None:
    data = prepared("judged")
    half = SMALL["unseen"] // 2
    assert half > 0
    table = read_table(data, "train", build_family({"family": "judge"}, "here"))
    images, factors = (
        [read_array(path(split)) for split in ("train", "unseen")]
        for path in (data.images, data.factors)
    )
    assert table.factors is not None
    assert np.array_equal(table.images, np.concatenate([images[0], images[1][:half]]))
    assert np.array_equal(table.factors, np.concatenate([factors[0], factors[1][:half]]))
    assert len(table.labels) == len(table.images)
    drawing = read_table(data, "train", build_family({"family": "dalle"}, "here"))
    assert len(drawing.images) == len(images[0])  # for whom they stay unseen
    requested = prompts_of(data, "unseen", SMALL["unseen"], torch.device("cpu"))
    assert np.array_equal(requested.factors.numpy(), factors[1][half:])
