"""Captions of a data set, and their tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genlab.config.sources import DatasetConfig, LabelledConfig
from genlab.data.arrays import Source, Split
from genlab.data.tokenizer import Tokenizer, train_tokenizer
from genlab.errors import ConfigError


@dataclass(frozen=True)
class Captions:
    """All captions of a data set.

    Attributes:
        texts: every caption once, those of the training images first.
        train_texts: number of texts of training images; the tokenizer is trained on these.
        indices: the captions of each image as indices of `texts`, int64 [N, K] for each split.
        tokenizer: the tokenizer as JSON of the package tokenizers.
        tokens: the tokens of each text, padded, int64 [len(texts), L].
        vocabulary: the number of different tokens.
    """

    texts: list[str]
    train_texts: int
    indices: dict[str, NDArray[np.int64]]
    tokenizer: str
    tokens: NDArray[np.int64]
    vocabulary: int


def make_captions(config: DatasetConfig, source: Source) -> Captions:
    """Write the captions of every image, and train a tokenizer on those of the training images.

    Raises:
        ConfigError: the number of `names` in the config is not the number of classes.
    """
    index: dict[str, int] = {}  # of each text, in the order of first use
    indices = {}
    train_texts = 0
    for name, split in source.splits().items():
        captions = image_captions(config, source.classes, split)
        rows = [[index.setdefault(text, len(index)) for text in image] for image in captions]
        width = len(captions[0]) if captions else 1
        indices[name] = np.array(rows, np.int64).reshape(-1, width)
        train_texts = train_texts or len(index)  # the first split is the training split
    texts = list(index)
    json = train_tokenizer(texts[:train_texts], config.vocabulary)
    tokenizer = Tokenizer(json)
    return Captions(texts, train_texts, indices, json, tokenizer.rows(texts), tokenizer.vocabulary)


def image_captions(config: DatasetConfig, classes: list[str], split: Split) -> list[list[str]]:
    """Return the captions of every image: those of its class, or the source's own.

    Raises:
        ConfigError: the number of `names` in the config is not the number of classes.
    """
    if split.captions is not None or not isinstance(config, LabelledConfig):
        return split.captions or []
    if not len(split.labels):
        return []
    names = config.names or classes
    if len(names) != len(classes):
        raise ConfigError(
            f"names: {len(names)} names for {len(classes)} classes ({', '.join(classes)}); give "
            "one per class"
        )
    by_class = [
        [caption.format_map({"class": label, "name": name}) for caption in config.captions]
        for label, name in zip(classes, names, strict=True)
    ]
    return [by_class[label] for label in split.labels]
