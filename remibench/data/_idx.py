"""The idx format of MNIST and its relatives (http://yann.lecun.com/exdb/mnist/)."""

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np

from remibench.data._files import check_size, not_published
from remibench.errors import RemibenchError

_UINT8 = 8


def read_idx(path: Path, ndim: int, checksum: str | None = None) -> tuple[np.ndarray, str]:
    """Read a gzip-compressed idx file of unsigned bytes.

    Args:
        path: The ``.gz`` file.
        ndim: Number of dimensions that it must have.
        checksum: SHA-256 that the uncompressed file must have (compressors differ in their output).

    Returns:
        The array, and the SHA-256 of the uncompressed file.

    Raises:
        RemibenchError: The file is missing, not gzip, not idx, of another type or number of
            dimensions, its length differs from what its header says, or its checksum is another.
    """
    try:
        with gzip.open(path) as file:
            header = file.read(4 + 4 * ndim)
            if len(header) < 4 + 4 * ndim or header[:4] != bytes([0, 0, _UINT8, ndim]):
                raise RemibenchError(
                    f"{path}: not an idx file of {ndim}-dimensional unsigned bytes "
                    f"(starts with {header[:4].hex()}, expected 000008{ndim:02x})"
                )
            shape = tuple(int.from_bytes(header[4 + 4 * k : 8 + 4 * k], "big") for k in range(ndim))
            size = math.prod(shape)
            check_size(size, path)  # a small file can decompress to any length
            data = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise RemibenchError(
            f"{path}: cannot be read as gzip-compressed idx ({error}); fetch it again"
        ) from error
    if len(data) != size:
        content = "more" if len(data) > size else f"only {len(data)}"
        raise RemibenchError(
            f"{path}: the header says {shape} = {size} bytes, the file has {content}"
        )
    digest = hashlib.sha256(header + data).hexdigest()
    if checksum not in (None, digest):
        raise RemibenchError(not_published(path, "SHA-256 of its content", digest, checksum))
    return np.frombuffer(data, np.uint8).reshape(shape), digest


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write unsigned bytes as a gzip-compressed idx file; the same array gives the same bytes."""
    header = bytes([0, 0, _UINT8, array.ndim])
    header += b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes(), 9, mtime=0))
