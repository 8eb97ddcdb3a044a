"""A LiteRT file as C source, for a program without a file system."""

import os
import re
from pathlib import Path

from tfspecnorm._files import writing
from tfspecnorm.edge._schema import check_litert

_BYTES_PER_LINE = 12


def write_c_array(
    path: str | os.PathLike, header: str | os.PathLike, name: str | None = None
) -> None:
    """Writes a LiteRT file as a header for C and C++ with one constant array.

    The array is aligned to 16 bytes, as TensorFlow Lite Micro wants it, and constant, so that a
    linker puts it into flash.

    Args:
        path: A `.tflite` file.
        header: File to write.
        name: Name of the array, `NAME_size` being that of its length. Defaults to the name of
            the file with all but letters and digits as underscores.

    Raises:
        ValueError: If `path` is no LiteRT file, or `name` no name in C.
        OSError: If a file cannot be read or written; nothing is left of it then.

    Example:

    >>> write_c_array("model.tflite", "model.h")  # doctest: +SKIP
    """
    data = Path(path).read_bytes()
    check_litert(path, data)
    if name is None:
        name = re.sub(r"\W", "_", Path(path).stem, flags=re.ASCII)
        name = f"model_{name}" if name[:1].isdigit() else name
    if not re.fullmatch(r"[A-Za-z_]\w*", name, flags=re.ASCII):
        raise ValueError(
            f"Argument `name` must be letters, digits and underscores. Received: name={name!r}"
        )
    lines = [
        "    " + ", ".join(f"0x{byte:02x}" for byte in data[start : start + _BYTES_PER_LINE]) + ","
        for start in range(0, len(data), _BYTES_PER_LINE)
    ]
    text = f"""#pragma once

#ifdef __cplusplus
#define {name.upper()}_ALIGNED alignas(16)
#else
#define {name.upper()}_ALIGNED _Alignas(16)
#endif

static const unsigned int {name}_size = {len(data)};
static const {name.upper()}_ALIGNED unsigned char {name}[] = {{
{chr(10).join(lines)}
}};
"""
    with writing(header, "header") as partial:
        partial.write_text(text, encoding="ascii")
