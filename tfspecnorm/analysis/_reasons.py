"""Why a layer has no Lipschitz bound, and what to do about it."""

from typing import Any

import keras

from tfspecnorm.analysis._merging import is_of_keras
from tfspecnorm.analysis._table import known_base
from tfspecnorm.analysis._walk import Call
from tfspecnorm.kernels.attachment import plain_class
from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.layers.reparameterization import Reparameterization

REGISTER = "`tfspecnorm.analysis.register_constant`"


def _classes(*names: str) -> tuple[type, ...]:
    """Those of these layers that the installed Keras has."""
    return tuple(getattr(keras.layers, name) for name in names if hasattr(keras.layers, name))


_PRODUCT = (
    "the slope of a product grows with its factors. It has a constant if every factor is bounded, "
    "for example by `sigmoid`, `tanh` or `relu6`"
)
# The first that fits counts.
_BY_CLASS = (
    (
        _classes("MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention"),
        "attention weights depend on the inputs, and the slope of their product with the values "
        "grows with the inputs. No bound holds for all inputs",
    ),
    (
        _classes("RNN", "Bidirectional"),
        "no constant is known for recurrent layers: they multiply states and gates",
    ),
    (
        _classes("Lambda"),
        "the function in a `Lambda` is not known. Write it with operations of `keras.ops`, or as a "
        f"layer of your own with {REGISTER}",
    ),
    (
        _classes("Embedding", "ReversibleEmbedding"),
        "token numbers have no slope. Bound the model behind the embedding, which takes vectors",
    ),
    (_classes("Multiply"), _PRODUCT),
    (_classes("Dot"), "the slope of a product grows with its factors"),
    (
        _classes("Discretization", "CategoryEncoding", "Hashing", "HashedCrossing", "StringLookup")
        + _classes("IntegerLookup", "TextVectorization"),
        "it maps inputs to categories, which jump. Bound the model behind it",
    ),
    (_classes("Masking"), "a masked step jumps to zero, unless `mask_value` is 0"),
    (_classes("UnitNormalization"), "its slope is not bounded near zero"),
    (
        _classes("SpectralNormalization"),
        "its stored vectors prove no norm. Convert it with `tfspecnorm.migration.from_keras`",
    ),
    (
        _classes("LayerNormalization", "GroupNormalization", "RMSNormalization"),
        "its slope is not bounded: `epsilon` must be positive, and `rms_scaling` off",
    ),
)
_PRODUCTS = ("Multiply", "Power", "Square", "Matmul", "Dot", "Einsum", "Tensordot", "Vdot", "Outer")
_REPEATED = (
    "an input is repeated to fit the others, and it is not known how often. Give `input_shape`"
)
_MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")


def reason_for(call: Call) -> str:
    """Why a call has no constant, in a sentence with advice."""
    if not call.inputs:
        return "it takes no input of the model"
    if not isinstance(call.layer, keras.layers.Layer):
        return _reason_for_operation(call)
    for classes, reason in _BY_CLASS:
        if isinstance(call.layer, classes):
            return reason
    if call.options:
        return f"it is called with {', '.join(call.options)}, which changes what it computes"
    if known_base(call.layer) is None and not is_of_keras(call.layer):
        return reason_for_own(call.layer)
    return _reason_for_layer(call)


def _reason_for_layer(call: Call) -> str:
    layer = call.layer
    if type(layer).__name__ in _MERGES:
        return _REPEATED + ", or give the inputs one shape"
    if isinstance(layer, keras.layers.TimeDistributed):
        return f"no constant is known for the {plain_class(layer.layer).__name__} in it"
    activation = getattr(layer, "activation", None)
    if activation is not None and known_base(layer) is not None:
        name = getattr(activation, "__name__", type(activation).__name__)
        return (
            f"no constant is known for the activation `{name}`. Take one with a bounded slope, "
            "such as `relu` or `tanh`"
        )
    if any(None in signal.tensor.shape[1:] for signal in call.inputs):
        return "its constant depends on a size that is not known. Give `input_shape`"
    return f"no constant is known for this layer. If you can prove one, give it to {REGISTER}"


def reason_for_own(layer: Any) -> str:
    """Why a layer or model of a user's own has no constant."""
    name = plain_class(layer).__name__
    if isinstance(layer, Reparameterization):
        return f"no constant is known for the {plain_class(layer.layer).__name__} in it"
    register = f"If you can prove one, give it to {REGISTER}({name}, rule)"
    if isinstance(layer, keras.Model):
        return (
            "a model with a `call` of its own: what it does with its layers is not known. Write it "
            f"as a Functional model. {register}"
        )
    if len(layers_in(layer)) > 1:
        return (
            "a layer of your own that holds layers: what its `call` does with them is not known. "
            f"{register}; the rule can use `constant_of` for each of them"
        )
    return f"a layer of your own, and its constant is not known. {register}"


def _reason_for_operation(call: Call) -> str:
    name = type(call.layer).__name__
    if not is_of_keras(call.layer):
        return f"an operation of your own. Make it a layer, and give its constant to {REGISTER}"
    if name == "Where":
        return "it jumps where the condition changes"
    if name in _PRODUCTS:
        return _PRODUCT
    if name in ("Divide", "TrueDivide", "Reciprocal", "Log", "Sqrt", "Rsqrt"):
        return "its slope is not bounded near zero"
    if any(not keras.backend.is_float_dtype(output.dtype) for output in call.outputs):
        return "whole numbers jump"
    if any(output.shape[:1] != call.inputs[0].tensor.shape[:1] for output in call.outputs):
        return "it mixes the samples of a batch"
    if any(None in signal.tensor.shape[1:] for signal in call.inputs):
        return "its constant depends on a size that is not known. Give `input_shape`"
    if name in _MERGES:
        return _REPEATED
    return (
        "no constant is known for this operation and its arguments. Make it a layer of your own, "
        f"and give its constant to {REGISTER}"
    )
