"""What the examples share: options, data, resumable training, export, curves, report.

Import this package before Keras: it chooses TensorFlow where `KERAS_BACKEND` names no other
backend, and keeps start-up messages off the terminal.
"""

import sys

from common.command import (
    CheckError,
    UsageError,
    missing_package,
    run_script,
    stopping_on_interrupt,
    wrong_use,
)

try:
    with stopping_on_interrupt():
        from common import backend  # noqa: F401
        from common.batches import GenerativeBatches, TrainingBatches, steps_per_epoch
        from common.classifier import cosine_adam, train_classifier, wrong_arguments_reported
        from common.datasets import DATASETS, GENERATIVE_DATASETS, Images, load_images
        from common.delivery import deliver
        from common.generative import GAN_OPTIONS, Samples, load_generative_images
        from common.norms import raw_norms
        from common.options import (
            Parser,
            chosen_normalization,
            fraction,
            integer_of_at_least,
            parse_options,
            positive_integer,
            positive_number,
        )
        from common.resume import TrainingState
        from common.run import Run
        from common.tensorboard import tensorboard
except ModuleNotFoundError as error:
    sys.exit(missing_package(error))
except UsageError as error:
    sys.exit(wrong_use(error))

__all__ = [
    "Parser",
    "DATASETS",
    "GENERATIVE_DATASETS",
    "CheckError",
    "GAN_OPTIONS",
    "GenerativeBatches",
    "Images",
    "Run",
    "Samples",
    "TrainingBatches",
    "TrainingState",
    "UsageError",
    "chosen_normalization",
    "fraction",
    "cosine_adam",
    "deliver",
    "integer_of_at_least",
    "load_generative_images",
    "load_images",
    "missing_package",
    "parse_options",
    "positive_integer",
    "positive_number",
    "raw_norms",
    "run_script",
    "steps_per_epoch",
    "tensorboard",
    "train_classifier",
    "wrong_arguments_reported",
]
