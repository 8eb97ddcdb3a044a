"""Robust start of weight-normalized networks: signals, depth, rates, warm-up, the gap to BN.

python -m benchmarks.claims.starts
"""

from pathlib import Path
from typing import Any

from benchmarks.claims import (
    command,
    starts_depth,
    starts_gap,
    starts_grid,
    starts_signals,
    starts_warm_up,
)
from benchmarks.claims.claim import LABELLED, Claim, Finding, Results, Run, Setting

PARTS = {
    module.PART: module
    for module in (starts_signals, starts_depth, starts_grid, starts_warm_up, starts_gap)
}
_COLUMNS = 4


def runs(setting: Setting) -> list[Run]:
    return [run for module in PARTS.values() for run in module.runs(setting)]


def measure(setting: Setting, run: Run) -> dict[str, Any]:
    """What the part of the run measures."""
    return PARTS[run.options["part"]].measure(setting, run.options)


def findings(results: Results) -> list[Finding]:
    return [finding for module in PARTS.values() for finding in module.findings(results)]


def details(results: Results) -> str:
    texts = (module.details(results) for module in PARTS.values())
    return "\n\n".join(text for text in texts if text)


def draw(results: Results, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure((14, 6), layout="constrained")
    count = sum(module.PANELS for module in PARTS.values())
    panels = list(figure.subplots(-(-count // _COLUMNS), _COLUMNS).flat)
    for module in PARTS.values():
        own, panels = panels[: module.PANELS], panels[module.PANELS :]
        module.draw(own, results)
        for panel in own:
            if panel.get_legend_handles_labels()[0]:
                panel.legend(fontsize="x-small")
    for panel in panels:
        panel.set_axis_off()
    figure.savefig(path, dpi=110)


CLAIM = Claim(
    name="starts",
    title="Robust start of weight-normalized networks",
    source="Arpit, Campos, Bengio, arXiv:1906.02341.",
    setup=(
        "Starts of the same networks: robust (orthogonal v, g = √(γ · fan_in / fan_out)), "
        "data-dependent (the robust start's v, and g and bias from 128 images), default (Keras's "
        "Glorot kernels, g = ‖v‖; the paper's default is PyTorch's). Stochastic gradient "
        "descent with momentum 0.9 unless said otherwise, constant rate, no clipping of gradients. "
        "A training ends early when its loss is no number or, after three epochs, above 100 times "
        "that of guessing, and then has diverged; or when for twenty "
        "epochs (a third of all, if that is more) no loss was below 99 % of that of guessing and "
        "of the best before: such trainings are given up, also where they still creep down."
    ),
    minutes=90,
    runs=runs,
    measure=measure,
    findings=findings,
    details=details,
    draw=draw,
    datasets=LABELLED,
)

if __name__ == "__main__":
    command.main(CLAIM)
