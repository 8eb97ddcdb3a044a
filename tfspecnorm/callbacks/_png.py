"""Pictures as PNG files, by the standard library alone."""

import os
import struct
import zlib
from typing import Any

import numpy as np

from tfspecnorm._util.arguments import check_path
from tfspecnorm._util.files import writing

# Number of channels: what the format calls it.
_COLOURS = {1: 0, 3: 2}


def write_png(path: str | os.PathLike, image: Any) -> None:
    """Write a picture as a PNG file, which is either whole or not there.

    Args:
        path: Path of the file, in a folder that exists.
        image: `uint8` array `(height, width, channels)` with one channel or three.

    Raises:
        ValueError: If an argument is not as above.
        OSError: If the file cannot be written; a file that was there stays.

    Example:

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "grey.png"
    ...     write_png(path, np.full((2, 2, 1), 128, "uint8"))
    ...     print(path.read_bytes()[1:4])
    b'PNG'
    """
    check_path("path", path)
    image = np.asarray(image)
    if image.ndim != 3 or image.dtype != "uint8" or image.shape[2] not in _COLOURS:
        raise ValueError(
            "Argument `image` must be a uint8 array (height, width, channels) with 1 or 3 "
            f"channels. Received: shape {image.shape} of type {image.dtype}"
        )
    height, width, channels = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    # Every row begins with the number of its filter: none.
    rows = np.pad(image.reshape(height, width * channels), ((0, 0), (1, 0)))
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    with writing(path) as partial:
        partial.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
