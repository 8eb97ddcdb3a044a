"""Curves of a training."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from common.norms import COLUMN

_COLOURS = ("#4477aa", "#cc6677", "#228833", "#ccbb44")
# More names than this beside a panel are longer than the panel.
_LONGEST_LEGEND = 12


@dataclasses.dataclass(frozen=True)
class Panel:
    """One picture of a figure.

    Args:
        title: What is drawn.
        columns: Dict from the label of a curve to its column of the history.
        logarithmic: Whether the axis of the values is.
    """

    title: str
    columns: dict[str, str]
    logarithmic: bool = False


def classifier_panels(history: dict[str, list[float]]) -> list[Panel]:
    """Loss, accuracy, and the norms of all kernels.

    Args:
        history: Dict from a column's name to its values, one for each epoch.
    """
    norms = {name.removeprefix(COLUMN): name for name in history if name.startswith(COLUMN)}
    return [
        Panel("Cross-entropy", {"training": "loss", "test": "val_loss"}, logarithmic=True),
        Panel("Accuracy", {"training": "accuracy", "test": "val_accuracy"}),
        Panel("Spectral norm σ of the raw kernels", norms),
    ]


def plot_curves(
    history: dict[str, list[float]], title: str, path: Path, panels: Sequence[Panel] | None = None
) -> None:
    """Draws the curves of a training to a PNG file.

    Args:
        history: Dict from a column's name to its values, one for each epoch; those that are not
            finite are left out.
        title: Title of the figure.
        path: File to write, with the ending `.png`.
        panels: What to draw. Defaults to `classifier_panels(history)`.
    """
    panels = classifier_panels(history) if panels is None else panels
    # A `Figure` of its own draws to the file without a display and without global state.
    figure = Figure(figsize=(1 + 4 * len(panels), 4), layout="constrained")
    figure.suptitle(title)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _plot(axes, panel, history)
    figure.savefig(path, dpi=120)


def _plot(axes: Axes, panel: Panel, history: dict[str, list[float]]) -> None:
    shades = matplotlib.colormaps["viridis"]
    few = len(panel.columns) <= len(_COLOURS)
    for number, (label, column) in enumerate(panel.columns.items()):
        shade = shades(0.9 * number / max(len(panel.columns) - 1, 1))
        points = [
            (epoch, value)
            for epoch, value in enumerate(history[column], start=1)
            if math.isfinite(value)
        ]
        marker = "o" if len(points) == 1 else ""
        epochs, values = zip(*points, strict=True) if points else ((), ())
        axes.plot(
            epochs, values, color=_COLOURS[number] if few else shade, marker=marker, label=label
        )
    axes.set_title(panel.title)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    if panel.logarithmic:
        axes.set_yscale("log")
    if few:
        axes.legend(loc="best")
    elif len(panel.columns) <= _LONGEST_LEGEND:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    else:
        axes.set_xlabel("epoch (dark: first layer, light: last layer)")
