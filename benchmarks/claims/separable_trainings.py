"""The trainings of the separable ResNet by form and limit, each at its best learning rate.

Part of `benchmarks.claims.depthwise`.
"""

import dataclasses
import math
from typing import Any

from benchmarks.claims import spread
from benchmarks.claims.claim import Results


@dataclasses.dataclass
class Group:
    """Trainings of one form and limit, one value for each seed; accuracies in percent."""

    classes: int
    rates: list[float] = dataclasses.field(default_factory=list)
    validation: list[float] = dataclasses.field(default_factory=list)
    tests: list[float] = dataclasses.field(default_factory=list)
    diverged: int = 0

    def add(self, training: dict[str, Any], epochs: int) -> None:
        """Adds a training; one that diverged counts as guessing."""
        failed = diverged(training, epochs)
        self.diverged += failed
        self.rates.append(training["rate"])
        guessing = 1 / self.classes
        self.validation.append(100 * (guessing if failed else training["validation"][-1]))
        self.tests.append(100 * (guessing if failed else training["test"]))

    def described(self, unit: str = " %") -> str:
        """Mean test accuracy with its spread, and how many trainings diverged."""
        text = spread.spread(self.tests, 1, unit)
        return f"{text}, {self.diverged} of {len(self.tests)} diverged" if self.diverged else text


class Trainings(dict[tuple[str, int | None], Group]):
    """Groups by form and limit."""

    def tests(self, form: str, limit: int | None) -> list[float]:
        """Test accuracies of a group, none if it is not there."""
        return self[form, limit].tests if (form, limit) in self else []


def diverged(training: dict[str, Any], epochs: int) -> bool:
    """Whether a training ended early, or with a loss that is no number."""
    losses = training["loss"]
    return len(losses) < epochs or losses[-1] is None or not math.isfinite(losses[-1])


def best(result: dict[str, Any]) -> dict[str, Any]:
    """The training of the learning rate that validates best at its end."""
    epochs = result["options"]["epochs"]
    return max(
        result["figures"]["rates"],
        key=lambda own: -1.0 if diverged(own, epochs) else own["validation"][-1],
    )


def trainings_of(results: Results, rate: float | None = None) -> Trainings:
    """The trainings by form and limit, at one learning rate or at the best one of each seed."""
    found = Trainings()
    for result in _own(results):
        options, figures = result["options"], result["figures"]
        chosen = [best(result)]
        if rate is not None:
            chosen = [own for own in figures["rates"] if own["rate"] == rate]
        group = found.setdefault((options["form"], options["limit"]), Group(figures["classes"]))
        for training in chosen:
            group.add(training, options["epochs"])
    return Trainings(sorted(found.items(), key=lambda pair: (pair[0][0], pair[0][1] or 0)))


def _own(results: Results) -> list[dict[str, Any]]:
    return [found for found in results.values() if found["options"]["part"] == "accuracy"]


def details(results: Results) -> str:
    found = trainings_of(results)
    if not found:
        return ""
    rates = sorted({own["rate"] for result in _own(results) for own in result["figures"]["rates"]})
    by_rate = [trainings_of(results, rate) for rate in rates]
    heads = [f"rate {rate:g}" for rate in rates]
    lines = [f"| form | K | test accuracy, % | {' | '.join(heads)} |"]
    lines.append("|---" * (3 + len(heads)) + "|")
    for key, group in found.items():
        form, limit = key
        cells = [form, "–" if limit is None else str(limit), group.described("")]
        cells += [own[key].described("") if key in own else "–" for own in by_rate]
        lines.append(f"| {' | '.join(cells)} |")
    legend = (
        "Separable ResNet, at the learning rate with the best validation accuracy of each seed and "
        "at each rate; a training that diverged counts as guessing."
    )
    return "\n".join([*lines, "", legend])
