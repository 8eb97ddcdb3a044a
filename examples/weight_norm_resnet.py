"""Trains a weight-normalized wide ResNet from its robust start, and ships a plain LiteRT file.

    python examples/weight_norm_resnet.py
    python examples/weight_norm_resnet.py --dataset cifar10 --depth 40 --widening 10 --epochs 200 \\
        --batch-size 128

No batch normalization, and no depth at which it stops to learn: directions start orthogonal, gains
as the stages of the network want them, and the learning rate grows with the square of the step
before it falls along a cosine. Without options it trains a small one on the digits of scikit-learn,
which needs no network. A run that was interrupted goes on after its last finished epoch when the
same command is given again.
"""

import argparse
import sys

import common
import keras

from tfspecnorm.models import robust_start, wide_resnet
from tfspecnorm.schedules import QuadraticWarmUp

DEPTH, SMOKE_DEPTH = 16, 10
WARM_UP = 1


def main() -> None:
    integer = {"type": common.positive_integer}
    options = common.parse_options(
        network="weight_norm_resnet",
        description=__doc__,
        datasets=common.DATASETS,
        epochs=20,
        batch_size=32,
        learning_rate=0.01,
        normalization="weight",
        extra=(
            ("--depth", integer | {"help": f"6n + 4 layers (default: {DEPTH})"}),
            ("--widening", integer | {"default": 1, "help": "times 16, 32 and 64 filters"}),
            (
                "--warm-up",
                {"type": common.integer_of_at_least(0), "help": f"epochs (default: {WARM_UP})"},
            ),
        ),
    )
    options.depth = options.depth or (SMOKE_DEPTH if options.smoke else DEPTH)
    if options.warm_up is None:
        options.warm_up = min(WARM_UP, options.epochs - 1)
    if options.warm_up >= options.epochs:
        raise common.UsageError(
            "argument --warm-up: must be less than the number of epochs, "
            f"{options.epochs}. Received: {options.warm_up}"
        )
    common.train_classifier("weight_norm_resnet", options, build, optimizer)


def build(options: argparse.Namespace, images: common.Images) -> keras.Model:
    model = wide_resnet(
        images.shape,
        images.classes,
        common.chosen_normalization(options),
        options.width,
        depth=options.depth,
        widening=options.widening,
    )
    if options.normalization == "weight":
        robust_start(model, options.seed)
    return model


def optimizer(options: argparse.Namespace, steps: int) -> keras.optimizers.Optimizer:
    """Gradient descent with momentum, along a cosine that is warmed up."""
    warm_up = options.warm_up * steps // options.epochs
    rate = keras.optimizers.schedules.CosineDecay(options.learning_rate, steps)
    if warm_up:
        rate = QuadraticWarmUp(rate, warm_up)
    return keras.optimizers.SGD(rate, momentum=0.9)


if __name__ == "__main__":
    sys.exit(common.run_script(main))
