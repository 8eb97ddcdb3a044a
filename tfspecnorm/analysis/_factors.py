"""What each call in a model does to constants, and why where there is no bound."""

import math
from typing import NamedTuple

import keras
from keras import ops

from tfspecnorm.analysis._constants import constant_of
from tfspecnorm.analysis._merging import Operand, merge_of, operands_of, times
from tfspecnorm.analysis._operations import moves_of
from tfspecnorm.analysis._reasons import reason_for
from tfspecnorm.analysis._sizes import size_of_output
from tfspecnorm.analysis._walk import Call, Passed
from tfspecnorm.kernels.undescribed import as_reason
from tfspecnorm.layers.reparameterization import Reparameterization

_UNBOUNDED = Passed(math.inf)


class Factor(NamedTuple):
    """What a call does.

    Args:
        value: Its own constant, for all of its inputs together; infinite where there is none.
        passed: What it makes of the constants of its inputs.
        reason: Why there is no constant; `None` where there is one.
    """

    value: float
    passed: Passed
    reason: str | None = None


def factor_of(call: Call) -> Factor:
    """The constant of a call, and that of its outputs in the inputs of the model."""
    refused = None
    try:
        factor = _factor_of(call)
    except ValueError as error:
        # Such as that of a layer that is quantized.
        factor, refused = None, as_reason(error)
    if factor is None:
        factor = Factor(math.inf, _UNBOUNDED)
    if factor.value < math.inf or math.isnan(factor.value):
        return factor
    outputs = factor.passed
    if call.inputs and not any(signal.constant for signal in call.inputs) and not call.options:
        # What is computed of constants is constant.
        outputs = outputs._replace(constant=0.0)
    return Factor(math.inf, outputs, refused or reason_for(call))


def _factor_of(call: Call) -> Factor | None:
    if call.options or not call.inputs:
        return None
    merge = merge_of(call)
    if merge is not None:
        operands = operands_of(call)
        if operands is not None:
            units = [
                Operand(1.0 if operand.constant else 0.0, *operand[1:]) for operand in operands
            ]
            return Factor(merge(units).constant, merge(operands))
        if isinstance(call.layer, keras.layers.Layer):
            return None
    if not isinstance(call.layer, keras.layers.Layer):
        return _of_operation(call)
    if len(call.inputs) != 1:
        return None
    (signal,) = call.inputs
    layer, shape = call.layer, tuple(signal.tensor.shape)
    if isinstance(layer, Reparameterization):
        layer = _without(layer, shape)
    factor = constant_of(layer, shape)
    size = size_of_output(layer, signal.size)
    if factor is None:
        return Factor(math.inf, Passed(math.inf, size))
    return Factor(factor, Passed(times(factor, signal.constant), size))


def _without(wrapper: Reparameterization, shape: tuple) -> keras.layers.Layer:
    """The layer in a wrapper anew, with the kernels that the wrapper computes with.

    For models that cannot be folded as a whole.
    """
    plain = type(wrapper.layer).from_config(wrapper._folded_config())
    plain.build(shape)
    for variable, value in zip(plain.weights, wrapper._folded_weights(), strict=True):
        variable.assign(ops.convert_to_numpy(value))
    return plain


def _of_operation(call: Call) -> Factor | None:
    moves = moves_of(call)
    if moves is None:
        return None
    value = math.hypot(*(factor for factor, _ in moves.inputs))
    constant = math.hypot(*(times(factor, signal.constant) for factor, signal in moves.inputs))
    return Factor(value, Passed(constant, moves.size))
