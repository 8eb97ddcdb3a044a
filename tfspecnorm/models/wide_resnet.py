"""Wide residual networks, in the form for weight normalization."""

from typing import Any

import keras

from tfspecnorm._util.arguments import check_positive
from tfspecnorm.models import _building, _classifiers, _residual


def wide_resnet(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    normalization: Any = "weight",
    width: float = 1.0,
    depth: int = 40,
    widening: float = 10,
    negative_slope: float | None = None,
    name: str = "wide_resnet",
) -> keras.Model:
    """WRN-40-10: a residual network of few, wide blocks, without a step on its stream.

        3×3 of 16 filters - blocks of 160 - blocks of 320 - blocks of 640 - mean - dense

    A block is h + conv2(ReLU(conv1(h))) with 3×3 convolutions. Nothing else stands on the
    stream h: no activation after a sum, none after the first convolution, none before the mean
    over positions. The first block of the second and of the third stage has stride 2. Where the
    shape changes, the shortcut is a 1×1 convolution with that stride, normalized as the others.
    The head is a plain layer in every variant. `robust_start` starts it as its authors do.

    With `"batch"` a block is h + conv2(ReLU(norm(conv1(ReLU(norm(h)))))), and a shortcut with a
    convolution reads norm(h).

    Trainable parameters with three channels and ten classes:

    | `normalization` | convolution                       | WRN-16-4  | WRN-40-10  |
    | --------------- | --------------------------------- | --------- | ---------- |
    | `"batch"`       | no bias, and `BatchNormalization` | 2,748,378 | 55,840,474 |
    | `"weight"`      | in `WeightNorm`                   | 2,749,786 | 55,843,994 |
    | all others      | with a bias, in a wrapper if any  | 2,747,530 | 55,829,418 |

    Args:
        input_shape: Height, width and channels of an image.
        classes: Positive integer, the number of logits.
        normalization: A name, a callable or a `Normalization`, see
            `tfspecnorm.models.normalizations.get`.
        width: Positive number that all filters are multiplied with.
        depth: Number of layers, 6·n + 4 with n blocks in each stage.
        widening: Positive number k that the 16, 32 and 64 filters of the stages are multiplied
            with; the first convolution keeps its 16.
        negative_slope: Slope of the activation below zero, 0 for ReLU. Defaults to 0 for
            `"none"`, `"batch"` and `"weight"`, to 0.1 for all others.
        name: Name of the model.

    Returns:
        A Functional `keras.Model` from images to logits. Its layers are `conv1`,
        `stage1_block1_conv1`, `stage1_block1_conv2`, `stage1_block1_shortcut` and so on, `head`;
        the layers inside of wrappers have these names too.

    Raises:
        ValueError: If an argument is outside of what is said above.

    Example:

    >>> from tfspecnorm import models
    >>> model = wide_resnet(depth=10, widening=0.5)
    >>> models.robust_start(model, seed=0)
    >>> model.get_layer("stage3_block1_add").output.shape
    (None, 8, 8, 32)

    Reference: Zagoruyko, Komodakis, "Wide Residual Networks", 2016, arXiv:1605.07146; for this
    form, Arpit, Campos, Bengio, "How to Initialize your Network? Robust Initialization for
    WeightNorm & ResNets", 2019, arXiv:1906.02341.
    """
    check_positive("widening", widening)
    stages = [_building.filters_of(filters * widening, width) for filters in (16, 32, 64)]
    return _residual.residual_network(
        input_shape,
        classes,
        normalization,
        filters=(_building.filters_of(16, width), *stages),
        blocks=_classifiers.blocks_of(depth, per_block=6, others=4),
        negative_slope=negative_slope,
        normalize_ends=False,
        name=name,
    )
