"""Trains a MobileNetV2, folds the normalization, and ships a plain LiteRT file.

    python examples/mobilenet_v2.py
    python examples/mobilenet_v2.py --dataset cifar10 --blocks full --width 1 --epochs 200

Without options it trains a small one on the digits of scikit-learn, which needs no network. A run
that was interrupted goes on after its last finished epoch when the same command is given again.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import common
import keras

import tfspecnorm
from tfspecnorm.initializers import data_dependent
from tfspecnorm.models import mobilenet_v2
from tfspecnorm.models.mobilenet_v2 import STAGES

# Expansion, filters, number of blocks and stride of each stage.
BLOCKS = {
    "small": ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 2, 2), (6, 64, 2, 2)),
    "smoke": ((1, 8, 1, 2), (2, 16, 2, 2)),
    "full": STAGES,
}
START_IMAGES = 256


def main(arguments: Sequence[str] | None = None) -> common.Images:
    options = common.parse_options(
        network="mobilenet_v2",
        description=__doc__,
        datasets=common.DATASETS,
        epochs=15,
        batch_size=32,
        learning_rate=3e-3,
        # Divided by their true norms, the three layers of a block hand on about a thirtieth of the
        # size of their inputs; three times that for each of them makes up for it.
        scale=3.0,
        extra=(
            ("--blocks", {"choices": tuple(BLOCKS), "help": "the layout (default: small)"}),
            (
                "--last-filters",
                {
                    "type": common.positive_integer,
                    "default": 1280,
                    "help": "of the last 1x1 convolution (default: %(default)s)",
                },
            ),
        ),
        arguments=arguments,
    )
    options.blocks = options.blocks or ("smoke" if options.smoke else "small")
    return common.train_classifier("mobilenet_v2", options, build)


def build(options: argparse.Namespace, images: common.Images) -> keras.Model:
    normalization = common.chosen_normalization(options)
    model = network(options, images, normalization)
    if normalization.name in ("none", "weight"):
        # In this depth the usual start makes the logits vanish, gains of 1 make them explode.
        twin = model if normalization.name == "weight" else network(options, images, "weight")
        data_dependent(twin, images.standardized(images.train_images[:START_IMAGES]))
        if twin is not model:
            model.set_weights(tfspecnorm.fold(twin).get_weights())
    return model


def network(options: argparse.Namespace, images: common.Images, normalization: Any) -> keras.Model:
    return mobilenet_v2(
        images.shape,
        images.classes,
        normalization,
        options.width,
        stages=BLOCKS[options.blocks],
        last_filters=options.last_filters,
    )


if __name__ == "__main__":
    sys.exit(common.run_script(main))
