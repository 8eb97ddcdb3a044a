"""Variance of the entries of W/σ: about 1/max(m, n) for SN, 1/(m + n) for BSN.

python -m benchmarks.claims.variance
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tfspecnorm
from benchmarks.claims import command, spread
from benchmarks.claims.claim import PICTURES, Claim, Finding, Results, Run, Setting
from tfspecnorm import layers

# Matrices, and kernels of convolutions as (outputs, inputs, size).
MATRICES = ((64, 27), (64, 1024), (128, 576), (512, 2304), (512, 512))
CONVOLUTIONS = ((64, 3, 3), (128, 64, 3), (64, 64, 3), (128, 64, 4), (512, 256, 3))
_SMOKE = 2
# Of SN's variance times max(m, n): the closed form for large Gaussian matrices,
# 1/(1 + √(min/max))², lies between 1/4 and 1.
SN_LIMITS = (1 / 4, 1)
# Of BSN's variance times (m + n), for kernels of k×k: its closed form is the product of
# (a + b)/(√a + √b)² for a outputs and b inputs, from 1/2 to 1, and 4k²/(k + 1)², from 1 to 4.
BSN_LIMITS = (1 / 2, 4)
# What small matrices may miss the limits by.
TOLERANCE = 0.05


def runs(setting: Setting) -> list[Run]:
    count = _SMOKE if setting.scale == "smoke" else None
    shapes = {
        "matrices": [list(shape) for shape in MATRICES[:count]],
        "convolutions": [list(shape) for shape in CONVOLUTIONS[:count]],
    }
    return [Run(f"seed-{seed}", {**shapes, "seed": seed}) for seed in setting.seeds_or(10)]


def measure(setting: Setting, run: Run) -> dict[str, Any]:
    """Variances of normalized kernels with Gaussian entries, times the shape's number."""
    random = np.random.default_rng(run.options["seed"])
    return {
        "matrices": {titled(shape): _of_matrix(shape, random) for shape in run.options["matrices"]},
        "convolutions": {
            titled(shape): _of_convolution(shape, random) for shape in run.options["convolutions"]
        },
    }


def _of_matrix(shape: Sequence[int], random: np.random.Generator) -> dict[str, float]:
    kernel = random.standard_normal(shape).astype("float32")
    wrapper = layers.SpectralNorm(keras.layers.Dense(shape[1], use_bias=False))
    return {"SN": _variance(wrapper, (shape[0],), kernel) * max(shape)}


def _of_convolution(shape: Sequence[int], random: np.random.Generator) -> dict[str, float]:
    outputs, inputs, size = shape
    kernel = random.standard_normal((size, size, inputs, outputs)).astype("float32")
    rows, columns = outputs, inputs * size * size
    found = {}
    for name, wrapper in (
        ("SN", layers.SpectralNorm),
        ("BSN", layers.BidirectionalSpectralNorm),
    ):
        layer = keras.layers.Conv2D(outputs, size, padding="same", use_bias=False)
        found[name] = _variance(wrapper(layer), (8, 8, inputs), kernel)
    # BSN's m and n are the numbers of outputs and of inputs, each with the kernel's area.
    return {
        "SN": found["SN"] * max(rows, columns),
        "BSN": found["BSN"] * size * size * (outputs + inputs),
        "BSN over SN": found["BSN"] / found["SN"],
    }


def _variance(wrapper: Any, shape: tuple[int, ...], kernel: np.ndarray) -> float:
    model = keras.Sequential([keras.Input(shape), wrapper])
    wrapper.layer.kernel.assign(kernel)
    wrapper.warm_up()
    normalized = tfspecnorm.fold(model).layers[0].get_weights()[0]
    return float(np.var(normalized.astype("float64")))


def _predicted(shape: tuple[int, int]) -> float:
    return 1 / (1 + math.sqrt(min(shape) / max(shape))) ** 2


def titled(shape: Sequence[int]) -> str:
    """The shape in words."""
    if len(shape) == 2:
        return f"{shape[0]} × {shape[1]}"
    outputs, inputs, size = shape
    return f"{inputs} → {outputs}, {size}×{size}"


