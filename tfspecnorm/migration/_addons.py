"""From files of models that tensorflow-addons normalized."""

import os
from typing import Any

import keras
import numpy as np

from tfspecnorm import kernels
from tfspecnorm._util.arguments import check_model, check_path
from tfspecnorm.layers import WeightNorm
from tfspecnorm.layers.reparameterization import Reparameterization
from tfspecnorm.migration._files import read
from tfspecnorm.migration._stored import Stored, normalized_name

_STATE = ("g", "initialized", "sn_u")
_Assignments = list[tuple[keras.Variable, np.ndarray]]


def load_tensorflow_addons(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Give a model the weights of a file that a model of tensorflow-addons was saved to.

    The model is the old one written with this package: the same layers in the same order,
    `SpectralNorm` in place of `tfa.layers.SpectralNormalization`, `WeightNorm` in place of
    `tfa.layers.WeightNormalization`, plain layers where there were plain ones.

    Files are weights or whole models as `.h5`, `.keras` and `.weights.h5` files as TensorFlow
    2.15 writes them, and checkpoints made by `save_weights` (the path without `.index`; TensorFlow
    must be installed). tensorflow-addons is not needed. Layers are matched in the order of
    `model.layers`, without those that have no weights, and models in the model likewise; in
    `.keras` and `.weights.h5` in their order within each class of layers. Variables of a layer are
    matched by name, what is left of them in order, and every shape must agree.

    Guarantee: either everything is loaded or nothing. What a model of weight normalization
    computes is kept: W = g·v/‖v‖ of the file is W of the wrapper. Recurrent layers, whose
    recurrent kernel alone was normalized, have gains ‖v‖ for the other one. A layer of spectral
    normalization was evaluated with the kernel as it is stored, of norm near 1; `SpectralNorm`
    divides it by its σ, and with `scale=scales.Learned()` what the model computes is kept. Stored
    vectors are not used: those of the wrappers are converged to the kernels.

    Args:
        model: Built Keras model.
        path: Path of the file, or the prefix that the files of a checkpoint share.

    Raises:
        ValueError: If there is no such file, it is of another kind, its layers or shapes are not
            those of the model, a layer was normalized by another method or along an axis that
            does not count outputs (transposed convolutions), or its gains were to come from a
            first batch that it never saw.
        ImportError: If the file is a checkpoint and TensorFlow is not installed.

    Example:

    >>> import tempfile, h5py
    >>> from tfspecnorm import layers
    >>> path = os.path.join(tempfile.mkdtemp(), "old.h5")
    >>> with h5py.File(path, "w") as file:  # As Keras 2 writes it.
    ...     group = file.create_group("sn")
    ...     file.attrs["layer_names"] = ["sn"]
    ...     group.attrs["weight_names"] = ["sn/kernel:0", "sn/bias:0", "sn/sn_u:0"]
    ...     group["sn/kernel:0"] = 3.0 * np.eye(2)
    ...     group["sn/bias:0"], group["sn/sn_u:0"] = np.ones(2), np.ones((1, 2))
    >>> new = keras.Sequential([keras.Input((2,)), layers.SpectralNorm(keras.layers.Dense(2))])
    >>> load_tensorflow_addons(new, path)
    >>> new.predict(np.ones((1, 2)), verbose=0).round(3).tolist()
    [[2.0, 2.0]]
    """
    check_model(model)
    path = check_path("path", path)
    planned = [(layer, *_plan(path, layer, stored)) for layer, stored in read(path, model)]
    for layer, assignments, gain in planned:
        for variable, value in assignments:
            variable.assign(value)
        if isinstance(layer, Reparameterization):
            layer.restart()
        elif hasattr(layer, "finalize_state"):
            layer.finalize_state()
        if gain is not None:
            gain[0].assign(gain[1])


def _plan(
    path: str, layer: Any, stored: Stored
) -> tuple[_Assignments, tuple[keras.Variable, np.ndarray] | None]:
    """What to assign to a layer, and to its gain after the restart; raises if it does not fit."""
    names = [name for name, _ in stored.variables]
    weight = "initialized" in names
    spectral = "sn_u" in names
    if weight and "g" not in names:
        raise ValueError(
            "Argument `path` must be a file in which every layer of weight normalization has its "
            f"gain `g`. Received: path={path!r} with {names} in '{stored.name}'"
        )
    wrapped = isinstance(layer, Reparameterization)
    if weight:
        fits, wanted = isinstance(layer, WeightNorm), "a `WeightNorm`"
    elif spectral:
        fits = wrapped and not isinstance(layer, WeightNorm)
        wanted = "a `SpectralNorm`"
    else:
        fits, wanted = not wrapped, "a plain layer"
    if not fits:
        raise ValueError(
            f"Argument `model` must have {wanted} where the file has the variables {names}. "
            f"Received: path={path!r} with '{stored.name}' for {type(layer).__name__} named "
            f"'{layer.name}'"
        )
    inner = layer.layer if wrapped else layer
    kernel = normalized_name(inner)
    variables = [
        (kernel if wrapped and name in ("v", "w") else name, value)
        for name, value in stored.variables
        if not (wrapped and name in _STATE)
    ]
    assignments = _matched(path, layer, inner.weights, variables, stored)
    gain = _gain(path, layer, kernel, assignments, stored) if weight else None
    return assignments, gain


def _matched(
    path: str,
    layer: Any,
    variables: list[keras.Variable],
    values: list[tuple[str, np.ndarray]],
    stored: Stored,
) -> _Assignments:
    """By name, and what is left in order; every shape must agree."""
    names = [name for name, _ in values]
    wanted = [variable.name for variable in variables]
    rest, pairs, open_ = list(values), [], []
    for variable in variables:
        found = next((pair for pair in rest if pair[0] == variable.name), None)
        if found is None:
            open_.append(variable)
        else:
            rest = [pair for pair in rest if pair is not found]
            pairs.append((variable, found[1]))
    lost = not stored.ordered and (len(open_) > 1 or len(set(names)) < len(names))
    if len(open_) != len(rest) or lost:
        raise ValueError(
            f"Argument `path` must hold the variables {wanted} for layer '{layer.name}'"
            f"{', in an order: save the weights as `.h5` instead' if lost else ''}. "
            f"Received: path={path!r} with {names} in '{stored.name}'"
        )
    pairs += [(variable, value) for variable, (_, value) in zip(open_, rest, strict=True)]
    for variable, value in pairs:
        if tuple(variable.shape) != value.shape:
            raise ValueError(
                f"Argument `path` must hold '{variable.name}' of shape {tuple(variable.shape)} for "
                f"layer '{layer.name}'. Received: path={path!r} with shape {value.shape} in "
                f"'{stored.name}'"
            )
    return pairs


# Note [Gain]
# tensorflow-addons computes g·v/max(‖v‖, 1e-6), all axes of v but the last one in the norm. Here
# W = gain·v/‖v‖, the norm over what leads to one output unit. These agree where the last axis
# counts output units; below 1e-6 the gain takes up the difference.


def _gain(
    path: str,
    layer: WeightNorm,
    name: str,
    assignments: _Assignments,
    stored: Stored,
) -> tuple[keras.Variable, np.ndarray] | None:
    """The gain variable and its value, or `None` if it is the length of the kernel."""
    kernel = next(part for part in kernels.kernels_of(layer.layer) if part.variable.name == name)
    if not _last_axis_counts_outputs(kernel.linear_map):
        raise ValueError(
            "Argument `model` must have no layer with the axis of its outputs before another one "
            "where the file has weight normalization, which took the last axis for that of the "
            f"outputs. Received: path={path!r} with '{stored.name}' for "
            f"{type(layer.layer).__name__} named '{layer.layer.name}'"
        )
    found = dict(stored.variables)
    variable, stored_gain = layer.gains()[kernel.name], found["g"]
    if tuple(variable.shape) != stored_gain.shape:
        raise ValueError(
            f"Argument `path` must hold `g` of shape {tuple(variable.shape)} for layer "
            f"'{layer.name}'. Received: path={path!r} with shape {stored_gain.shape} in "
            f"'{stored.name}'"
        )
    if not bool(found["initialized"]):
        if stored.data_init:
            raise ValueError(
                "Argument `path` must be the file of a model that was called on data before it "
                "was saved: with `data_init=True` its gains come from the first batch. "
                f"Received: path={path!r} with '{stored.name}' not initialized"
            )
        return None
    value = next(value for other, value in assignments if other is kernel.variable)
    lengths = np.linalg.norm(value.astype("float64").reshape(-1, value.shape[-1]), axis=0)
    return variable, stored_gain * np.where(lengths > 0, np.minimum(lengths * 1e6, 1.0), 1.0)


def _last_axis_counts_outputs(linear_map: Any) -> bool:
    """Whether blocks and outputs together are the last axis of the kernel."""
    view = linear_map.view_shape or linear_map.kernel_shape
    axes = sorted({*linear_map.output_axes, *linear_map.block_axes})
    trailing = axes == list(range(len(view) - len(axes), len(view)))
    counted = int(np.prod([view[axis] for axis in axes]))
    return trailing and counted == linear_map.kernel_shape[-1]
