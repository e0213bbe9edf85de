"""The stage `prepare`: write a data set as arrays with a manifest."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from genlab.config.picture_names import printable
from genlab.config.sources import DatasetConfig
from genlab.data.arrays import Split
from genlab.data.captions import Captions, make_captions
from genlab.data.decoded import Cache
from genlab.data.reading import check_source, read_source
from genlab.errors import ConfigError, GenLabError
from genlab.io.arrays import link_array, write_array
from genlab.io.files import read_json, sha256, write_json, write_text
from genlab.io.hashes import digest, hashes
from genlab.results.code import code
from genlab.results.layout import DataFolder
from genlab.results.origin import KEY
from genlab.results.spec import read_dataset


def prepare(at: DataFolder) -> None:
    """Read the fetched files; write the arrays of all splits, the captions and the manifest.

    Raises:
        GenLabError: a raw file is damaged, has changed, or does not fit the config.
    """
    config = read_dataset(at.config)
    source = read_source(config, _listed_files(at), _cache(at))
    try:
        check_source(config, source)
        captions = make_captions(config, source)
    except ConfigError as error:
        raise ConfigError(f"{at.config}: {error}") from None
    manifest = {KEY: config.digest, **_facts(config, source.classes)}
    splits = source.splits()
    for name, split in splits.items():
        _write_split(at, name, split)
        if len(split.images):
            manifest[name] = _split_facts(at, name, split, len(source.classes))
    if source.skipped:
        manifest["skipped"] = source.skipped
    _write_captions(at, captions)
    manifest["text"] = {
        "vocabulary": captions.vocabulary,
        "length": captions.tokens.shape[1],
        "tokenizer": sha256(at.tokenizer)[:16],
    }
    kinds = (at.images, at.labels, at.factors, at.captions)
    paths = [kind(name) for kind in kinds for name in splits]
    checksums = "".join(sha256(path) for path in [*paths, at.texts, at.tokens, at.tokenizer])
    manifest["sha256"] = hashlib.sha256(checksums.encode()).hexdigest()
    write_json(at.manifest, manifest)


def _listed_files(at: DataFolder) -> list[Path]:
    """Return the files that `fetch` listed.

    Raises:
        GenLabError: a file has changed since then.
    """
    checksums: dict[str, str] = read_json(at.fetched)["files"]
    for path, checksum in hashes(map(Path, checksums), at.hashes).items():
        if checksum != checksums[path]:
            raise GenLabError(
                f"{printable(path)}: has changed since `fetch` listed it; delete {at.fetched} and "
                "run again"
            )
    return [Path(path) for path in checksums]


def _cache(at: DataFolder) -> Cache:
    """Return where decoded pictures are kept, for these files and this code."""
    inputs = digest(read_json(at.fetched)["files"])
    return Cache(at.decoded, inputs + code("genlab.data.decoded", "genlab.data.decoding"))


def _facts(config: DatasetConfig, classes: list[str]) -> dict[str, Any]:
    """Return the manifest's entries on the whole data set."""
    facts: dict[str, Any] = {"shape": list(config.shape), "classes": classes}
    if config.factors:
        facts["factors"], facts["values"] = config.factors, config.values
        facts["described"], facts["subject"] = config.described, config.subject
    return facts


def _write_split(at: DataFolder, name: str, split: Split) -> None:
    """Write the arrays of a split; factors have no column if they are not known."""
    factors = split.factors
    if factors is None:
        factors = np.zeros((len(split.images), 0), np.int64)
    if split.file:
        link_array(at.images(name), split.file)
    else:
        write_array(at.images(name), split.images)
    write_array(at.labels(name), split.labels)
    write_array(at.factors(name), factors)


def _split_facts(at: DataFolder, name: str, split: Split, classes: int) -> dict[str, Any]:
    """Return the manifest's entries on a split that was written."""
    facts = {
        "images": len(split.images),
        "images_sha256": sha256(at.images(name)),
        "labels_sha256": sha256(at.labels(name)),
        "per_class": np.bincount(split.labels, minlength=classes).tolist(),
    }
    if split.factors is not None and split.factors.shape[1]:
        facts["factors_sha256"] = sha256(at.factors(name))
    return facts


def _write_captions(at: DataFolder, captions: Captions) -> None:
    """Write the captions of each image, their texts, tokens and tokenizer."""
    for name, indices in captions.indices.items():
        write_array(at.captions(name), indices)
    write_text(at.tokenizer, captions.tokenizer)
    write_array(at.tokens, captions.tokens)
    write_json(at.texts, {"texts": captions.texts, "known": captions.train_texts})