def _collected(results: Results, kind: str) -> dict[str, dict[str, list[float]]]:
    """The values of all seeds, by shape and by norm."""
    found: dict[str, dict[str, list[float]]] = {}
    for result in results.values():
        for title, values in result["figures"][kind].items():
            for name, value in values.items():
                found.setdefault(title, {}).setdefault(name, []).append(value)
    return found


def _inside(values: list[float], limits: tuple[float, float]) -> int | None:
    """Whether a mean lies between limits: 1, outside: -1, or 0 if the spread holds one of them."""
    low, high = limits[0] * (1 - TOLERANCE), limits[1] * (1 + TOLERANCE)
    signs = spread.against(values, low), spread.difference([high, high], values)
    return None if None in signs else min(signs)


def _range(groups: list[list[float]], unit: str) -> str:
    means = [float(np.mean(values)) for values in groups if values]
    return f"{min(means):.2f} to {max(means):.2f} times {unit}" if means else "–"


def findings(results: Results) -> list[Finding]:
    matrices, convolutions = (_collected(results, kind) for kind in ("matrices", "convolutions"))
    kernels = [convolutions.get(titled(shape), {}) for shape in CONVOLUTIONS]
    spectral = [matrices.get(titled(shape), {}).get("SN", []) for shape in MATRICES]
    spectral += [values.get("SN", []) for values in kernels]
    bidirectional = [values.get("BSN", []) for values in kernels]
    return [
        Finding(
            "The entries of W/σ have a variance of the order 1/max(m, n): "
            "between 1/4 and 1 times that for every shape",
            "SN keeps the order of LeCun's variance (abstract); the formula is not verified",
            _range(spectral, "1/max(m, n), means of the shapes"),
            spread.judged([_inside(values, SN_LIMITS) for values in spectral], "undecided"),
            "Gaussian entries; the limits are those of 1/(1 + √(min/max))²; 5 % of tolerance",
        ),
        Finding(
            "BSN's variance is of the order 1/(m + n): "
            "between 1/2 and 4 times that for every kernel",
            "BSN corresponds to Xavier's variance (abstract); the formula is not verified",
            _range(bidirectional, "1/(m + n), means of the kernels"),
            spread.judged([_inside(values, BSN_LIMITS) for values in bidirectional], "undecided"),
            "Gaussian entries; m and n are outputs and inputs, each times the kernel's area; "
            "the limits are those of the same theory as for SN; 5 % of tolerance",
        ),
    ]


def details(results: Results) -> str:
    if not results:
        return ""
    lines = ["| m × n | SN, Var · max(m, n) | 1/(1 + √(min/max))² |", "|---|---|---|"]
    predicted = {titled(shape): _predicted(shape) for shape in MATRICES}
    for title, values in _collected(results, "matrices").items():
        lines.append(f"| {title} | {spread.spread(values['SN'], 3)} | {predicted[title]:.3f} |")
    lines += [
        "",
        "| kernel | SN, Var · max(m, n) | BSN, Var · (m + n) | BSN's Var over SN's |",
        "|---|---|---|---|",
    ]
    for title, values in _collected(results, "convolutions").items():
        cells = [spread.spread(values[name], 3) for name in ("SN", "BSN", "BSN over SN")]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(results: Results, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure((6, 3.2), layout="constrained")
    axes = figure.add_subplot()
    ratios = np.linspace(0.01, 1, 100)
    axes.plot(ratios, 1 / (1 + np.sqrt(ratios)) ** 2, color="black", label="1/(1 + √(min/max))²")
    found = _collected(results, "matrices")
    for shape in MATRICES:
        values = found.get(titled(shape), {}).get("SN", [])
        axes.plot([min(shape) / max(shape)] * len(values), values, "C0.")
    axes.set_xlabel("min(m, n) / max(m, n)")
    axes.set_ylabel("variance of W/σ, times max(m, n)")
    axes.legend()
    figure.savefig(path, dpi=110)


CLAIM = Claim(
    name="variance",
    title="BSSN: variance of normalized kernels",
    source="Lin, Sekar, Fanti, arXiv:2009.02773.",
    setup=(
        "Kernels with Gaussian entries, normalized by this project's wrappers after warm-up, "
        "ten seeds."
    ),
    minutes=5,
    runs=runs,
    measure=measure,
    findings=findings,
    details=details,
    draw=draw,
    # Without data: any will do.
    datasets=PICTURES,
)

if __name__ == "__main__":
    command.main(CLAIM)
