"""Files from the network, checked against their published MD5 sums, and never unpickled."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path

from genlab.errors import GenLabError

SECONDS = 60.0  # without a byte, after which a connection to Google Drive is given up
Get = Callable[[Path], None]
"""Brings a file to this path."""


def md5(path: Path) -> str:
    """The MD5 sum of a file; a check against damage, not against an attacker."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def by_address(address: str, path: Path) -> None:
    """Get what is at an address, by torchvision's downloader."""
    from torchvision.datasets.utils import download_url

    download_url(address, str(path.parent), path.name)


def by_google_drive(identifier: str, path: Path) -> None:
    """Get a file of Google Drive, past its warning about files too large to be scanned.

    Raises:
        OSError: it can't be had.
    """
    import gdown
    from gdown.exceptions import DownloadError

    try:
        gdown.download(id=identifier, output=str(path), use_cookies=False, timeout=SECONDS)
    except DownloadError as error:
        raise OSError(" ".join(str(error).split())) from None
    finally:
        for partial in path.parent.glob(f"{path.name}*.part"):
            partial.unlink()


def on_mirrors(name: str, mirrors: list[str]) -> dict[str, Get]:
    """The file `name` in any of the folders at these addresses."""
    addresses = [mirror.rstrip("/") + "/" + name for mirror in mirrors]
    return {address: functools.partial(by_address, address) for address in addresses}


def download(name: str, expected: str, ways: Mapping[str, Get], raw: Path) -> Path:
    """Get one file; a failed or damaged download is deleted, and every way tried twice.

    Args:
        expected: its MD5 sum.
        ways: how it can be got, each by the address to name where it fails.
        raw: the folder that it belongs to. Where it is there and whole, it is kept.

    Raises:
        GenLabError: no way led to it.
    """
    path = raw / name
    if path.exists():
        if (found := md5(path)) == expected:
            return path
        print(f"{path}: damaged (MD5 {found}, expected {expected}); fetching it again")
        path.unlink()
    troubles = []
    for address, get in [*ways.items(), *ways.items()]:
        fresh = path.with_name(name + ".download")
        try:
            raw.mkdir(parents=True, exist_ok=True)
            get(fresh)
            found = md5(fresh)
            if found == expected:
                return fresh.rename(path)
            troubles.append(f"{address}: MD5 {found}, expected {expected}")
        except PermissionError:
            raise GenLabError(f"{raw}: no permission to write here") from None
        except (OSError, RuntimeError, HTTPException) as error:
            troubles.append(f"{address}: {error}")
        fresh.unlink(missing_ok=True)
    raise GenLabError("\n".join([f"{path}: could not be downloaded:", *dict.fromkeys(troubles)]))


def as_it_is(folder: Path, name: str) -> Path:
    """The file `name`, gzipped or not, in a folder that was there before.

    Raises:
        GenLabError: it isn't there.
    """
    for candidate in (folder / name, folder / name.removesuffix(".gz")):
        if candidate.exists():
            return candidate
    raise GenLabError(f"{folder}: holds no {name}; set `raw: null` to download it")
