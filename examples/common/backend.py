"""Loads the backend of Keras, TensorFlow if nothing else was chosen, without start-up messages."""

import os

from common.command import UsageError
from common.quiet import native_log_hidden

NAME = os.environ.setdefault("KERAS_BACKEND", "tensorflow")

if NAME not in ("tensorflow", "jax", "torch"):
    raise UsageError(f"KERAS_BACKEND must be tensorflow, jax or torch. Received: {NAME}")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if NAME == "tensorflow":
    with native_log_hidden():
        import tensorflow

    # This rewrite of the graph fails where a leaky ReLU is trained, and says so on the terminal.
    tensorflow.config.optimizer.set_experimental_options({"remapping": False})


def require_tensorflow(what: str) -> None:
    """Raises a `UsageError` on another backend.

    Args:
        what: What needs TensorFlow, the beginning of a sentence.
    """
    if NAME != "tensorflow":
        raise UsageError(f"{what} needs TensorFlow. Received: KERAS_BACKEND={NAME}")
