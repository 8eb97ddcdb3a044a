"""What is said of the curves of a distance: rows of the page and a table."""

import dataclasses
import math
from collections.abc import Callable

from benchmarks.claims import distance_curves as curves
from benchmarks.claims import spread
from benchmarks.claims.claim import Finding, Results


def findings(results: Results) -> list[Finding]:
    size = (
        "features of a classifier of the data, small images, few steps (see below when each was "
        "best); two pairs of learning rates, ten times those of the paper"
    )
    untuned = "; scale √2, not tuned"
    rows = [
        _ordering(results, name, other, f"{size}{scale}")
        for name, other, scale in (
            ("BSN", "SN", ""),
            ("SSN", "SN", untuned),
            ("BSSN", "SSN", untuned),
            ("BSSN", "SN", untuned),
        )
    ]
    for name in ("BSN", "BSSN"):
        differs = size + untuned * (name == "BSSN")
        rows += [
            _scatter(results, name, "SN", differs),
            _compared(
                results,
                name,
                "SN",
                curves.rises,
                Finding(
                    f"{name}'s distance rises less late in training than SN's",
                    "not verified",
                    "last over best, less one",
                    "not measured yet",
                    f"{differs}; last over best is scatter between measurements as much as a rise",
                ),
            ),
        ]
    return rows


def _ordering(results: Results, name: str, other: str, differs: str) -> Finding:
    row = Finding(
        f"{name} reaches a smaller distance than {other} at each pair of learning rates",
        "not verified",
        "best distance",
        "not measured yet",
        differs,
    )
    return _compared(results, name, other, curves.best, row)


def _compared(
    results: Results,
    name: str,
    other: str,
    quantity: Callable[[Results, str, tuple[float, ...]], list[float]],
    row: Finding,
) -> Finding:
    """The row with figures and verdict: whether the quantity is smaller at each pair of rates."""
    signs, parts = [], []
    for rates in curves.planned(results):
        own, others = (quantity(results, each, rates) for each in (name, other))
        signs.append(curves.smaller(own, others))
        if own or others:
            parts.append(f"{curves.titled(rates)}: {_described(own)}, {_described(others)}")
    ours = f"{row.ours}, {name} and {other}: {'; '.join(parts)}" if parts else "–"
    return dataclasses.replace(row, ours=ours, verdict=spread.judged(signs))


def _scatter(results: Results, name: str, other: str, differs: str) -> Finding:
    own, others = (
        [curves.last(results, each, rates) for rates in curves.planned(results)]
        for each in (name, other)
    )
    (deviation, count), (other_deviation, other_count) = map(curves.scatter, (own, others))
    ours = "–"
    if count and other_count:
        ours = (
            "deviation of the last distance's logarithm over seeds, all learning rates together: "
            f"{name} {deviation:.3f}, {other} {other_deviation:.3f}"
        )
        ours += (
            f"; {other}'s is {other_deviation / deviation:.2g} times {name}'s" if deviation else ""
        )
    losses = [
        f"{each}: {_losses(sum(groups, start=[]))}"
        for each, groups in ((name, own), (other, others))
        if any(map(curves.lost, groups))
    ]
    return Finding(
        f"{name}'s distances spread less over seeds than {other}'s",
        "not verified",
        "; ".join([ours] * (ours != "–" or not losses) + losses),
        spread.judged([curves.steadier(own, others)], "undecided"),
        f"{differs}; F test at 2.5 % on either side, weak for so few seeds",
    )


def _described(values: list[float], digits: int = 2) -> str:
    """Mean and spread of what is finite, and how many are not."""
    finite = [value for value in values if math.isfinite(value)]
    parts = [spread.spread(finite, digits)] * bool(finite) + [_losses(values)] * bool(
        curves.lost(values)
    )
    return ", ".join(parts) or "–"


def _losses(values: list[float]) -> str:
    return f"{sum(map(math.isinf, values))} of {len(values)} diverged"


def details(results: Results) -> str:
    if not results:
        return ""
    named = sorted({result["figures"]["extractor"] for result in results.values()})
    lines = [
        f"Fréchet distances by features of a {', '.join(named)}; mean ± deviation over seeds. "
        "Rise: last over best, less one. Learning rates are those of generator / discriminator.",
        "",
        "| learning rates | normalization | untrained | best | last | rise |",
        "|---|---|---|---|---|---|",
    ]
    for rates in curves.pairs(results):
        for name in curves.NAMES:
            own = curves.of(results, name, rates)
            if not own:
                continue
            first = [
                math.inf if value is None else value
                for value in (result["figures"]["points"][0]["distance"] for result in own)
            ]
            kinds = (curves.best, curves.last, curves.rises)
            columns = [kind(results, name, rates) for kind in kinds]
            cells = [_described(first, 0), *map(_described, columns)]
            lines.append(f"| {curves.titled(rates)} | {name} | {' | '.join(cells)} |")
    steps = curves.steps_of_best(results)
    if steps:
        longest = max(run["figures"]["points"][-1]["step"] for run in results.values())
        found = f"{min(steps)} to {max(steps)} of {longest}"
        lines += ["", f"The best distance of a run was measured at steps {found}."]
    return "\n".join(lines)
