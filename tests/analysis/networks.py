"""Random small networks, their Jacobians, and a search for the worst ratio of distances."""

import keras
import numpy as np
from keras import layers, ops

import tfspecnorm
from tests import tools

SHAPE = (6, 6, 2)
ACTIVATIONS = ["leaky_relu", "gelu", "silu", "selu", "tanh", "hard_silu", "mish", "elu", "softplus"]


def random_network(seed):
    """A Functional model with residuals, concatenation, pooling and batch normalization."""
    random = np.random.default_rng(seed)
    inputs = keras.Input(SHAPE)
    x = inputs
    for _ in range(int(random.integers(2, 5))):
        x = _block(x, random)
    if random.random() < 0.5:
        x = layers.GlobalAveragePooling2D()(x)
    else:
        x = layers.Flatten()(x)
    outputs = layers.Dense(3, activation=str(random.choice(["linear", "softmax"])))(x)
    model = keras.Model(inputs, outputs)
    for variable in model.weights:
        # The same network on every backend.
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(random.uniform(0.5, 2.0, variable.shape))
        elif variable.name in ("beta", "bias"):
            # Nothing here is dead: a slope of zero everywhere would test nothing.
            variable.assign(random.uniform(0.0, 1.0, variable.shape))
        elif variable.name == "moving_mean":
            variable.assign(random.uniform(-1.0, 0.0, variable.shape))
        elif variable.trainable:
            length = np.prod(variable.shape[:-1])
            variable.assign(random.standard_normal(variable.shape) / np.sqrt(length))
    if any(isinstance(layer, tfspecnorm.layers.SpectralNorm) for layer in model.layers):
        tfspecnorm.warm_up(model)
    return model


def _convolution(channels, random):
    options = {"activation": str(random.choice(ACTIVATIONS)), "padding": "same"}
    kind = random.choice(["plain", "depthwise", "separable", "wrapped"])
    taps = int(random.integers(1, 5))
    if kind == "depthwise":
        return layers.DepthwiseConv2D(taps, **options)
    if kind == "separable":
        return layers.SeparableConv2D(channels, taps, **options)
    layer = layers.Conv2D(channels, taps, **options)
    return tfspecnorm.layers.SpectralNorm(layer, scale=1.5) if kind == "wrapped" else layer


def _block(x, random):
    channels = x.shape[-1]
    kind = random.choice(["residual", "concatenation", "pooling", "batch", "strided", "maximum"])
    if kind == "residual":
        return layers.Add()([x, _convolution(channels, random)(x)])
    if kind == "concatenation":
        return layers.Concatenate()([x, _convolution(2, random)(x)])
    if kind == "maximum":
        return layers.Maximum()([x, _convolution(channels, random)(x)])
    if kind == "pooling" and min(x.shape[1:3]) >= 3:
        pool = random.choice([layers.MaxPooling2D, layers.AveragePooling2D])
        padding = str(random.choice(["same", "valid"]))
        return pool(int(random.integers(2, 4)), int(random.integers(1, 3)), padding)(x)
    if kind == "batch":
        return layers.LeakyReLU()(layers.BatchNormalization()(_convolution(channels, random)(x)))
    return layers.Conv2D(3, 3, strides=2, padding="same", activation="leaky_relu")(x)


def vector_jacobian_product(model, points, sides):
    """Σ over outputs of side · ∂output/∂input, by automatic differentiation."""
    variable = keras.Variable(points)
    sides = ops.convert_to_tensor(sides)
    (found,) = tools.gradients(lambda: ops.sum(model(variable.value) * sides), [variable])
    return found


def largest_slopes(model, points):
    """Largest singular value of the Jacobian at each point, from its rows."""
    outputs = model.output_shape[-1]
    rows = [
        vector_jacobian_product(
            model, points, np.tile(np.eye(outputs, dtype="float32")[row], (len(points), 1))
        ).reshape(len(points), -1)
        for row in range(outputs)
    ]
    return np.linalg.norm(np.stack(rows, axis=1).astype("float64"), 2, axis=(1, 2))


def worst_ratio(model, points, steps=15):
    """Largest ‖f(x) − f(y)‖ / ‖x − y‖ that gradient ascent over y and x finds."""
    random = np.random.default_rng(0)
    others = points + 0.1 * random.standard_normal(points.shape).astype("float32")
    found = 0.0
    for _ in range(steps):
        difference = tools.array(model(points)) - tools.array(model(others))
        gap = (points - others).reshape(len(points), -1).astype("float64")
        lengths = np.linalg.norm(gap, axis=1)
        found = max(found, (np.linalg.norm(difference.astype("float64"), axis=1) / lengths).max())
        # Up the slope of the distance of outputs, then back to the same distance of inputs.
        slope = vector_jacobian_product(model, points, difference)
        slope = slope / (np.linalg.norm(slope.reshape(len(points), -1), axis=1) + 1e-30).reshape(
            -1, 1, 1, 1
        )
        moved = (points - others) + 0.5 * lengths.reshape(-1, 1, 1, 1) * slope
        scale = lengths / np.linalg.norm(moved.reshape(len(points), -1), axis=1)
        points = (others + moved * scale.reshape(-1, 1, 1, 1)).astype("float32")
        points, others = others, points
    return found
