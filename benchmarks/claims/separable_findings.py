"""What the accuracies of the separable ResNet say about the limit K.

Part of `benchmarks.claims.depthwise`.
"""

import math
import statistics
from typing import Any

from benchmarks.claims import spread
from benchmarks.claims.claim import Finding, Results
from benchmarks.claims.separable import HARD, PLAIN, SOFT

FORMS = (HARD, SOFT)
# The paper's best limit.
_BEST = 5
# A limit counts as trained from so many times the accuracy of guessing on.
_TRAINED = 2
# Test accuracies of the paper in percent, hard and soft, at each limit's best learning rate.
_PAPER = {1: (16.6, 16.3), 2: (54.7, 55.7), 3: (74.7, 72.5), 5: (90.5, 90.7), 8: (81.2, 81.2)}
_DIFFERS = (
    "17 separable layers of a quarter of the width instead of 33, 16 epochs, 512 digits of 16×16 "
    "instead of 50,000 photographs; one power iteration a step instead of a tolerance"
)

Accuracies = dict[tuple[str, int | None], list[float]]


def best(result: dict[str, Any]) -> dict[str, Any]:
    """The training of the learning rate that validates best at its end."""
    return max(result["figures"]["rates"], key=lambda found: found["validation"][-1] or 0.0)


def accuracies(results: Results, rate: float | None = None) -> Accuracies:
    """Test accuracies in percent by form and limit, at one learning rate or at the best one."""
    found: Accuracies = {}
    for result in _own(results):
        options = result["options"]
        chosen = [best(result)]
        if rate is not None:
            chosen = [own for own in result["figures"]["rates"] if own["rate"] == rate]
        key = options["form"], options["limit"]
        found.setdefault(key, []).extend(100 * own["test"] for own in chosen)
    return found


def _own(results: Results) -> list[dict[str, Any]]:
    return [found for found in results.values() if found["options"]["part"] == "accuracy"]


def _limits(found: Accuracies) -> list[int]:
    return sorted({limit for form, limit in found if limit is not None})


def _described(found: Accuracies, forms: tuple[str, ...] = FORMS) -> str:
    cells = [
        f"{form} K = {limit}: {spread.spread(found[form, limit], 1, ' %')}"
        for form in forms
        for limit in _limits(found)
        if (form, limit) in found
    ]
    return "; ".join(cells) or "none"


def findings(results: Results) -> list[Finding]:
    found = accuracies(results)
    return [_peak(found), _interior(found), _no_winner(found), _rates(results), _plain(found)]


def _peak(found: Accuracies) -> Finding:
    signs = [
        sign
        for form in FORMS
        for limit in _limits(found)
        if limit != _BEST
        for sign in [spread.difference(found.get((form, _BEST), []), found.get((form, limit), []))]
    ]
    paper = ", ".join(f"K = {limit}: {hard} and {soft} %" for limit, (hard, soft) in _PAPER.items())
    return Finding(
        "K = 5 is the best limit",
        f"CIFAR-10, ResNet-34, hard and soft: {paper}",
        _described(found),
        spread.judged(signs),
        _DIFFERS,
    )


def _interior(found: Accuracies) -> Finding:
    """Whether some limit is better than the smallest and the largest one."""
    signs, cells = [], []
    for form in FORMS:
        limits = [limit for limit in _limits(found) if (form, limit) in found]
        if len(limits) < 3:
            continue
        between = max(limits[1:-1], key=lambda limit: statistics.fmean(found[form, limit]))
        for limit in (limits[0], limits[-1]):
            signs.append(spread.difference(found[form, between], found[form, limit]))
        cells.append(f"{form}: best at K = {between} of {', '.join(map(str, limits))}")
    return Finding(
        "Accuracy peaks in the middle: small K starve the network, large K do not train",
        "below 17 % for K = 1, 10 % for K = 10, the peak between them",
        "; ".join(cells) or "none",
        spread.judged(signs),
        "the depth decides where: with fewer layers the signal shrinks and grows less",
    )


