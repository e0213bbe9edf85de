"""The IDX format of the MNIST family (yann.lecun.com/exdb/mnist), gzipped or plain."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genlab.errors import GenLabError


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the uint8 array in the IDX file at `path`.

    Raises:
        GenLabError: the file is truncated or corrupt, or its numbers are not unsigned bytes.
    """
    try:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if path.suffix == ".gz" else raw
        zeros, kind, dims = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{dims}I", content[4 : 4 + 4 * dims])
        if (zeros, kind) != (0, 8):
            raise ValueError("not an IDX file of unsigned bytes")
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dims).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise GenLabError(f"{path}: not a complete IDX file ({error})") from None
