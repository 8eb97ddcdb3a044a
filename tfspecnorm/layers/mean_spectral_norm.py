"""Mean spectral normalization."""

import inspect
from typing import Any

import keras

from tfspecnorm._backend.operations import ops
from tfspecnorm._backend.replicas import has_mean, mean_over_replicas
from tfspecnorm._backend.variables import read
from tfspecnorm._util.arguments import check_boolean, check_fraction
from tfspecnorm.kernels import biases
from tfspecnorm.kernels.composites import is_unit
from tfspecnorm.kernels.containers import held_in, walk
from tfspecnorm.kernels.description import UnsuitableLayerError
from tfspecnorm.layers._divided_by_norm import DividedByNorm
from tfspecnorm.layers._full_precision import (
    at_least_32_bits,
    read_master,
    state_dtype,
)
from tfspecnorm.norms.base import TINY


@keras.saving.register_keras_serializable(package="tfspecnorm")
class MeanSpectralNorm(DividedByNorm):
    """Spectral normalization, and a mean of zero in each output channel before the bias.

        a = layer(x; s · W / σ(W)),   y = a − mean(a) + b

    The mean is taken over the batch and all positions, for each output channel. The gradient
    flows through it and through σ. Training keeps a running mean, with which evaluation
    computes: there the layer is the plain one with kernel s·W/σ and bias b − running mean, and
    `tfspecnorm.fold` makes it so. The paper has no scale, s = 1. The bias is the wrapped layer's
    own, which would be lost to the mean otherwise; a layer without one gets one, as a
    variable of the wrapper. The activation follows the wrapper. Trained variables: the kernel
    and one bias per channel.

    In a sequence with a mask, masked steps do not count in the mean: of dense layers, of a
    `TimeDistributed`, and of one-dimensional convolutions that keep the steps (stride 1, padding
    "same" or "causal"); other layers ignore a mask. `trainable=False` means evaluation, as for
    `keras.layers.BatchNormalization`.

    Guarantee: in training the mean of each output channel is *exactly* its bias, and the mean's
    subtraction, an orthogonal projection, enlarges nothing. In evaluation it is a constant
    shift: the layer is as large as with `SpectralNorm` and the same scale.

    Args:
        layer: Keras layer with one bias per output channel and no activation, built or not:
            `Dense`, `EinsumDense`, `Conv1D`/`2D`/`3D`, their transposed, depthwise and separable
            forms, or a `TimeDistributed` of one of these.
        power_iterations: Positive integer, iterations in each training call. Defaults to 1.
        momentum: Number in [0, 1): running mean ← momentum · running mean + (1 − momentum) ·
            mean. Defaults to 0.9.
        synchronized: Whether replicas of a TensorFlow strategy take one mean over the global
            batch. By default each replica subtracts its own. The running mean is the same on all
            of them either way. On JAX a batch that is spread over devices has one mean anyway;
            on PyTorch `True` is not supported.
        norm: As in `SpectralNorm`.
        scale: As in `SpectralNorm`. With 1, networks whose layers truly have norm 1, such as
            depthwise and pointwise ones, hand on next to nothing when they are deep.
        jit_compile: As in `SpectralNorm`.
        tracked_vectors: As in `SpectralNorm`.
        **kwargs: `name`, `dtype`, `trainable` of the wrapper. The mean has at least 32 bits.

    Call arguments: those of the wrapped layer, and `mask`.

    Raises:
        ValueError: For a layer of another class, one with an activation or an activity regularizer,
            and bad values of the other arguments.

    Example:

    >>> import numpy as np
    >>> layer = MeanSpectralNorm(keras.layers.Dense(4))
    >>> outputs = layer(np.random.default_rng(0).normal(size=(8, 3)), training=True)
    >>> bool(np.all(np.abs(keras.ops.convert_to_numpy(outputs).mean(axis=0)) < 1e-6))
    True

    Reference: Subramanian, Chong, "Mean Spectral Normalization of Deep Neural Networks for
    Embedded Automation", 2019, arXiv:1907.04003.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        power_iterations: int = 1,
        momentum: float = 0.9,
        synchronized: bool = False,
        norm: Any = None,
        jit_compile: bool | str = "auto",
        scale: Any = 1.0,
        tracked_vectors: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            layer,
            power_iterations,
            norm=norm,
            scale=scale,
            jit_compile=jit_compile,
            tracked_vectors=tracked_vectors,
            **kwargs,
        )
        if self._own.patterns is not None:
            raise ValueError(
                "Argument `kernels` must be left out: the mean is that of the outputs of one "
                f"linear map. Received: kernels={kwargs['kernels']!r}"
            )
        _check_layer(layer)
        momentum = check_fraction("momentum", momentum)
        synchronized = check_boolean("synchronized", synchronized)
        if synchronized and not has_mean():
            raise ValueError(
                "Argument `synchronized` must be `False` on PyTorch, where Keras has no mean over "
                f"replicas. Received: synchronized={synchronized!r}"
            )
        self.momentum = momentum
        self.synchronized = synchronized
        self._created_bias: keras.Variable | None = None
        self._layer_takes_mask = "mask" in inspect.signature(layer.call).parameters

    def build(self, input_shape: Any = None, *others: Any, **shapes: Any) -> None:
        super().build(input_shape, *others, **shapes)
        bias = biases.bias_of(self.layer)
        if bias.variable is None:
            self._created_bias = self.add_weight(
                name="bias", shape=bias.shape, initializer="zeros", autocast=False
            )
        self.moving_mean = self.add_weight(
            name="moving_mean",
            shape=bias.shape,
            initializer="zeros",
            dtype=state_dtype(self.variable_dtype),
            trainable=False,
            autocast=False,
            aggregation="mean",
        )

    def call(
        self,
        *args: Any,
        training: bool | None = None,
        mask: Any = None,
        **kwargs: Any,
    ) -> Any:
        training = bool(training) and self.trainable and self.layer.trainable
        if self._layer_takes_mask:
            kwargs["mask"] = mask
        if self.is_folded:
            outputs = self._call_folded(training, args, kwargs)
            if self._created_bias is not None:
                shift = read_master(lambda: self._shift(training=False))
                outputs = outputs + ops.cast(shift, outputs.dtype)
            return self._in_compute_dtype(outputs)
        if self._arrives_rounded():
            values, shift = read_master(
                lambda: (self._substitutes(training), self._shift(training))
            )
        else:
            values, shift = self._substitutes(training), self._shift(training)
        outputs = self._call_layer(values, args, kwargs)
        if shift is not None:
            precise = at_least_32_bits(outputs)
            shift = ops.cast(shift, precise.dtype)
            if training:
                # One sum over all outputs in place of two, here and in the gradient.
                shift = shift - self._batch_mean(precise, mask)
            outputs = ops.cast(precise + shift, outputs.dtype)
        return self._in_compute_dtype(outputs)

    def compute_output_spec(self, *args: Any, mask: Any = None, **kwargs: Any) -> Any:
        return super().compute_output_spec(*args, **kwargs)

    def _substitutes(self, training: bool) -> dict[int, Any]:
        """Kernels as in spectral normalization; in training the bias waits for the mean."""
        values = super()._substitutes(training)
        bias = biases.bias_of(self.layer).variable
        if bias is not None:
            value = ops.zeros_like(bias.value) if training else self._evaluated(bias)
            values[id(bias)] = value
        return values

    def _folded_config(self) -> dict[str, Any]:
        created = self._created_bias is not None
        config = biases.config_with_bias(self.layer) if created else self.layer.get_config()
        return self._folded_dtype(config)

    def _folded_weights(self) -> list[Any]:
        weights = super()._folded_weights()
        if self._created_bias is not None:
            weights.append(read_master(lambda: self._evaluated(self._created_bias)))
        return weights

    def _check_attachable(self) -> None:
        if biases.bias_of(self.layer).variable is None:
            raise UnsuitableLayerError(
                "have a bias where somebody's code makes it: a folded one could not be given one",
                self.layer,
            )

    def _fold_in_place(self) -> None:
        bias = None
        if self._created_bias is not None:
            bias = ops.convert_to_numpy(self._folded_weights()[-1])
        super()._fold_in_place()
        if bias is not None:
            self._created_bias.assign(bias)

    def restart(self) -> None:
        """Start vectors, running mean and a bias of the wrapper's own anew.

        Raises:
            ValueError: If the wrapper is not built.
        """
        super().restart()
        for variable in (self.moving_mean, self._created_bias):
            if variable is not None:
                variable.assign(ops.zeros_like(variable.value))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for name in ("bound", "per_gate", "kernels"):
            del config[name]
        return {**config, "momentum": self.momentum, "synchronized": self.synchronized}

    def _shift(self, training: bool) -> Any:
        """What is still to be added to the layer's outputs, or `None`."""
        bias = biases.bias_of(self.layer)
        if self._created_bias is None and not training:
            return None
        variable = bias.variable if self._created_bias is None else self._created_bias
        value = read(variable) if training else self._evaluated(variable)
        return ops.reshape(value, bias.broadcast_shape)

    def _evaluated(self, bias: keras.Variable) -> Any:
        """The bias of the plain layer: the mean is subtracted."""
        return ops.cast(read(bias) - self.moving_mean.value, bias.dtype)

    def _batch_mean(self, outputs: Any, mask: Any) -> Any:
        """Mean of each output channel, which moves the running mean."""
        axes = biases.bias_of(self.layer).reduced_axes(len(outputs.shape))
        mask = biases.mask_of_outputs(self.layer, mask, len(outputs.shape))
        if mask is None:
            total = ops.sum(outputs, axis=axes, keepdims=True)
            count = ops.cast(ops.size(outputs), total.dtype) / ops.cast(
                ops.size(total), total.dtype
            )
        else:
            weights = ops.broadcast_to(ops.cast(mask, outputs.dtype), ops.shape(outputs))
            total = ops.sum(outputs * weights, axis=axes, keepdims=True)
            count = ops.sum(weights, axis=axes, keepdims=True)
        if self.synchronized:
            total, count = mean_over_replicas(total), mean_over_replicas(count)
        empty = count < TINY
        mean = total / (count + ops.cast(empty, count.dtype))
        moving = self.moving_mean.value
        # A batch that is empty or not finite must not leave its mark in the running mean.
        usable = ops.logical_and(ops.isfinite(mean), ops.logical_not(empty))
        new = ops.reshape(ops.cast(mean, moving.dtype), moving.shape)
        new = self.momentum * moving + (1 - self.momentum) * new
        new = ops.where(ops.reshape(usable, moving.shape), new, moving)
        self.update(self.moving_mean, new)
        return mean


