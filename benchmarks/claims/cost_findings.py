"""What the times and the numbers of parameters say of mean spectral normalization.

Part of `benchmarks.claims.cost`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.claims import spread
from benchmarks.claims.claim import Finding, Results
from benchmarks.claims.classifiers import TITLES
from benchmarks.speed import pairing

NORMALIZATIONS = ("none", "batch", "spectral", "mean-spectral")
PLAIN, BATCH, _, MEAN_SPECTRAL = NORMALIZATIONS
TRAINING, INFERENCE, FOLDED = "training step", "inference as trained", "inference folded"
KINDS = (TRAINING, INFERENCE, FOLDED)
_LEGEND = (
    "Medians; a ratio stands behind what it is a ratio to, with its quartiles over rounds. "
    "Stored are moving averages and the vectors of the power iterations too."
)


def ratio(times: dict[str, list[float]], name: str, baseline: str) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile of a ratio taken round by round."""
    found = pairing.compared(times, baseline)[name]
    return found["lower_quartile"], found["ratio"], found["upper_quartile"]


def sign(quartiles: tuple[float, float, float]) -> int:
    """1 for a ratio below one, -1 above, 0 if one lies between its quartiles."""
    lower, _, upper = quartiles
    return 1 if upper < 1 else -1 if lower > 1 else 0


def title(options: dict[str, Any]) -> str:
    """Name of the network of a run."""
    depth = options["arguments"].get("depth")
    return TITLES[options["network"]] + (f"-{depth}" if depth else "")


def _cell(quartiles: tuple[float, float, float]) -> str:
    lower, median, upper = quartiles
    return f"×{median:.2f} ({lower:.2f} to {upper:.2f})"


# The result of each run of the plan, `None` where it is missing.
Planned = Sequence[dict[str, Any] | None]


def _against(planned: Planned, kind: str) -> tuple[str, str]:
    """Ratios of mean spectral normalization in all networks, and whether it is faster."""
    cells: list[str] = []
    signs: list[int | None] = []
    for result in planned:
        if result is None:
            signs.append(None)
            continue
        quartiles = ratio(result["figures"][kind], MEAN_SPECTRAL, BATCH)
        cells.append(f"{title(result['options'])} {_cell(quartiles)}")
        signs.append(sign(quartiles))
    return "; ".join(cells) or "–", spread.judged(signs)


def _parameters(planned: Planned) -> tuple[str, str]:
    """Trainable parameters in all networks, and whether mean spectral normalization has fewer."""
    cells: list[str] = []
    signs: list[int | None] = []
    for result in planned:
        if result is None:
            signs.append(None)
            continue
        counts = result["figures"]["parameters"]
        mine, its = (counts[name]["trainable"] for name in (MEAN_SPECTRAL, BATCH))
        cells.append(f"{title(result['options'])} {mine:,} against {its:,}")
        signs.append((mine < its) - (mine > its))
    return "; ".join(cells) or "–", spread.judged(signs)


def findings(planned: Planned) -> list[Finding]:
    own = "no figure; not a statement of the paper"
    speedup = (
        "about 16 % faster (abstract; how it was timed is not known): ×0.84, or ×0.86 if its speed "
        "is 1.16 times as high"
    )
    timed = "a CPU; in brackets quartiles over interleaved rounds"
    return [
        Finding(
            "MSN trains faster than batch normalization: time of a step, MSN over BN",
            speedup,
            *_against(planned, TRAINING),
            timed,
        ),
        Finding(
            "MSN's inference as trained is faster than batch normalization's: MSN over BN",
            speedup,
            *_against(planned, INFERENCE),
            timed,
        ),
        Finding(
            "Folded, MSN's inference is faster than batch normalization's, folded too: MSN over BN",
            own,
            *_against(planned, FOLDED),
            f"{timed}; in DenseNet-BC batch normalization follows concatenations, where it cannot "
            "be folded",
        ),
        Finding(
            "MSN has fewer trainable parameters than batch normalization",
            "no figure; the authors' code has 103,566 against 103,562 in the three-layer CNN",
            *_parameters(planned),
            "the paper's form: an offset but no factor; the authors' code has both. VGG7's batch "
            "normalization has no factor either",
        ),
    ]


def details(results: Results) -> str:
    if not results:
        return ""
    lines = ["| network | normalization | trainable | stored | " + " | ".join(KINDS) + " |"]
    lines.append("|---" * (4 + len(KINDS)) + "|")
    for result in results.values():
        figures = result["figures"]
        for name in NORMALIZATIONS:
            counts = figures["parameters"][name]
            cells = [
                title(result["options"]),
                name,
                f"{counts['trainable']:,}",
                f"{counts['total']:,}",
            ]
            for kind in KINDS:
                milliseconds = 1000 * float(np.median(figures[kind][name]))
                own = [f"{milliseconds:.1f} ms"]
                own += [
                    f"{base} {_cell(ratio(figures[kind], name, base))}"
                    for base in (PLAIN, BATCH)
                    if name != base
                ]
                cells.append(", ".join(own))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", _LEGEND])


def draw(results: Results, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure((8, 3.2), layout="constrained")
    for axes, kind in zip(figure.subplots(1, len(KINDS), sharey=True), KINDS, strict=True):
        for place, name in enumerate(NORMALIZATIONS):
            values = [ratio(found["figures"][kind], name, BATCH) for found in results.values()]
            lower, median, upper = np.transpose(values)
            positions = np.arange(len(values)) + 0.2 * (place - 1.5)
            errors = (median - lower, upper - median)
            axes.bar(positions, median, 0.2, yerr=errors, label=name, color=f"C{place}")
        axes.axhline(1, color="black", linewidth=0.8)
        labels = [title(found["options"]) for found in results.values()]
        axes.set_xticks(range(len(labels)), labels, rotation=25, ha="right")
        axes.set_title(kind)
    figure.axes[0].set_ylabel("time over batch normalization's")
    figure.axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=110)
