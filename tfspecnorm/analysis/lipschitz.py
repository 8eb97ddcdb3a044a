"""A certified bound of how far a whole model can carry two inputs apart."""

import functools
import math
from typing import Any

import keras

from tfspecnorm._util.arguments import check_model
from tfspecnorm.analysis._constants import constant_of
from tfspecnorm.analysis._factors import factor_of
from tfspecnorm.analysis._lipschitz_report import LayerFactor, LipschitzReport
from tfspecnorm.analysis._merging import merge_of, operands_of
from tfspecnorm.analysis._reasons import reason_for_own
from tfspecnorm.analysis._walk import Call, Passed, Signal, input_signals, walk
from tfspecnorm.kernels.attachment import plain_class
from tfspecnorm.layers._listing import wrappers_in
from tfspecnorm.surgery.folding import fold_for_inference
from tfspecnorm.surgery.graph import runs_its_layers


def lipschitz_bound(model: keras.Model, input_shape: Any = None) -> LipschitzReport:
    """A certified ℓ₂ Lipschitz bound of a model at inference.

        ‖model(x) − model(y)‖₂ ≤ bound · ‖x − y‖₂   for all inputs x, y, each norm over all entries

    Constants multiply along a path, add up in sums, and go through √(Σ²) in `Concatenate`. A layer
    with a kernel has the certified norm of the kernel that it computes with (of what a wrapper
    makes of it: the model is folded first), times the constant of its activation: exact for
    matrices and small convolutions, the Fourier bound for others. A product has a constant if every
    factor is bounded, for example by a sigmoid. Constants of activations, pooling, operations of
    `keras.ops` and other layers are those of `docs/lipschitz.md`.

    Guarantee: *upper bound* in exact arithmetic, of the whole map from all inputs together to all
    outputs together, at the given input size, or at every size that `covers` accepts where the
    model has none. A layer without a known bound (attention, recurrent, products of unbounded
    factors, a layer of your own) makes it infinite; the report names the layer, and says why and
    what to do. A model with a `call` of its own has no bound as a whole. To give a layer or model
    of your own a constant, see `tfspecnorm.analysis.register_constant`. The bound is usually far
    above what a search finds: it does not know how layers interact.

    Args:
        model: Built Keras model.
        input_shape: Shape of an input without the batch axis, or a list of them for several inputs,
            for a model whose inputs have no fixed size. Without it the bound is for all sizes, and
            there is none if a layer has a bound at some sizes only.

    Returns:
        `LipschitzReport` with `bound` and `layers`. Print it to see where a bound is lost.

    Raises:
        ValueError: If the model is no Keras model, is not built, or has weights that are not
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
        return _of_unknown_calls(model, input_shape)
    inputs = input_signals(model, input_shape)
    plain = _folded(model)
    factors: list[LayerFactor] = []

    def visit(call: Call) -> Passed:
        factor = factor_of(call)
        factors.append(_layer_factor(call.path, call.layer, factor.value, factor.reason))
        return factor.passed

    outputs = walk(plain, inputs, visit)
    any_size = any(None in signal.tensor.shape[1:] for signal in inputs)
    return LipschitzReport(
        model.name,
        math.hypot(*(signal.constant for signal in outputs)),
        tuple(factors),
        tuple(tuple(signal.tensor.shape[1:]) for signal in inputs),
        functools.partial(_merges_alike, plain) if any_size else None,
    )


def _layer_factor(path: str, layer: Any, value: float, reason: str | None) -> LayerFactor:
    if math.isnan(value):
        raise ValueError(
            "Argument `model` must have finite weights. "
            f"Received: layer '{path}' with a norm that is not a number"
        )
    return LayerFactor(path, plain_class(layer).__name__, value, math.isfinite(value), reason)


def _folded(model: keras.Model) -> keras.Model:
    """The model without wrappers, or as it is if a layer cannot be rebuilt without them."""
    if not wrappers_in(model):
        return model
    try:
        return fold_for_inference(model)
    except (NotImplementedError, TypeError, ValueError):
        # As Keras says of configurations that do not make a layer anew.
        return model


def _of_unknown_calls(model: keras.Model, input_shape: Any) -> LipschitzReport:
    """The report of a model that is one layer: its constant may be registered."""
    inputs = getattr(model, "inputs", None)
    shapes = [] if inputs is None else [tuple(tensor.shape[1:]) for tensor in inputs]
    if input_shape is not None:
        if not isinstance(input_shape, (list, tuple)):
            raise ValueError(
                "Argument `input_shape` must be a shape without the batch axis. "
                f"Received: input_shape={input_shape!r}"
            )
        shapes = [tuple(input_shape)]
    constant = constant_of(model, (None, *shapes[0])) if len(shapes) == 1 else None
    reason = None
    if constant is None:
        constant, reason = math.inf, reason_for_own(model)
    factor = _layer_factor(model.name, model, constant, reason)
    return LipschitzReport(model.name, constant, (factor,), tuple(shapes))


def _merges_alike(model: keras.Model, shapes: tuple) -> bool:
    """Whether tensors that are merged at unknown sizes are of one size at these."""
    anywhere = _repeats(model, input_signals(model))
    if not any(None in shape for shape in shapes):
        try:
            return anywhere == _repeats(model, input_signals(model, _as_input_shape(shapes)))
        except (ValueError, TypeError):
            # Keras says that the sizes do not fit.
            return False
    return not anywhere


def _as_input_shape(shapes: tuple) -> Any:
    return shapes[0] if len(shapes) == 1 else list(shapes)


def _repeats(model: keras.Model, inputs: list[Signal]) -> list[list[int] | None]:
    """How often the operands of each merge are repeated, in the order of the calls."""
    found: list[list[int] | None] = []

    def visit(call: Call) -> Passed:
        if call.inputs and merge_of(call) is not None:
            operands = operands_of(call)
            found.append(operands and [operand.repeats for operand in operands])
        return Passed(1.0, 1.0)

    walk(model, inputs, visit)
    return found
