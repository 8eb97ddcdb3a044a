"""What normalizing MobileNetV2 costs, from the files of the benchmark of speed.

Part of `benchmarks.claims.depthwise`.
"""

import json
import math
from pathlib import Path
from typing import Any

import keras

from benchmarks.claims import spread
from benchmarks.claims.claim import Finding, Results, Run, Setting
from benchmarks.speed.tables import NAMES
from tfspecnorm import models

ROOT = Path(__file__).resolve().parents[2]
SPEED = Path("benchmarks") / "speed" / "results"
# The figures of the benchmark that are copied: one file for each network, batch and device.
FILES = (
    "tensorflow-mobilenet_v2",
    "tensorflow-mobilenet_v2-128",
    "tensorflow-mobilenet_v2_full",
    "gpu-mobilenet_v2-128-float32",
    "gpu-mobilenet_v2-512-float32",
    "tensorflow-mobilenet_v2_full-128",
    "memory-mobilenet_v2",
)
_TIMED = tuple(f"{name}.json" for name in FILES if not name.startswith("memory"))
CONTENDERS = ("SN", "SN, grouped")
_KINDS = {"training step": "time", "memory": "memory"}
_SIZES = (32, 224)
_INPUTS, _CHANNELS = "one input for each layer", "one channel vector for each layer"


def runs(setting: Setting) -> list[Run]:
    options = {"part": "overhead", "files": list(FILES), "pixels": list(_SIZES)}
    return [Run("overhead", options)]


def measure(setting: Setting, run: Run) -> dict[str, Any]:
    """Ratios to the network without norms, copied with what they are ratios of."""
    return {
        "copied": [
            row for name in run.options["files"] for row in copied(ROOT / SPEED / f"{name}.json")
        ],
        "stored numbers": {str(size): stored(size) for size in run.options["pixels"]},
    }


def copied(path: Path) -> list[dict[str, Any]]:
    """Rows of one file of the benchmark; none if it is not there."""
    if not path.exists():
        return []
    found = json.loads(path.read_text())
    origin = {
        "file": path.name,
        "versions": found["versions"],
        "device": found["figures"].get("device", "CPU"),
        "backend": found["backend"],
        "network": found["network"],
        "batch": found["batch"],
    }
    rows = []
    for kind, title in _KINDS.items():
        for contender, values in found["figures"].get(kind, {}).items():
            if contender in CONTENDERS:
                row = {"kind": title, "contender": contender, "ratio": values["ratio"]}
                if "lower_quartile" in values:
                    row["quartiles"] = [values["lower_quartile"], values["upper_quartile"]]
                rows.append({**row, **origin})
    return rows


def stored(size: int) -> dict[str, int]:
    """Numbers that power iterations keep for MobileNetV2, by both ways of counting.

    The naive way keeps the input of each convolution; the paper's keeps one number for each
    input channel of a pointwise convolution and nothing for a depthwise one. The first, full
    convolution counts as its kernel's matrix does.
    """
    model = models.mobilenet_v2((size, size, 3), normalization="none")
    naive = separable = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            naive += math.prod(layer.input.shape[1:])
        elif isinstance(layer, keras.layers.Conv2D):
            naive += math.prod(layer.input.shape[1:])
            separable += math.prod(layer.kernel_size) * layer.input.shape[-1]
        elif isinstance(layer, keras.layers.Dense):
            naive += layer.input.shape[-1]
            separable += layer.input.shape[-1]
    return {_INPUTS: naive, _CHANNELS: separable}


def _figures(results: Results) -> dict[str, Any]:
    return next(
        (found["figures"] for found in results.values() if found["options"]["part"] == "overhead"),
        {"copied": [], "stored numbers": {}},
    )


def _rows(results: Results, kind: str) -> list[dict[str, Any]]:
    return [row for row in _figures(results)["copied"] if row["kind"] == kind]


def _cell(row: dict[str, Any]) -> str:
    quartiles = row.get("quartiles")
    within = f" ({quartiles[0]:.2f} to {quartiles[1]:.2f})" if quartiles else ""
    return f"×{row['ratio']:.2f}{within}"


def _place(row: dict[str, Any]) -> str:
    network = NAMES.get(row["network"], row["network"])
    return f"{network}, batch {row['batch']}, {row['device']}"


def _at_most(row: dict[str, Any] | None, limit: float) -> int | None:
    """1 if the upper quartile is no larger than the limit, -1 if the lower one is larger."""
    quartiles = (row or {}).get("quartiles")
    if quartiles is None:
        return None
    return 1 if quartiles[1] <= limit else -1 if quartiles[0] > limit else 0


def findings(results: Results) -> list[Finding]:
    times = {
        row["file"]: row
        for row in _rows(results, "time")
        if row["contender"] == CONTENDERS[0] and row["file"] in _TIMED
    }
    described = "; ".join(f"{_place(row)} {_cell(row)}" for row in times.values()) or "–"
    differs = (
        "MobileNetV2 of width 0.5 or 1.0 on images of 32×32 pixels, batch normalization left out; "
        f"time of a step, copied from {SPEED.as_posix()}, not measured again; quartiles in "
        "brackets, and both of them must lie on one side of the limit"
    )

    def verdict(limit: float) -> str:
        return spread.judged([_at_most(times.get(name), limit) for name in _TIMED], "undecided")

    return [
        Finding(
            "Normalizing MobileNetV2 takes at most 2 % more time",
            "×1.02 a training epoch: 3074 s instead of 3016 s on ImageNet, two V100",
            described,
            verdict(1.02),
            differs,
        ),
        Finding(
            "At 32×32 pixels normalizing takes at most 63 % more time",
            "×1.63 an epoch: 59.59 s instead of 36.63 s, separable ResNet-34 on CIFAR-10, V100",
            described,
            verdict(1.63),
            differs,
        ),
    ]


def details(results: Results) -> str:
    rows = [row for kind in _KINDS.values() for row in _rows(results, kind)]
    if not rows:
        return ""
    lines = [
        "| over plain | wrappers | network, batch, device | backend | ratio | copied from |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['kind']} | {row['contender']} | {_place(row)} | {row['backend']} | {_cell(row)} "
        f"| {row['file']} |"
        for row in rows
    ]
    counts = _figures(results)["stored numbers"]
    if counts:
        cells = [
            f"{own[_CHANNELS]:,} at {size}×{size} pixels, where the inputs of all layers are "
            f"{own[_INPUTS]:,}"
            for size, own in counts.items()
        ]
        lines += [
            "",
            "The paper counts what power iterations store and measures no memory. Counted its way "
            f"for MobileNetV2 of width 1.0, one vector of channels for each layer, numbers: "
            f"{'; '.join(cells)}.",
        ]
    return "\n".join(lines)
