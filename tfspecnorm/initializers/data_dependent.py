"""Gains and biases from one batch: the start of Salimans & Kingma."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from tfspecnorm.initializers._wrappers import weight_norms_in
from tfspecnorm.kernels import biases, kernels_of
from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.kernels.recurrent import states_of
from tfspecnorm.layers import WeightNorm
from tfspecnorm.norms.base import TINY

# Below this share of its own size a deviation is rounding.
_CONSTANT = 1e-5


def data_dependent(model: keras.Model, batch: Any) -> None:
    """Set gains and biases so that, on this batch, every pre-activation has mean 0, variance 1.

        g = 1 / std(t),   b = −mean(t) / std(t),   t = v x / ‖v‖

    One forward pass, layer by layer in the order in which the model runs them: each layer sees
    what the layers before it compute with their new weights. Means are taken over the batch and
    all positions, for each output channel. The directions v stay. A layer without a bias gets
    its gain alone; a layer that runs twice gets what its first run says. The model is in
    evaluation while it runs: no other weight and no state changes.

    Guarantee: *exact* on this batch, for layers with a bias. It is the baseline that
    `tfspecnorm.initializers.robust` is compared with; beyond some twenty layers it fails.

    Args:
        model: Built Keras model of any kind, with layers in `layers.WeightNorm` that add one
            bias to each output channel: dense, einsum, convolutions. Of the two kernels of a
            separable convolution the pointwise one is set, and the other's gains are 1.
        batch: Array or structure of arrays that the model takes, with at least two values for
            each channel.

    Raises:
        ValueError: If the model is not built or holds no `WeightNorm`, a layer is of another
            kind, does not run, is in two wrappers, or has a direction of zeros; if the batch is
            not finite, has a single value for a channel, or leaves a channel constant. The model
            is unchanged then.

    Example:

    >>> from tfspecnorm import layers
    >>> inputs = [keras.Input((8,)), layers.WeightNorm(keras.layers.Dense(4))]
    >>> model = keras.Sequential(inputs)
    >>> batch = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
    >>> data_dependent(model, batch)
    >>> outputs = model.predict(batch, verbose=0)
    >>> bool(np.allclose(outputs.mean(axis=0), 0, atol=1e-5))
    True
    >>> bool(np.allclose(outputs.std(axis=0), 1, atol=1e-5))
    True

    Reference: Salimans, Kingma, "Weight Normalization: A Simple Reparameterization to Accelerate
    Training of Deep Neural Networks", 2016, arXiv:1602.07868.
    """
    wrappers = weight_norms_in(model)
    for wrapper in wrappers:
        _check_layer(wrapper)
    _check_wrapped_once(wrappers)
    _check_runs_on_whole_batches(model)
    for part in tree.flatten(batch):
        if not np.all(np.isfinite(ops.convert_to_numpy(ops.cast(part, "float32")))):
            raise ValueError(
                "Argument `batch` must be finite. Received: batch with NaN or infinity"
            )
    done: set[int] = set()
    with _nothing_else_changes(model, wrappers), contextlib.ExitStack() as stack:
        for wrapper in wrappers:
            stack.enter_context(_initialized_when_called(wrapper, done))
        model(tree.map_structure(ops.convert_to_tensor, batch), training=False)
        missed = [wrapper.layer.name for wrapper in wrappers if id(wrapper) not in done]
        if missed:
            raise ValueError(
                "Argument `model` must run all of its weight-normalized layers. "
                f"Received: model '{model.name}', which did not run {missed}"
            )


@contextlib.contextmanager
def _nothing_else_changes(model: keras.Model, wrappers: list[WeightNorm]) -> Iterator[None]:
    """Puts back what the model moves as it runs, and gains and biases too if something fails."""
    variables = {id(v): v for v in [*model.variables, *states_of(layers_in(model))]}
    targets = {id(gain) for wrapper in wrappers for gain in wrapper.gains().values()}
    targets |= {id(biases.bias_of(wrapper.layer).variable) for wrapper in wrappers}
    before = {key: np.array(ops.convert_to_numpy(v)) for key, v in variables.items()}

    def put_back(keys: Any) -> None:
        for key in keys:
            variables[key].assign(before[key])

    try:
        yield
    except BaseException:
        put_back(variables)
        raise
    put_back(variables.keys() - targets)


@contextlib.contextmanager
def _initialized_when_called(wrapper: WeightNorm, done: set[int]) -> Iterator[None]:
    """Lets the first call of a wrapper set its gain and bias.

    From outside, on this one object: nothing of it is left in the layer, its graphs or files.
    """
    call = wrapper.call

    def measured_call(*args: Any, **kwargs: Any) -> Any:
        if id(wrapper) not in done:
            done.add(id(wrapper))
            _initialize(wrapper, lambda: call(*args, **kwargs))
        return call(*args, **kwargs)

    wrapper.call = measured_call
    try:
        yield
    finally:
        del wrapper.call


def _initialize(wrapper: WeightNorm, run: Any) -> None:
    bias = biases.bias_of(wrapper.layer)
    for gain in wrapper.gains().values():
        gain.assign(np.ones(gain.shape))
    if bias.variable is not None:
        bias.variable.assign(np.zeros(bias.shape))
    with biases.without_activation(wrapper.layer):
        outputs = ops.convert_to_numpy(ops.cast(run(), "float32")).astype("float64")
    mean, deviation = _statistics(outputs, bias, wrapper.layer.name)
    *_, last = wrapper.gains().values()
    last.assign(_by_unit(1 / deviation, wrapper.layer).reshape(last.shape))
    if bias.variable is not None:
        bias.variable.assign((-mean / deviation).reshape(bias.shape))


def _statistics(outputs: np.ndarray, bias: biases.Bias, name: str) -> tuple[Any, Any]:
    """Mean and standard deviation of each output channel."""
    axes = bias.reduced_axes(outputs.ndim)
    count = int(np.prod([outputs.shape[axis] for axis in axes]))
    received = f"Received: batch with outputs of shape {outputs.shape} at layer '{name}'"
    if count < 2:
        raise ValueError(
            f"Argument `batch` must have at least two values for each channel. {received}"
        )
    if not np.all(np.isfinite(outputs)):
        raise ValueError(f"Argument `batch` must lead to finite activations. {received}")
    mean, deviation = outputs.mean(axis=axes), outputs.std(axis=axes)
    constant = deviation <= _CONSTANT * np.abs(outputs).max(initial=0.0)
    if np.any(constant):
        raise ValueError(
            "Argument `batch` must differ in every channel of every layer: a constant channel has "
            f"no scale. {received}, {int(constant.sum())} of {constant.size} channels constant"
        )
    return mean, deviation


def _by_unit(values: np.ndarray, layer: Any) -> np.ndarray:
    """Values of the output channels in the order of the kernel's units."""
    while isinstance(layer, keras.layers.TimeDistributed):
        layer = layer.layer
    if not isinstance(layer, keras.layers.EinsumDense):
        return values
    operands, output = layer.equation.replace(" ", "").split("->")
    labels = operands.split(",")[1]
    sizes = dict(zip(labels, layer.kernel.shape, strict=True))
    channels = [label for label in output if label in labels]
    (kernel,) = kernels_of(layer)
    linear_map = kernel.linear_map
    units = [labels[axis] for axis in linear_map.block_axes + linear_map.output_axes]
    values = values.reshape([sizes[label] for label in channels])
    return values.transpose([channels.index(label) for label in units])


