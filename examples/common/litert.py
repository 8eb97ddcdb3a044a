"""Export to a LiteRT file, without the converter's chatter on the terminal."""

from pathlib import Path
from typing import Any

import keras

import tfspecnorm
from common.command import CheckError, describe
from common.quiet import native_log_hidden


def export_litert(model: keras.Model, path: Path, evaluation: Any) -> tfspecnorm.edge.EdgeReport:
    """Folds a model, writes it as a LiteRT float32 file, and runs that on samples.

    Args:
        model: The trained model.
        path: File to write, with the ending `.tflite`.
        evaluation: Samples, or a tuple of samples and labels.

    Returns:
        The `EdgeReport`.

    Raises:
        CheckError: If the model has an operator that LiteRT has not.
    """
    with native_log_hidden():
        try:
            return tfspecnorm.export(model, path, evaluation=evaluation)
        except ValueError as error:
            raise CheckError(describe(error)) from error
