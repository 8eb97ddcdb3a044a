"""Running a LiteRT file as a phone or a board does."""

import os
import time
from typing import Any

import numpy as np

from tfspecnorm._util.optional import optional
from tfspecnorm.edge._schema import not_litert
from tfspecnorm.edge.report import TensorInfo

WARM_UP_RUNS = 5


class Interpreter:
    """The LiteRT interpreter with a file, which takes and gives floating numbers.

    Args:
        path: The file.
        threads: Number of threads that an operator may use.

    Attributes:
        inputs: Tuple of `TensorInfo`.
        outputs: Tuple of `TensorInfo`.

    Raises:
        ImportError: If ai-edge-litert is not installed.
        ValueError: If the file is no LiteRT file, or has operators that the interpreter has not.
    """

    def __init__(self, path: str | os.PathLike, threads: int = 1) -> None:
        module = optional("ai_edge_litert.interpreter", "edge")
        path = os.fspath(path)
        try:
            self._interpreter = module.Interpreter(path, num_threads=threads)
        except ValueError as error:
            raise not_litert(path) from error
        try:
            self._interpreter.allocate_tensors()
        except RuntimeError:
            # The faster kernels refuse what the plain ones can compute, such as a layer whose
            # outputs are all zero.
            plain = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            self._interpreter = module.Interpreter(
                path, num_threads=threads, experimental_op_resolver_type=plain
            )
            try:
                self._interpreter.allocate_tensors()
            except RuntimeError as error:
                raise ValueError(
                    "Argument `path` must be a file that LiteRT can run. "
                    f"Received: path={path!r}, of which it says: {' '.join(str(error).split())}"
                ) from error
        given, made = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._places = [part["index"] for part in given], [part["index"] for part in made]
        self.inputs, self.outputs = tuple(map(_info, given)), tuple(map(_info, made))

    def quantized(self, samples: list[np.ndarray]) -> list[np.ndarray]:
        """Samples as the file takes them."""
        return [part.quantized(array) for part, array in zip(self.inputs, samples, strict=True)]

    def run(self, samples: list[np.ndarray]) -> list[np.ndarray]:
        """Raw outputs, one array for each, of samples as the file takes them, one by one."""
        rows = []
        for number in range(len(samples[0])):
            self._set([array[number : number + 1] for array in samples])
            self._interpreter.invoke()
            rows.append([self._interpreter.get_tensor(place) for place in self._places[1]])
        return [np.concatenate(column) for column in zip(*rows, strict=True)]

    def floating(self, outputs: list[np.ndarray]) -> list[np.ndarray]:
        """What raw outputs stand for."""
        return [part.floating(array) for part, array in zip(self.outputs, outputs, strict=True)]

    def latencies(self, samples: list[np.ndarray], runs: int) -> list[float]:
        """Seconds that each of a number of runs took, after some that do not count."""
        found = []
        for number in range(WARM_UP_RUNS + runs):
            place = number % len(samples[0])
            self._set([array[place : place + 1] for array in samples])
            start = time.perf_counter()
            self._interpreter.invoke()
            found.append(time.perf_counter() - start)
        return found[WARM_UP_RUNS:]

    def _set(self, arrays: list[np.ndarray]) -> None:
        for place, array in zip(self._places[0], arrays, strict=True):
            self._interpreter.set_tensor(place, array)


def _info(details: dict[str, Any]) -> TensorInfo:
    scale, zero_point = details["quantization"]
    name = details["name"].removeprefix("serving_default_").removesuffix(":0")
    return TensorInfo(
        name,
        tuple(int(size) for size in details["shape"]),
        np.dtype(details["dtype"]).name,
        float(scale) or None,
        int(zero_point) if scale else None,
    )
