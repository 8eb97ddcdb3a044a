"""Event files for TensorBoard, on request."""

import importlib.util

import keras

from common.command import UsageError
from common.output import EVENTS
from common.run import Run


def tensorboard(run: Run) -> list[keras.callbacks.Callback]:
    """The callback that `--tensorboard` asks for, in a list; else an empty list.

    Args:
        run: The run. The files go to `tensorboard/` in its folder.

    Raises:
        UsageError: If TensorFlow or TensorBoard is not installed.
    """
    if not run.tensorboard or not run.strategy.is_chief:
        return []
    for package in ("tensorflow", "tensorboard"):
        if importlib.util.find_spec(package) is None:
            raise UsageError(
                f"argument --tensorboard: needs the package {package}; try pip install "
                "tensorflow-cpu tensorboard"
            )
    return [keras.callbacks.TensorBoard(run.folder / EVENTS, write_graph=False)]
