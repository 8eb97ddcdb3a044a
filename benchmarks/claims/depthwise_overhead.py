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
    "memory",
)
CONTENDERS = ("SN", "SN, grouped")
_KINDS = {"training step": "time", "memory": "memory"}
_SIZES = (32, 224)
_INPUTS, _CHANNELS = "one input for each layer", "one channel vector for each layer"


def runs(setting: Setting) -> list[Run]:
    return [Run("overhead", {"part": "overhead"})]


def measure(setting: Setting, run: Run) -> dict[str, Any]:
    """Ratios to the network without norms, copied with what they are ratios of."""
    return {
        "copied": [row for name in FILES for row in copied(ROOT / SPEED / f"{name}.json")],
        "stored numbers": {str(size): stored(size) for size in _SIZES},
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
    return f"{row['network']}, batch {row['batch']}, {row['device']}"


def findings(results: Results) -> list[Finding]:
    times = [row for row in _rows(results, "time") if row["contender"] == CONTENDERS[0]]
    described = "; ".join(f"{_place(row)} {_cell(row)}" for row in times) or "none"
    memory = [row for row in _rows(results, "memory") if row["contender"] == CONTENDERS[0]]
    counts = _figures(results)["stored numbers"]
    fewer = [own[_CHANNELS] < own[_INPUTS] for own in counts.values()]
    stored_cells = [
        f"{size}×{size}: {own[_CHANNELS]:,} numbers instead of {own[_INPUTS]:,}"
        for size, own in counts.items()
    ]
    memory_cells = [f"training's memory, {_place(row)} {_cell(row)}" for row in memory]
    copied_from = f"step time at 32×32 pixels, copied from {SPEED.as_posix()}, not measured again"
    return [
        Finding(
            "Normalizing MobileNetV2 takes 2 % more time",
            "×1.02 a training epoch: 3074 s instead of 3016 s on ImageNet, two V100",
            described,
            spread.judged([1 if row["quartiles"][0] <= 1.02 else -1 for row in times]),
            f"{copied_from}; holds where 1.02 is not below the quartiles",
        ),
        Finding(
            "At 32×32 pixels normalizing takes no more than 63 % more time",
            "×1.63 an epoch: 59.6 s instead of 36.6 s, separable ResNet-34 on CIFAR-10, V100",
            described,
            spread.judged([1 if row["quartiles"][1] <= 1.63 else -1 for row in times]),
            f"MobileNetV2 instead; {copied_from}",
        ),
        Finding(
            "Power iterations store little: a vector of channels, not an input, for each layer",
            "counted only, no measured memory",
            "; ".join([*stored_cells, *memory_cells]) or "none",
            spread.judged([1 if less else -1 for less in fewer]),
            "counted for MobileNetV2; memory copied, too",
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
    return "\n".join(lines)
