"""What a LiteRT file is, without the model that it came from."""

import os
from pathlib import Path

import numpy as np

from tfspecnorm._checks import check_positive_integer, check_seed
from tfspecnorm.edge import _micro
from tfspecnorm.edge._formats import litert
from tfspecnorm.edge._measuring import measured
from tfspecnorm.edge._signature import RANDOM_SAMPLES, Input
from tfspecnorm.edge.report import EdgeReport, TensorInfo


def inspect(
    path: str | os.PathLike,
    micro: bool | None = None,
    runs: int = 50,
    threads: int = 1,
    seed: int = 0,
) -> EdgeReport:
    """Operators, types, size, latency and memory of a LiteRT file, on 32 random samples.

    Args:
        path: A `.tflite` file, from wherever.
        micro: Whether to run it in the interpreter for microcontrollers too. Defaults to int8
            files where tflite-micro is installed.
        runs: Number of timed runs.
        threads: Number of threads that an operator may use, at least 1.
        seed: Seed of the samples.

    Returns:
        `EdgeReport`; what needs the model is `None` in it.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no LiteRT file, or a damaged one.
        ImportError: If the extra `edge` is not installed.

    Example:

    >>> report = inspect("model.tflite")  # doctest: +SKIP
    >>> report.operators, report.micro.arena_bytes  # doctest: +SKIP
    ({'CONV_2D': 6, 'FULLY_CONNECTED': 1, 'MAX_POOL_2D': 4}, 74096)
    """
    runs, threads = check_positive_integer("runs", runs), check_positive_integer("threads", threads)
    seed = check_seed(seed)
    if micro:
        _micro.check_installed()
    opened = litert.open_file(Path(path), threads=threads)
    random = np.random.default_rng(seed)
    samples = [_fill(part, random) for part in opened.inputs]
    if micro is None:
        micro = opened.quantize == "int8" and _micro.is_installed()
    return measured("LiteRT", Path(path), opened, samples, runs, threads, micro)


def _fill(part: TensorInfo, random: np.random.Generator) -> np.ndarray:
    """Samples that use the whole range of a quantized input."""
    if part.scale is None:
        return Input(part.name, part.shape[1:], part.dtype).fill(RANDOM_SAMPLES, random)
    limits, shape = np.iinfo(part.dtype), (RANDOM_SAMPLES, *part.shape[1:])
    return part.floating(random.integers(limits.min, limits.max + 1, shape))
