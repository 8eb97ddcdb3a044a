"""Scalars for TensorBoard, by whichever package is there to write them."""

import os
from collections.abc import Callable
from typing import Any


class Scalars:
    """Writes named numbers to a folder that TensorBoard shows.

    Args:
        log_dir: Path of the folder; it is created when the first numbers are written.

    Raises:
        ImportError: If neither TensorFlow nor PyTorch with TensorBoard is installed.
    """

    def __init__(self, log_dir: str | os.PathLike) -> None:
        self._log_dir = os.fspath(log_dir)
        self._open: Callable[[str], Any] = _writer_class()
        self._writer: Any = None

    def write(self, values: dict[str, float], step: int) -> None:
        """Add one point to the curve of each name."""
        if self._writer is None:
            self._writer = self._open(self._log_dir)
        self._writer.write(values, step)

    def close(self) -> None:
        """Finish the file; later numbers go to another one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class _TensorFlowWriter:
    """By `tf.summary.write`: `tf.summary.scalar` is a part of the package TensorBoard."""

    def __init__(self, log_dir: str) -> None:
        import tensorflow as tf

        self._tensorflow = tf
        self._writer = tf.summary.create_file_writer(log_dir)
        self._metadata = tf.compat.v1.SummaryMetadata(
            plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        )

    def write(self, values: dict[str, float], step: int) -> None:
        with self._writer.as_default(), self._tensorflow.device("cpu:0"):
            for name, value in values.items():
                scalar = self._tensorflow.constant(value, "float32")
                self._tensorflow.summary.write(name, scalar, step, self._metadata)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _TorchWriter:
    def __init__(self, log_dir: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(log_dir)

    def write(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _writer_class() -> Callable[[str], Any]:
    try:
        import tensorflow as tf

        if hasattr(tf, "summary"):
            return _TensorFlowWriter
    except ImportError:
        pass
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Argument `log_dir` needs a package that writes for TensorBoard: "
            "`pip install tensorflow-cpu`, or with PyTorch `pip install tensorboard`. "
            "Received: `log_dir` with neither TensorFlow nor both of PyTorch and TensorBoard "
            "installed"
        ) from error
    return _TorchWriter
