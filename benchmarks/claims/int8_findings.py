"""What the int8 files say: losses of accuracy, and whether normalizations differ in them.

Part of `benchmarks.claims.int8`.
"""

import math
import statistics
from pathlib import Path

from benchmarks.claims import spread
from benchmarks.claims.claim import Finding, Results
from benchmarks.claims.classifiers import TITLES

NETWORKS = {**TITLES, "mobilenet_v2": "MobileNetV2"}
# What examples/saved_models.py multiplies the norms of both forms with.
FACTORS = {"mobilenet_v2": 3, "densenet_bc": 2}
NORMALIZATIONS = ("none", "batch", "spectral", "mean-spectral", "weight")
BATCH, SPECTRAL = "batch", ("spectral", "mean-spectral")
LOSS, RATIO = "loss", "signal-to-noise ratio"
# Points of accuracy that int8 may cost where it is said to keep the accuracy.
MARGIN = 0.5
_OWN = "no figure: a statement of this project, not of a paper"
_FORMS = "Spectral normalization (SN and MSN, with a factor of 3 in MobileNetV2, 2 in DenseNet-BC)"
_POOLED = (
    "networks and seeds are pooled as if they were independent; both forms have leaky ReLU where "
    "batch normalization has ReLU, but for MobileNetV2, where all have ReLU6"
)

Values = dict[tuple[str, str, int], float]


def values_of(results: Results, kind: str) -> Values:
    """Values by network, normalization and seed; what was measured goes before what was kept."""
    found: Values = {}
    for result in results.values():
        name, normalization = (result["options"][key] for key in ("network", "normalization"))
        for group in ("recorded", "measured"):
            for own in result["figures"][group]:
                if own[kind] is not None:
                    found[name, normalization, own["seed"]] = own[kind]
    return found


def differences(values: Values, normalization: str) -> list[float]:
    """Values of a normalization minus those of batch normalization, of network and seed alike."""
    return [
        value - values[name, BATCH, seed]
        for (name, own, seed), value in values.items()
        if own == normalization and (name, BATCH, seed) in values
    ]


