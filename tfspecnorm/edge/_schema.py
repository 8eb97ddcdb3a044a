"""What a LiteRT file holds: its operators, tensors and constants."""

import collections
import dataclasses
import math
import os
from typing import Any

from tfspecnorm._util.optional import optional

_IDENTIFIER = b"TFL3"


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a LiteRT file holds.

    Args:
        operators: Dict from an operator's name to its number of calls.
        parameters: Number of entries of all weights and biases.
        activations: Sorted names of the types of what operators hand on to one another.
        constants: Sorted names of the types of the weights and biases.
    """

    operators: dict[str, int]
    parameters: int
    activations: tuple[str, ...]
    constants: tuple[str, ...]

    @property
    def quantize(self) -> str | None:
        """The kind of quantization, as `export` names it."""
        if "int8" in self.activations:
            return "int8"
        if "int8" in self.constants:
            return "dynamic"
        return "float16" if "float16" in self.constants else None


def contents_of(data: bytes) -> Contents:
    """The contents of the bytes of a whole LiteRT file.

    Raises:
        ImportError: If ai-edge-litert is not installed.
    """
    schema = optional("ai_edge_litert.schema_py_generated", "edge")
    model = schema.Model.GetRootAsModel(data, 0)
    names, types = _names(schema.BuiltinOperator), _names(schema.TensorType)
    operators: collections.Counter[str] = collections.Counter()
    activations, constants, parameters = set(), set(), 0
    for number in range(model.SubgraphsLength()):
        graph = model.Subgraphs(number)
        used = set()
        for operator in (graph.Operators(place) for place in range(graph.OperatorsLength())):
            operators[_name(model.OperatorCodes(operator.OpcodeIndex()), names)] += 1
            # A negative index stands for an optional tensor that is left out.
            used |= {int(part) for part in operator.InputsAsNumpy() if part >= 0}
            used |= {int(part) for part in operator.OutputsAsNumpy() if part >= 0}
        for tensor in (graph.Tensors(place) for place in sorted(used)):
            kind = types[tensor.Type()].lower()
            if not model.Buffers(tensor.Buffer()).DataLength():
                activations.add(kind)
            elif kind.startswith("float") or _is_quantized(tensor):
                constants.add(kind)
                shape = tensor.ShapeAsNumpy() if tensor.ShapeLength() else ()
                parameters += math.prod(int(size) for size in shape)
    return Contents(
        dict(sorted(operators.items())),
        parameters,
        tuple(sorted(activations)),
        tuple(sorted(constants)),
    )


def check_litert(path: str | os.PathLike, data: bytes) -> None:
    """Raise a `ValueError` unless the bytes begin like those of a LiteRT file."""
    if data[4:8] != _IDENTIFIER:
        raise not_litert(path)


def not_litert(path: str | os.PathLike) -> ValueError:
    """The error for a file that is no LiteRT file, or a damaged one."""
    return ValueError(
        f"Argument `path` must be a whole LiteRT file. Received: path={os.fspath(path)!r}"
    )


def _names(enumeration: Any) -> dict[int, str]:
    return {code: name for name, code in vars(enumeration).items() if isinstance(code, int)}


def _name(code: Any, names: dict[int, str]) -> str:
    builtin = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
    return code.CustomCode().decode() if builtin == "CUSTOM" else builtin


def _is_quantized(tensor: Any) -> bool:
    """Whether its numbers have a scale; axes and shapes have none."""
    quantization = tensor.Quantization()
    return quantization is not None and quantization.ScaleLength() > 0
