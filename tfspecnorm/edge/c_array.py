"""A LiteRT file as C source, for a program without a file system."""

import os
import re
from pathlib import Path

from tfspecnorm._util.files import writing
from tfspecnorm.edge._schema import check_litert

_BYTES_PER_LINE = 12
_WORDS = frozenset(
    """
    alignas alignof and asm auto bitand bitor bool break case catch char class compl concept const
    consteval constexpr constinit continue decltype default delete do double else enum explicit
    export extern false float for friend goto if inline int long mutable namespace new noexcept not
    nullptr operator or private protected public register requires restrict return short signed
    sizeof static struct switch template this throw true try typedef typeid typename union unsigned
    using virtual void volatile wchar_t while xor
    """.split()
)


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
            the file with all but letters and digits as underscores, and `model_` in front if
            that is no name.

    Raises:
        ValueError: If `path` is no LiteRT file, `header` is the same file, or `name` no name in C
            and C++.
        OSError: If a file cannot be read or written; nothing is left of it then.

    Example:

    >>> write_c_array("model.tflite", "model.h")  # doctest: +SKIP
    """
    data = Path(path).read_bytes()
    check_litert(path, data)
    if name is None:
        name = re.sub(r"\W", "_", Path(path).stem, flags=re.ASCII)
        name = name if _is_name(name) else f"model_{name}"
    if not _is_name(name):
        raise ValueError(
            "Argument `name` must be letters, digits and underscores, and no word of C or C++. "
            f"Received: name={name!r}"
        )
    if Path(header).exists() and os.path.samefile(path, header):
        raise ValueError(
            "Argument `header` must be another file than the one that is read. "
            f"Received: header={os.fspath(header)!r}"
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
{name.upper()}_ALIGNED static const unsigned char {name}[] = {{
{chr(10).join(lines)}
}};
"""
    with writing(header, "header") as partial:
        partial.write_text(text, encoding="ascii")


def _is_name(name: str) -> bool:
    """Whether a name may stand in C and C++."""
    return bool(re.fullmatch(r"[A-Za-z_]\w*", name, flags=re.ASCII)) and name not in _WORDS
