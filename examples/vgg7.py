"""Trains VGG7, folds the normalization into the kernels, and ships a plain LiteRT file.

    python examples/vgg7.py
    python examples/vgg7.py --dataset cifar10 --normalization batch --epochs 100

Without options it trains on the digits of scikit-learn, which needs no network. A run that was
interrupted goes on after its last finished epoch when the same command is given again.
"""

import argparse
import sys

import common
import keras

import tfspecnorm
from tfspecnorm.models import vgg7


def main() -> None:
    options = common.parse_options(
        network="vgg7",
        description=__doc__,
        normalizations=("none", "batch", "spectral"),
        datasets=common.DATASETS,
        epochs=25,
        batch_size=32,
        learning_rate=1e-3,
    )
    with common.Run("vgg7", options) as run:
        train_and_deliver(options, run)


def train_and_deliver(options: argparse.Namespace, run: common.Run) -> None:
    run.print_start()
    images = common.load_images(options.dataset, options.data_dir, options.smoke)

    keras.utils.set_random_seed(options.seed)
    model = vgg7(classes=images.classes, normalization=options.normalization)
    steps = common.steps_per_epoch(images, options.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(options.learning_rate, options.epochs * steps)
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )

    state = common.TrainingState(run, measure=common.raw_norms)
    first_epoch = state.restore(model)
    model.fit(
        common.training_batches(
            images, options.batch_size, options.seed, first_epoch, options.epochs
        ),
        validation_data=(images.standardized_test_images(), images.test_labels),
        initial_epoch=first_epoch,
        epochs=options.epochs,
        steps_per_epoch=steps,
        shuffle=False,
        callbacks=[state],
        verbose=run.verbose,
    )

    common.deliver(model, tfspecnorm.fold(model), images, state.history, run)


if __name__ == "__main__":
    sys.exit(common.run_script(main))
