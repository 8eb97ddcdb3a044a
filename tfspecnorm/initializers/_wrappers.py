"""The weight-normalized layers of a model."""

from typing import Any

import keras

from tfspecnorm._util.arguments import check_model
from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.layers import WeightNorm
from tfspecnorm.layers._listing import wrappers_in


def weight_norms_in(model: Any) -> list[WeightNorm]:
    """The `WeightNorm` wrappers of a built model; a `ValueError` if there is none."""
    check_model(model)
    found = [layer for layer in wrappers_in(model) if isinstance(layer, WeightNorm)]
    if not found:
        raise ValueError(
            "Argument `model` must hold a layer wrapped in `tfspecnorm.layers.WeightNorm`. "
            f"Received: model '{model.name}' without one"
        )
    return found


def biases_in(wrapper: WeightNorm) -> list[keras.Variable]:
    """The variables of the wrapped layer that are biases, but for those of recurrent layers."""
    if any(isinstance(part, keras.layers.RNN) for part in layers_in(wrapper.layer)):
        return []
    kernels = {id(kernel.variable) for kernel in wrapper.kernels}
    return [
        variable
        for variable in wrapper.layer.weights
        if variable.name == "bias" and id(variable) not in kernels
    ]
