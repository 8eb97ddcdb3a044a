"""Variance of the entries of W/σ: about 1/max(m, n) for SN, 1/(m + n) for BSN.

python -m benchmarks.claims.variance
"""

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tfspecnorm
from benchmarks.claims import command, spread
from benchmarks.claims.claim import Claim, Finding, Results, Run, Setting
from tfspecnorm import layers

# Matrices, and kernels of convolutions as (outputs, inputs, size).
MATRICES = ((64, 27), (64, 1024), (128, 576), (512, 2304), (512, 512))
# Var(w/σ) · max(m, n) of Gaussian matrices, from the table of shapes.
TABLE = {(64, 27): 0.415, (64, 1024): 0.646, (128, 576): 0.468, (512, 2304): 0.464}
TABLE[512, 512] = 0.253
CONVOLUTIONS = ((64, 3, 3), (128, 64, 3), (64, 64, 3), (128, 64, 4), (512, 256, 3))
_SMOKE = 2


def runs(setting: Setting) -> list[Run]:
    return [Run(f"seed-{seed}", {"seed": seed}) for seed in setting.seeds_or(10)]


def measure(setting: Setting, run: Run) -> dict[str, Any]:
    """Variances of normalized kernels with Gaussian entries, times the shape's number."""
    random = np.random.default_rng(run.options["seed"])
    count = _SMOKE if setting.scale == "smoke" else None
    return {
        "matrices": {_title(shape): _of_matrix(shape, random) for shape in MATRICES[:count]},
        "convolutions": {
            _title(shape): _of_convolution(shape, random) for shape in CONVOLUTIONS[:count]
        },
    }


def _of_matrix(shape: tuple[int, int], random: np.random.Generator) -> dict[str, float]:
    kernel = random.standard_normal(shape).astype("float32")
    wrapper = layers.SpectralNorm(keras.layers.Dense(shape[1], use_bias=False))
    return {"SN": _variance(wrapper, (shape[0],), kernel) * max(shape)}


def _of_convolution(shape: tuple[int, int, int], random: np.random.Generator) -> dict[str, float]:
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


def _title(shape: tuple[int, ...]) -> str:
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


def findings(results: Results) -> list[Finding]:
    if not results:
        return []
    matrices, convolutions = (_collected(results, kind) for kind in ("matrices", "convolutions"))
    errors = [
        abs(np.mean(matrices[_title(shape)]["SN"]) / TABLE[shape] - 1)
        for shape in MATRICES
        if _title(shape) in matrices
    ]
    means = [float(np.mean(values["BSN"])) for values in convolutions.values()]
    return [
        Finding(
            "The entries of W/σ have a variance of the order 1/max(m, n)",
            "order only; the table of numerical checks has "
            "0.415, 0.646, 0.468, 0.464, 0.253 times 1/max(m, n)",
            f"the same within {100 * max(errors):.1f} %",
            "holds" if max(errors) < 0.02 else "does not hold",
            "Gaussian entries",
        ),
        Finding(
            "BSN's variance is of the order 1/(m + n)",
            "order only",
            f"{min(means):.2f} to {max(means):.2f} times 1/(m + n)",
            "holds" if 0.5 < min(means) and max(means) < 2 else "does not hold",
            "m and n are outputs and inputs, each times the kernel's area",
        ),
    ]


def details(results: Results) -> str:
    lines = ["| m × n | Var · max(m, n) | 1/(1 + √(min/max))² |", "|---|---|---|"]
    predicted = {_title(shape): _predicted(shape) for shape in MATRICES}
    for title, values in _collected(results, "matrices").items():
        lines.append(f"| {title} | {spread.spread(values['SN'], 3)} | {predicted[title]:.3f} |")
    lines += [
        "",
        "| kernel | SN, · max(m, n) | BSN, · (m + n) | BSN over SN |",
        "|---|---|---|---|",
    ]
    for title, values in _collected(results, "convolutions").items():
        cells = [spread.spread(values[name], 3) for name in ("SN", "BSN", "BSN over SN")]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines) if results else ""


def draw(results: Results, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure((6, 3.2), layout="constrained")
    axes = figure.add_subplot()
    ratios = np.linspace(0.01, 1, 100)
    axes.plot(ratios, 1 / (1 + np.sqrt(ratios)) ** 2, color="black", label="1/(1 + √(min/max))²")
    found = _collected(results, "matrices")
    for shape in MATRICES:
        values = found.get(_title(shape), {}).get("SN", [])
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
)

if __name__ == "__main__":
    command.main(CLAIM)
