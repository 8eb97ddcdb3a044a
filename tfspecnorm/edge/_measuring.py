"""From a written file to its report."""

import dataclasses
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from tfspecnorm._util.arguments import check_positive_integer
from tfspecnorm._version import __version__
from tfspecnorm.edge._comparison import (
    accuracy,
    agreement,
    differences,
    signal_to_noise_db,
)
from tfspecnorm.edge._formats.format import Arrays, Opened
from tfspecnorm.edge._micro import run_micro
from tfspecnorm.edge.report import EdgeReport

_MOST_RUNS = 1_000_000
_MOST_THREADS = 1024
_PACKAGES = (
    *("keras", "numpy", "tensorflow", "tensorflow-cpu", "torch", "jax"),
    *("ai-edge-litert", "tflite-micro", "onnx", "onnxruntime"),
)


def check_measuring(runs: Any, threads: Any) -> tuple[int, int]:
    """Numbers of runs and threads, or a `ValueError` that names the argument."""
    return (
        check_positive_integer("runs", runs, _MOST_RUNS),
        check_positive_integer("threads", threads, _MOST_THREADS),
    )


def measured(
    format_name: str,
    path: Path,
    opened: Opened,
    samples: Arrays,
    runs: int,
    threads: int,
    micro: bool,
) -> EdgeReport:
    """What a file alone tells, with its latency and the micro interpreter's report.

    Args:
        format_name: Name of its format.
        path: The file.
        opened: The same, ready to run.
        samples: Floating samples to run it on.
        runs: Number of timed runs.
        threads: Number of threads that `opened` uses.
        micro: Whether to run the micro interpreter.
    """
    report = EdgeReport(
        path=os.fspath(path),
        format=format_name,
        quantize=opened.quantize,
        operators=opened.operators,
        activations=opened.activations,
        inputs=opened.inputs,
        outputs=opened.outputs,
        parameters=opened.parameters,
        file_bytes=_size(path),
        versions=_versions(),
    )
    if opened.interpreter is None:
        return report
    taken = opened.interpreter.quantized(samples)
    times = 1e3 * np.array(opened.interpreter.latencies(taken, runs))
    low, median, high = np.percentile(times, (10, 50, 90))
    return dataclasses.replace(
        report,
        latency_ms=float(median),
        latency_range_ms=(float(low), float(high)),
        runs=runs,
        threads=threads,
        micro=run_micro(path, opened.interpreter, taken) if micro else None,
    )


def compared(report: EdgeReport, outputs: Arrays, expected: Arrays, classes: Any) -> EdgeReport:
    """A report with the comparison of a file's outputs with a model's.

    Args:
        report: Report of the file.
        outputs: Its outputs.
        expected: Outputs of the model on the same samples.
        classes: The right answers, or `None`.
    """
    largest, mean = differences(outputs, expected)
    report = dataclasses.replace(
        report,
        largest_difference=largest,
        mean_difference=mean,
        signal_to_noise_db=signal_to_noise_db(outputs, expected),
        agreement=agreement(outputs, expected),
    )
    if classes is None:
        return report
    return dataclasses.replace(
        report,
        accuracy_model=accuracy(expected, classes),
        accuracy_file=accuracy(outputs, classes),
    )


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [part for part in path.rglob("*") if part.is_file()]
    return sum(part.stat().st_size for part in files)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "tfspecnorm": __version__}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
