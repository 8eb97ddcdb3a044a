"""Gradient norms of a model's loss, measured without a trace in the model."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from tfspecnorm._backend.gradients import in_values
from tfspecnorm._backend.tracing import traced
from tfspecnorm._backend.variables import random_numbers_kept, run


class GradientNorms:
    """Norms of the gradient of a model's compiled loss, for groups of variables.

    The loss is that of a training step: `model.compute_loss` of the model's outputs in training
    mode, with all regularization. Nothing of the model is changed.

    Args:
        model: Compiled Keras model.
        groups: Lists of trainable variables of the model; one may be empty.
        inputs: Array or nested structure of arrays, what the model is called on.
        targets: Array, nested structure of arrays or `None`, what the loss compares with.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.zeros((2, 1))])
    >>> model.compile("sgd", "mse")
    >>> norms = GradientNorms(model, [model.trainable_variables], np.eye(2), np.ones((2, 1)))
    >>> [round(float(norm), 4) for norm in norms()]  # ∂/∂w mean (w − 1)² = −1 in each of two
    [1.4142]
    """

    def __init__(
        self,
        model: keras.Model,
        groups: Sequence[Sequence[keras.Variable]],
        inputs: Any,
        targets: Any,
    ) -> None:
        self._model = model
        self._variables = list({id(v): v for group in groups for v in group}.values())
        places = {id(variable): place for place, variable in enumerate(self._variables)}
        self._groups = [[places[id(variable)] for variable in group] for group in groups]
        self._constants = [v for v in model.variables if id(v) not in places]
        self._batch = tree.map_structure(_tensor, (inputs, targets))
        # TensorFlow would not make metrics of several outputs while it traces.
        self._measure = traced(self._lengths, on=() if model.run_eagerly else ("jax",))

    def __call__(self) -> np.ndarray:
        """The Euclidean norm for each group, with the variables as they are now."""
        if not self._variables:
            return np.zeros(len(self._groups))
        optimizer = getattr(self._model, "optimizer", None)
        factor = ops.ones(())
        if hasattr(optimizer, "scale_loss"):
            # As in a training step: small gradients vanish in 16 bits without it.
            factor = ops.cast(optimizer.scale_loss(factor), "float32")
        lengths = self._measure(
            [variable.value for variable in self._variables],
            [variable.value for variable in self._constants],
            self._batch,
            factor,
        )
        lengths = ops.convert_to_numpy(lengths).astype("float64")
        lengths = lengths / float(ops.convert_to_numpy(factor))
        return np.array([np.sqrt(np.sum(np.square(lengths[group]))) for group in self._groups])

    def _lengths(self, values: list[Any], constants: list[Any], batch: Any, factor: Any) -> Any:
        constants = [ops.stop_gradient(value) for value in constants]

        def scaled_loss(values: list[Any]) -> Any:
            # Statistics, vectors, seeds and metrics stay as they are. A loss of several outputs
            # makes its metrics when it is first computed, but on JAX, where `fit` makes them.
            mapping = zip(self._variables + self._constants, values + constants, strict=True)
            options = {"collect_losses": True, "makes_variables": True}
            loss, *_ = run(lambda: self._loss(*batch), mapping, **options)
            return ops.cast(loss, "float32") * factor

        # Dropout and the order of the training data draw from the same generator on PyTorch.
        with random_numbers_kept(values):
            return ops.stack([_length(part) for part in in_values(scaled_loss, values)])

    def _loss(self, inputs: Any, targets: Any) -> Any:
        outputs = self._model(inputs, **_training(self._model.call))
        options = {"sample_weight": None, **_training(self._model.compute_loss)}
        return self._model.compute_loss(x=inputs, y=targets, y_pred=outputs, **options)


def _training(function: Callable[..., Any]) -> dict[str, bool]:
    return {"training": True} if "training" in inspect.signature(function).parameters else {}


def _tensor(value: Any) -> Any:
    """As `fit` feeds it: real numbers in the precision of Keras."""
    if value is None:
        return None
    if not ops.is_tensor(value):
        value = np.asarray(value)
        if value.dtype.kind == "f":
            value = value.astype(keras.config.floatx())
    return ops.convert_to_tensor(value)


def _length(gradient: Any) -> Any:
    """Its Euclidean norm, where squares of 1e±30 stay finite."""
    gradient = ops.cast(ops.reshape(ops.convert_to_tensor(gradient), (-1,)), "float32")
    largest = ops.max(ops.abs(gradient))
    scaled = gradient / ops.where(largest > 0.0, largest, 1.0)
    return largest * ops.sqrt(ops.sum(ops.square(scaled)))
