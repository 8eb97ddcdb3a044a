"""A certified bound of how far a whole model can carry two inputs apart."""

import dataclasses
import math
from typing import Any

import keras

from tfspecnorm._util.arguments import check_model
from tfspecnorm.analysis._constants import constant_of
from tfspecnorm.analysis._walk import Call, input_signals, walk
from tfspecnorm.layers._listing import wrappers_in
from tfspecnorm.surgery.folding import fold_for_inference
from tfspecnorm.surgery.graph import runs_its_layers


@dataclasses.dataclass(frozen=True)
class LayerFactor:
    """The Lipschitz constant of one call of a layer.

    Args:
        name: Name of the layer, behind the names of the models that it is in.
        layer: Class name of the layer.
        factor: The constant; for a merging layer that of all its inputs together; infinite where
            there is no bound.
        certified: Whether the factor is a proven upper bound.
    """

    name: str
    layer: str
    factor: float
    certified: bool


@dataclasses.dataclass(frozen=True)
class LipschitzReport:
    """What `lipschitz_bound` found.

    Args:
        model: Name of the model.
        bound: ‖model(x) − model(y)‖₂ ≤ bound · ‖x − y‖₂, infinite if a layer has no bound.
        layers: Tuple with a `LayerFactor` for each call of a layer, in the order of the data.
        input_shapes: Tuple with the shape of each input, without the batch axis; `None` for what
            may be of any size.
    """

    model: str
    bound: float
    layers: tuple[LayerFactor, ...]
    input_shapes: tuple[tuple[int | None, ...], ...]

    @property
    def certified(self) -> bool:
        """Whether the bound is finite and every factor in it proven."""
        return math.isfinite(self.bound) and all(layer.certified for layer in self.layers)

    @property
    def unbounded(self) -> list[str]:
        """Names of the layers that have no bound."""
        return [layer.name for layer in self.layers if not layer.certified]

    def covers(self, *input_shapes: tuple[int | None, ...]) -> bool:
        """Whether the bound holds for inputs of these shapes, given without the batch axis.

        It holds for the shapes that it was computed for; other ones are not covered.

        Raises:
            ValueError: If a shape is no tuple or list.
        """
        if not all(isinstance(shape, (list, tuple)) for shape in input_shapes):
            raise ValueError(
                "Argument `input_shapes` must be shapes without the batch axis. "
                f"Received: input_shapes={input_shapes!r}"
            )
        if len(input_shapes) != len(self.input_shapes):
            return False
        return all(
            len(asked) == len(own)
            and all(limit is None or size == limit for size, limit in zip(asked, own, strict=True))
            for asked, own in zip(input_shapes, self.input_shapes, strict=True)
        )

    def __str__(self) -> str:
        width = max((len(layer.name) for layer in self.layers), default=0)
        lines = [
            f"{layer.name:<{width}}  {layer.factor:<10.4g}  {layer.layer}"
            if layer.certified
            else f"{layer.name:<{width}}  {'no bound':<10}  {layer.layer}"
            for layer in self.layers
        ]
        found = f"{self.bound:.6g}" if self.certified else "no bound"
        return "\n".join([*lines, f"Lipschitz bound of {self.model}: {found}"])


def lipschitz_bound(model: keras.Model, input_shape: Any = None) -> LipschitzReport:
    """A certified ℓ₂ Lipschitz bound of a Sequential or Functional model at inference.

        ‖model(x) − model(y)‖₂ ≤ bound · ‖x − y‖₂   for all inputs x, y, each norm over all entries

    Constants multiply along a path, add up in `Add`, and go through √(Σ²) in `Concatenate`. A layer
    with a kernel has the certified norm of the kernel that it computes with (of what a wrapper
    makes of it: the model is folded first), times the constant of its activation: exact for
    matrices and small convolutions, the Fourier bound for others. Constants of activations, pooling
    and other layers are those of `docs/lipschitz.md`.

    Guarantee: *upper bound* in exact arithmetic, of the whole map from all inputs together to all
    outputs together, at the given input size, or at every size where the model has none. A layer
    without a known bound (attention, recurrent, products of inputs, a layer of one's own that is
    not made known by `tfspecnorm.analysis.register_constant`) makes it infinite and is named in the
    report. The bound is usually far above what a search finds: it does not know how layers
    interact.

    Args:
        model: Built Sequential or Functional model.
        input_shape: Shape of an input without the batch axis, or a list of them for several inputs,
            for a model whose inputs have no fixed size. Without it the bound covers every size,
            and sizes in which only some layers know a bound give none.

    Returns:
        `LipschitzReport` with `bound` and `layers`.

    Raises:
        ValueError: If the model is not built, is of another kind, or has weights that are not
            finite, or if the shape does not fit.

    Example:

    >>> model = keras.Sequential(
    ...     [
    ...         keras.Input((2,)),
    ...         keras.layers.Dense(2, "relu", kernel_initializer="identity"),
    ...         keras.layers.Rescaling(3.0),
    ...     ]
    ... )
    >>> report = lipschitz_bound(model)
    >>> round(report.bound, 4), [round(layer.factor, 4) for layer in report.layers]
    (3.0, [1.0, 3.0])

    Reference: Szegedy et al., "Intriguing Properties of Neural Networks", 2013, arXiv:1312.6199;
    Gouk et al., "Regularisation of Neural Networks by Enforcing Lipschitz Continuity", 2018,
    arXiv:1804.04368.
    """
    check_model(model)
    if not runs_its_layers(model):
        raise ValueError(
            "Argument `model` must be a Sequential or Functional model without a `call` of its "
            "own: what another one does with its layers is not known. "
            f"Received: {type(model).__name__} named '{model.name}'"
        )
    inputs = input_signals(model, input_shape)
    plain = fold_for_inference(model) if wrappers_in(model) else model
    factors: list[LayerFactor] = []

    def visit(call: Call) -> float:
        factor, constant = _factor_and_constant(call)
        if math.isnan(factor):
            raise ValueError(
                "Argument `model` must have finite weights. "
                f"Received: layer '{call.path}' with a norm that is not a number"
            )
        bounded = math.isfinite(factor)
        factors.append(LayerFactor(call.path, type(call.layer).__name__, factor, bounded))
        return constant

    outputs = walk(plain, inputs, visit)
    return LipschitzReport(
        model.name,
        math.hypot(*(signal.constant for signal in outputs)),
        tuple(factors),
        tuple(tuple(signal.tensor.shape[1:]) for signal in inputs),
    )


