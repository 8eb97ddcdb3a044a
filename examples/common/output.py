"""The folder of a run, in which a file is either whole or not there."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from common.command import UsageError, cleanups, describe

PARTIAL = ".partial-"
EVENTS = "tensorboard"


@contextlib.contextmanager
def writing(path: Path, previous: Path | None = None) -> Iterator[Path]:
    """Gives a temporary path, and moves what was written there to `path` in one step.

    Args:
        path: The file.
        previous: Path to keep what was at `path` until then, if anything was.

    Yields:
        Path in the same folder with the same ending; its file is removed after an error.
    """
    partial = path.with_name(f"{PARTIAL}{path.name}")
    try:
        yield partial
        if previous is not None and path.exists():
            os.replace(path, previous)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


class OutputFolder:
    """A folder that belongs to one running script at a time, until `release`.

    Args:
        path: The folder; it is created with its parents.
        read_only: Whether another process writes there. What is written here is lost then.

    Raises:
        UsageError: If the folder cannot be created or written, or another script is using it.
    """

    def __init__(self, path: Path, read_only: bool = False) -> None:
        self.path = path
        self._read_only = read_only
        self._descriptor = None
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not os.access(path, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            if read_only:
                return
            self._descriptor = self._lock()
            self.clean()
        except OSError as error:
            raise UsageError(f"cannot write to the output folder: {describe(error)}") from error
        cleanups.append(self.clean)

    def _lock(self) -> int | None:
        try:
            import fcntl
        except ImportError:
            return None  # Windows has no advisory locks on folders.
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise UsageError(f"another run is writing to {self.path}") from None
        return descriptor

    def clean(self) -> None:
        """Removes what was not written to its end, now or by a run that was killed."""
        for leftover in self.path.glob(f"{PARTIAL}*"):
            leftover.unlink(missing_ok=True)

    def remove(self, *names: str) -> None:
        """Removes files of this folder, if they are there, and the event files."""
        if self._read_only:
            return
        for name in names:
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / EVENTS, ignore_errors=True)

    def release(self) -> None:
        """Lets other scripts use the folder."""
        if self.clean in cleanups:
            cleanups.remove(self.clean)
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @contextlib.contextmanager
    def writing(self, name: str, previous: str | None = None) -> Iterator[Path]:
        """Gives a temporary path, and moves what was written there to `name` in one step.

        Args:
            name: File name in this folder.
            previous: File name to keep under what was at `name` until then.

        Yields:
            Path in the same folder with the same ending; its file is removed after an error.
        """
        if self._read_only:
            with tempfile.TemporaryDirectory() as folder:
                yield Path(folder) / name
            return
        kept = None if previous is None else self.path / previous
        with writing(self.path / name, kept) as partial:
            yield partial
