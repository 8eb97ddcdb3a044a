"""A file is either whole or not there."""

import contextlib
import hashlib
import os
import platform
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

PARTIAL = ".partial-"
# A process that was started anew may have the number of the one before.
_PROCESS = uuid.uuid4().hex[:8]
_PREVIOUS = "-previous"
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

    A file that was at `path` stays whole until then, and for good after an error. What a process
    that was killed left for the same `path` is removed.

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
    _remove_left(target)
    partial = target.with_name(_partial_name(target) + Path(path).suffix)
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
    _remove_left(target)
    partial = target.with_name(_partial_name(target))
    previous = target.with_name(f"{partial.name}{_PREVIOUS}")
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


# Note [What a killed process leaves]
# A process that is killed while it writes leaves its temporary file. Its name tells for which
# target it is, and which process of which machine wrote it. The next one that writes there removes
# it, unless that process still runs; of other machines this cannot be known.


def _partial_name(target: Path) -> str:
    machine = _digest(platform.node())
    return f"{_partials_of(target)}{machine}-{os.getpid()}-{_PROCESS}-{uuid.uuid4().hex[:8]}"


def _partials_of(target: Path) -> str:
    return f"{PARTIAL}{_digest(target.name)}-"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()


def _remove_left(target: Path) -> None:
    """Remove what killed processes left beside a target; a SavedModel moved away goes back."""
    machine = _digest(platform.node())
    pattern = re.compile(rf"{re.escape(_partials_of(target))}{machine}-(\d+)-(\w+)-\w+")
    for part in target.parent.iterdir():
        found = pattern.match(part.name)
        if found is None or _is_running(int(found[1]), found[2]):
            continue
        with contextlib.suppress(OSError):
            if part.name.endswith(_PREVIOUS) and not target.exists():
                os.replace(part, target)
            elif part.is_dir():
                shutil.rmtree(part)
            else:
                part.unlink()


def _is_running(process: int, token: str) -> bool:
    if process == os.getpid():
        return token == _PROCESS
    if os.name != "posix":
        # There the question would end the process.
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


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
