"""Norms of depthwise convolutions and bounds of them, of random filters and of MobileNetV2.

Part of `benchmarks.claims.depthwise`.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.claims.claim import Run, Setting
from benchmarks.claims.depthwise_norms import Convolution, fourier, project
from tfspecnorm import models

SIZES = (7, 14, 28, 56, 112)
# Frequencies that a bound transforms a kernel to, beyond the size of the image.
PAPER, SMALLER = "FFT at N + 2p", "FFT at N + p"
PROJECT = "this project's"
EXACT, ESTIMATE = "norm", "30 power iterations"
RESIDUAL = "largest relative residual"
PAPER_ITERATIONS = 30
TRAINED = {"trained, BN": "batch", "trained": "none"}
KERNELS = ("Glorot", *TRAINED)
ROOT = Path(__file__).resolve().parents[2]
_IMAGE = 224
# Those of examples/mobilenet_v2.py, which trained the saved networks.
_TRAINED_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 2, 2), (6, 64, 2, 2))


def runs(setting: Setting) -> list[Run]:
    sizes = setting.pick(small=SIZES, paper=SIZES, smoke=SIZES[:2])
    filters = setting.pick(small=1000, paper=1000, smoke=8)
    drawn = {"filters": filters, "taps": 3, "iterations": PAPER_ITERATIONS, "seed": 0}
    tightness = [Run(f"bound-{size}", {"part": "bound", "size": size, **drawn}) for size in sizes]
    blocks = setting.pick(small=None, paper=None, smoke=1)
    kernels = setting.pick(small=KERNELS, paper=KERNELS, smoke=KERNELS[1:2])
    return tightness + [
        Run(
            f"layers-{name.lower().replace(', ', '-')}",
            {"part": "layers", "kernels": name, "blocks": blocks, "pixels": _IMAGE, "seed": 0},
        )
        for name in kernels
    ]


def measure(setting: Setting, run: Run) -> dict[str, Any]:
    options = run.options
    if options["part"] == "layers":
        return {"layers": of_layers(options["kernels"], options["blocks"], options["pixels"])}
    size, taps = options["size"], options["taps"]
    random = np.random.default_rng(options["seed"])
    kernels = random.standard_normal((taps, taps, options["filters"]))
    given = Convolution(kernels, size)
    exact, residual = given.norm(random)
    return {
        EXACT: exact.tolist(),
        RESIDUAL: float(residual.max()),
        ESTIMATE: given.power_iteration(random, options["iterations"]).tolist(),
        PAPER: fourier(kernels, size + taps - 1).tolist(),
        SMALLER: fourier(kernels, size + taps // 2).tolist(),
        PROJECT: project(kernels, size).tolist(),
    }


def of_layers(
    kernels: str, blocks: int | None = None, pixels: int = _IMAGE
) -> list[dict[str, Any]]:
    """Norm and bounds of MobileNetV2's depthwise layers at the resolutions of large images.

    Args:
        kernels: Where the kernels are from, `"Glorot"` or a key of `TRAINED`.
        blocks: How many layers, from the first one. Defaults to all.
        pixels: Height and width of the images.
    """
    keras.utils.set_random_seed(0)
    if kernels in TRAINED:
        path = ROOT / "savedmodels" / f"mobilenet_v2-{TRAINED[kernels]}.keras"
        model = keras.saving.load_model(path, compile=False)
        # The layout that was trained, for large images instead of its own 16.
        layout = {"width": 0.35, "stages": _TRAINED_STAGES}
        places = models.mobilenet_v2((pixels, pixels, 3), normalization="none", **layout)
    else:
        model = places = models.mobilenet_v2((pixels, pixels, 3), normalization="none")
    random = np.random.default_rng(0)
    depthwise = [own for own in places.layers if isinstance(own, keras.layers.DepthwiseConv2D)]
    found = []
    for place in depthwise[:blocks]:
        size, strides = place.input.shape[1], place.strides[0]
        weights = model.get_layer(place.name).get_weights()
        kernel = np.asarray(weights[0], "float64")[..., 0]
        exact, residual = Convolution(kernel, size, strides).norm(random)
        found.append(
            {
                "layer": place.name,
                "size": size,
                "strides": strides,
                "channels": kernel.shape[-1],
                RESIDUAL: float(residual.max()),
                EXACT: float(exact.max()),
                PAPER: float(fourier(kernel, size + 2).max()),
                SMALLER: float(fourier(kernel, size + 1).max()),
                PROJECT: float(project(kernel, size, strides).max()),
            }
        )
    return found