def _factor_and_constant(call: Call) -> tuple[float, float]:
    """The constant of the call itself, and that of its outputs in the model's inputs."""
    constants = [signal.constant for signal in call.inputs]
    if not call.complete or not constants:
        return math.inf, math.inf
    merged = _MERGING.get(type(call.layer))
    if merged is not None:
        if merged is not _concatenated and not _same_shapes(call):
            return math.inf, math.inf
        return merged([1.0] * len(constants)), merged(constants)
    if not isinstance(call.layer, keras.layers.Layer):
        factor = _operation_factor(call)
        return factor, factor * sum(constants) if math.isfinite(factor) else math.inf
    if len(constants) != 1:
        return math.inf, math.inf
    factor = constant_of(call.layer, tuple(call.inputs[0].tensor.shape))
    factor = math.inf if factor is None else factor
    # A constant output behind a layer without a bound is constant still.
    return factor, factor * constants[0] if constants[0] else 0.0


def _concatenated(constants: list[float]) -> float:
    return math.hypot(*constants)


def _largest_entries(constants: list[float]) -> float:
    # Each entry of a maximum differs by no more than that entry of one of the inputs.
    return math.hypot(*constants)


_MERGING = {
    keras.layers.Add: sum,
    keras.layers.Subtract: sum,
    keras.layers.Average: lambda constants: sum(constants) / len(constants),
    keras.layers.Concatenate: _concatenated,
    keras.layers.Maximum: _largest_entries,
    keras.layers.Minimum: _largest_entries,
}


def _operation_factor(call: Call) -> float:
    """Factor of the sum of the inputs' constants, for `x + y`, `x - y`, `x[:, 0]`, `2 * x`, ..."""
    if type(call.layer).__module__.partition(".")[0] != "keras":
        return math.inf
    name = type(call.layer).__name__
    if name == "GetItem":
        return 1.0 if _selects_once(call) else math.inf
    numbers = [part for part in call.arguments if isinstance(part, (int, float))]
    if len(call.arguments) != len(call.inputs) + len(numbers):
        return math.inf
    if name in ("Add", "Subtract"):
        return 1.0 if _same_shapes(call) else math.inf
    if len(call.inputs) == 1 and name == "Negative":
        return 1.0
    if len(call.inputs) == len(numbers) == 1:
        if name == "Multiply":
            return abs(float(numbers[0]))
        if name in ("TrueDivide", "Divide") and numbers[0] is call.arguments[1]:
            return 1 / abs(numbers[0]) if numbers[0] else math.inf
    return math.inf


def _selects_once(call: Call) -> bool:
    """Whether a slice such as `x[:, 0]` takes each entry of a sample once at most.

    The batch axis must stay as it is, and no axis may be cut whose size is unknown: a result of
    unknown size could be repeated to fit another one.
    """
    _, key = call.arguments
    key = list(key) if isinstance(key, (list, tuple)) else [key]
    shape = call.inputs[0].tensor.shape
    taking = [part for part in key if part is not None and part is not Ellipsis]
    if not all(isinstance(part, (int, slice)) for part in taking) or isinstance(key[0], int):
        return False
    if Ellipsis not in key:
        key.append(Ellipsis)
    place = key.index(Ellipsis)
    key[place : place + 1] = [slice(None)] * (len(shape) - len(taking))
    axes = [part for part in key if part is not None]
    return key[0] == slice(None) and all(
        isinstance(part, int) or part == slice(None) or size is not None
        for part, size in zip(axes, shape, strict=True)
    )


def _same_shapes(call: Call) -> bool:
    """Whether nothing is repeated to fit: a repeated input counts more than once."""
    shapes = {tuple(signal.tensor.shape) for signal in call.inputs}
    return len(shapes) == 1
