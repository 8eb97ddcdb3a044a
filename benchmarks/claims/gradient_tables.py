"""Tables of gradients and of kernels."""

import statistics
from typing import Any

from benchmarks.claims import gradient_curves as curves
from benchmarks.claims.claim import Results
from benchmarks.claims.gan_setup import NORMALIZATIONS
from benchmarks.claims.gradient_curves import QUANTITIES


def details(results: Results) -> str:
    """Markdown: all layers together, then each layer."""
    if not results:
        return ""
    lines = [
        "Medians over the last quarter of training, geometric means over seeds. Norms of kernels' "
        "gradients, all layers together: of the hinge loss in the trained kernels W, and of the "
        "mean output in the kernels W̄ that the discriminator computes with; of single outputs in "
        "the image, the median of a batch.",
        "",
        f"| normalization | {' | '.join(QUANTITIES.values())} | ‖∂D(x)/∂x‖, generated x | "
        f"{QUANTITIES['loss']}, last over first quarter | diverged |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in NORMALIZATIONS:
        own = curves.by_seed(results, name)
        if own:
            cells = [
                curves.factor([curves.part(result, quantity) for result in own.values()])
                for quantity in (*QUANTITIES, "fake")
            ]
            cells.append(curves.factor(curves.growth(results, name, "loss")))
            cells.append(f"{curves.diverged(results, name)} of {len(own)}")
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_kernels(results)])


def _kernels(results: Results) -> list[str]:
    """A table of kernels: σ and variance by layer, at the start and at the end."""
    lines: list[str] = []
    for name in NORMALIZATIONS:
        own = list(curves.by_seed(results, name).values())
        if not own:
            continue
        layers = own[0]["figures"]["layers"]
        lines = lines or [
            "σ(W) of the raw kernels, and below it the variance of what the layer computes with, "
            "times max(m, n); start → end; then the layer's own part of the loss's gradient in the "
            "last quarter. Geometric means over seeds.",
            "",
            f"| normalization | | {' | '.join(layers)} |",
            "|---|---|" + "---|" * len(layers),
        ]
        changes = {
            title: [
                f"{_mean(own, key, 0, place):.2g} → {_mean(own, key, -1, place):.2g}"
                for place in range(len(layers))
            ]
            for title, key in (("σ", "sigma"), ("variance", "variance"))
        }
        norms = [f"{10 ** _late(own, place):.2g}" for place in range(len(layers))]
        for title, cells in {**changes, QUANTITIES["loss"]: norms}.items():
            lines.append(f"| {name} | {title} | {' | '.join(cells)} |")
    return lines


def _mean(own: list[dict[str, Any]], key: str, time: int, place: int) -> float:
    return statistics.geometric_mean(
        curves.limited(result["figures"]["points"][time][key][place]) for result in own
    )


def _late(own: list[dict[str, Any]], place: int) -> float:
    """Logarithm of a layer's gradient in the last quarter."""
    return statistics.fmean(curves.part(result, "loss", layer=place) for result in own)
