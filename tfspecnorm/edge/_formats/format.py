"""What `export` knows of a kind of file."""

import collections
import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfspecnorm._util.optional import optional
from tfspecnorm.edge._interpreter import Interpreter
from tfspecnorm.edge._signature import Input
from tfspecnorm.edge.report import TensorInfo

Arrays = list[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Opened:
    """A written file, ready to run.

    Args:
        run: Function from samples, one array for each input, to outputs.
        operators: Dict from an operator's name to its number of calls.
        inputs: One `TensorInfo` for each input.
        outputs: One `TensorInfo` for each output.
        activations: Names of the types of what the operators hand on, where known.
        parameters: Number of entries of weights and biases, where the file tells.
        quantize: Kind of quantization.
        interpreter: LiteRT with the file, of a file of that format.
    """

    run: Callable[[Arrays], Arrays]
    operators: dict[str, int]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    activations: tuple[str, ...] = ()
    parameters: int | None = None
    quantize: str | None = None
    interpreter: Interpreter | None = None


@dataclasses.dataclass(frozen=True)
class Format:
    """A kind of file.

    Args:
        name: Its name.
        backends: Backends of Keras that can write it.
        packages: Dict from backend to pairs of a module that is needed there and its extra.
        write: Function from model, inputs and path that writes it.
        open: Function from path, inputs and number of threads to what is `Opened`.
        is_folder: Whether it is a folder.
        quantizes: Whether `write` takes `quantize` and `samples` too.
    """

    name: str
    backends: tuple[str, ...]
    packages: dict[str, tuple[tuple[str, str], ...]]
    write: Callable[..., None]
    open: Callable[[Path, list[Input], int], Opened]
    is_folder: bool = False
    quantizes: bool = False

    def check(self) -> None:
        """Raises an error unless the format can be written and run here."""
        backend = keras.backend.backend()
        if backend not in self.backends:
            raise ValueError(
                f"Argument `path` must have another ending on the backend {backend}, since "
                f"{self.name} is written on {' and '.join(self.backends)} only. Export a .keras "
                "file, and that one by `KERAS_BACKEND=tensorflow python -m tfspecnorm export`. "
                f"Received: path of the format {self.name}"
            )
        for module, extra in self.packages.get(backend, ()):
            optional(module, extra)


def counted(names: Iterable[str]) -> dict[str, int]:
    """How often each name occurs, sorted by name."""
    return dict(sorted(collections.Counter(names).items()))


def tensor_infos(tensors: Iterable[Any], names: Iterable[str] | None = None) -> Any:
    """Tuple of `TensorInfo` of Keras' or TensorFlow's tensors, which may have open sizes."""
    tensors = list(tensors)
    names = [tensor.name for tensor in tensors] if names is None else names
    return tuple(
        TensorInfo(name, tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype))
        for name, tensor in zip(names, tensors, strict=True)
    )
