"""The stage `fetch`: bring the raw files of a data set to this machine."""

from __future__ import annotations

from genlab.data.reading import fetch_files
from genlab.io.files import write_json
from genlab.io.hashes import digest, hashes
from genlab.results.layout import DataFolder
from genlab.results.spec import read_dataset


def fetch(at: DataFolder) -> None:
    """Download the raw files that are missing, and list all with their SHA-256."""
    files = fetch_files(read_dataset(at.config), at.folder / "raw")
    checksums = hashes(files, at.hashes, keep=True)
    write_json(at.fetched, {"files": checksums, "sha256": digest(checksums)})
