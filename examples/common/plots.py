"""Curves of a training: loss, accuracy, and the size of the weights."""

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from common.norms import COLUMN

TRAINING, TEST = "#4477aa", "#cc6677"


def plot_curves(history: dict[str, list[float]], title: str, path: Path) -> None:
    """Draws the curves of a training to a PNG file.

    Args:
        history: Dict from a column's name to its values, one for each epoch.
        title: Title of the figure.
        path: File to write, with the ending `.png`.
    """
    # A `Figure` of its own draws to the file without a display and without global state.
    figure = Figure(figsize=(13, 4), layout="constrained")
    figure.suptitle(title)
    losses, accuracies, norms = figure.subplots(1, 3)
    _plot(losses, "Cross-entropy", history, {"training": "loss", "test": "val_loss"})
    losses.set_yscale("log")
    losses.legend(loc="upper right")
    columns = {"training": "accuracy", "test": "val_accuracy"}
    _plot(accuracies, "Accuracy", history, columns)
    accuracies.legend(loc="lower right")
    columns = {name.removeprefix(COLUMN): name for name in history if name.startswith(COLUMN)}
    _plot(norms, "Spectral norm σ of the raw kernels", history, columns)
    norms.set_ylim(bottom=0)
    norms.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(path, dpi=120)


def _plot(axes: Axes, title: str, history: dict[str, list[float]], columns: dict[str, str]) -> None:
    shades = matplotlib.colormaps["viridis"]
    for number, (label, column) in enumerate(columns.items()):
        shade = shades(0.9 * number / max(len(columns) - 1, 1))
        colour = {"training": TRAINING, "test": TEST}.get(label, shade)
        values = history[column]
        marker = "o" if len(values) == 1 else ""
        axes.plot(range(1, len(values) + 1), values, color=colour, marker=marker, label=label)
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
