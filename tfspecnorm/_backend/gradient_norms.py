"""Gradient norms of a model's loss, measured without a trace in the model."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops, tree

# Note [Without a trace]
# Inside a `StatelessScope` every read of a variable gives what is mapped to it and every
# assignment stays in the scope, on all backends: statistics, vectors, seeds and metrics of the
# model are as before. The trained variables are mapped to tensors in which the backend
# differentiates.


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
        gradients = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
        self._lengths = gradients[keras.backend.backend()](model, self._loss)

    def __call__(self) -> np.ndarray:
        """The Euclidean norm for each group, with the variables as they are now."""
        if not self._variables:
            return np.zeros(len(self._groups))
        optimizer = getattr(self._model, "optimizer", None)
        factor = ops.ones(())
        if hasattr(optimizer, "scale_loss"):
            # As in a training step: small gradients vanish in 16 bits without it.
            factor = ops.cast(optimizer.scale_loss(factor), "float32")
        lengths = self._lengths(
            [variable.value for variable in self._variables],
            [variable.value for variable in self._constants],
            self._batch,
            factor,
        )
        lengths = ops.convert_to_numpy(lengths).astype("float64")
        lengths = lengths / float(ops.convert_to_numpy(factor))
        return np.array([_euclidean(lengths[group]) for group in self._groups])

    def _loss(self, values: list[Any], constants: list[Any], batch: Any, factor: Any) -> Any:
        inputs, targets = batch
        mapping = zip(self._variables + self._constants, values + constants, strict=True)
        # On TensorFlow a loss of several outputs makes its metrics when it is first computed. On
        # JAX `fit` has made them, and none could be initialized while a function is traced.
        create = keras.backend.backend() != "jax"
        with keras.StatelessScope(list(mapping), collect_losses=True, initialize_variables=create):
            outputs = self._model(inputs, **_training(self._model.call))
            loss = self._model.compute_loss(
                x=inputs,
                y=targets,
                y_pred=outputs,
                sample_weight=None,
                **_training(self._model.compute_loss),
            )
        return ops.cast(loss, "float32") * factor


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


def _euclidean(values: np.ndarray) -> float:
    return float(np.sqrt(np.sum(np.square(values))))


def _stacked_lengths(gradients: Sequence[Any]) -> Any:
    """The norm of each gradient, where squares of 1e±30 stay finite; 0 for `None`."""
    lengths = []
    for gradient in gradients:
        if gradient is None:
            lengths.append(ops.zeros(()))
            continue
        gradient = ops.cast(ops.reshape(ops.convert_to_tensor(gradient), (-1,)), "float32")
        largest = ops.max(ops.abs(gradient))
        scaled = gradient / ops.where(largest > 0.0, largest, 1.0)
        lengths.append(largest * ops.sqrt(ops.sum(ops.square(scaled))))
    return ops.stack(lengths)


def _tensorflow(model: keras.Model, loss: Callable[..., Any]) -> Callable[..., Any]:
    import tensorflow as tf

    def lengths(values: list[Any], constants: list[Any], batch: Any, factor: Any) -> Any:
        values = [tf.identity(value) for value in values]
        constants = [tf.identity(value) for value in constants]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            total = loss(values, constants, batch, factor)
        return _stacked_lengths(tape.gradient(total, values))

    return lengths


def _jax(model: keras.Model, loss: Callable[..., Any]) -> Callable[..., Any]:
    import jax

    def lengths(values: list[Any], constants: list[Any], batch: Any, factor: Any) -> Any:
        return _stacked_lengths(jax.grad(loss)(values, constants, batch, factor))

    return lengths if model.run_eagerly else jax.jit(lengths)


def _torch(model: keras.Model, loss: Callable[..., Any]) -> Callable[..., Any]:
    import torch

    def lengths(values: list[Any], constants: list[Any], batch: Any, factor: Any) -> Any:
        values = [value.detach().clone().requires_grad_() for value in values]
        constants = [value.detach().clone() for value in constants]
        devices = {value.device for value in values if value.device.type == "cuda"}
        # Dropout and the order of the training data draw from the same global generator.
        with torch.random.fork_rng(devices):
            total = loss(values, constants, batch, factor)
            return _stacked_lengths(torch.autograd.grad(total, values, allow_unused=True))

    return lengths
