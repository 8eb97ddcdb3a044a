"""Interleaved timing: what contenders take, relative to a baseline, on a busy machine."""

import gc
import random
import statistics
import time
from collections.abc import Callable


def interleaved(
    contenders: dict[str, Callable[[], object]], rounds: int, calls: int, seed: int = 0
) -> dict[str, list[float]]:
    """Seconds of one call of each contender, one value for each round.

    In a round each contender makes its calls in a row, in an order drawn anew: a slow minute of
    the machine meets all of them.
    """
    drawn = random.Random(seed)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    gc.collect()
    for _ in range(rounds):
        drawn.shuffle(order)
        for name in order:
            call = contenders[name]
            start = time.perf_counter()
            for _ in range(calls):
                call()
            times[name].append((time.perf_counter() - start) / calls)
    return times


def compared(times: dict[str, list[float]], baseline: str) -> dict[str, dict[str, float]]:
    """For each contender the median time, and median and quartiles of its ratio in each round."""
    results = {}
    for name, own in times.items():
        ratios = [mine / base for mine, base in zip(own, times[baseline], strict=True)]
        lower, median, upper = quartiles(ratios)
        results[name] = {
            "milliseconds": 1000 * statistics.median(own),
            "ratio": median,
            "lower_quartile": lower,
            "upper_quartile": upper,
            "rounds": len(ratios),
        }
    return results


def quartiles(values: list[float]) -> list[float]:
    """Lower quartile, median and upper quartile; of one value this value."""
    return statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
