"""A file of comma-separated values with one row for each measurement."""

import csv
import io
import os
from typing import Any

from tfspecnorm._util.files import check_writable, writing

Record = dict[str, Any]
_WHOLE = ("epoch", "step")


class Table:
    """A file that holds all records, whole at any time.

    Args:
        path: Path of the file.

    Raises:
        OSError: If no file can be written there.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        check_writable(path, "csv")
        self._path = path
        self._lines: list[str] = []

    def read(self, columns: list[str]) -> list[Record]:
        """The records of an earlier run, none where there is no file.

        Raises:
            ValueError: If the file has other columns or is no such table.
        """
        if not os.path.exists(self._path) or os.path.getsize(self._path) == 0:
            return []
        with open(self._path, newline="", encoding="utf-8", errors="replace") as file:
            try:
                header, *rows = list(csv.reader(file)) or [[]]
            except csv.Error as error:
                raise self._not_ours(f"that cannot be read: {error}") from error
        if header != columns:
            raise self._not_ours(f"with the columns {header[:5]}")
        try:
            return [
                {
                    name: int(text) if name in _WHOLE else float(text)
                    for name, text in zip(columns, row, strict=True)
                }
                for row in rows
            ]
        except ValueError as error:
            raise self._not_ours("with rows that are no numbers") from error

    def start(self, columns: list[str], records: list[Record]) -> None:
        """Begin with a header and these records; nothing is written yet."""
        self._lines = [_line(columns), *(_line(record.values()) for record in records)]

    def add(self, record: Record) -> None:
        """Write the file with one more record."""
        self._lines.append(_line(record.values()))
        with writing(self._path, "csv") as partial:
            partial.write_text("".join(self._lines), encoding="utf-8", newline="")

    def _not_ours(self, what: str) -> ValueError:
        return ValueError(
            "Argument `csv` must be the path of a new file, or of one that a monitor of the same "
            f"columns wrote. Received: csv={os.fspath(self._path)!r}, a file {what}"
        )


def _line(values: Any) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()