def _check_wrapped_once(wrappers: list[WeightNorm]) -> None:
    kernels = [id(kernel.variable) for wrapper in wrappers for kernel in wrapper.kernels]
    twice = {w.layer.name for w in wrappers for k in w.kernels if kernels.count(id(k.variable)) > 1}
    if twice:
        raise ValueError(
            "Argument `model` must have each layer in one wrapper: the bias of a layer in two "
            f"cannot serve both. Received: model with {sorted(twice)} in several"
        )


def _check_runs_on_whole_batches(model: keras.Model) -> None:
    for part in layers_in(model):
        if isinstance(part, keras.layers.TimeDistributed):
            held = [p for p in layers_in(part.layer) if isinstance(p, WeightNorm)]
            if held:
                raise ValueError(
                    "Argument `model` must have wrappers around a TimeDistributed, not in it, "
                    "where they run once for each time step. Received: model with "
                    f"'{held[0].name}' in '{part.name}'"
                )


def _check_layer(wrapper: WeightNorm) -> None:
    layer = wrapper.layer
    known = biases.takes_bias(layer)
    if known:
        *_, last = wrapper.kernels
        units = math.prod(biases.bias_of(layer).shape)
        known = units == math.prod(wrapper.gains()[last.name].shape)
    if not known:
        raise ValueError(
            "Argument `model` must have weight-normalized layers with one bias for each output "
            f"unit: {', '.join(biases.names_of_layers_with_bias())}. "
            f"Received: model with {type(layer).__name__} named '{layer.name}'"
        )
    for kernel in wrapper.kernels:
        matrix = kernel.linear_map.matrix(ops.convert_to_numpy(kernel.variable), np)
        # Of such directions the layer does not take the length either.
        zero = np.abs(matrix).max(axis=-2) <= TINY
        if np.any(zero):
            raise ValueError(
                "Argument `model` must have directions that are not zero. Received: model with "
                f"layer '{layer.name}', where {int(zero.sum())} of {zero.size} units of "
                f"'{kernel.name}' are zero"
            )
