"""What the examples share: options, data, resumable training, export, curves, report.

Import this package before Keras: it chooses the TensorFlow backend and keeps start-up messages
off the terminal.
"""

import sys

from common.command import (
    CheckError,
    UsageError,
    missing_package,
    run_script,
    stopping_on_interrupt,
)

try:
    with stopping_on_interrupt():
        from common import backend  # noqa: F401
        from common.batches import steps_per_epoch, training_batches
        from common.datasets import DATASETS, Images, load_images
        from common.delivery import deliver
        from common.norms import raw_norms
        from common.options import parse_options
        from common.resume import TrainingState
        from common.run import Run
except ModuleNotFoundError as error:
    sys.exit(missing_package(error))

__all__ = [
    "DATASETS",
    "CheckError",
    "Images",
    "Run",
    "TrainingState",
    "UsageError",
    "deliver",
    "load_images",
    "parse_options",
    "raw_norms",
    "run_script",
    "steps_per_epoch",
    "training_batches",
]
