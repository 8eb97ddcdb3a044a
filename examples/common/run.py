"""What identifies a run: its settings, its folder, its command and the versions it ran with."""

import argparse
import importlib
import platform
import sys
from importlib import metadata
from typing import Any

import keras

import tfspecnorm
from common import backend
from common.command import command_line
from common.output import OutputFolder
from common.parallel import Strategy

# What does not decide what training computes, but for rounding.
_OTHER_OPTIONS = {
    *("data_dir", "output", "restart", "strategy", "devices", "tensorboard"),
    *("samples", "extractor", "classifier"),
}
# What a run may have written, but for the classifier that others may be measured by.
_FILES = (
    *("training.npz", "training.previous.npz", "history.csv", "curves.png", "report.json"),
    *("trained.keras", "folded.keras", "{network}.tflite"),
    *("samples.png", "gan.keras", "generator.keras", "discriminator.keras", "generator.tflite"),
)
_PACKAGES = ("numpy", "ai-edge-litert")


class Run:
    """One call of an example, as a context: other runs may not use its folder meanwhile.

    Of several processes that train together only the chief writes.

    Args:
        network: Name of the network.
        options: What `parse_options` returned.

    Attributes:
        folder: The `OutputFolder`.
        settings: Dict of the options that decide what training computes.
        strategy: The `Strategy`.
        restart: Whether a training that the folder holds is to be forgotten.

    Raises:
        UsageError: If the output folder or the strategy cannot be used.
    """

    def __init__(self, network: str, options: argparse.Namespace) -> None:
        self.network = network
        self.tensorboard = options.tensorboard
        self.settings: dict[str, Any] = {"network": network, "backend": backend.NAME}
        self.settings |= {
            name: value for name, value in vars(options).items() if name not in _OTHER_OPTIONS
        }
        self.strategy = Strategy(options.strategy, options.devices, options.batch_size)
        self.folder = OutputFolder(options.output, read_only=not self.strategy.is_chief)
        self.restart = options.restart

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *exception: object) -> None:
        self.folder.release()

    def forget(self) -> None:
        """Removes what a run of this network has written, and nothing else."""
        self.folder.remove(*(name.format(network=self.network) for name in _FILES))

    @property
    def verbose(self) -> int:
        """How Keras reports: a progress bar on a terminal, a line for each epoch in a file."""
        if not self.strategy.is_chief:
            return 0
        return 1 if sys.stdout.isatty() else 2

    @property
    def title(self) -> str:
        """The run in a few words, for a figure or a table."""
        return "{network} on {dataset}, normalization {normalization}".format(**self.settings)

    def print_start(self) -> None:
        """Prints what is needed to repeat the run."""
        if not self.strategy.is_chief:
            return
        print(f"{self.title}, seed {self.settings['seed']}")
        print(", ".join(f"{name} {version}" for name, version in versions().items()))
        print(f"command: {command_line()}")
        print(f"output: {self.folder.path}")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the results depend on."""
    found = {
        "python": platform.python_version(),
        "tfspecnorm": tfspecnorm.__version__,
        "keras": keras.__version__,
        backend.NAME: importlib.import_module(backend.NAME).__version__,
    }
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
