"""What the accuracies of the separable ResNet say about the limit K.

Part of `benchmarks.claims.depthwise`.
"""

import math
import statistics
from typing import Any

from benchmarks.claims import data, spread
from benchmarks.claims.claim import Finding, Results
from benchmarks.claims.separable import HARD, LIMITS, PLAIN, SOFT
from benchmarks.claims.separable_trainings import Trainings, details, trainings_of

__all__ = ["details", "draw", "findings"]

FORMS = (HARD, SOFT)
# The paper's best limit.
_BEST = 5
# Test accuracies of the paper in percent, hard and soft, at each limit's best learning rate.
_PAPER = {1: (16.64, 16.28), 2: (54.70, 55.65), 3: (74.73, 72.51), 5: (90.53, 90.74)}
_PAPER[8] = (81.21, 81.17)
_DIFFERS = (
    "17 separable layers of a quarter of the width instead of 33, 16 epochs, 512 digits of 16×16 "
    "instead of photographs; one power iteration a step instead of a tolerance; learning rates "
    "of 1e-4 to 1e-1 picked by validation, where the paper's go down to 1e-5; a "
    "training that diverged counts as guessing"
)


def findings(results: Results) -> list[Finding]:
    found = trainings_of(results)
    scale = next((result.get("scale", "small") for result in results.values()), "small")
    limits = LIMITS[scale]
    parts = (_peak, _interior, _no_winner, _rates, _plain)
    return [part(found, limits) for part in parts]


def _described(found: Trainings, limits: tuple[int, ...]) -> str:
    cells = [
        f"{form} K = {limit}: {found[form, limit].described()}"
        for form in FORMS
        for limit in limits
        if (form, limit) in found
    ]
    return "; ".join(cells) or "–"


def _peak(found: Trainings, limits: tuple[int, ...]) -> Finding:
    signs = [
        spread.difference(found.tests(form, _BEST), found.tests(form, limit))
        for form in FORMS
        for limit in limits
        if limit != _BEST
    ]
    paper = ", ".join(f"K = {limit}: {hard} and {soft} %" for limit, (hard, soft) in _PAPER.items())
    return Finding(
        "K = 5 is the best limit",
        f"CIFAR-10, ResNet-34, hard and soft: {paper}",
        _described(found, limits),
        # One limit that is better is enough against a best one.
        "does not hold" if None not in signs and -1 in signs else spread.judged(signs),
        _DIFFERS,
    )


def _best_limit(found: Trainings, form: str, limits: tuple[int, ...]) -> int | None:
    """The limit with the best mean accuracy in validation, or `None` if one is not measured."""
    if not limits or any((form, limit) not in found for limit in limits):
        return None
    return max(limits, key=lambda limit: statistics.fmean(found[form, limit].validation))


def _interior(found: Trainings, limits: tuple[int, ...]) -> Finding:
    """Whether the best limit between the smallest and the largest one is better than both."""
    signs: list[int | None] = []
    cells = []
    for form in FORMS:
        best = _best_limit(found, form, limits[1:-1])
        for limit in (limits[0], limits[-1]):
            signs.append(spread.difference(found.tests(form, best), found.tests(form, limit)))
        if best is not None:
            edges = " and ".join(
                f"{found[form, limit].described()} at K = {limit}"
                for limit in (limits[0], limits[-1])
                if (form, limit) in found
            )
            cells.append(f"{form}: {found[form, best].described()} at K = {best}; {edges}")
    return Finding(
        "Accuracy peaks in the middle: small K starve the network, large K do not train",
        "below 17 % for K = 1, 10 % for K = 10, the peak between them",
        "; ".join(cells) or "–",
        spread.judged(signs),
        "the limit in the middle is picked by validation and judged by test; the largest limit "
        "here is 8, where the paper has 81 %, and the smallest rate 1e-4",
    )


