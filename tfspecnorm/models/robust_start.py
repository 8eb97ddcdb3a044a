"""The start of the weight-normalized residual networks of this room."""

import re

import keras

from tfspecnorm import initializers
from tfspecnorm.initializers import ResidualBlock

# The first convolution, which no ReLU follows.
_LINEAR = {"conv1": 1.0}
_BLOCK_END = re.compile(r"stage(\d+)_block(\d+)_conv2")


def residual_stages(model: keras.Model) -> tuple[tuple[ResidualBlock, ...], ...]:
    """The stages of a `resnet` or a `wide_resnet`, as `tfspecnorm.initializers.robust` takes them.

    Args:
        model: Model of one of these two functions, of any normalization.

    Returns:
        Tuple with a tuple of `tfspecnorm.initializers.ResidualBlock` for each stage.

    Raises:
        ValueError: If no layers of the model have the names of such blocks.

    Example:

    >>> from tfspecnorm import models
    >>> stages = residual_stages(models.wide_resnet(depth=10, widening=0.5))
    >>> [len(stage) for stage in stages]
    [1, 1, 1]
    >>> stages[1][0]
    ResidualBlock(last='stage2_block1_conv2', shortcut='stage2_block1_shortcut')
    """
    layers = getattr(model, "layers", ())
    names = {getattr(layer, "layer", layer).name for layer in layers}
    stages: dict[int, list[tuple[int, ResidualBlock]]] = {}
    for name in names:
        found = _BLOCK_END.fullmatch(name)
        if found:
            shortcut = name.replace("conv2", "shortcut")
            block = ResidualBlock(name, shortcut if shortcut in names else None)
            stages.setdefault(int(found[1]), []).append((int(found[2]), block))
    if not stages:
        raise ValueError(
            "Argument `model` must be a network of `tfspecnorm.models.resnet` or "
            "`tfspecnorm.models.wide_resnet`, whose layers have names such as "
            f"'stage1_block1_conv2'. Received: model={getattr(model, 'name', model)!r}"
        )
    return tuple(tuple(block for _, block in sorted(stages[stage])) for stage in sorted(stages))


def robust_start(model: keras.Model, seed: int | None = None) -> None:
    """Start a weight-normalized `resnet` or `wide_resnet` as its authors do.

    This is `tfspecnorm.initializers.robust` with what these networks know of themselves: 1/B
    for the last convolution of each of a stage's B blocks, 1 for shortcuts and for the first
    convolution, and 2 for the others. The authors' code has 2 for the first convolution of
    `resnet`, which no ReLU follows there either; that multiplies the logits with √2.

    Args:
        model: Model of one of these two functions with `normalization="weight"`.
        seed: Integer, 0 or larger, or `None` for other directions in each call.

    Raises:
        ValueError: If the model is none of these. It is unchanged then.

    Example:

    >>> from tfspecnorm import models
    >>> model = models.resnet(depth=8, width=0.25)
    >>> robust_start(model, seed=0)
    >>> gains = model.layers[1].gains()["kernel"].value
    >>> [round(float(gain), 3) for gain in gains]
    [0.866, 0.866, 0.866, 0.866]

    Reference: Arpit, Campos, Bengio, "How to Initialize your Network? Robust Initialization for
    WeightNorm & ResNets", 2019, arXiv:1906.02341.
    """
    initializers.robust(model, stages=residual_stages(model), gammas=_LINEAR, seed=seed)
