"""The formats of `export` by the ending of the path: how each is written, and run afterwards."""

import os
from pathlib import Path

from tfspecnorm._util.arguments import check_path
from tfspecnorm.edge._formats import keras_file, litert, onnx, saved_model
from tfspecnorm.edge._formats.format import Format, Opened

BY_SUFFIX: dict[str, Format] = {
    ".tflite": litert.FORMAT,
    ".keras": keras_file.FORMAT,
    ".onnx": onnx.FORMAT,
    "": saved_model.FORMAT,
}

__all__ = ["BY_SUFFIX", "Format", "Opened", "format_of"]


def format_of(path: str | os.PathLike) -> Format:
    """The format of a path, or a `ValueError` that names the known ones."""
    suffix = Path(check_path("path", path)).suffix
    # The name ".tflite" has no suffix.
    if suffix not in BY_SUFFIX or (not suffix and Path(path).name.startswith(".")):
        known = ", ".join(
            f"{name or 'no ending'} ({part.name})" for name, part in BY_SUFFIX.items()
        )
        raise ValueError(
            f"Argument `path` must end in one of: {known}. Received: path={os.fspath(path)!r}"
        )
    return BY_SUFFIX[suffix]
