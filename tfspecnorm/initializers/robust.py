"""Orthogonal directions, and gains that preserve the size of activations in deep networks."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from tfspecnorm._util.arguments import check_seed, is_number
from tfspecnorm.initializers._wrappers import biases_in, weight_norms_in
from tfspecnorm.kernels import Kernel
from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.layers import WeightNorm
from tfspecnorm.norms import LinearMap

_FEED_FORWARD = 2.0
_LINEAR = 1.0
_WITHOUT_RULE = (
    keras.layers.Embedding,
    keras.layers.RNN,
    keras.layers.MultiHeadAttention,
    keras.layers.GroupQueryAttention,
)


class ResidualBlock(NamedTuple):
    """The layers of a residual block h + F(h), by name.

    Args:
        last: Name of the last layer of the branch F.
        shortcut: Name of the layer in the shortcut, `None` for the identity.

    Other layers of the branch are feed-forward ones and need no mention.
    """

    last: str
    shortcut: str | None = None


def robust(
    model: keras.Model,
    stages: Sequence[Sequence[ResidualBlock]] = (),
    gammas: dict[str, float | None] | None = None,
    seed: int | None = None,
) -> None:
    """Start every weight-normalized layer so that deep networks neither explode nor vanish.

        v orthogonal,   g = √(γ · fan_in / fan_out),   bias 0

    γ is 2 for feed-forward layers, which a ReLU follows. In a residual network γ is 1/B for the
    last layer of a branch, where B counts the blocks of its *stage*, and 1 for a layer in the
    shortcut. A convolution's taps occur in both fans and cancel, so g = √(γ · inputs / outputs);
    groups and channels of depthwise kernels count by themselves. γ of a separable convolution
    is that of its pointwise kernel; the depthwise one, which no ReLU follows, has 1.

    Guarantee: the directions of the smaller side of each matrix are *exactly* orthonormal. For
    widths around 1000 the norm of activations and of gradients stays within 0.8 to 1.25 over 20
    layers and grows to about 1.6 over 40 residual blocks (measured).

    Args:
        model: Built Keras model with layers in `layers.WeightNorm`. Plain layers, such as the
            classifier, are left alone.
        stages: Residual stages, each a sequence of `ResidualBlock`s.
        gammas: Dict from the name of a layer (of the wrapper or the wrapped one) to its γ, a
            positive number, or to `None` to leave the layer as it is. It overrides the rules
            above, for a layer that no ReLU follows, say. Embeddings, recurrent layers and
            attention have no rule: they must be named here. A number counts for each of their
            kernels; biases of recurrent layers, such as that of a forget gate, stay.
        seed: Integer, 0 or larger, or `None` for other directions in each call.

    Raises:
        ValueError: If the model is not built or holds no `WeightNorm`, an argument is of another
            form, a name is unknown or occurs twice, γ is not positive, or a layer has no rule.
            The model is unchanged then.

    Example:

    >>> from tfspecnorm import layers
    >>> inputs = [keras.Input((8,)), layers.WeightNorm(keras.layers.Dense(4, name="hidden"))]
    >>> model = keras.Sequential(inputs)
    >>> robust(model, seed=0)
    >>> [round(float(gain), 3) for gain in model.layers[0].gains()["kernel"].value]
    [2.0, 2.0, 2.0, 2.0]
    >>> robust(model, gammas={"hidden": 1.0}, seed=0)
    >>> [round(float(gain), 3) for gain in model.layers[0].gains()["kernel"].value]
    [1.414, 1.414, 1.414, 1.414]

    Reference: Arpit, Campos, Bengio, "How to Initialize your Network? Robust Initialization for
    WeightNorm & ResNets", 2019, arXiv:1906.02341.
    """
    wrappers = weight_norms_in(model)
    chosen = _gammas(model, wrappers, _checked_stages(stages), _checked_gammas(gammas))
    random = np.random.default_rng(check_seed(seed, optional=True))
    values: list[tuple[keras.Variable, Any]] = []
    for wrapper, gamma in zip(wrappers, chosen, strict=True):
        if gamma is None:
            continue
        for kernel in wrapper.kernels:
            gain = wrapper.gains()[kernel.name]
            values.append((kernel.variable, orthogonal(kernel.linear_map, random)))
            values.append((gain, np.full(gain.shape, _gain(wrapper, kernel, gamma))))
        values += [(bias, np.zeros(bias.shape)) for bias in biases_in(wrapper)]
    for variable, value in values:
        variable.assign(value)


def orthogonal(linear_map: LinearMap, random: np.random.Generator) -> np.ndarray:
    """A kernel whose matrix, or each block of it, has orthonormal columns, or rows if fewer."""
    *blocks, inputs, outputs = linear_map.matrix_shape
    tall = (*blocks, max(inputs, outputs), min(inputs, outputs))
    factor, triangle = np.linalg.qr(random.standard_normal(tall).astype("float32"))
    # The signs make the distribution uniform.
    factor = factor * np.sign(np.diagonal(triangle, axis1=-2, axis2=-1))[..., None, :]
    matrix = factor if inputs >= outputs else np.swapaxes(factor, -2, -1)
    return linear_map.kernel(matrix, np)


def _gain(wrapper: WeightNorm, kernel: Kernel, gamma: float) -> float:
    separable = isinstance(
        wrapper.layer, (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
    )
    if separable and kernel.name == "depthwise_kernel":
        gamma = _LINEAR
    fan_in, fan_out = kernel.linear_map.fans
    return math.sqrt(gamma * fan_in / fan_out)


def _checked_stages(stages: Any) -> Any:
    if stages is None:
        return ()
    if not isinstance(stages, (list, tuple)) or not all(
        isinstance(stage, (list, tuple))
        and stage
        and all(isinstance(block, ResidualBlock) for block in stage)
        for stage in stages
    ):
        raise ValueError(
            "Argument `stages` must be a sequence of stages, each a sequence of at least one "
            f"`ResidualBlock`. Received: stages={stages!r}"
        )
    return stages


def _checked_gammas(gammas: Any) -> Any:
    if gammas is not None and not isinstance(gammas, dict):
        raise ValueError(
            "Argument `gammas` must be a dict from the name of a layer to a positive number or "
            f"`None`. Received: gammas={gammas!r}"
        )
    return gammas or {}


def _gammas(
    model: keras.Model,
    wrappers: list[WeightNorm],
    stages: Sequence[Sequence[ResidualBlock]],
    gammas: dict[str, float | None],
) -> list[float | None]:
    """γ of each wrapper, `None` for those to leave as they are."""
    by_name: dict[str, list[int]] = {}
    for position, wrapper in enumerate(wrappers):
        for name in {wrapper.name, wrapper.layer.name}:
            by_name.setdefault(name, []).append(position)

    found: dict[int, float | None] = {}
    given = [(block.last, 1 / len(stage)) for stage in stages for block in stage]
    given += [(b.shortcut, _LINEAR) for stage in stages for b in stage if b.shortcut is not None]
    for argument, rules in (("stages", given), ("gammas", list(gammas.items()))):
        named = set()
        for name, gamma in rules:
            positions = by_name.get(name, []) if isinstance(name, str) else []
            if len(positions) != 1 or positions[0] in named:
                raise ValueError(
                    f"Argument `{argument}` must name weight-normalized layers of the model, each "
                    f"of them once. Received: {argument} with {name!r}, which {len(positions)} "
                    f"layers of model '{model.name}' are called"
                )
            if gamma is not None and not (is_number(gamma) and gamma > 0):
                raise ValueError(
                    f"Argument `{argument}` must have positive numbers or `None` as values. "
                    f"Received: {argument} with {name!r}: {gamma!r}"
                )
            named.add(positions[0])
            found[positions[0]] = gamma
    without = [
        wrapper.layer.name
        for position, wrapper in enumerate(wrappers)
        if position not in found and not _has_rule(wrapper)
    ]
    if without:
        raise ValueError(
            "Argument `gammas` must name embeddings, recurrent layers and attention, for which "
            "there is no rule: give each a number, or `None` to leave it. "
            f"Received: gammas without {without}"
        )
    return [found.get(position, _FEED_FORWARD) for position in range(len(wrappers))]


def _has_rule(wrapper: WeightNorm) -> bool:
    return not any(isinstance(part, _WITHOUT_RULE) for part in layers_in(wrapper.layer))
