"""How far bounds of a depthwise convolution's norm lie above the norm itself.

Part of `benchmarks.claims.depthwise`.
"""

from typing import Any

import numpy as np

from benchmarks.claims import spread
from benchmarks.claims.claim import Finding, Results
from benchmarks.claims.depthwise_bounds import ESTIMATE, EXACT, PAPER, PROJECT, SIZES, SMALLER


def _bounds(results: Results) -> dict[int, dict[str, np.ndarray]]:
    """Norms and bounds of all filters, by size."""
    found = {
        result["options"]["size"]: {
            name: np.array(values)
            for name, values in result["figures"].items()
            if isinstance(values, list)
        }
        for result in results.values()
        if result["options"]["part"] == "bound"
    }
    return dict(sorted(found.items()))


def _excess(figures: dict[str, np.ndarray], bound: str, truth: str = EXACT) -> np.ndarray:
    """Quartiles of how far a bound lies above what is taken for the norm, in percent."""
    return 100 * (np.percentile(figures[bound] / figures[truth], (25, 50, 75)) - 1)


def _percent(quartiles: np.ndarray) -> str:
    lower, median, upper = quartiles
    return f"{median:.1f} % ({lower:.1f} to {upper:.1f})"


def layers_of(results: Results) -> dict[str, dict[int, dict[str, list[float]]]]:
    """Excesses over the norm in percent, by kernels, stride and bound: one value a layer."""
    found: dict[str, dict[int, dict[str, list[float]]]] = {}
    for result in results.values():
        if result["options"]["part"] != "layers":
            continue
        for layer in result["figures"]["layers"]:
            own = found.setdefault(result["options"]["kernels"], {}).setdefault(
                layer["strides"], {}
            )
            for bound in (PAPER, SMALLER, PROJECT):
                own.setdefault(bound, []).append(100 * (layer[bound] / layer[EXACT] - 1))
    return found


def findings(results: Results) -> list[Finding]:
    found, layers = _bounds(results), layers_of(results)
    return [_valid(found), _at_smallest(found), _falls(found), _sharper(found), _strided(layers)]


def _valid(found: dict[int, dict[str, np.ndarray]]) -> Finding:
    below = [int(np.sum(own[PAPER] < own[EXACT] * (1 - 1e-9))) for own in found.values()]
    count = sum(len(own[EXACT]) for own in found.values())
    verdict = "does not hold" if sum(below) else "holds"
    return Finding(
        "The FFT at N + 2p bounds the norm of a zero-padded convolution from above",
        "Theorem 2",
        f"{sum(below)} of {count} kernels below their norm",
        verdict if found else "not measured yet",
    )


def _at_smallest(found: dict[int, dict[str, np.ndarray]]) -> Finding:
    claim = "At 7×7 pixels the bound is 17 % too large: median over Gaussian 3×3 filters"
    paper = "17 %, quartiles read off the figure 12 and 30 %, against 30 power iterations"
    if SIZES[0] not in found:
        return Finding(claim, paper, "none", "not measured yet")
    own = found[SIZES[0]]
    lower, median, upper = against = _excess(own, PAPER, ESTIMATE)
    smaller = "less" if median < 17 else "more"
    return Finding(
        claim,
        paper,
        f"{_percent(against)} against 30 power iterations, {_percent(_excess(own, PAPER))} "
        f"against the norm: {smaller} than the paper's",
        "holds" if lower <= 17 <= upper else "does not hold",
        f"{len(own[EXACT])} filters; in brackets quartiles; the norm by Lanczos iteration",
    )


def _falls(found: dict[int, dict[str, np.ndarray]]) -> Finding:
    excesses = [_excess(own, PAPER, ESTIMATE) for own in found.values()]
    exact = [_excess(own, PAPER) for own in found.values()]
    signs = [
        1 if larger[2] < smaller[0] else -1 if larger[0] > smaller[2] else 0
        for smaller, larger in zip(excesses, excesses[1:], strict=False)
    ]
    cells = [
        f"{size}×{size} {against[1]:.2f} % ({own[1]:.2f} %)"
        for size, against, own in zip(found, excesses, exact, strict=True)
    ]
    return Finding(
        "The larger the image, the tighter the bound",
        "2 % at 128 pixels",
        "; ".join(cells) or "none",
        spread.judged(signs),
        "medians against 30 power iterations, in brackets against the norm; a step down counts if "
        "the quartiles are apart",
    )


