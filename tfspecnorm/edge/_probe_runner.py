"""A LiteRT file run once, in a process of its own: native code may end the process.

    python -P _probe_runner.py MODEL

The exit code is 0 unless the process was ended: what Python can raise, the caller meets itself.
"""

import contextlib
import sys


def main(model: str) -> None:
    """Runs the file on zeros."""
    from ai_edge_litert.interpreter import Interpreter

    with contextlib.suppress(Exception):
        interpreter = Interpreter(model)
        interpreter.allocate_tensors()
        interpreter.invoke()


if __name__ == "__main__":
    main(*sys.argv[1:])
