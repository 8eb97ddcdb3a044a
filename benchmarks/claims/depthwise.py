"""Depthwise-separable spectral normalization: how tight, how costly, which limit K is best.

python -m benchmarks.claims.depthwise
"""

from pathlib import Path
from typing import Any

from benchmarks.claims import (
    command,
    depthwise_bounds,
    depthwise_overhead,
    depthwise_tightness,
    separable,
    separable_findings,
)
from benchmarks.claims.claim import LABELLED, Claim, Finding, Results, Run, Setting

_MEASURES = {
    "bound": depthwise_bounds.measure,
    "layers": depthwise_bounds.measure,
    "overhead": depthwise_overhead.measure,
    "accuracy": separable.measure,
}
_JUDGES = (depthwise_tightness, depthwise_overhead, separable_findings)


def runs(setting: Setting) -> list[Run]:
    return [
        *depthwise_bounds.runs(setting),
        *depthwise_overhead.runs(setting),
        *separable.runs(setting),
    ]


def measure(setting: Setting, run: Run) -> dict[str, Any]:
    return _MEASURES[run.options["part"]](setting, run)


def findings(results: Results) -> list[Finding]:
    return [finding for part in _JUDGES for finding in part.findings(results)]


def details(results: Results) -> str:
    return "\n\n".join(filter(None, (part.details(results) for part in _JUDGES)))


def draw(results: Results, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure((9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    depthwise_tightness.draw(left, results)
    separable_findings.draw(right, results)
    figure.savefig(path, dpi=110)


CLAIM = Claim(
    name="depthwise",
    title="Depthwise-separable convolutions: bound, cost, limit K",
    source="Runkel, Etmann, Möller, Schönlieb, arXiv:2102.06496.",
    setup=(
        "Norms of random 3×3 depthwise filters and of the depthwise layers of MobileNetV2 in "
        "double precision, against the bounds by FFT; the cost of normalizing MobileNetV2 of "
        "width 0.5 and 1.0, from this project's benchmark of speed; a separable ResNet without "
        "batch normalization, whose layers are at most K-Lipschitz by a fixed factor (hard) or by "
        "K·tanh(s) (soft), and the same one without norms, trained by SGD with momentum at "
        "several learning rates."
    ),
    minutes=50,
    runs=runs,
    measure=measure,
    findings=findings,
    details=details,
    draw=draw,
    datasets=LABELLED,
)

if __name__ == "__main__":
    command.main(CLAIM)
