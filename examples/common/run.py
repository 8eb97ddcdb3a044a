"""What identifies a run: its settings, its folder, its command and the versions it ran with."""

import argparse
import platform
import sys
from importlib import metadata
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tfspecnorm
from common.command import command_line
from common.output import OutputFolder

_TRAINING_OPTIONS = (
    "normalization",
    "dataset",
    "epochs",
    "batch_size",
    "learning_rate",
    "seed",
    "smoke",
)
_FILES = (
    "training.npz",
    "history.csv",
    "curves.png",
    "trained.keras",
    "folded.keras",
    "{network}.tflite",
    "report.json",
)


class Run:
    """One call of an example, as a context: other runs may not use its folder meanwhile.

    Args:
        network: Name of the network.
        options: What `parse_options` returned.

    Attributes:
        folder: The `OutputFolder`.
        settings: Dict of the options that decide what training computes.

    Raises:
        UsageError: If the output folder cannot be used.
    """

    def __init__(self, network: str, options: argparse.Namespace) -> None:
        self.network = network
        self.folder = OutputFolder(options.output)
        self.settings: dict[str, Any] = {"network": network}
        self.settings |= {name: getattr(options, name) for name in _TRAINING_OPTIONS}
        if options.restart:
            self.folder.remove(*(name.format(network=network) for name in _FILES))

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *exception: object) -> None:
        self.folder.release()

    @property
    def verbose(self) -> int:
        """How Keras reports: a progress bar on a terminal, a line for each epoch in a file."""
        return 1 if sys.stdout.isatty() else 2

    @property
    def title(self) -> str:
        """The run in a few words, for a figure or a table."""
        return "{network} on {dataset}, normalization {normalization}".format(**self.settings)

    def print_start(self) -> None:
        """Prints what is needed to repeat the run."""
        print(f"{self.title}, seed {self.settings['seed']}")
        print(", ".join(f"{name} {version}" for name, version in versions().items()))
        print(f"command: {command_line()}")
        print(f"output: {self.folder.path}")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the results depend on."""
    return {
        "python": platform.python_version(),
        "tfspecnorm": tfspecnorm.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "ai-edge-litert": metadata.version("ai-edge-litert"),
    }
