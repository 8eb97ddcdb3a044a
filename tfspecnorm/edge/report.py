"""What is known of an exported file: as data, table, JSON and Markdown."""

import dataclasses
import json
import math
from typing import Any

import numpy as np

from tfspecnorm.edge import _rendering


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """An input or output of a file.

    A quantized number q stands for scale·(q − zero_point).

    Args:
        name: Its name.
        shape: Its shape, with the batch axis.
        dtype: Name of its type.
        scale: Scale of a quantized one, else `None`.
        zero_point: Zero point of a quantized one, else `None`.

    Example:

    >>> info = TensorInfo("image", (1, 2), "int8", 0.5, -3)
    >>> info.quantized(np.array([[0.0, 1.0]], "float32"))
    array([[-3, -1]], dtype=int8)
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    def quantized(self, array: np.ndarray) -> np.ndarray:
        """Floating numbers as the file takes them; those beyond the range become its ends."""
        if self.scale is None:
            return np.asarray(array, self.dtype)
        limits = np.iinfo(self.dtype)
        levels = np.round(np.asarray(array, "float64") / self.scale) + self.zero_point
        return np.clip(levels, limits.min, limits.max).astype(self.dtype)

    def floating(self, array: np.ndarray) -> np.ndarray:
        """What numbers of the file stand for."""
        array = np.asarray(array, "float32")
        return array if self.scale is None else self.scale * (array - self.zero_point)


@dataclasses.dataclass(frozen=True)
class MicroReport:
    """A LiteRT file in the interpreter for microcontrollers, TensorFlow Lite Micro.

    Args:
        supported: Whether the interpreter has every operator of the file and runs it.
        reason: Why not; `None` if it does.
        model_bytes: Size of the model, which is constant data (flash).
        arena_bytes: Size of the memory that suffices for all tensors (RAM), in which the
            interpreter was run; pointers there have the 8 bytes of this machine, so that a
            microcontroller of 32 bits needs somewhat less.
        samples: Number of samples that both interpreters were run on.
        agreement: Share of samples for which the largest output is the same as in LiteRT.
        largest_difference: Largest |difference| of an output to LiteRT's, in what it stands for.
    """

    supported: bool
    reason: str | None
    model_bytes: int
    arena_bytes: int | None = None
    samples: int = 0
    agreement: float | None = None
    largest_difference: float | None = None


@dataclasses.dataclass(frozen=True)
class EdgeReport:
    """What is known of a file that `export` wrote or `inspect` read.

    What was compared with a Keras model is `None` without one, accuracies also without labels.

    Args:
        path: The file, or the folder of a SavedModel.
        format: `"LiteRT"`, `"Keras"`, `"SavedModel"` or `"ONNX"`.
        quantize: `None`, `"float16"`, `"dynamic"` or `"int8"`, as in `export`.
        operators: Dict from an operator's name to the number of times it is called. For Keras
            these are classes of layers.
        activations: Names of the types of what the operators hand on, of a LiteRT file.
        inputs: One `TensorInfo` for each input.
        outputs: One `TensorInfo` for each output.
        parameters: Number of entries of all weights and biases.
        file_bytes: Size on disk.
        samples: Number of samples that the file and the Keras model were compared on.
        largest_difference: Largest |difference| of an output to the Keras model's.
        mean_difference: Mean |difference|.
        signal_to_noise_db: 10·log₁₀(Σ outputs² / Σ differences²) in decibels, of the model's
            outputs and the differences to them; ∞ for no difference.
        agreement: Share of samples for which the largest output is the same as the model's.
        accuracy_model: Share of right answers of the Keras model.
        accuracy_file: The same for the file.
        latency_ms: Median time of one sample, in milliseconds.
        latency_range_ms: 10th and 90th percentile of that time.
        runs: Number of timed runs.
        threads: Number of threads that an operator might use.
        micro: The `MicroReport`, `None` if the micro interpreter was not run.
        versions: Dict from a package to its version.
    """

    path: str
    format: str
    quantize: str | None
    operators: dict[str, int]
    activations: tuple[str, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    parameters: int
    file_bytes: int
    samples: int = 0
    largest_difference: float | None = None
    mean_difference: float | None = None
    signal_to_noise_db: float | None = None
    agreement: float | None = None
    accuracy_model: float | None = None
    accuracy_file: float | None = None
    latency_ms: float | None = None
    latency_range_ms: tuple[float, float] | None = None
    runs: int = 0
    threads: int = 1
    micro: MicroReport | None = None
    versions: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def accuracy_drop(self) -> float | None:
        """Accuracy of the model minus that of the file, `None` without labels."""
        if self.accuracy_model is None or self.accuracy_file is None:
            return None
        return self.accuracy_model - self.accuracy_file

    @property
    def is_integer(self) -> bool:
        """Whether all operators of a LiteRT file compute with 8-bit integers."""
        return self.activations == ("int8",)

    def to_dict(self) -> dict[str, Any]:
        """All of it as a dict, with `accuracy_drop`."""
        return {**dataclasses.asdict(self), "accuracy_drop": self.accuracy_drop}

    def to_json(self) -> str:
        """All of it as JSON, with `null` for what is infinite or undefined."""
        found = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in self.to_dict().items()
        }
        return json.dumps(found, indent=2, allow_nan=False)

    def to_markdown(self) -> str:
        """A table of two columns in Markdown."""
        return _rendering.markdown(self)

    def table(self) -> Any:
        """A `rich.table.Table`.

        Raises:
            ImportError: If rich is not installed.
        """
        return _rendering.table(self)
