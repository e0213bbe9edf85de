"""Captions of classes, and their tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from genlab.config.base import build, read_yaml
from genlab.config.sources.digits import DigitsConfig
from genlab.config.sources.scenes import DIGITS
from genlab.data.tokenizer import END, PAD, Tokenizer, train_tokenizer, words
from genlab.errors import ConfigError, GenLabError
from genlab.io.arrays import read_array
from genlab.io.files import read_json, sha256
from genlab.results.layout import DataFolder
from genlab.workflow.fetch import fetch
from genlab.workflow.prepare import prepare

TEXTS = [f"a {size} {digit}" for digit in DIGITS for size in ("small", "large")]
TOKENIZER = Tokenizer(train_tokenizer(TEXTS, 300))


def prepared(folder: Path, **config: Any) -> DataFolder:
    """The digits with the captions of `config`, prepared in `folder`."""
    at = DataFolder(folder)
    at.config.write_text(yaml.safe_dump({"source": "digits", **config}))
    fetch(at)
    prepare(at)
    return at


@given(st.text())
def test_any_text_is_encoded_and_read_back(text: str) -> None:
    tokens = TOKENIZER.encode(text)
    assert TOKENIZER.decode(tokens) == text
    assert PAD not in tokens
    assert END not in tokens


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_rows_end_and_are_padded(texts: list[str]) -> None:
    for text, row in zip(texts, TOKENIZER.rows(texts), strict=True):
        end = row.tolist().index(END)
        assert row[:end].tolist() == TOKENIZER.encode(text)
        assert (row[end + 1 :] == PAD).all()
        assert TOKENIZER.decode(row) == text


def test_the_special_tokens_are_the_tokenizer_s_first_two() -> None:
    encoder = Tokenizer(train_tokenizer(["a"], 258)).encoder
    assert (PAD, END) == (encoder.token_to_id("<pad>"), encoder.token_to_id("<end>")) == (0, 1)


def test_a_special_token_s_name_is_text_like_any_other() -> None:
    assert TOKENIZER.decode(TOKENIZER.encode("<end> of <pad>")) == "<end> of <pad>"


def test_often_said_words_become_tokens_of_their_own() -> None:
    """Of at most 300 tokens 42 are pairs, which do for the words of these texts in part."""
    assert TOKENIZER.vocabulary == 300
    assert len(TOKENIZER.encode("a small seven")) < len("a small seven") / 2
    assert len(TOKENIZER.encode("small")) == 1


def test_a_prompt_longer_than_the_context_is_refused() -> None:
    length = len(TOKENIZER.encode("a small seven")) + 1  # and the end
    assert TOKENIZER.rows(["a small seven"], length).shape == (1, length)
    with pytest.raises(
        GenLabError, match=r"'a small seven' has \d+ tokens, but the model reads at most"
    ):
        TOKENIZER.rows(["a one", "a small seven"], length - 1)


def test_words_are_compared_without_case_and_marks() -> None:
    assert words("On a Blue background: seven, top!") == [
        "on", "a", "blue", "background", "seven", "top",
    ]  # fmt: skip


def test_captions_of_digits_name_the_digit(tmp_path: Path) -> None:
    """Every image's captions, by way of numbers of texts and by way of tokens."""
    at = prepared(tmp_path, captions=["a handwritten {name}", "the {{digit}} {class}"],
                  names=list(DIGITS))  # fmt: skip
    listed = read_json(at.texts)
    texts, tokenizer = listed["texts"], Tokenizer.load(at.tokenizer)
    assert listed["known"] == len(texts) == 20
    tokens = read_array(at.tokens)
    text = read_json(at.manifest)["text"]
    made_by = sha256(at.tokenizer)[:16]
    assert text == {"vocabulary": tokenizer.vocabulary, "length": tokens.shape[1],
                    "tokenizer": made_by}  # fmt: skip
    assert (tokens == tokenizer.rows(texts)).all()
    for split in ("train", "test"):
        labels, numbers = read_array(at.labels(split)), read_array(at.captions(split))
        assert numbers.shape == (len(labels), 2)
        for label, of_image in zip(labels[::37], np.array(numbers[::37]), strict=True):
            said = [f"a handwritten {DIGITS[label]}", f"the {{digit}} {label}"]
            assert [texts[k] for k in of_image] == said
            assert [tokenizer.decode(tokens[k]) for k in of_image] == said


def test_names_of_the_wrong_number_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config.yaml: names: 2 names for 10 classes \(0, 1, "):
        prepared(tmp_path, names=["zero", "one"])


def test_names_of_the_wrong_number_for_own_pictures_are_refused(tiny_study: Any) -> None:
    at = tiny_study().data("stripes")
    at.config.write_text(yaml.safe_dump(read_yaml(at.config) | {"names": ["across"]}))
    with pytest.raises(ConfigError, match=r"names: 1 names for 2 classes \(across, down\)"):
        prepare(at)


@pytest.mark.parametrize(
    ("captions", "complaint"),
    [
        (
            ["a {colour} {name}"],
            r"digits.yaml: captions: .*unknown placeholder \{colour\}; use \{class\} or \{name\}",
        ),
        (["a {name"], r"digits.yaml: captions: .*'a \{name': expected '}'"),
        (["a {}"], r"digits.yaml: captions: .*unknown placeholder \{\};"),
        (["a {0}"], r"digits.yaml: captions: .*unknown placeholder \{0\};"),
        (["a {name.x}"], r"digits.yaml: captions: .*unknown placeholder \{name.x\};"),
        (["a {name[0]}"], r"digits.yaml: captions: .*unknown placeholder \{name\[0\]\};"),
        (["a {name:d}"], r"digits.yaml: captions: 'a \{name:d\}': write \{name\} without a format"),
        (["a {name:>{class}}"], r"digits.yaml: captions: .*: write \{name\} without a format"),
        (["a {class!r}"], r"digits.yaml: captions: .*: write \{class\} without a format"),
        ([""], "digits.yaml: captions.0: is empty"),
        ([], "digits.yaml: captions: "),
    ],
)
def test_a_caption_that_can_not_be_filled_is_refused(captions: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        build(DigitsConfig, {"source": "digits", "captions": captions}, "digits.yaml")


def test_a_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    with pytest.raises(GenLabError, match=r"tokenizer.json: not a tokenizer"):
        Tokenizer.load(path)
