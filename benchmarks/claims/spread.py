"""Means with their spread, and whether two of them differ."""

import math
import statistics
from collections.abc import Sequence


def spread(values: Sequence[float], digits: int = 2, unit: str = "") -> str:
    """Mean ± standard deviation, and the number of values."""
    if not values:
        return "none"
    mean = f"{statistics.fmean(values):.{digits}f}".replace("-", "−")
    if len(values) == 1:
        return f"{mean}{unit} (1 seed)"
    deviation = statistics.stdev(values)
    return f"{mean} ± {deviation:.{digits}f}{unit} ({len(values)} seeds)"


def difference(values: Sequence[float], others: Sequence[float], margin: float = 0.0) -> int | None:
    """Sign of the difference of two means: 1, -1, or 0 if it lies inside the spread.

    The spread of the difference is the root of the sum of both variances. With fewer than two
    values on a side it is not known, and the answer `None`: one run decides nothing.

    Args:
        values: Finite numbers.
        others: Finite numbers.
        margin: What the first ones may be smaller by and still count as equal.
    """
    if min(len(values), len(others)) < 2:
        return None
    gap = statistics.fmean(values) - statistics.fmean(others) + margin
    deviation = math.hypot(statistics.stdev(values), statistics.stdev(others))
    return 0 if abs(gap) <= deviation else int(math.copysign(1, gap))


def against(values: Sequence[float], limit: float) -> int | None:
    """Whether a mean lies above a limit: 1, below: -1, or 0 if the limit is inside the spread."""
    return difference(values, [limit, limit])


def judged(signs: Sequence[int | None], even: str = "no difference") -> str:
    """The verdict on a claim that all of the signs are 1.

    Args:
        signs: One for each comparison of the claim, `None` for one that is not measured, with
            which nothing is decided.
        even: What to say if all are 0. Of a limit that lies inside the spread "undecided", of two
            groups "no difference".
    """
    if not signs or None in signs:
        return "not measured yet"
    if all(sign == 1 for sign in signs):
        return "holds"
    if all(sign == 0 for sign in signs):
        return even
    return "partly" if any(sign == 1 for sign in signs) else "does not hold"