def _sharper(found: dict[int, dict[str, np.ndarray]]) -> Finding:
    signs, cells = [], []
    for size, own in found.items():
        lower, median, upper = np.percentile(own[SMALLER] / own[PAPER], (25, 50, 75))
        signs.append(1 if upper < 1 else -1 if lower > 1 else 0)
        cells.append(f"{size}×{size} ×{median:.4f} ({lower:.4f} to {upper:.4f})")
    return Finding(
        "The FFT at N + p is the smaller bound of the two: its ratio to N + 2p",
        "no figure; a remark of this project, whose proof needs N + p only",
        "; ".join(cells) or "none",
        spread.judged(signs),
    )


def _strided(layers: dict[str, dict[int, dict[str, list[float]]]]) -> Finding:
    signs, cells = [], []
    for kernels, strides in layers.items():
        one, two = (strides.get(number, {}).get(PAPER, []) for number in (1, 2))
        if min(len(one), len(two)) > 1:
            signs.append(spread.difference(two, one))
        values = [f"{np.mean(values):.1f} %" if values else "none" for values in (one, two)]
        cells.append(f"{kernels}: {values[0]} and {values[1]}")
    return Finding(
        "In MobileNetV2 the bound is tight for stride 1 and loose for stride 2",
        "2.8 ± 1.6 % over 13 layers, 75.6 ± 20.6 % over 4; pretrained on ImageNet",
        "; ".join(cells) or "none",
        spread.judged(signs),
        "no pretrained kernels offline: Glorot's in 17 layers, and those of a small layout of 7, "
        "trained on digits with batch normalization and without; resolutions of 224 pixels",
    )


def details(results: Results) -> str:
    found, lines = _bounds(results), []
    truths = ((PAPER, ESTIMATE), (PAPER, EXACT), (SMALLER, EXACT), (PROJECT, EXACT))
    if found:
        heads = [f"{bound} over {truth}" for bound, truth in truths]
        lines += [f"| pixels | filters | {' | '.join(heads)} |", "|---" * (2 + len(heads)) + "|"]
    for size, own in found.items():
        cells = [_percent(_excess(own, *pair)) for pair in truths]
        lines.append(f"| {size}×{size} | {len(own[EXACT])} | {' | '.join(cells)} |")
    layers = layers_of(results)
    if layers:
        heads = " | ".join((PAPER, SMALLER, PROJECT))
        lines += ["", f"| MobileNetV2, kernels | stride | layers | {heads} |", "|---" * 6 + "|"]
    for kernels, strides in layers.items():
        for stride, own in sorted(strides.items()):
            cells = [f"{np.mean(values):.1f} ± {np.std(values):.1f} %" for values in own.values()]
            count = len(own[PAPER])
            lines.append(f"| {kernels} | {stride} | {count} | {' | '.join(cells)} |")
    if lines:
        lines += [
            "",
            "How far a bound lies above the norm: medians and quartiles over filters, means and "
            "standard deviations over layers.",
        ]
    return "\n".join(lines)


def draw(axes: Any, results: Results) -> None:
    """Excesses of Gaussian filters against the size of the image."""
    found = _bounds(results)
    for bound, truth in ((PAPER, ESTIMATE), (PAPER, EXACT), (SMALLER, EXACT), (PROJECT, EXACT)):
        values = np.array([_excess(own, bound, truth) for own in found.values()])
        if len(values):
            axes.plot(list(found), values[:, 1], "o-", label=f"{bound} over {truth}")
            axes.fill_between(list(found), values[:, 0], values[:, 2], alpha=0.2)
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(found), list(map(str, found)))
    axes.set_xlabel("pixels of an axis")
    axes.set_ylabel("too large by, %")
    if found:
        axes.legend(fontsize="small")
