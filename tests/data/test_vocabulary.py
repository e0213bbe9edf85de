"""Prompts in the words of captions."""

from __future__ import annotations

import numpy as np

from genlab.data.vocabulary import Vocabulary, content_words

TEXTS = ["A photo of a Ship, seen from above", "a photo of a frog", "a photo of the blue Ship"]
CAPTIONS = np.array([[0, 2], [1, 1], [0, 2]])


def test_content_words_distinguish_images() -> None:
    """Not "photo", which all captions have, and no function words."""
    assert content_words(TEXTS, CAPTIONS) == {"ship", "seen", "above", "frog", "blue"}
    # Of a single image every word counts.
    assert content_words(TEXTS, CAPTIONS[:1]) == {"photo", "ship", "seen", "above", "blue"}


def test_a_prompt_is_rewritten_in_known_words_as_they_are_spelt() -> None:
    vocabulary = Vocabulary.of(TEXTS, CAPTIONS)
    text, unknown = vocabulary.rewrite("A  BLUE ship, please! and a red FROG and a red whale")
    assert text == "a blue Ship, a frog a"
    assert unknown == ["please", "and", "red", "whale"]
    assert vocabulary.describes_content("a Frog")
    assert not vocabulary.describes_content("a photo of a whale")
