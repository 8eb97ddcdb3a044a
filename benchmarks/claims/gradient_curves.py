"""What the curves of gradients say: medians of a part of the training, and ratios of them."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.claims.claim import Results

QUANTITIES = {
    "loss": "‖∂loss/∂W‖",
    "output": "‖∂D/∂W̄‖",
    "real": "‖∂D(x)/∂x‖, real x",
}
# What overflowed counts as this much, and what is zero as one over it.
_LIMIT = 1e30


def value_of(point: dict[str, Any], quantity: str, layer: int | None = None) -> float:
    """The norm over all layers or of one, or the median over the images."""
    if layer is not None:
        return limited(point[quantity][layer])
    if quantity in ("loss", "output"):
        return math.hypot(*(limited(value) for value in point[quantity]))
    return limited(point[quantity]["median"])


def limited(value: float | None) -> float:
    """The number, which has a logarithm then."""
    return _LIMIT if value is None else min(max(value, 1 / _LIMIT), _LIMIT)


def part(
    result: dict[str, Any], quantity: str, time: str = "last", layer: int | None = None
) -> float:
    """Logarithm of the median in the `"first"` or `"last"` quarter of training, or at `"start"`."""
    start, *points = result["figures"]["points"]
    count = max(1, len(points) // 4)
    chosen = {"start": [start], "first": points[:count], "last": points[-count:]}[time]
    return math.log10(statistics.median(value_of(point, quantity, layer) for point in chosen))


def by_seed(results: Results, name: str) -> dict[int, dict[str, Any]]:
    """The runs of a normalization."""
    return {
        result["options"]["seed"]: result
        for result in results.values()
        if result["options"]["normalization"] == name
    }


def diverged(results: Results, name: str) -> int:
    """The number of trainings with a gradient or a kernel that was not finite."""
    return sum(
        any(
            value_of(point, quantity) >= _LIMIT or None in point["variance"]
            for point in result["figures"]["points"]
            for quantity in QUANTITIES
        )
        for result in by_seed(results, name).values()
    )


def over_spectral(results: Results, name: str, quantity: str, time: str = "last") -> list[float]:
    """Logarithm of a quantity's ratio to SN's for each seed that has both."""
    own, spectral = by_seed(results, name), by_seed(results, "SN")
    return [
        part(own[seed], quantity, time) - part(spectral[seed], quantity, time)
        for seed in sorted(own.keys() & spectral.keys())
    ]


def growth(results: Results, name: str, quantity: str) -> list[float]:
    """Logarithm of a quantity's ratio of the last to the first quarter, for each seed."""
    return [
        part(result, quantity) - part(result, quantity, "first")
        for _, result in sorted(by_seed(results, name).items())
    ]


def variance_change(results: Results, name: str) -> dict[str, list[float]]:
    """Logarithm of the ratio of the variance at the end to that at the start, by layer."""
    found: dict[str, list[float]] = {}
    for result in by_seed(results, name).values():
        points = result["figures"]["points"]
        for layer, first, last in zip(
            result["figures"]["layers"],
            points[0]["variance"],
            points[-1]["variance"],
            strict=True,
        ):
            change = math.log10(limited(last)) - math.log10(limited(first))
            found.setdefault(layer, []).append(change)
    return found


def factor(logarithms: Sequence[float]) -> str:
    """Geometric mean of ratios with its spread, also a factor."""
    if not logarithms:
        return "–"
    mean = f"{10 ** statistics.fmean(logarithms):.3g}"
    if len(logarithms) == 1:
        return f"{mean} (1 seed)"
    return f"{mean} ×/÷ {10 ** statistics.stdev(logarithms):.2g} ({len(logarithms)} seeds)"
