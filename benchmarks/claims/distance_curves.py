"""What the curves of a distance say: best and last values, late rises, and their scatter."""

import statistics
from typing import Any

from benchmarks.claims.claim import Results

# One training: its best and its last distance, in the order of seeds.
Ends = list[tuple[float, float]]


def of(results: Results, name: str, rates: tuple[float, ...]) -> list[dict[str, Any]]:
    """The runs of a normalization at a pair of learning rates, in the order of seeds."""
    found = [
        result
        for result in results.values()
        if result["options"]["normalization"] == name and tuple(result["options"]["rates"]) == rates
    ]
    return sorted(found, key=lambda result: result["options"]["seed"])


def pairs(results: Results) -> list[tuple[float, ...]]:
    """The pairs of learning rates."""
    return sorted({tuple(result["options"]["rates"]) for result in results.values()})


def ends(results: Results, name: str, rates: tuple[float, ...]) -> Ends:
    """Best and last distance of each training that stayed finite."""
    curves = [
        [point["distance"] for point in result["figures"]["points"]]
        for result in of(results, name, rates)
    ]
    return [(min(curve), curve[-1]) for curve in curves if None not in curve]


def best(results: Results, name: str, rates: tuple[float, ...]) -> list[float]:
    """The best distance of each training that stayed finite."""
    return [best for best, _ in ends(results, name, rates)]


def last(results: Results, name: str, rates: tuple[float, ...]) -> list[float]:
    """The last distance of each training that stayed finite."""
    return [last for _, last in ends(results, name, rates)]


def rises(results: Results, name: str, rates: tuple[float, ...]) -> list[float]:
    """How far the last distance lies above the best one, in parts of that."""
    return [last / best - 1 for best, last in ends(results, name, rates)]


def scatter(results: Results, name: str) -> list[float]:
    """How far each training's last distance lies from the median over its seeds, relative to it.

    Of all pairs of rates together, as in the test of Brown and Forsythe: the deviation of three
    seeds is too uncertain to be compared.
    """
    found: list[float] = []
    for rates in pairs(results):
        values = last(results, name, rates)
        if len(values) > 1:
            middle = statistics.median(values)
            found += [abs(value / middle - 1) for value in values]
    return found
