"""Means with their spread, and whether two of them differ."""

import math
import statistics
from collections.abc import Sequence


def spread(values: Sequence[float], digits: int = 2, unit: str = "") -> str:
    """Mean ± standard deviation, and the number of values."""
    if not values:
        return "none"
    mean = statistics.fmean(values)
    if len(values) == 1:
        return f"{mean:.{digits}f}{unit} (1 seed)"
    deviation = statistics.stdev(values)
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}{unit} ({len(values)} seeds)"


def difference(values: Sequence[float], others: Sequence[float]) -> int | None:
    """Sign of the difference of two means: 1, -1, or 0 if it lies inside the spread.

    The spread of the difference is the root of the sum of both variances. With fewer than two
    values on a side it is not known, and the answer `None`: one run decides nothing.
    """
    if min(len(values), len(others)) < 2:
        return None
    gap = statistics.fmean(values) - statistics.fmean(others)
    deviation = math.hypot(statistics.stdev(values), statistics.stdev(others))
    return 0 if abs(gap) <= deviation else int(math.copysign(1, gap))


def judged(signs: Sequence[int | None]) -> str:
    """The verdict on a claim that all of the signs are 1; `None` is left out."""
    signs = [sign for sign in signs if sign is not None]
    if not signs:
        return "not measured yet"
    if all(sign == 1 for sign in signs):
        return "holds"
    if all(sign == 0 for sign in signs):
        return "no difference"
    return "partly" if any(sign == 1 for sign in signs) else "does not hold"