def interval(values: list[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval; without two values that is infinite."""
    if len(values) < 2:
        return (values[0] if values else math.nan), math.inf
    from scipy import stats

    quantile = float(stats.t.ppf(0.975, len(values) - 1))
    return statistics.fmean(values), quantile * statistics.stdev(values) / math.sqrt(len(values))


def _cell(values: list[float], digits: int, unit: str) -> str:
    mean, half = interval(values)
    text = f"{mean:+.{digits}f} ± {half:.{digits}f} {unit} ({len(values)} runs, 95 % interval)"
    return text.replace("-", "−")


def findings(results: Results) -> list[Finding]:
    losses = values_of(results, LOSS)
    return [
        _keeps(losses),
        _paired(losses, f"{_FORMS} loses less by int8 than batch normalization", -1),
        _paired(
            values_of(results, RATIO),
            f"{_FORMS} leaves a higher signal-to-noise ratio than batch normalization",
            1,
        ),
        _again(results),
    ]


def _complete(values: Values, normalization: str) -> bool:
    """Whether all networks have at least two values of a normalization."""
    names = [name for name, own, _ in values if own == normalization]
    return all(names.count(name) > 1 for name in NETWORKS)


def _keeps(losses: Values) -> Finding:
    signs: list[int | None] = []
    cells = []
    for normalization in SPECTRAL:
        own = [value for (_, name, _), value in losses.items() if name == normalization]
        mean, half = interval(own)
        if _complete(losses, normalization):
            signs.append(1 if mean + half < MARGIN else -1 if mean - half > MARGIN else 0)
        else:
            signs.append(None)
        if len(own) > 1:
            cells.append(f"{normalization} {_cell(own, 2, 'points')}")
    return Finding(
        f"{_FORMS} keeps int8 accuracy: a mean loss below {MARGIN} points",
        _OWN,
        "; ".join(cells) or "–",
        spread.judged(signs, "undecided"),
        "the whole interval must lie on one side of the limit; one of 360 test images is 0.28 "
        f"points; {_POOLED}",
    )


def _paired(values: Values, claim: str, wanted: int) -> Finding:
    loss = wanted < 0
    signs: list[int | None] = []
    cells = []
    for normalization in SPECTRAL:
        own = differences(values, normalization)
        mean, half = interval(own)
        if _complete(values, normalization) and _complete(values, BATCH):
            signs.append(0 if abs(mean) <= half else 1 if mean * wanted > 0 else -1)
        else:
            signs.append(None)
        if len(own) > 1:
            unit = "points" if loss else "dB"
            cells.append(f"{normalization} minus batch {_cell(own, 2 if loss else 1, unit)}")
    return Finding(
        claim,
        _OWN,
        "; ".join(cells) or "–",
        spread.judged(signs),
        f"differences within pairs of the same network and seed; {_POOLED}",
    )


def _again(results: Results) -> Finding:
    """Whether the kept networks lose today what is recorded of them."""
    gaps, there = [], set()
    for result in results.values():
        known = {own["seed"]: own[LOSS] for own in result["figures"]["recorded"]}
        for own in result["figures"]["measured"]:
            if own["seed"] in known:
                gaps.append(abs(own[LOSS] - known[own["seed"]]))
                there.add((result["options"]["network"], result["options"]["normalization"]))
    missing = len(NETWORKS) * len(NORMALIZATIONS) - len(there)
    # A file whose last bits differ may decide one image otherwise.
    verdict = "holds" if gaps and max(gaps) < 0.3 else "does not hold"
    return Finding(
        "Networks of seed 0, exported again, lose what savedmodels/results.json says",
        _OWN,
        f"largest difference {max(gaps):.2f} points in {len(gaps)} files" if gaps else "–",
        "not measured yet" if missing else verdict,
        "a difference of one of 360 test images, 0.28 points, is allowed",
    )


def details(results: Results) -> str:
    if not results:
        return ""
    kinds = {
        "accuracy": ("float accuracy, %", 2),
        LOSS: ("loss, points", 2),
        RATIO: (f"{RATIO}, dB", 1),
    }
    values = {kind: values_of(results, kind) for kind in kinds}
    heads = " | ".join(title for title, _ in kinds.values())
    lines = [f"| network | normalization | {heads} |", "|---" * (2 + len(kinds)) + "|"]
    for name in (*NETWORKS, None):
        for normalization in NORMALIZATIONS:
            chosen = [
                [
                    value
                    for (network, own, _), value in values[kind].items()
                    if own == normalization and name in (None, network)
                ]
                for kind in kinds
            ]
            if any(chosen):
                cells = [
                    spread.spread(own, digits) if name else _pooled(own, digits)
                    for own, (_, digits) in zip(chosen, kinds.values(), strict=True)
                ]
                title = NETWORKS[name] if name else "all"
                form = normalization
                if normalization in SPECTRAL and name in FACTORS:
                    form += f", factor {FACTORS[name]}"
                lines.append(f"| {title} | {form} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _pooled(values: list[float], digits: int) -> str:
    return spread.spread(values, digits).replace("seeds)", "runs)").replace("seed)", "run)")


def draw(results: Results, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure((8, 3), layout="constrained")
    for axes, (kind, title) in zip(
        figure.subplots(1, 2),
        ((LOSS, "loss of accuracy, points"), (RATIO, f"{RATIO}, dB")),
        strict=True,
    ):
        values = values_of(results, kind)
        for place, network in enumerate(NETWORKS):
            own = [
                (NORMALIZATIONS.index(normalization) + 0.12 * (place - 1.5), value)
                for (name, normalization, _), value in values.items()
                if name == network
            ]
            if own:
                axes.plot(*zip(*own, strict=True), "o", markersize=4, label=NETWORKS[network])
        axes.set_xticks(range(len(NORMALIZATIONS)), NORMALIZATIONS, rotation=20)
        axes.set_ylabel(title)
    figure.axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=110)
