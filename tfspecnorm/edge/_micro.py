"""Whether a file runs on a microcontroller: TensorFlow Lite Micro with a bounded memory."""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tfspecnorm._util.optional import optional
from tfspecnorm.edge._comparison import Arrays, agreement, differences
from tfspecnorm.edge._interpreter import Interpreter
from tfspecnorm.edge.report import MicroReport

# Its kernels are the plain ones, a hundred times slower than LiteRT's.
SAMPLES = 500
_ARENAS = (16 << 20, 256 << 20)
_ALIGNMENT = 16
_LIMIT_S = 900
_ENDLESS = "it did not end within"


def is_installed() -> bool:
    """Whether the micro interpreter can be run."""
    return importlib.util.find_spec("tflite_micro") is not None


def check_installed() -> None:
    """Raise an `ImportError` that says what to install."""
    if not is_installed():
        optional("tflite_micro", "edge")


def run_micro(path: str | os.PathLike, interpreter: Interpreter, samples: Arrays) -> MicroReport:
    """Runs a LiteRT file in the micro interpreter, and finds the memory that it needs.

    Args:
        path: The file.
        interpreter: LiteRT with the same file.
        samples: Samples as the file takes them; at most the first `SAMPLES` are used.
    """
    samples = [array[:SAMPLES] for array in samples]
    size = os.path.getsize(path)
    for arena in _ARENAS:
        outputs, log = _run(path, arena, samples, len(interpreter.outputs))
        if outputs is not None or _lacks(log):
            break
    if outputs is None:
        return MicroReport(False, _reason(log), size)
    made = interpreter.floating(outputs)
    expected = interpreter.floating(interpreter.run(samples))
    return MicroReport(
        True,
        None,
        size,
        _enough(path, log, [array[:1] for array in samples]),
        len(samples[0]),
        agreement(made, expected),
        differences(made, expected)[0],
    )


def _enough(path: str | os.PathLike, log: str, sample: Arrays) -> int | None:
    """Bytes in which the file runs: what the interpreter says it used, proven by a run in that."""
    said = re.search(r"Arena allocation total (\d+)", log)
    used = int(said[1]) if said else 0
    # The memory may begin unaligned.
    arenas = (used, used + _ALIGNMENT, 2 * used) if used else ()
    return next((arena for arena in arenas if _run(path, arena, sample, 1)[0] is not None), None)


def _run(
    path: str | os.PathLike, arena: int, samples: Arrays, outputs: int
) -> tuple[Arrays | None, str]:
    """Outputs, or `None` if it did not run to its end, and what the interpreter said."""
    runner = Path(__file__).with_name("_micro_runner.py")
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "samples.npz", Path(folder) / "outputs.npz"
        np.savez(given, *samples)
        # -P: the modules beside the runner must not take the place of others of their names.
        words = [
            sys.executable,
            "-P",
            runner,
            os.fspath(path),
            str(arena),
            str(outputs),
            given,
            made,
        ]
        try:
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT_S
            )
        except subprocess.TimeoutExpired:
            return None, f"{_ENDLESS} {_LIMIT_S} s"
        log = done.stderr.decode(errors="replace")
        if done.returncode or not made.exists():
            return None, log
        with np.load(made) as archive:
            return [archive[name] for name in archive.files], log


def _lacks(log: str) -> bool:
    """Whether the interpreter misses something that no larger memory can make up for."""
    return any(text in log for text in ("Didn't find op", "Failed to get registration", _ENDLESS))


def _reason(log: str) -> str:
    """Why it did not run, in a few words."""
    operator = re.search(r"Didn't find op for builtin opcode '(\w+)'", log)
    if operator:
        return f"it has no operator {operator[1]}"
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[0] if lines else "its process was ended by the system"
