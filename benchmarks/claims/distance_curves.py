"""What the curves of a distance say: best and last values, late rises, and their scatter."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from scipy import stats

from benchmarks.claims import spread
from benchmarks.claims.claim import Results

NAMES = ("SN", "SSN", "BSN", "BSSN")
# Of the generator and of the discriminator.
RATES = {
    "small": ((1e-3, 1e-3), (1e-3, 2e-3)),
    "paper": ((1e-4, 1e-4), (1e-4, 2e-4), (2e-4, 1e-4), (2e-4, 2e-4)),
    "smoke": ((1e-3, 1e-3),),
}
# One training: its best and its last distance, in the order of seeds.
Ends = list[tuple[float, float]]
# Probability that equal scatter is called smaller, and that it is called larger.
_CHANCE = 0.025


def of(results: Results, name: str, rates: tuple[float, ...]) -> list[dict[str, Any]]:
    """The runs of a normalization at a pair of learning rates, in the order of seeds."""
    found = [
        result
        for result in results.values()
        if result["options"]["normalization"] == name and tuple(result["options"]["rates"]) == rates
    ]
    return sorted(found, key=lambda result: result["options"]["seed"])


def pairs(results: Results) -> list[tuple[float, ...]]:
    """The pairs of learning rates that something was trained with."""
    return sorted({tuple(result["options"]["rates"]) for result in results.values()})


def planned(results: Results) -> list[tuple[float, ...]]:
    """The pairs of learning rates that are compared, whether there are runs or not."""
    scales = {result["scale"] for result in results.values()} or {"small"}
    return sorted({rates for scale in scales for rates in RATES[scale]})


def titled(rates: tuple[float, ...]) -> str:
    """The pair in words."""
    return " / ".join(f"{rate:g}" for rate in rates)


def ends(results: Results, name: str, rates: tuple[float, ...]) -> Ends:
    """Best and last distance of each training, infinite for one that diverged."""
    curves = [
        [point["distance"] for point in result["figures"]["points"]]
        for result in of(results, name, rates)
    ]
    return [(math.inf, math.inf) if None in curve else (min(curve), curve[-1]) for curve in curves]


def best(results: Results, name: str, rates: tuple[float, ...]) -> list[float]:
    """The best distance of each training."""
    return [best for best, _ in ends(results, name, rates)]


def last(results: Results, name: str, rates: tuple[float, ...]) -> list[float]:
    """The last distance of each training."""
    return [last for _, last in ends(results, name, rates)]


def steps_of_best(results: Results) -> list[int]:
    """The step at which each training that has not diverged had its best distance."""
    curves = [result["figures"]["points"] for result in results.values()]
    whole = [own for own in curves if all(point["distance"] is not None for point in own)]
    return [min(own, key=lambda point: point["distance"])["step"] for own in whole]


def rises(results: Results, name: str, rates: tuple[float, ...]) -> list[float]:
    """How far the last distance lies above the best one, in parts of that."""
    return [
        last / best - 1 if math.isfinite(last) else math.inf
        for best, last in ends(results, name, rates)
    ]


def smaller(values: Sequence[float], others: Sequence[float]) -> int | None:
    """Sign of how much smaller the first mean is: 1, -1, or 0 if that lies inside the spread.

    A method of which trainings diverged is worse than one of which none did, and one of which all
    did than one of which some did.
    """
    if min(len(values), len(others)) < 2:
        return None
    own, foreign = lost(values), lost(others)
    return spread.difference(others, values) if own == foreign == 0 else _sign(foreign - own)


def _sign(number: int) -> int:
    return max(-1, min(1, number))


def lost(values: Sequence[float]) -> int:
    """Whether all have diverged: 2, some: 1, or none: 0."""
    infinite = [math.isinf(value) for value in values]
    return (any(infinite) + all(infinite)) if infinite else 0


def scatter(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Standard deviation of the logarithms around their group's mean, and its freedom.

    Logarithms, so that groups of small and of large distances have the same weight. What is
    infinite is left out.
    """
    squares, freedom = 0.0, 0
    for group in groups:
        logarithms = [math.log(value) for value in group if math.isfinite(value)]
        if len(logarithms) > 1:
            squares += statistics.variance(logarithms) * (len(logarithms) - 1)
            freedom += len(logarithms) - 1
    return (math.sqrt(squares / freedom) if freedom else math.nan), freedom


def steadier(groups: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> int | None:
    """Whether the first groups scatter less: 1, more: -1, or 0 if that may be chance.

    By an F test of both variances with 2.5 % on either side. With two groups of three a fifth of
    the deviation is found in four of five cases. A method of which trainings diverged scatters
    more than one of which none did.
    """
    if min(map(len, [*groups, *others])) < 2:
        return None
    own, foreign = (sum(groups, start=[]) for groups in (map(list, groups), map(list, others)))
    if lost(own) or lost(foreign):
        return _sign(lost(foreign) - lost(own))
    (deviation, freedom), (other, other_freedom) = scatter(groups), scatter(others)
    for sign, above, below, counts in (
        (1, other, deviation, (other_freedom, freedom)),
        (-1, deviation, other, (freedom, other_freedom)),
    ):
        if above > below * math.sqrt(stats.f.isf(_CHANCE, *counts)):
            return sign
    return 0
