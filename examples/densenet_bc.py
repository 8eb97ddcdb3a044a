"""Trains a DenseNet-BC, folds the normalization, and ships a plain LiteRT file.

    python examples/densenet_bc.py
    python examples/densenet_bc.py --dataset cifar10 --depth 100 --normalization mean-spectral \\
        --epochs 300

Without options it trains a small one on the digits of scikit-learn, which needs no network. A run
that was interrupted goes on after its last finished epoch when the same command is given again.
"""

import argparse
import sys
from collections.abc import Sequence

import common
import keras

from tfspecnorm.models import densenet_bc

DEPTH, SMOKE_DEPTH = 22, 10


def main(arguments: Sequence[str] | None = None) -> common.Images:
    options = common.parse_options(
        network="densenet_bc",
        description=__doc__,
        datasets=common.DATASETS,
        epochs=15,
        batch_size=32,
        learning_rate=3e-3,
        # With 1 mean-spectral normalization learns too, but in twice as many epochs.
        scale=2.0,
        extra=(
            ("--depth", {"type": common.positive_integer, "help": f"6n + 4 (default: {DEPTH})"}),
            ("--growth", {"type": common.positive_integer, "default": 12, "help": "filters"}),
        ),
        arguments=arguments,
    )
    options.depth = options.depth or (SMOKE_DEPTH if options.smoke else DEPTH)
    return common.train_classifier("densenet_bc", options, build)


def build(options: argparse.Namespace, images: common.Images) -> keras.Model:
    return densenet_bc(
        images.shape,
        images.classes,
        common.chosen_normalization(options),
        options.width,
        depth=options.depth,
        growth=options.growth,
    )


if __name__ == "__main__":
    sys.exit(common.run_script(main))
