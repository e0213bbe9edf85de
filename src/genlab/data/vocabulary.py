"""The words of training captions, and prompts rewritten in them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genlab.data.tokenizer import words

FUNCTION_WORDS = {
    "a", "an", "the", "this", "that", "these", "those", "some", "any", "each", "no", "not",
    "of", "in", "on", "at", "by", "with", "to", "from", "for", "as", "and", "or", "but",
    "is", "are", "be", "was", "were", "has", "have", "do", "does", "please",
    "it", "its", "he", "she", "his", "her", "they", "their", "i", "you", "me", "my", "your",
}  # fmt: skip
"""English function words, which describe no content.

They cannot be derived from the captions: in scenes "on" occurs with some images only, as "red"
does. Words for places ("above", "left") are content and not listed.
"""


@dataclass(frozen=True)
class Vocabulary:
    """The words and characters of training captions.

    Attributes:
        spelling: each word as the captions spell it, by its lower case form.
        characters: all characters of the captions.
        content: lower case words that distinguish images from each other.
    """

    spelling: dict[str, str]
    characters: set[str]
    content: set[str]

    @classmethod
    def of(cls, texts: list[str], captions: NDArray[np.int64]) -> Vocabulary:
        """The vocabulary of `texts`, of which image i has the numbers `captions` [N, K]."""
        spelling = {word.lower(): word for word in re.findall(r"\w+", " ".join(texts))}
        return cls(spelling, set("".join(texts)), content_words(texts, captions))

    def rewrite(self, prompt: str) -> tuple[str, list[str]]:
        """The prompt in the words of the captions, and the words that no caption contains.

        Unknown words and characters are left out, because the model has not been trained on their
        tokens.
        """
        unknown = [word for word in dict.fromkeys(words(prompt)) if word not in self.spelling]
        text = re.sub(r"\w+", lambda word: self.spelling.get(word[0].lower(), ""), prompt)
        text = "".join(letter if letter in self.characters else " " for letter in text)
        return " ".join(text.split()), unknown

    def describes_content(self, prompt: str) -> bool:
        """Return whether the prompt has a word that distinguishes images."""
        return not self.content.isdisjoint(words(prompt))


def content_words(texts: list[str], captions: NDArray[np.int64]) -> set[str]:
    """Lower case words that distinguish one image from another.

    Words in the captions of every image, such as "photo" in "a photo of a ship" and "a photo of a
    frog", do not, nor do FUNCTION_WORDS.

    Args:
        captions: int64 [N, K], the numbers of the texts of each image.
    """
    words_of = [frozenset(words(text)) for text in texts]
    distinct = np.unique(captions, axis=0)
    of_image = [frozenset[str]().union(*(words_of[number] for number in row)) for row in distinct]
    common = frozenset.intersection(*of_image) if len(of_image) > 1 else frozenset()
    return set(frozenset[str]().union(*of_image) - common - FUNCTION_WORDS)
