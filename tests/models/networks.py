"""The classifiers of the models room with small arguments, and what their tests ask of a model."""

import keras
import numpy as np

from tests import tools
from tfspecnorm import models

SMALL = {
    "densenet_bc": {"input_shape": (8, 8, 3), "depth": 10, "growth": 4},
    "mlp": {"input_shape": (4, 3), "depth": 2, "units": 8},
    "mobilenet_v2": {"input_shape": (8, 8, 3), "stages": ((1, 8, 1, 1), (2, 8, 2, 2))},
    "resnet": {"input_shape": (8, 8, 3), "width": 0.25, "depth": 8},
    "resnet_separable": {"input_shape": (8, 8, 3), "width": 0.125, "blocks": (1, 1)},
    "small_cnn": {"input_shape": (8, 8, 1), "width": 0.25},
    "vgg7": {"input_shape": (32, 32, 3), "width": 0.125},
    "wide_resnet": {"input_shape": (8, 8, 3), "depth": 10, "widening": 0.25},
}
# What builders take beside: a slope only those that leave it open.
WITHOUT_SLOPE = ("mobilenet_v2",)


def small(builder, normalization, **arguments):
    """A small network of five classes."""
    arguments = {**SMALL[builder], "classes": 5, **arguments}
    return getattr(models, builder)(normalization=normalization, **arguments)


def plain(layer):
    """A layer without its wrapper."""
    return getattr(layer, "layer", layer)


def kernel_layers(model):
    """Names of the layers that have a kernel, wrapped or not."""
    return [plain(layer).name for layer in model.layers if hasattr(plain(layer), "kernel")]


def wrapped(model):
    """Names of the layers in a wrapper, and the wrappers' classes."""
    return {
        layer.layer.name: type(layer).__name__ for layer in model.layers if hasattr(layer, "layer")
    }


def layer_of(model, name):
    """The layer of this name, in its wrapper if it has one."""
    (found,) = [layer for layer in model.layers if plain(layer).name == name]
    return found


def trainable_parameters(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def convolutions(model):
    """Class, filters, kernel size, stride and output shape of each convolution."""
    return [
        (
            type(plain(layer)).__name__,
            getattr(plain(layer), "filters", None),
            plain(layer).kernel_size[0],
            plain(layer).strides[0],
            layer.output.shape[1:],
        )
        for layer in model.layers
        if isinstance(plain(layer), keras.layers.Conv2D | keras.layers.DepthwiseConv2D)
    ]


def inputs_of(model, count=8):
    return tools.random(count, *model.input_shape[1:])


def outputs_of(model, inputs):
    return tools.array(model(inputs, training=False))
