"""Keeps the start-up chatter of native libraries off the terminal."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

# Descriptor of what the user sees of the standard error file.
terminal = 2


@contextlib.contextmanager
def native_log_hidden() -> Iterator[None]:
    """Hides what is written to the standard error file, unless an error follows.

    TensorFlow and LiteRT write some lines there before they read any log level.
    """
    global terminal
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except Exception:
            log.seek(0)
            os.write(terminal, log.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            terminal = 2
