"""Captions as tokens: byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909) of bytes.

The package tokenizers does the work. Its alphabet are the 256 bytes, so that any text can be
written in it and read back; the pairs are those of the training captions, so that their words soon
are tokens of their own.
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

PAD, END = 0, 1  # token numbers: what stands after the end, and the end of a text
SPECIAL = ["<pad>", "<end>"]


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> str:
    """The JSON of a tokenizer of at most `vocabulary` tokens, trained on `texts`."""
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
    """The words of a text, in lower case."""
    return re.findall(r"\w+", text.lower())


class Tokenizer:
    """Text to the numbers of its tokens, and back.

    Args:
        json: as `train_tokenizer` made it.
    """

    def __init__(self, json: str) -> None:
        self.encoder = Encoder.from_str(json)
        self.encoder.encode_special_tokens = True  # "<end>" in a text is letters like any others

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Read the tokenizer at `path`."""
        try:
            return cls(path.read_text(encoding="utf-8"))
        except Exception as error:  # the package raises nothing more particular
            raise GenLabError(f"{path}: not a tokenizer ({error}); prepare the data anew") from None

    @property
    def vocabulary(self) -> int:
        """How many tokens there are, PAD and END among them."""
        return int(self.encoder.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, END not among them.

        A space goes before it, so that a word is the same token wherever it stands.
        """
        return list(self.encoder.encode(f" {text}", add_special_tokens=False).ids)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens; PAD and END say nothing."""
        text: str = self.encoder.decode(list(tokens), skip_special_tokens=True)
        return text.removeprefix(" ")

    def rows(self, texts: list[str], length: int | None = None) -> NDArray[np.int64]:
        """Each text, its END, then PAD, int64 [len(texts), length]; None is as long as needed.

        Raises:
            GenLabError: a text is longer than `length`.
        """
        encoded = [[*self.encode(text), END] for text in texts]
        longest = max(map(len, encoded), default=1)
        if length is not None and longest > length:
            text = texts[[len(tokens) for tokens in encoded].index(longest)]
            raise GenLabError(
                f"'{text}' has {longest - 1} tokens, but the context holds {length - 1}: say it in "
                "fewer words"
            )
        rows = np.full((len(texts), length or longest), PAD, dtype=np.int64)
        for row, tokens in zip(rows, encoded, strict=True):
            row[: len(tokens)] = tokens
        return rows
