"""The stages `fetch` and `prepare`: from a source to uint8 arrays on disk with a manifest."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import Any, cast

import numpy as np

from genlab.config.datasets import DatasetConfig
from genlab.config.errors import GenLabError
from genlab.config.layout import DataFolder
from genlab.config.spec import read_dataset
from genlab.data.arrays import Source
from genlab.data.files import read_json, sha256, write_array, write_json


def _module(config: DatasetConfig) -> Any:
    """The file `genlab.data.SOURCE`, with `fetch(config, raw)` and `read(config, files)`."""
    return importlib.import_module(f"genlab.data.{config.source}")


def fetch(at: DataFolder) -> None:
    """Make the raw files of the data set present, and list them with their SHA-256."""
    config = read_dataset(at.config)
    files: list[Path] = _module(config).fetch(config, at.folder / "raw")
    digest = hashlib.sha256()
    for file in files:
        try:
            digest.update(f"{file.name} {sha256(file)}\n".encode())
        except OSError as error:
            raise GenLabError(f"{file}: can't be read: {error.strerror}") from None
    write_json(at.fetched, {"files": [str(file) for file in files], "sha256": digest.hexdigest()})


def prepare(at: DataFolder) -> None:
    """Read the fetched files and write train and test arrays, labels, factors and the manifest.

    Of factors there are none, [N, 0], where the source doesn't know what its images were made from.
    """
    config = read_dataset(at.config)
    files = [Path(file) for file in read_json(at.fetched)["files"]]
    source = cast(Source, _module(config).read(config, files))
    manifest: dict[str, Any] = {"shape": list(config.shape), "classes": source.classes}
    if source.factors:
        manifest["factors"] = source.factors
    for name, split in (("train", source.train), ("test", source.test)):
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
        manifest[name] = {
            "images": len(split.images),
            "images_sha256": sha256(at.images(name)),
            "labels_sha256": sha256(at.labels(name)),
            "per_class": np.bincount(split.labels, minlength=len(source.classes)).tolist(),
        }
        factors = split.factors
        if factors is None:
            factors = np.zeros((len(split.images), 0), np.int64)
        write_array(at.factors(name), factors)
        if factors.shape[1]:
            manifest[name]["factors_sha256"] = sha256(at.factors(name))
    hashes = "".join(manifest[name]["images_sha256"] for name in ("train", "test"))
    manifest["sha256"] = hashlib.sha256(hashes.encode()).hexdigest()
    write_json(at.manifest, manifest)
