"""Trains the SN-DCGAN, measures what it generates, and ships a plain generator.

    python examples/dcgan.py
    python examples/dcgan.py --dataset patches --normalization bidirectional-scaled
    python examples/dcgan.py --dataset cifar10 --image-size 32 --width 1 --learning-rate 2e-4 \\
        --epochs 500

`--normalization` is that of the discriminator; the generator has batch normalization. Without
options it trains on the digits of scikit-learn, which needs no network. A run that was interrupted
goes on after its last finished epoch when the same command is given again.
"""

import argparse
import sys

import common
import keras

from tfspecnorm.gan import GAN
from tfspecnorm.models import sn_dcgan

# As in the papers: a momentum of 0.9 makes adversaries swing around each other.
BETAS = {"beta_1": 0.5, "beta_2": 0.999}


def main() -> None:
    options = common.parse_options(
        network="dcgan",
        description=__doc__,
        datasets=common.GENERATIVE_DATASETS,
        epochs=150,
        batch_size=64,
        learning_rate=1e-3,
        image_size=16,
        width=0.5,
        extra=common.GAN_OPTIONS,
    )
    with common.Run("dcgan", options) as run:
        run.print_start()
        images = common.load_generative_images(options)
        keras.utils.set_random_seed(options.seed)
        with run.strategy.scope(), common.wrong_arguments_reported():
            gan = build(options, images)
        samples = common.Samples(run, options, images, gan)
        state = common.TrainingState(run)
        first_epoch = state.restore(gan)
        if first_epoch < options.epochs:
            batches = common.GenerativeBatches(
                images, options.batch_size, options.seed, first_epoch
            )
            gan.fit(
                batches,
                initial_epoch=first_epoch,
                epochs=options.epochs,
                shuffle=False,
                callbacks=[
                    batches.callback,
                    *samples.callbacks,
                    state,
                    *common.tensorboard(run),
                ],
                verbose=run.verbose,
            )
        samples.deliver(state.history)


def build(options: argparse.Namespace, images: common.Images) -> GAN:
    size, _, channels = images.shape
    generator, discriminator = sn_dcgan(
        size,
        channels,
        normalization=common.chosen_normalization(options),
        width=options.width,
    )
    gan = GAN(
        generator,
        discriminator,
        n_discriminator=options.n_discriminator,
        average_momentum=options.average_momentum,
        seed=options.seed,
    )
    gan.compile(
        keras.optimizers.Adam(options.learning_rate, **BETAS),
        keras.optimizers.Adam(
            options.discriminator_learning_rate or options.learning_rate, **BETAS
        ),
        loss=options.loss,
        r1=options.r1,
        gradient_penalty=options.gradient_penalty,
    )
    return gan


if __name__ == "__main__":
    sys.exit(common.run_script(main))
