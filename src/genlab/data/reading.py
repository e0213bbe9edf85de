"""From the settings of a data set to its raw files, and from these to arrays in memory."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Protocol, cast

from genlab.config.sources import DatasetConfig
from genlab.data.arrays import Source
from genlab.data.decoded import Cache
from genlab.errors import ConfigError


class SourceModule(Protocol):
    """What a module of `genlab.data.sources` defines; `config` is its own configuration class."""

    def fetch(self, config: Any, raw: Path) -> list[Path]:
        """Return the raw files; missing ones are downloaded into the folder `raw`."""

    def read(self, config: Any, files: list[Path], /, *cache: Cache | None) -> Source:
        """Return the arrays that the raw files contain; `cache` if the config says `decodes`."""


def source_module(config: DatasetConfig) -> SourceModule:
    """Import the module of the data set's source, `genlab.data.sources.SOURCE`."""
    return cast(SourceModule, importlib.import_module(f"genlab.data.sources.{config.source}"))


def fetch_files(config: DatasetConfig, raw: Path) -> list[Path]:
    """Return the raw files of the data set; missing ones are downloaded into the folder `raw`.

    Raises:
        GenLabError: a file is missing and can't be downloaded.
    """
    return source_module(config).fetch(config, raw)


def read_source(config: DatasetConfig, files: list[Path], cache: Cache | None = None) -> Source:
    """Read the raw files that `fetch_files` returned.

    Args:
        cache: where a source that decodes pictures keeps them.

    Raises:
        GenLabError: a file is damaged, or isn't what the source expects.
    """
    read = source_module(config).read
    return read(config, files, cache) if config.decodes else read(config, files)


def check_source(config: DatasetConfig, source: Source) -> None:
    """Refuse images of another shape than the config states, and images without labels.

    Raises:
        ConfigError: the arrays of a split don't fit the config, or each other.
    """
    for name, split in source.splits().items():
        if split.images.shape[1:] != config.shape:
            raise ConfigError(
                f"expected images {list(config.shape)}, but the {name} split has "
                f"{list(split.images.shape[1:])}"
            )
        if len(split.images) != len(split.labels):
            raise ConfigError(
                f"the {name} split has {len(split.images)} images, but {len(split.labels)} labels"
            )
