"""Trains the three-layer CNN, folds the normalization, and ships a plain LiteRT file.

    python examples/small_cnn.py
    python examples/small_cnn.py --dataset mnist --normalization mean-spectral --epochs 50

Without options it trains on the digits of scikit-learn, which needs no network. A run that was
interrupted goes on after its last finished epoch when the same command is given again.
"""

import argparse
import sys
from collections.abc import Sequence

import common
import keras

from tfspecnorm.models import small_cnn


def main(arguments: Sequence[str] | None = None) -> common.Images:
    options = common.parse_options(
        network="small_cnn",
        description=__doc__,
        datasets=common.DATASETS,
        epochs=25,
        batch_size=32,
        learning_rate=1e-3,
        image_size=28,
        arguments=arguments,
    )
    return common.train_classifier("small_cnn", options, build, repeat_grey=False)


def build(options: argparse.Namespace, images: common.Images) -> keras.Model:
    normalization = common.chosen_normalization(options)
    return small_cnn(images.shape, images.classes, normalization, options.width)


if __name__ == "__main__":
    sys.exit(common.run_script(main))
