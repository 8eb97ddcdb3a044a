"""The page on the kept models: sizes, accuracies, memory, and what int8 costs."""

import statistics
from collections.abc import Callable, Iterable
from typing import Any

from scipy import stats

Entry = dict[str, Any]

TITLES = {
    "vgg7": "VGG7",
    "small_cnn": "three-layer CNN",
    "mobilenet_v2": "MobileNetV2",
    "densenet_bc": "DenseNet-BC",
    "vgg7-full": "VGG7, full width",
}
_SPECTRAL = ("spectral", "mean-spectral")


def page(entries: list[Entry]) -> str:
    """The page in Markdown.

    Args:
        entries: One for each run: network, normalization, seed, words of the command, and the
            reports of the float and of the int8 file as dicts.
    """
    versions = entries[0]["int8"]["versions"]
    return f"""# Saved models

Small networks on the digits of scikit-learn (1,437 images for training, 360 held out), each with
every normalization, made and measured by one command, which also wrote this page from
`results.json`:

    python examples/saved_models.py

For each row there are three files: `NETWORK-NORMALIZATION.keras` as it was trained, wrapped layers
and all; `-float32.tflite`, which `tfspecnorm.export` made of it; and `-int8.tflite`, calibrated on
500 training images. All come from seed 0. They are kept for the tests, which load each of them and
compare its accuracy with this table, so that an old model keeps working.

    import keras
    import tfspecnorm

    model = keras.saving.load_model("savedmodels/vgg7-spectral.keras")

{_sizes([entry for entry in entries if entry["seed"] == 0])}

Parameters are those of the exported model. Flash is the size of the int8 file, arena the memory in
which TensorFlow Lite Micro ran it (`EdgeReport.micro`). Latencies are medians in the LiteRT
interpreter on one core of a PC that had other work; they compare files, not boards. "spectral" has
a factor in two networks, see `arguments` in `results.json`.

## What int8 costs

Over {_number_of_seeds(entries)} seeds: accuracy of the float model, loss of accuracy of the int8
file in points (a negative loss is a gain), signal-to-noise ratio of the int8 file's logits, and the
smallest share of the 360 predictions that the micro interpreter and LiteRT have in common; mean ±
standard deviation over seeds. One image is 0.28 points.

{_losses(entries)}

All four networks together, each seed one value:

{_pooled(entries)}

{_verdict(entries)}

Versions: {", ".join(f"{name} {version}" for name, version in versions.items())}.
"""


def _sizes(entries: list[Entry]) -> str:
    return _table(
        (
            "network",
            "normalization",
            "parameters",
            "accuracy: float",
            "int8",
            "float file, bytes",
            "flash, bytes",
            "arena, bytes",
            "latency, ms: float",
            "int8",
        ),
        (
            (
                TITLES[entry["network"]],
                entry["normalization"],
                f"{entry['float32']['parameters']:,}",
                f"{entry['float32']['accuracy_file']:.2%}",
                f"{entry['int8']['accuracy_file']:.2%}",
                f"{entry['float32']['file_bytes']:,}",
                f"{entry['int8']['file_bytes']:,}",
                f"{entry['int8']['micro']['arena_bytes']:,}",
                f"{entry['float32']['latency_ms']:.3f}",
                f"{entry['int8']['latency_ms']:.3f}",
            )
            for entry in entries
        ),
    )


def _losses(entries: list[Entry]) -> str:
    rows = []
    for name, normalization in _groups(entries):
        group = _chosen(entries, normalization, name)
        rows.append(
            (
                TITLES[name],
                normalization,
                f"{len(group)}",
                _spread([100 * entry["int8"]["accuracy_model"] for entry in group]),
                _spread([loss(entry) for entry in group]),
                _spread([entry["int8"]["signal_to_noise_db"] for entry in group], 1),
                f"{min(entry['int8']['micro']['agreement'] for entry in group):.2%}",
            )
        )
    head = (
        "network",
        "normalization",
        "seeds",
        "float, %",
        "loss, points",
        "ratio, dB",
        "agreement",
    )
    return _table(head, rows)


def _pooled(entries: list[Entry]) -> str:
    rows = []
    for normalization in dict.fromkeys(entry["normalization"] for entry in _small(entries)):
        group = _chosen(entries, normalization)
        rows.append(
            (
                normalization,
                f"{len(group)}",
                _spread([loss(entry) for entry in group]),
                f"{max(loss(entry) for entry in group):.2f}",
                _spread([entry["int8"]["signal_to_noise_db"] for entry in group], 1),
            )
        )
    head = ("normalization", "runs", "loss, points", "largest loss", "ratio, dB")
    return _table(head, rows)


def _verdict(entries: list[Entry]) -> str:
    """Whether spectrally normalized networks lose less than batch-normalized ones."""
    lines = []
    for normalization in _SPECTRAL:
        for what, unit, digits, value in (
            ("loss of accuracy", "points", 2, loss),
            ("signal-to-noise ratio", "dB", 1, _ratio),
        ):
            pairs = _differences(entries, normalization, "batch", value)
            if len(pairs) < 2:
                continue
            mean = statistics.mean(pairs)
            error = stats.t.ppf(0.975, len(pairs) - 1) * stats.sem(pairs)
            known = "no difference" if abs(mean) <= error else "a difference"
            lines.append(
                f"- {normalization} minus batch, {what}: {mean:+.{digits}f} ± {error:.{digits}f} "
                f"{unit} (mean of {len(pairs)} pairs of the same network and seed, 95 % interval): "
                f"{known}."
            )
    return "Does a spectrally normalized network lose less than a batch-normalized one?\n\n" + (
        "\n".join(lines) or "Too few runs to tell."
    )


def _differences(
    entries: list[Entry], one: str, other: str, value: Callable[[Entry], float]
) -> list[float]:
    """Values of one normalization minus those of another, for the same network and seed."""
    values = {
        (entry["network"], entry["seed"], entry["normalization"]): value(entry)
        for entry in _small(entries)
    }
    return [
        found - values[name, seed, other]
        for (name, seed, normalization), found in values.items()
        if normalization == one and (name, seed, other) in values
    ]


def loss(entry: Entry) -> float:
    """Accuracy that the int8 file loses, in points."""
    return 100 * entry["int8"]["accuracy_drop"]


def _ratio(entry: Entry) -> float:
    return entry["int8"]["signal_to_noise_db"]


def _small(entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry["network"] != "vgg7-full"]


def _groups(entries: list[Entry]) -> list[tuple[str, str]]:
    return list(
        dict.fromkeys((entry["network"], entry["normalization"]) for entry in _small(entries))
    )


def _chosen(entries: list[Entry], normalization: str, name: str | None = None) -> list[Entry]:
    return [
        entry
        for entry in _small(entries)
        if entry["normalization"] == normalization and name in (None, entry["network"])
    ]


def _number_of_seeds(entries: list[Entry]) -> int:
    return len({entry["seed"] for entry in entries})


def _spread(values: list[float], digits: int = 2) -> str:
    mean = statistics.mean(values)
    if len(values) < 2:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
