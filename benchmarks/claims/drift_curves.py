"""The picture of what drifts in the course of the training.

Part of `benchmarks.claims.drift`.
"""

from pathlib import Path

import numpy as np

from benchmarks.claims.claim import Results
from benchmarks.claims.classifiers import SHORT
from benchmarks.claims.drift_numbers import CONTENDERS, channels, covariance, layer_drift, zeros


def draw(results: Results, path: Path) -> None:
    from matplotlib.figure import Figure

    panels = (
        ("drift of activations' channels", channels),
        ("drift of weights", lambda own: layer_drift(own, "kernels")),
        ("zeros in gradients", zeros),
        ("log₁₀ top eigenvalue", lambda own: covariance(own, "eigenvalues")),
    )
    figure = Figure((10, 3), layout="constrained")
    for axes, (title, values) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for place, (name, slope) in enumerate(CONTENDERS):
            own = [
                found["figures"]
                for found in results.values()
                if (found["options"]["normalization"], found["options"]["slope"]) == (name, slope)
            ]
            if not own:
                continue
            rows = np.mean([values(figures) for figures in own], axis=0)
            epochs = own[0]["moments"] if len(rows) == len(own[0]["moments"]) else range(len(rows))
            label = f"{SHORT[name]}{', leaky' if slope else ''}"
            axes.plot(epochs, rows, f"C{place}{'--' if slope else '-'}", label=label)
        axes.set(title=title, xlabel="epoch")
        axes.title.set_fontsize("medium")
    figure.axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=110)