def _no_winner(found: Trainings, limits: tuple[int, ...]) -> Finding:
    signs = {
        limit: spread.difference(found.tests(HARD, limit), found.tests(SOFT, limit))
        for limit in limits
    }
    names = {1: HARD, -1: SOFT, 0: "no difference"}
    known = {limit: sign for limit, sign in signs.items() if sign is not None}
    ahead = [list(known.values()).count(sign) for sign in (1, -1)]
    if len(known) < len(limits):
        verdict = "not measured yet"
    else:
        verdict = "does not hold" if 2 * max(ahead) > len(limits) else "holds"
    return Finding(
        "Neither hard nor soft limits win",
        "of K = 1 to 10 hard is ahead at four, by up to 2.2 points, soft at five, by up to 6.7",
        "; ".join(f"K = {limit}: {names[sign]}" for limit, sign in known.items()) or "–",
        verdict,
        "ahead is who is better by more than the spread over seeds; a form wins if it is ahead at "
        "more than half of the limits",
    )


def _rates(found: Trainings, limits: tuple[int, ...]) -> Finding:
    """Whether the best learning rates fall from each limit that learns to the next one."""
    signs: list[int | None] = []
    cells = []
    complete = all((form, limit) in found for form in FORMS for limit in limits)
    for form in FORMS:
        logarithms = []
        for limit in limits:
            own = found.get((form, limit))
            if own is None:
                continue
            rates = [
                math.log10(rate)
                for rate, accuracy in zip(own.rates, own.validation, strict=True)
                if data.learned(accuracy / 100, own.classes)
            ]
            learned = f"{len(rates)} of {len(own.rates)} learned"
            cells.append(
                f"{form} K = {limit}: "
                + (f"{10 ** statistics.fmean(rates):.2g} ({learned})" if rates else learned)
            )
            # A limit that most seeds do not learn with has no best rate.
            if 2 * len(rates) > len(own.rates):
                logarithms.append(rates)
        signs += [
            spread.difference(*pair) for pair in zip(logarithms, logarithms[1:], strict=False)
        ]
    verdict = spread.judged(signs) if signs else "undecided"
    return Finding(
        "The larger K, the smaller the learning rate it needs",
        "0.01 for K = 2 and 5, 0.001 for 6, 0.0001 for 8, 0.00001 for 9",
        "; ".join(cells) or "–",
        verdict if complete else "not measured yet",
        "geometric means over the seeds that learn, which is twice the accuracy of guessing or "
        "more in validation; limits with which most seeds learn are compared, each with the next",
    )


def _plain(found: Trainings, limits: tuple[int, ...]) -> Finding:
    signs: list[int | None] = []
    cells = []
    for form in FORMS:
        best = _best_limit(found, form, limits)
        signs.append(spread.difference(found.tests(form, best), found.tests(PLAIN, None)))
        if best is not None:
            cells.append(f"{form} K = {best}: {found[form, best].described()}")
    if (PLAIN, None) in found:
        cells.append(f"without norms: {found[PLAIN, None].described()}")
    return Finding(
        "With its best limit the network is better than without norms",
        "no figure: no network without norms is reported",
        "; ".join(cells) or "–",
        spread.judged(signs),
        "the limit is picked by validation and judged by test; no batch normalization in either; "
        "rates above 1e-1 were not tried",
    )


def draw(axes: Any, results: Results) -> None:
    """Accuracies against the limit, with the accuracy without norms."""
    found = trainings_of(results)
    for form in FORMS:
        own = {limit: values.tests for (name, limit), values in found.items() if name == form}
        if own:
            means = [statistics.fmean(values) for values in own.values()]
            errors = [
                statistics.stdev(values) if len(values) > 1 else 0.0 for values in own.values()
            ]
            axes.errorbar(list(own), means, errors, marker="o", capsize=3, label=form)
    if (PLAIN, None) in found:
        level = statistics.fmean(found[PLAIN, None].tests)
        axes.axhline(level, color="black", linestyle=":", label="without norms")
    axes.set_xlabel("limit K")
    axes.set_ylabel("test accuracy, %")
    if found:
        axes.legend(fontsize="small")
