"""Trains VGG7, folds the normalization into the kernels, and ships a plain LiteRT file.

    python examples/vgg7.py
    python examples/vgg7.py --dataset cifar10 --normalization batch --epochs 100

Without options it trains on the digits of scikit-learn, which needs no network. A run that was
interrupted goes on after its last finished epoch when the same command is given again.
"""

import argparse
import sys
from collections.abc import Sequence

import common
import keras

from tfspecnorm.models import vgg7


def main(arguments: Sequence[str] | None = None) -> common.Images:
    options = common.parse_options(
        network="vgg7",
        description=__doc__,
        datasets=common.DATASETS,
        epochs=25,
        batch_size=32,
        learning_rate=1e-3,
        extra=(
            (
                "--dropout",
                {"type": common.fraction, "help": "after each pooling (default: 0.3 with batch)"},
            ),
        ),
        arguments=arguments,
    )
    return common.train_classifier("vgg7", options, build)


def build(options: argparse.Namespace, images: common.Images) -> keras.Model:
    normalization = common.chosen_normalization(options)
    return vgg7(images.shape, images.classes, normalization, options.width, dropout=options.dropout)


if __name__ == "__main__":
    sys.exit(common.run_script(main))
