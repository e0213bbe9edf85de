"""Training sets of several sizes: the same digits, nested, each class as often as the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from genlab.config.sources.digits import DigitsConfig
from genlab.data.arrays import Source
from genlab.data.sources.digits import fetch, read


@pytest.fixture(scope="module")
def sources() -> dict[int, Source]:
    files = fetch(DigitsConfig(), Path("unused"))
    return {n: read(DigitsConfig(train=n), files) for n in (100, 200, 1000, 4000)}


def test_each_class_is_as_frequent_as_the_others(sources: dict[int, Source]) -> None:
    for n, source in sources.items():
        assert np.bincount(source.train.labels).tolist() == [n // 10] * 10
        assert DigitsConfig(train=n).train_count == len(source.train.images) == n


def test_small_sets_are_parts_of_larger_ones_and_the_test_digits_stay(
    sources: dict[int, Source],
) -> None:
    rows = {n: {image.tobytes() for image in source.train.images} for n, source in sources.items()}
    assert rows[100] < rows[200] < rows[1000] < rows[4000]
    for source in sources.values():
        assert np.array_equal(source.test.images, sources[4000].test.images)


@pytest.mark.parametrize("train", [9, 4001])
def test_there_are_4000_training_digits(train: int) -> None:
    with pytest.raises(ValidationError, match="train"):
        DigitsConfig(train=train)
