"""Downloads that are checked against published MD5 sums.

The transfer itself is torchvision's, or gdown's for Google Drive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from genlab.errors import GenLabError

TIMEOUT = 60.0  # seconds without a byte after which a connection to Google Drive is closed
Transfer = Callable[[str, Path], None]
"""Writes the content of an address to a path; raises OSError, RuntimeError or HTTPException."""


def http(address: str, path: Path) -> None:
    """Download a file over HTTP."""
    from torchvision.datasets.utils import download_url

    download_url(address, str(path.parent), path.name)


def google_drive(address: str, path: Path) -> None:
    """Download the file of a Google Drive address `https://drive.google.com/file/d/IDENTIFIER`.

    gdown confirms the warning that files are too large for a virus scan.
    """
    import gdown
    from gdown.exceptions import DownloadError

    identifier = address.rpartition("/")[2]
    try:
        gdown.download(id=identifier, output=str(path), use_cookies=False, timeout=TIMEOUT)
    except DownloadError as error:
        raise OSError(" ".join(str(error).split())) from None
    finally:
        for partial in path.parent.glob(f"{path.name}*.part"):
            partial.unlink()


def md5(path: Path) -> str:
    """Return the MD5 sum of a file; it protects against damage, not against an attacker."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def download(
    name: str, checksum: str, addresses: list[str], raw: Path, transfer: Transfer = http
) -> Path:
    """Download a file into the folder `raw`, unless it is there already and intact.

    Args:
        checksum: the file's MD5 sum.
        addresses: where the file can be found; each is tried twice.

    Raises:
        GenLabError: no address has the intact file, or the folder can't be written.
    """
    path = raw / name
    if path.exists():
        if (actual := md5(path)) == checksum:
            return path
        print(f"{path}: damaged (MD5 {actual}, expected {checksum}); downloading it again")
        path.unlink()
    failures = []
    for address in [*addresses, *addresses]:
        temporary = path.with_name(name + ".download")
        try:
            raw.mkdir(parents=True, exist_ok=True)
            transfer(address, temporary)
            if (actual := md5(temporary)) == checksum:
                return temporary.rename(path)
            failures.append(f"{address}: MD5 {actual}, expected {checksum}")
        except PermissionError:
            raise GenLabError(f"{raw}: no permission to write here") from None
        except (OSError, RuntimeError, HTTPException) as error:
            failures.append(f"{address}: {error}")
        temporary.unlink(missing_ok=True)
    raise GenLabError("\n".join([f"{path}: could not be downloaded:", *dict.fromkeys(failures)]))


def mirror_addresses(name: str, mirrors: list[str]) -> list[str]:
    """Return the address of the file `name` on each of the `mirrors`."""
    return [f"{mirror.rstrip('/')}/{name}" for mirror in mirrors]


def existing_file(folder: Path, name: str) -> Path:
    """Return the path of `name`, gzipped or not, in a folder of downloaded files.

    Raises:
        GenLabError: the folder has no such file.
    """
    for candidate in (folder / name, folder / name.removesuffix(".gz")):
        if candidate.exists():
            return candidate
    raise GenLabError(f"{folder}: has no file {name}; set `raw: null` to download it")