def _no_winner(found: Accuracies) -> Finding:
    signs = {
        limit: sign
        for limit in _limits(found)
        for sign in [spread.difference(found.get((HARD, limit), []), found.get((SOFT, limit), []))]
        if sign is not None
    }
    names = {1: HARD, -1: SOFT, 0: "no difference"}
    winners = {sign for sign in signs.values() if sign}
    verdict = "does not hold" if len(winners) == 1 else "holds"
    return Finding(
        "Neither hard nor soft limits win",
        "of K = 1 to 10 hard is ahead at four, by up to 2.2 points, soft at five, by up to 6.7",
        "; ".join(f"K = {limit}: {names[sign]}" for limit, sign in signs.items()) or "none",
        verdict if signs else "not measured yet",
        "a difference inside the spread over seeds counts for neither; the paper has one seed",
    )


def _rates(results: Results) -> Finding:
    """Whether the best learning rates fall from each limit that trains to the next one."""
    logarithms: Accuracies = {}
    for result in _own(results):
        chosen, options = best(result), result["options"]
        if chosen["test"] * result["figures"]["classes"] >= _TRAINED:
            key = options["form"], options["limit"]
            logarithms.setdefault(key, []).append(math.log10(chosen["rate"]))
    signs, cells = [], []
    for form in FORMS:
        limits = [limit for limit in _limits(logarithms) if (form, limit) in logarithms]
        for smaller, larger in zip(limits, limits[1:], strict=False):
            signs.append(spread.difference(logarithms[form, smaller], logarithms[form, larger]))
        rates = [statistics.fmean(logarithms[form, limit]) for limit in limits]
        cells += [
            f"{form} K = {limit}: {10**rate:.2g}" for limit, rate in zip(limits, rates, strict=True)
        ]
    return Finding(
        "The larger K, the smaller the learning rate it needs",
        "0.01 for K = 2 and 5, 0.001 for 6, 0.0001 for 8, 0.00001 for 9",
        "; ".join(cells) or "none",
        spread.judged(signs),
        "geometric means over the seeds with twice the accuracy of guessing or more",
    )


def _plain(found: Accuracies) -> Finding:
    plain = found.get((PLAIN, None), [])
    signs = []
    if plain:
        for form in FORMS:
            own = [values for (name, _), values in found.items() if name == form]
            if own:
                signs.append(spread.difference(max(own, key=statistics.fmean), plain))
    return Finding(
        "With its best limit the network is better than without norms",
        "no figure: no network without norms is reported",
        f"without norms {spread.spread(plain, 1, ' %')}",
        spread.judged(signs),
        "no batch normalization in either",
    )


def details(results: Results) -> str:
    found = accuracies(results)
    if not found:
        return ""
    rates = sorted({own["rate"] for result in _own(results) for own in result["figures"]["rates"]})
    by_rate = {rate: accuracies(results, rate) for rate in rates}
    heads = [f"rate {rate:g}" for rate in rates]
    lines = [f"| form | K | test accuracy, % | {' | '.join(heads)} |"]
    lines.append("|---" * (3 + len(heads)) + "|")
    for (form, limit), values in sorted(
        found.items(), key=lambda pair: (pair[0][0], pair[0][1] or 0)
    ):
        cells = [form, "–" if limit is None else str(limit), spread.spread(values, 1)]
        cells += [spread.spread(own.get((form, limit), []), 1) for own in by_rate.values()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(
        [
            *lines,
            "",
            "Separable ResNet, at the learning rate with the best validation accuracy and at each.",
        ]
    )


def draw(axes: Any, results: Results) -> None:
    """Accuracies against the limit, with the accuracy without norms."""
    found = accuracies(results)
    for form in FORMS:
        own = {limit: found[form, limit] for limit in _limits(found) if (form, limit) in found}
        if own:
            means = [statistics.fmean(values) for values in own.values()]
            errors = [
                statistics.stdev(values) if len(values) > 1 else 0.0 for values in own.values()
            ]
            axes.errorbar(list(own), means, errors, marker="o", capsize=3, label=form)
    if (PLAIN, None) in found:
        level = statistics.fmean(found[PLAIN, None])
        axes.axhline(level, color="black", linestyle=":", label="without norms")
    axes.set_xlabel("limit K")
    axes.set_ylabel("test accuracy, %")
    if found:
        axes.legend(fontsize="small")
