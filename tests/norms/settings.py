"""Random convolution layers with the dense matrix of what they compute."""

import math

import keras
import numpy as np
from keras import layers

from tests import tools
from tfspecnorm import kernels

KINDS = ("convolution", "transposed", "depthwise")
_LAYERS = {
    ("convolution", 1): layers.Conv1D,
    ("convolution", 2): layers.Conv2D,
    ("convolution", 3): layers.Conv3D,
    ("transposed", 1): layers.Conv1DTranspose,
    ("transposed", 2): layers.Conv2DTranspose,
    ("transposed", 3): layers.Conv3DTranspose,
    ("depthwise", 1): layers.DepthwiseConv1D,
    ("depthwise", 2): layers.DepthwiseConv2D,
}
_LARGEST = {1: (7, 24), 2: (7, 9), 3: (3, 5)}


def random_layer(seed):
    """A layer, the spatial size and the channels of its input, from a seed."""
    random = np.random.default_rng(seed)
    rank = int(random.choice([1, 2, 2, 2, 3]))
    kind = str(random.choice(KINDS, p=[0.6, 0.25, 0.15]))
    if rank == 3 and kind == "depthwise":
        kind = "convolution"
    largest_tap, largest_size = _LARGEST[rank]
    taps = tuple(int(part) for part in random.integers(1, largest_tap + 1, rank))
    stride = int(random.integers(1, 4))
    # Keras' layers have a stride or a dilation; TensorFlow cannot dilate a transposed one.
    dilated = stride == 1 and not (kind == "transposed" and tools.BACKEND == "tensorflow")
    dilation = int(random.integers(1, 3)) if dilated else 1
    paddings = ["same", "valid"] + ["causal"] * (rank == 1 and kind == "convolution")
    padding = str(random.choice(paddings))
    reach = [dilation * (part - 1) + 1 for part in taps]
    size = tuple(int(random.integers(part, max(part, largest_size) + 1)) for part in reach)
    options = {"kernel_size": taps, "strides": stride, "padding": padding, "use_bias": False}
    options |= {"dilation_rate": dilation, "dtype": "float64"}
    channels = int(random.integers(1, 4))
    if kind == "depthwise":
        options["depth_multiplier"] = int(random.integers(1, 4))
    else:
        options["filters"] = int(random.integers(1, 4))
        # XLA compiles a grouped convolution anew for each shape: one in eight is enough.
        if kind == "convolution" and random.random() < 1 / 8:
            options["groups"] = 2
            options["filters"], channels = 2 * options["filters"], 2 * channels
    # TensorFlow's convolutions want channels last on a CPU.
    if tools.BACKEND != "tensorflow" and padding != "causal" and random.random() < 0.25:
        options["data_format"] = "channels_first"
    return _LAYERS[kind, rank](**options), size, channels


def kernel_and_matrix(layer, size, channels, seed=0):
    """The layer's `Kernel` with Gaussian values, these, and the dense matrix of the layer."""
    first = layer.data_format == "channels_first"
    shape = (channels, *size) if first else (*size, channels)
    count = math.prod(shape)
    with tools.double_precision():
        layer.build((None, *shape))
        kernel = kernels.kernels_of(layer)[0]
        value = tools.random(*kernel.variable.shape, seed=seed, dtype="float64")
        kernel.variable.assign(value)
        outputs = layer(np.eye(count).reshape(count, *shape))
        matrix = keras.ops.convert_to_numpy(outputs).reshape(count, -1)
    return kernel, value, matrix
