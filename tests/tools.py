"""What tests need on every backend: gradients, arrays, and independent oracles."""

import contextlib
import itertools

import keras
import numpy as np
import pytest
from keras import ops

BACKEND = keras.backend.backend()


def quick(values, chosen):
    """Values of a parameter: the quick run takes the chosen ones, `make test-all` the others."""
    return [
        pytest.param(value, marks=() if value in chosen else pytest.mark.crossed)
        for value in values
    ]


def array(tensor):
    """A tensor or variable as a NumPy array of at least 32 bits."""
    value = ops.convert_to_numpy(ops.convert_to_tensor(tensor))
    return (
        value if value.dtype.kind != "V" and value.dtype.itemsize >= 4 else value.astype("float32")
    )


def double_precision():
    """Lets JAX compute in 64 bits, which the other backends always do."""
    if BACKEND == "jax":
        import jax

        return jax.enable_x64(True)
    return contextlib.nullcontext()


def gradients(function, variables):
    """Gradients of the scalar `function()` in the variables, as arrays."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = function()
        found = tape.gradient(value, [variable.value for variable in variables])
        return [array(tf.convert_to_tensor(part)) for part in found]
    if BACKEND == "jax":
        import jax

        def stateless(values):
            with keras.StatelessScope(list(zip(variables, values, strict=True))):
                return function()

        return [array(part) for part in jax.grad(stateless)([v.value for v in variables])]
    import torch

    found = torch.autograd.grad(function(), [variable.value for variable in variables])
    return [array(part) for part in found]


def gradient_penalty(function, inputs):
    """mean((‖∂ Σ function(x) / ∂x‖ − 1)²) over the batch, itself differentiable."""
    inputs = ops.convert_to_tensor(inputs)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(inputs)
            total = ops.sum(function(inputs))
        slope = tape.gradient(total, inputs)
    elif BACKEND == "jax":
        import jax

        slope = jax.grad(lambda values: ops.sum(function(values)))(inputs)
    else:
        import torch

        inputs = inputs.clone().requires_grad_()
        (slope,) = torch.autograd.grad(ops.sum(function(inputs)), inputs, create_graph=True)
    lengths = ops.sqrt(ops.sum(ops.square(ops.reshape(slope, (slope.shape[0], -1))), axis=-1))
    return ops.mean(ops.square(lengths - 1.0))


def finite_differences(function, variable, step=1e-6):
    """Central differences of the scalar `function()` in each entry of a variable."""
    value = array(variable).copy()
    numeric = np.zeros(value.shape)
    for index in np.ndindex(value.shape):
        sides = []
        for sign in (1, -1):
            moved = value.copy()
            moved[index] += sign * step
            variable.assign(moved)
            sides.append(float(array(function())))
        numeric[index] = (sides[0] - sides[1]) / (2 * step)
    variable.assign(value)
    return numeric


def random(*shape, seed=0, dtype="float32"):
    """A Gaussian array."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def largest_singular_value(matrix):
    """Largest singular value of a matrix or of the blocks of a stack, by LAPACK in float64."""
    return float(np.linalg.svd(np.asarray(matrix, "float64"), compute_uv=False).max())


def largest_frequency(kernel, size):
    """Norm of a depthwise kernel on a circle of a size, in float64.

    Of the circles whose ends meet with or without a change of sign, the one with the smallest.
    """
    kernel = np.asarray(kernel, "float64")
    axes = tuple(range(len(size)))
    bounds = []
    for shifts in itertools.product((0.0, 0.5), repeat=len(size)):
        parts = zip(shifts, np.indices(kernel.shape), size, strict=False)
        turns = sum(shift * tap / count for shift, tap, count in parts)
        turned = kernel * np.exp(-2j * np.pi * turns)
        transformed = np.fft.fftn(turned, s=size, axes=axes)
        bounds.append(np.linalg.norm(transformed, axis=-1).max(axes))
    return float(np.min(bounds, axis=0).max())


def matrix_of(kernel, output_axis):
    """The kernel as a matrix whose columns are one axis: a view made without the package."""
    kernel = np.moveaxis(np.asarray(kernel, "float64"), output_axis, -1)
    return kernel.reshape(-1, kernel.shape[-1])


def fit_steps(model, inputs, targets, epochs=1, learning_rate=0.1):
    """Trains with plain gradient descent on whole batches."""
    model.compile(keras.optimizers.SGD(learning_rate), "mse")
    model.fit(inputs, targets, batch_size=len(inputs), epochs=epochs, verbose=0, shuffle=False)


def litert_output(model, inputs, path):
    """What the LiteRT file of a model computes."""
    from ai_edge_litert.interpreter import Interpreter

    signature = [keras.InputSpec(shape=inputs.shape, dtype=str(inputs.dtype))]
    model.export(path, format="litert", input_signature=signature, verbose=False)
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
