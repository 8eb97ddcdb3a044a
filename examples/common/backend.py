"""Loads TensorFlow as the backend of Keras, without its start-up messages."""

import os

from common.quiet import native_log_hidden

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with native_log_hidden():
    import tensorflow

# This rewrite of the graph fails where a leaky ReLU is trained, and says so on the terminal.
tensorflow.config.optimizer.set_experimental_options({"remapping": False})
