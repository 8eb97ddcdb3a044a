"""ResNet-56 and its relatives, in the form for weight normalization."""

from typing import Any

import keras

from tfspecnorm.models import _building, _classifiers, _residual


def resnet(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    normalization: Any = "weight",
    width: float = 1.0,
    depth: int = 56,
    negative_slope: float | None = None,
    name: str = "resnet",
) -> keras.Model:
    """A residual network of three stages for small images, without a step on its stream.

        3×3 of 16 filters - blocks of 16 - blocks of 32 - blocks of 64 - mean - dense

    A block is h + conv2(ReLU(conv1(h))) with 3×3 convolutions. Nothing else stands on the
    stream h: no activation after a sum, none after the first convolution, none before the mean
    over positions. The first block of the second and of the third stage has stride 2; there the
    shortcut is a 1×1 convolution with stride 2, normalized as the others. The head is a plain
    layer in every variant. `robust_start` starts it as its authors do.

    With `"batch"` a block is h + conv2(ReLU(norm(conv1(ReLU(norm(h)))))), a shortcut with a
    convolution reads norm(h), and the stream is normalized after the first convolution and
    before the mean over positions too.

    Trainable parameters with three channels and ten classes:

    | `normalization` | convolution                       | depth 56 | depth 110 |
    | --------------- | --------------------------------- | -------- | --------- |
    | `"batch"`       | no bias, and `BatchNormalization` | 855,610  | 1,730,554 |
    | `"weight"`      | in `WeightNorm`                   | 855,770  | 1,730,714 |
    | all others      | with a bias, in a wrapper if any  | 853,642  | 1,726,570 |

    Args:
        input_shape: Height, width and channels of an image.
        classes: Positive integer, the number of logits.
        normalization: A name, a callable or a `Normalization`, see
            `tfspecnorm.models.normalizations.get`.
        width: Positive number that the filters are multiplied with.
        depth: Number of layers, 6·n + 2 with n blocks in each stage; the paper has 56, 110 and
            164.
        negative_slope: Slope of the activation below zero, 0 for ReLU. Defaults to 0 for
            `"none"`, `"batch"` and `"weight"`, to 0.1 for all others.
        name: Name of the model.

    Returns:
        A Functional `keras.Model` from images to logits. Its layers are `conv1`,
        `stage1_block1_conv1`, `stage1_block1_conv2` and so on, `stage2_block1_shortcut`, `head`;
        the layers inside of wrappers have these names too.

    Raises:
        ValueError: If an argument is outside of what is said above.

    Example:

    >>> from tfspecnorm import models
    >>> model = resnet(depth=8, width=0.25)
    >>> models.robust_start(model, seed=0)
    >>> model.get_layer("stage3_block1_add").output.shape
    (None, 8, 8, 16)

    Reference: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2015,
    arXiv:1512.03385; for this form, Arpit, Campos, Bengio, "How to Initialize your Network?
    Robust Initialization for WeightNorm & ResNets", 2019, arXiv:1906.02341.
    """
    return _residual.residual_network(
        input_shape,
        classes,
        normalization,
        filters=tuple(_building.filters_of(filters, width) for filters in (16, 16, 32, 64)),
        blocks=_classifiers.blocks_of(depth, per_block=6, others=2),
        negative_slope=negative_slope,
        normalize_ends=True,
        name=name,
    )
