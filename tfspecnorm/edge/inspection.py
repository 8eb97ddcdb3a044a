"""What a LiteRT file is, without the model that it came from."""

import os
from pathlib import Path

import numpy as np

from tfspecnorm._util.arguments import check_optional_boolean, check_seed
from tfspecnorm._util.optional import optional
from tfspecnorm.edge import _micro
from tfspecnorm.edge._damage import check_inputs, check_runs, damage_named
from tfspecnorm.edge._formats import litert
from tfspecnorm.edge._measuring import check_measuring, measured
from tfspecnorm.edge._schema import check_litert
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

    The file is first run in a process of its own, which a damaged one may end.

    Args:
        path: A `.tflite` file, from wherever.
        micro: Whether to run it in the interpreter for microcontrollers too. Defaults to int8
            files where tflite-micro is installed.
        runs: Number of timed runs, at most 1,000,000.
        threads: Number of threads that an operator may use, from 1 to 1024.
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
    if not isinstance(path, (str, os.PathLike)):
        raise ValueError(f"Argument `path` must be the path of a file. Received: path={path!r}")
    micro = check_optional_boolean("micro", micro)
    runs, threads = check_measuring(runs, threads)
    seed = check_seed(seed)
    if micro:
        _micro.check_installed()
    path = Path(path)
    check_litert(path, path.read_bytes())
    optional("ai_edge_litert.interpreter", "edge")
    check_runs(path)
    with damage_named(path):
        opened = litert.open_file(path, threads=threads)
        check_inputs(path, opened.inputs)
        random = np.random.default_rng(seed)
        samples = [_fill(part, random) for part in opened.inputs]
        if micro is None:
            micro = opened.quantize == "int8" and _micro.is_installed()
        return measured("LiteRT", path, opened, samples, runs, threads, micro)


def _fill(part: TensorInfo, random: np.random.Generator) -> np.ndarray:
    """Samples that use the whole range of a quantized input."""
    if part.scale is None:
        return Input(part.name, part.shape[1:], part.dtype).fill(RANDOM_SAMPLES, random)
    limits, shape = np.iinfo(part.dtype), (RANDOM_SAMPLES, *part.shape[1:])
    return part.floating(random.integers(limits.min, limits.max + 1, shape))
