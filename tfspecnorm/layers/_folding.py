"""Wrappers that become plain layers: a new one, or the wrapped one where it is."""

import warnings
from typing import Any

import keras
from keras import ops

from tfspecnorm.kernels.attachment import call_alone, plain_class, weights_alone
from tfspecnorm.layers._call_arguments import build_from_config
from tfspecnorm.layers._full_precision import read_master
from tfspecnorm.layers._wrapped_layer import WrappedLayer


class FoldableLayer(WrappedLayer):
    """Base of the wrappers: what they compute in evaluation, as a plain layer."""

    def fold(self) -> keras.layers.Layer:
        """The plain layer that computes what the wrapper computes in evaluation, with its weights.

        Returns:
            New layer of the class and the name of the wrapped one. The wrapper is unchanged.

        Raises:
            ValueError: If the wrapper is not built.

        Example:

        >>> import numpy as np
        >>> from tfspecnorm import layers
        >>> wrapper = layers.SpectralNorm(keras.layers.Dense(4))
        >>> wrapper.build((None, 3))
        >>> plain = wrapper.fold()
        >>> round(float(np.linalg.norm(keras.ops.convert_to_numpy(plain.kernel), 2)), 4)
        1.0
        """
        self._check_built("fold")
        plain = self._plain_layer()
        build_from_config(plain, self.get_build_config())
        for variable, value in zip(plain.weights, self._folded_weights(), strict=True):
            # By way of NumPy: on JAX two variables must not share one buffer.
            variable.assign(ops.convert_to_numpy(value))
        return plain

    def _fold_in_place(self) -> None:
        """Give the layer the kernels that it computes with, and leave it to itself from now on.

        What the wrapper would compute with them is the same.
        """
        folded = [ops.convert_to_numpy(value) for value in self._folded_weights()]
        # A wrapper may add a variable of its own to those of the layer.
        for variable, value in zip(weights_alone(self.layer), folded, strict=False):
            variable.assign(value)
        self.restart()
        self.is_folded = True

    def _call_folded(self, training: bool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if training and self.trainable and self.layer.trainable_variables:
            warnings.warn(
                f"Layer '{self.name}' ({type(self).__name__}) was folded: it trains as a plain "
                "layer, without its wrapper.",
                stacklevel=2,
            )
        return call_alone(self.layer)(*args, **kwargs)

    def _plain_layer(self) -> keras.layers.Layer:
        """The inner layer anew, without weights, with what the wrapper decides for it."""
        plain = plain_class(self.layer).from_config(self._folded_config())
        plain.trainable = plain.trainable and self.trainable
        return plain

    def _folded_config(self) -> dict[str, Any]:
        """Configuration of the plain layer that computes what this wrapper does."""
        return self._folded_dtype(self.layer.get_config())

    def _folded_dtype(self, config: dict[str, Any]) -> dict[str, Any]:
        if self.compute_dtype != self.layer.compute_dtype:
            config["dtype"] = self.dtype_policy
        return config

    def _folded_weights(self) -> list[Any]:
        """Weights of the plain layer that computes what this wrapper does in evaluation."""
        values = read_master(lambda: self._substitutes(training=False))
        return [values.get(id(variable), variable) for variable in weights_alone(self.layer)]
