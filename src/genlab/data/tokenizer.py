"""Captions as tokens, by byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909).

The package tokenizers does the encoding. The alphabet is the 256 bytes, so any text can be encoded
and decoded. The merges are learned from the training captions, so frequent words become tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as Encoder
from tokenizers import decoders, models, pre_tokenizers, trainers

from genlab.errors import GenLabError

PAD, END = 0, 1  # token numbers of the padding and of the end of a text
SPECIAL = ["<pad>", "<end>"]


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> str:
    """Train a tokenizer of at most `vocabulary` tokens on `texts`; return its JSON."""
    encoder = Encoder(models.BPE())
    encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    encoder.train_from_iterator((f" {text}" for text in texts), trainer)
    return str(encoder.to_str())


def words(text: str) -> list[str]:
    """Return the words of a text, in lower case."""
    return re.findall(r"\w+", text.lower())


class Tokenizer:
    """Converts text to token numbers and back.

    Args:
        json: the result of `train_tokenizer`.
    """

    def __init__(self, json: str) -> None:
        self.encoder = Encoder.from_str(json)
        self.encoder.encode_special_tokens = True  # "<end>" in a text is ordinary text

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Read the tokenizer at `path`."""
        try:
            return cls(path.read_text(encoding="utf-8"))
        except Exception as error:  # the package raises no specific type
            raise GenLabError(
                f"{path}: not a tokenizer ({error}); prepare the data again"
            ) from None

    @property
    def vocabulary(self) -> int:
        """Number of tokens, including PAD and END."""
        return int(self.encoder.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, without END.

        A space is put in front, so that the first word has the same token as elsewhere.
        """
        return list(self.encoder.encode(f" {text}", add_special_tokens=False).ids)

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens, without PAD and END."""
        text: str = self.encoder.decode(list(tokens), skip_special_tokens=True)
        return text.removeprefix(" ")

    def rows(self, texts: list[str], length: int | None = None) -> NDArray[np.int64]:
        """Return each text with END and padding, int64 [len(texts), length].

        Args:
            length: number of columns; None takes the length of the longest text.

        Raises:
            GenLabError: a text is longer than `length`.
        """
        encoded = [[*self.encode(text), END] for text in texts]
        longest = max(map(len, encoded), default=1)
        if length is not None and longest > length:
            text = texts[[len(tokens) for tokens in encoded].index(longest)]
            raise GenLabError(
                f"'{text}' has {longest - 1} tokens, but the model reads at most {length - 1}; use "
                "fewer words"
            )
        rows = np.full((len(texts), length or longest), PAD, dtype=np.int64)
        for row, tokens in zip(rows, encoded, strict=True):
            row[: len(tokens)] = tokens
        return rows
