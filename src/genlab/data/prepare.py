"""The stages `fetch` and `prepare`: from a source to uint8 arrays on disk with a manifest."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import Any, cast

import numpy as np

from genlab.config.datasets import DatasetConfig, LabelledConfig
from genlab.config.picture_files import printable
from genlab.data.arrays import Source, Split
from genlab.data.tokenizer import Tokenizer, train_tokenizer
from genlab.errors import ConfigError, GenLabError
from genlab.io.arrays import write_array
from genlab.io.files import read_json, sha256, write_json, write_text
from genlab.io.hashes import digest, hashes
from genlab.results.layout import DataFolder
from genlab.results.origin import KEY
from genlab.results.spec import read_dataset


def source_module(config: DatasetConfig) -> Any:
    """The file `genlab.data.SOURCE`, with `fetch(config, raw)` and `read(config, files)`."""
    return importlib.import_module(f"genlab.data.sources.{config.source}")


def fetch(at: DataFolder) -> None:
    """Make the raw files of the data set present, and list them with their SHA-256."""
    config = read_dataset(at.config)
    files: list[Path] = source_module(config).fetch(config, at.folder / "raw")
    checksums = hashes(files, at.hashes, keep=True)
    write_json(at.fetched, {"files": checksums, "sha256": digest(checksums)})


def _fetched(at: DataFolder) -> list[Path]:
    """The files that `fetch` listed.

    Raises:
        GenLabError: one is not what it was when it was listed.
    """
    listed: dict[str, str] = read_json(at.fetched)["files"]
    for path, checksum in hashes(map(Path, listed), at.hashes).items():
        if checksum != listed[path]:
            raise GenLabError(
                f"{printable(path)}: has changed since it was listed; delete {at.fetched} and run "
                "again"
            )
    return [Path(path) for path in listed]


def prepare(at: DataFolder) -> None:
    """Read the fetched files and write the arrays of all splits, captions and the manifest.

    Of factors there are none, [N, 0], where the source doesn't know what its images were made from.
    """
    config = read_dataset(at.config)
    source = cast(Source, source_module(config).read(config, _fetched(at)))
    manifest: dict[str, Any] = {
        KEY: config.digest,
        "shape": list(config.shape),
        "classes": source.classes,
    }
    if config.factors:
        manifest["factors"] = config.factors
        manifest["values"] = config.values
        manifest["described"], manifest["subject"] = config.described, config.subject
    for name, split in source.splits().items():
        if split.images.shape[1:] != config.shape:
            raise GenLabError(
                f"{at.config}: expected images {list(config.shape)}, "
                f"but the {name} split has {list(split.images.shape[1:])}"
            )
        if len(split.images) != len(split.labels):
            raise GenLabError(
                f"{at.config}: the {name} split has {len(split.images)} images, "
                f"but {len(split.labels)} labels"
            )
        write_array(at.images(name), split.images)
        write_array(at.labels(name), split.labels)
        factors = split.factors
        if factors is None:
            factors = np.zeros((len(split.images), 0), np.int64)
        write_array(at.factors(name), factors)
        if not len(split.images):
            continue
        manifest[name] = {
            "images": len(split.images),
            "images_sha256": sha256(at.images(name)),
            "labels_sha256": sha256(at.labels(name)),
            "per_class": np.bincount(split.labels, minlength=len(source.classes)).tolist(),
        }
        if factors.shape[1]:
            manifest[name]["factors_sha256"] = sha256(at.factors(name))
    manifest["text"] = _write_captions(at, config, source)
    parts = [path(split) for path in (at.images, at.labels, at.factors, at.captions)
             for split in source.splits()]  # fmt: skip
    checksums = "".join(sha256(path) for path in [*parts, at.texts, at.tokens, at.tokenizer])
    manifest["sha256"] = hashlib.sha256(checksums.encode()).hexdigest()
    write_json(at.manifest, manifest)


def _captions(
    at: DataFolder, config: DatasetConfig, classes: list[str], split: Split
) -> list[list[str]]:
    """The captions of every image: those of its class, or the source's own.

    Raises:
        ConfigError: `names` are more or fewer than the classes.
    """
    if not isinstance(config, LabelledConfig):
        return split.captions or []
    names = config.names or classes
    if len(names) != len(classes):
        raise ConfigError(
            f"{at.config}: names: {len(names)} names for {len(classes)} classes "
            f"({', '.join(classes)}); name each of them"
        )
    of_class = [
        [caption.format_map({"class": kind, "name": name}) for caption in config.captions]
        for kind, name in zip(classes, names, strict=True)
    ]
    return [of_class[label] for label in split.labels]


def _write_captions(at: DataFolder, config: DatasetConfig, source: Source) -> dict[str, Any]:
    """Write captions, tokenizer and tokens; returns what a model must know of them."""
    texts: dict[str, int] = {}  # in order of appearance, those of the training images first
    known = 0
    for name, split in source.splits().items():
        captions = _captions(at, config, source.classes, split)
        numbers = [[texts.setdefault(text, len(texts)) for text in of_one] for of_one in captions]
        width = len(captions[0]) if captions else 1
        write_array(at.captions(name), np.array(numbers, np.int64).reshape(-1, width))
        known = known or len(texts)
    listed = list(texts)
    json = train_tokenizer(listed[:known], config.vocabulary)
    tokenizer = Tokenizer(json)
    tokens = tokenizer.rows(listed)
    write_text(at.tokenizer, json)
    write_array(at.tokens, tokens)
    write_json(at.texts, {"texts": listed, "known": known})
    return {
        "vocabulary": tokenizer.vocabulary,
        "length": tokens.shape[1],
        "tokenizer": sha256(at.tokenizer)[:16],
    }