def _check_layer(layer: keras.layers.Layer) -> None:
    if not biases.takes_bias(layer):
        raise UnsuitableLayerError(
            "add one bias to each output channel of a linear map: "
            f"{', '.join(biases.names_of_layers_with_bias())}, or a TimeDistributed of one of them",
            layer,
            _suitable_in(layer),
        )
    activation = biases.activation_of(layer)
    if activation is not None:
        raise UnsuitableLayerError(
            "have no activation: the mean is subtracted before it. Put it into a layer that "
            "follows",
            layer,
            f" with activation={getattr(activation, '__name__', activation)!r}",
        )
    if biases.activity_regularizer_of(layer) is not None:
        raise UnsuitableLayerError(
            "have no `activity_regularizer`: it would see the outputs before the mean is "
            "subtracted. Put it into a `keras.layers.ActivityRegularization` that follows",
            layer,
            " with `activity_regularizer`",
        )


def _suitable_in(layer: keras.layers.Layer) -> str:
    """Of a layer that holds others, which of them could be wrapped, and why others cannot."""
    found = []
    for place in walk(layer, is_unit, held_in):
        if place.is_unit:
            path = "/".join(place.path)
            try:
                _check_layer(place.layer)
            except UnsuitableLayerError as error:
                found.append(f"'{path}' ({error.reason})")
            else:
                found.append(f"'{path}' (`tfspecnorm.wrap` can wrap it)")
    return f", which holds {', '.join(found)}" if found else ""
