"""What was wanted of the figures, and whether it holds."""

import json
from collections.abc import Callable
from pathlib import Path

from benchmarks.speed import pairing
from benchmarks.speed.tables import NAMES, Figures, markdown, parts_of, table

# The project's own DenseNet-BC-100 has batch normalization where the papers' has it.
_COST = Path(__file__).parents[1] / "claims" / "results" / "cost" / "densenet_bc-100.json"


@table("wanted")
def _wanted(results: dict[str, Figures]) -> list[str]:
    def ratio(part: str, figure: str, contender: str) -> float | None:
        figures = results.get(part, {}).get("figures", {})
        return figures.get(figure, {}).get(contender, {}).get("ratio")

    def quotient(part: str, figure: str, contender: str, other: str) -> float | None:
        values = [ratio(part, figure, name) for name in (contender, other)]
        return None if None in values else values[0] / values[1]

    def most_memory(part: str) -> float | None:
        values = [ratio(part, "memory", name) for name in ("SN", "SN, grouped", "BSN", "MSN", "WN")]
        return max((value for value in values if value is not None), default=None)

    step, first = "training step", "first step"
    parts, mobile = "tensorflow-mobilenet_v2-parts", "tensorflow-mobilenet_v2"
    vgg, dense = "tensorflow-vgg7", "tensorflow-densenet_bc"
    lines = [
        (f"{name}, {title}, training step", ratio(part, step, name), limit)
        for part, title, limit in (
            (parts, "MobileNetV2 0.5", 1.03),
            (f"{vgg}-close", "VGG7", 1.02),
            (f"{dense}-close", "DenseNet-BC-100", 1.02),
            ("tensorflow-transformer-close", "Transformer", 1.02),
        )
        for name in ("SN", "SN, grouped")
    ]
    lines += [
        ("SN on depthwise kernels alone", ratio(parts, step, "SN, depthwise only"), 1.01),
        *(
            (f"{name}, {title}, first step", ratio(part, first, name), 1.5)
            for part, title in (
                (mobile, "MobileNetV2 0.5"),
                (dense, "DenseNet-BC-100"),
                (f"{mobile}-xla", "MobileNetV2 0.5 with XLA"),
            )
            for name in ("SN", "SN, grouped")
        ),
        ("MSN over batch normalization, VGG7", _of_batch(quotient, vgg), 0.74),
        (
            "MSN over batch normalization, DenseNet-BC-100 as in the papers",
            _of_concatenations(),
            0.52,
        ),
        (
            "the same with batch normalization behind each convolution",
            _of_batch(quotient, dense),
            0.52,
        ),
        ("MSN, VGG7, training step", ratio(vgg, step, "MSN"), 1.10),
        ("MSN, DenseNet-BC-100, training step", ratio(dense, step, "MSN"), 1.10),
    ]
    lines += [
        (f"every normalization, {title}, {counted}", most_memory(part), 1.02)
        for form, counted in (
            ("tensors-{}-32", "tensors at the peak, batch of 32"),
            ("tensors-{}-128", "tensors at the peak, batch of 128"),
            ("memory-{}", "the process at its peak, batch of 128"),
        )
        for part, title in parts_of(form).items()
    ]
    rows = [
        [title, f"≤ {limit:g}", f"{value:.3f}", "yes" if value <= limit else "no"]
        for title, value, limit in lines
        if value is not None
    ]
    rows += [
        [
            *(f"{name}, {title}, inference", "1 ± 0.02", f"{value:.3f}"),
            "yes" if abs(value - 1) <= 0.02 else "no",
        ]
        for network, title in NAMES.items()
        for name in ("SN, folded", "MSN, folded")
        if (value := ratio(f"tensorflow-{network}-folded", "inference", name)) is not None
    ]
    return markdown(["times un-normalized", "wanted", "found", "holds"], rows)


def _of_batch(quotient: Callable[..., float | None], part: str) -> float | None:
    return quotient(part, "training step", "MSN", "batch normalization")


def _of_concatenations() -> float | None:
    if not _COST.exists():
        return None
    times = json.loads(_COST.read_text())["figures"]["training step"]
    return pairing.compared(times, "batch")["mean-spectral"]["ratio"]
