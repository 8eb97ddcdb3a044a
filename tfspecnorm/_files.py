"""A file is either whole or not there."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

PARTIAL = ".partial-"
# What TensorFlow writes.
_SAVED_MODEL = {
    *("saved_model.pb", "fingerprint.pb", "keras_metadata.pb"),
    *("variables", "assets", "assets.extra"),
}


def check_writable(
    path: str | os.PathLike, argument: str = "path", is_folder: bool = False
) -> None:
    """Raise an `OSError` if no file can be written at a path.

    Args:
        path: Path of a file, there or not.
        argument: Name of the argument that the error names.
        is_folder: Whether the path is that of a folder to write.

    Raises:
        FileNotFoundError: If the folder does not exist.
        NotADirectoryError: If what should be the folder is a file.
        IsADirectoryError: If the path is that of a folder, and a file is to be written.
        FileExistsError: If a folder is to be written, and the path is that of something else
            than an empty folder or a SavedModel without other files.
        PermissionError: If nothing can be written in the folder.

    Example:

    >>> check_writable("/nowhere/table.csv", "csv")
    Traceback (most recent call last):
    FileNotFoundError: Argument `csv` must be a path in a folder that exists. Received: ...
    """
    target = _target(path)
    received = f"Received: {argument}={os.fspath(path)!r}"
    if not target.parent.exists():
        raise FileNotFoundError(
            f"Argument `{argument}` must be a path in a folder that exists. {received}"
        )
    if not target.parent.is_dir():
        raise NotADirectoryError(
            f"Argument `{argument}` must be a path in a folder, not in a file. {received}"
        )
    if is_folder:
        if target.exists() and not _may_be_replaced(target):
            raise FileExistsError(
                f"Argument `{argument}` must be a new path, or that of a folder that holds a "
                f"SavedModel and nothing else. {received}"
            )
    elif target.is_dir():
        raise IsADirectoryError(
            f"Argument `{argument}` must be the path of a file, not of a folder. {received}"
        )
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(
            f"Argument `{argument}` must be a path in a folder that can be written. {received}"
        )


@contextlib.contextmanager
def writing(path: str | os.PathLike, argument: str = "path") -> Iterator[Path]:
    """Give a temporary path, and move what was written there to `path` in one step.

    A file that was at `path` stays whole until then, and for good after an error.

    Args:
        path: Path of the file to write; its folder exists.
        argument: Name of the caller's argument that an error names.

    Yields:
        Path in the same folder with the same ending. What was written there is removed after
        an error.

    Raises:
        OSError: Before anything is written, if no file can be written at `path`.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with writing(Path(folder) / "notes.txt") as partial:
    ...         _ = partial.write_text("all of it")
    ...     print(os.listdir(folder), (Path(folder) / "notes.txt").read_text())
    ['notes.txt'] all of it
    """
    check_writable(path, argument)
    target = _target(path)
    partial = target.with_name(f"{PARTIAL}{uuid.uuid4().hex}{Path(path).suffix}")
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def writing_folder(path: str | os.PathLike, argument: str = "path") -> Iterator[Path]:
    """The same for a SavedModel, which is a folder; one that was there is replaced.

    Yields:
        Path of a folder that does not exist yet, beside `path`.
    """
    check_writable(path, argument, is_folder=True)
    target = _target(path)
    partial = target.with_name(f"{PARTIAL}{uuid.uuid4().hex}")
    previous = target.with_name(f"{partial.name}-previous")
    try:
        yield partial
        if target.exists():
            os.replace(target, previous)
        os.replace(partial, target)
    except BaseException:
        if previous.exists() and not target.exists():
            os.replace(previous, target)
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(previous, ignore_errors=True)


def _may_be_replaced(folder: Path) -> bool:
    """Whether a folder is empty or holds a SavedModel alone, and no process stands in it."""
    return (
        folder.is_dir()
        and not Path.cwd().is_relative_to(folder)
        and {part.name for part in folder.iterdir()} <= _SAVED_MODEL
    )


def _target(path: str | os.PathLike) -> Path:
    """The file itself, so that a link to it is not what is replaced."""
    return Path(os.path.realpath(path))
