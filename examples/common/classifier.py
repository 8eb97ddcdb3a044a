"""Training of a classifier from start to file, which all classification examples share."""

import argparse
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras

import tfspecnorm
from common.batches import TrainingBatches, steps_per_epoch
from common.command import UsageError, describe
from common.datasets import Images, load_images
from common.delivery import deliver
from common.norms import raw_norms
from common.resume import TrainingState
from common.run import Run
from common.tensorboard import tensorboard


def cosine_adam(options: argparse.Namespace, steps: int) -> keras.optimizers.Optimizer:
    """Adam whose learning rate falls to zero along a cosine.

    Args:
        options: Options of the run.
        steps: Number of training steps.

    Returns:
        The optimizer.
    """
    rate = keras.optimizers.schedules.CosineDecay(options.learning_rate, steps)
    return keras.optimizers.Adam(rate)


def train_classifier(
    network: str,
    options: argparse.Namespace,
    build: Callable[[argparse.Namespace, Images], keras.Model],
    optimizer: Callable[[argparse.Namespace, int], keras.optimizers.Optimizer] = cosine_adam,
    repeat_grey: bool = True,
) -> Images:
    """Loads the data, trains with `model.fit`, and delivers models, LiteRT file and report.

    A training that `--output` holds goes on after its last finished epoch.

    Args:
        network: Name of the network.
        options: What `parse_options` returned.
        build: Function from the options and the data to the model.
        optimizer: Function from the options and the number of training steps to the optimizer.
        repeat_grey: Whether grey images get three channels.

    Returns:
        The data.
    """
    with Run(network, options) as run:
        run.print_start()
        images = load_images(
            options.dataset, options.data_dir, options.smoke, options.image_size, repeat_grey
        )
        steps = steps_per_epoch(images, options.batch_size)
        keras.utils.set_random_seed(options.seed)
        with run.strategy.scope():
            with wrong_arguments_reported():
                model = build(options, images)
            model.compile(
                optimizer=optimizer(options, options.epochs * steps),
                loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                metrics=["accuracy"],
            )
            state = TrainingState(run, measure=raw_norms)
            first_epoch = state.restore(model)
        if first_epoch < options.epochs:
            batches = TrainingBatches(images, options.batch_size, options.seed, first_epoch)
            model.fit(
                batches,
                validation_data=(images.standardized_test_images(), images.test_labels),
                validation_batch_size=options.batch_size,
                initial_epoch=first_epoch,
                epochs=options.epochs,
                shuffle=False,
                callbacks=[batches.callback, state, *tensorboard(run)],
                verbose=run.verbose,
            )
        if run.strategy.is_chief:
            model = run.strategy.local(model)
            deliver(model, tfspecnorm.fold(model), images, state.history, run)
        run.strategy.finish()
    return images


@contextlib.contextmanager
def wrong_arguments_reported() -> Iterator[Any]:
    """Within it, a network that does not fit the options is a `UsageError`."""
    try:
        yield
    except ValueError as error:
        raise UsageError(describe(error)) from error
