"""Trains four small networks with every normalization, and exports them for microcontrollers.

    python examples/saved_models.py
    python examples/saved_models.py --networks vgg7 --seeds 1

For each of VGG7, MobileNetV2, DenseNet-BC and the three-layer CNN, reduced to less than 60,000
parameters, and each of five normalizations it trains on the digits of scikit-learn, exports a
float and an int8 file, and runs them, also in the interpreter for microcontrollers. The models of
the first seed and the table of all results go to savedmodels/. What is finished stays: the same
command goes on after an interruption. With --only-train and --no-full two processes may train
different networks at once.
"""

import argparse
import functools
import json
import math
import shutil
import sys
import zipfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import common
import densenet_bc
import keras
import mobilenet_v2
import small_cnn
import vgg7
from common import edge_table
from common.output import writing

import tfspecnorm

ROOT = Path(__file__).resolve().parents[1] / "savedmodels"
NORMALIZATIONS = ("none", "batch", "spectral", "mean-spectral", "weight")
CALIBRATION_IMAGES = 500
# Three layers that truly have norm 1 hand on too little of each block's input; "spectral" has a
# factor there.
_NEEDS_SCALE = ("mobilenet_v2", "densenet_bc")
_SMALL = ("--image-size", "16")
NETWORKS = {
    "vgg7": (vgg7, ("--width", "0.25", "--dropout", "0", "--epochs", "40")),
    "small_cnn": (small_cnn, ("--width", "0.25")),
    "mobilenet_v2": (
        mobilenet_v2,
        ("--width", "0.35", "--last-filters", "128", *_SMALL, "--epochs", "40"),
    ),
    "densenet_bc": (
        densenet_bc,
        ("--depth", "16", "--growth", "12", *_SMALL, "--learning-rate", "0.002", "--epochs", "60"),
    ),
}
FILES = {"float32": "float32.tflite", "int8": "int8.tflite"}
# One more row of the table, whose files are too large to keep.
FULL = ("vgg7-full", "spectral", 0)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    if not find_spec("tflite_micro"):
        raise common.UsageError(
            'the package tflite_micro is not installed: pip install -e ".[edge]"'
        )
    new = {}
    for name, normalization, seed in runs(options):
        new[name, normalization, seed] = finished(options, name, normalization, seed)
        if seed == 0 and name != FULL[0]:
            keep(options, name, normalization)
    if not options.only_train:
        results = options.output / "results.json"
        # Another process may have written meanwhile.
        found = known(results) | new
        entries = sorted(found.values(), key=place)
        write_json(results, entries)
        with writing(options.output / "README.md") as partial:
            partial.write_text(edge_table.page(entries), encoding="utf-8")


def place(entry: dict[str, Any]) -> tuple[int, int, int]:
    """Where a result stands in the table."""
    networks = [*NETWORKS, FULL[0]]
    return (
        networks.index(entry["network"]),
        NORMALIZATIONS.index(entry["normalization"]),
        entry["seed"],
    )


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON in one step."""
    with writing(path) as partial:
        partial.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = common.Parser(__doc__)
    add = parser.add_argument
    add("--networks", nargs="+", choices=NETWORKS, default=tuple(NETWORKS), help="default: all")
    add("--normalizations", nargs="+", choices=NORMALIZATIONS, default=NORMALIZATIONS)
    add("--seeds", type=common.positive_integer, default=3, help="per network (default: 3)")
    add("--no-full", action="store_true", help="leave the full VGG7 out")
    add("--only-train", action="store_true", help="do not write the table")
    add("--output", type=Path, help="default: savedmodels in the repository")
    add("--work", type=Path, help="folder of the trainings, default: savedmodels/demo/edge")
    add("--smoke", action="store_true", help="a few images, into savedmodels/demo/smoke")
    options = parser.parse_args(arguments)
    smoke = ROOT / "demo" / "smoke"
    options.output = options.output or (smoke if options.smoke else ROOT)
    options.work = options.work or (smoke / "edge" if options.smoke else ROOT / "demo" / "edge")
    return options


def known(path: Path) -> dict[tuple[str, str, int], dict[str, Any]]:
    """What earlier calls found, by network, normalization and seed."""
    entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return {(part["network"], part["normalization"], part["seed"]): part for part in entries}


def runs(options: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    """Network, normalization and seed of each training."""
    for name in options.networks:
        for normalization in options.normalizations:
            for seed in range(options.seeds):
                yield name, normalization, seed
    if not options.no_full:
        yield FULL


def finished(
    options: argparse.Namespace, name: str, normalization: str, seed: int
) -> dict[str, Any]:
    """The result of a run: what its folder holds, or a new one."""
    folder = options.work / f"{name}-{normalization}-{seed}"
    network, words = (vgg7, ()) if name == FULL[0] else NETWORKS[name]
    chosen = normalization
    if normalization == "spectral" and name in _NEEDS_SCALE:
        chosen = "scaled-spectral"
    words = [*words, "--normalization", chosen, "--seed", str(seed)]
    if options.smoke:
        words += ["--smoke", "--epochs", "1"]
    path = folder / "edge.json"
    if path.exists():
        entry = json.loads(path.read_text(encoding="utf-8"))
        if entry["arguments"] == words:
            return entry
    restart = ["--restart"] if path.exists() else []
    keras.utils.clear_session()
    images = network.main([*words, *restart, "--output", str(folder)])
    model = keras.saving.load_model(folder / "trained.keras", compile=False)
    entry = {
        "network": name,
        "normalization": normalization,
        "seed": seed,
        "arguments": words,
        "trained_parameters": sum(
            math.prod(variable.shape) for variable in model.trainable_variables
        ),
        "float32": exported(model, images, folder / FILES["float32"], None),
        "int8": exported(model, images, folder / FILES["int8"], "int8"),
    }
    write_json(path, entry)
    return entry


def exported(
    model: keras.Model, images: common.Images, path: Path, quantize: str | None
) -> dict[str, Any]:
    """What the written file does on the test images."""
    report = tfspecnorm.export(
        model,
        path,
        quantize=quantize,
        calibration=images.standardized(images.train_images[:CALIBRATION_IMAGES]),
        evaluation=(images.standardized_test_images(), images.test_labels),
    )
    return {**json.loads(report.to_json()), "path": path.name}


def keep(options: argparse.Namespace, name: str, normalization: str) -> None:
    """Puts the files of a run where the golden files are, the model without its optimizer."""
    folder = options.work / f"{name}-{normalization}-0"
    options.output.mkdir(parents=True, exist_ok=True)
    model = keras.saving.load_model(folder / "trained.keras", compile=False)
    for ending, write_file in (
        (".keras", model.save),
        *((file, functools.partial(shutil.copyfile, folder / file)) for file in FILES.values()),
    ):
        target = (
            options.output / f"{name}-{normalization}{'' if ending == '.keras' else '-'}{ending}"
        )
        with writing(target) as partial:
            write_file(partial)
            if ending == ".keras":
                compress(partial)


def compress(path: Path) -> None:
    """Writes an archive again with compression, which Keras does without: half of it is zeros."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


if __name__ == "__main__":
    sys.exit(common.run_script(main))
