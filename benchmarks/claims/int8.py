"""What int8 costs a network, by its normalization.

python -m benchmarks.claims.int8
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import keras

from benchmarks.claims import command
from benchmarks.claims.claim import Claim, Run, Setting

# Importing `data` lets scripts of the examples be imported.
from benchmarks.claims.data import Images, load_images
from benchmarks.claims.int8_findings import (
    BATCH,
    LOSS,
    NETWORKS,
    NORMALIZATIONS,
    RATIO,
    SPECTRAL,
    details,
    draw,
    findings,
)
from tfspecnorm import export

SAVED = Path(__file__).resolve().parents[2] / "savedmodels"
CALIBRATION_IMAGES = 500


def runs(setting: Setting) -> list[Run]:
    """One run for each network and normalization; where none is kept, for each seed as well."""
    names = setting.pick(small=NETWORKS, paper=NETWORKS, smoke=("small_cnn",))
    chosen = setting.pick(small=NORMALIZATIONS, paper=NORMALIZATIONS, smoke=(BATCH, SPECTRAL[0]))
    pairs = [(name, normalization) for name in names for normalization in chosen]
    if _kept(setting):
        return [
            Run(f"{name}-{own}", {"network": name, "normalization": own, "seed": 0})
            for name, own in pairs
        ]
    return [
        Run(f"{name}-{own}-{seed}", {"network": name, "normalization": own, "seed": seed})
        for name, own in pairs
        for seed in setting.seeds_or(3)
    ]


def _kept(setting: Setting) -> bool:
    """Whether the networks of `savedmodels` are those that the setting asks for."""
    return setting.scale != "paper" and setting.dataset == "digits" and setting.seeds is None


def measure(setting: Setting, run: Run) -> dict[str, Any]:
    """Accuracy, its loss and the noise of the int8 file, for each seed that is known."""
    options = run.options
    if not _kept(setting):
        return {"measured": [_trained(setting, options)], "recorded": []}
    path = SAVED / f"{options['network']}-{options['normalization']}.keras"
    model = keras.saving.load_model(path, compile=False)
    shape = model.input_shape[1:]
    images = load_images("digits", size=shape[0], repeat_grey=shape[-1] == 3)
    return {
        "measured": [exported(model, images, options["seed"])],
        "recorded": recorded(SAVED / "results.json", **options),
        "provenance": f"{path.name} exported again; other seeds from savedmodels/results.json",
    }


def recorded(
    path: Path, network: str, normalization: str, seed: int | None = None
) -> list[dict[str, Any]]:
    """What examples/saved_models.py has measured and kept, of all seeds."""
    return [
        {
            "seed": entry["seed"],
            "accuracy": 100 * entry["int8"]["accuracy_model"],
            LOSS: 100 * entry["int8"]["accuracy_drop"],
            RATIO: entry["int8"]["signal_to_noise_db"],
            "samples": entry["int8"]["samples"],
            "versions": entry["int8"]["versions"],
        }
        for entry in json.loads(path.read_text())
        if (entry["network"], entry["normalization"]) == (network, normalization)
    ]


def exported(model: keras.Model, images: Images, seed: int) -> dict[str, Any]:
    """What the int8 file of a model does on the test images."""
    with tempfile.TemporaryDirectory() as folder:
        report = export(
            model,
            Path(folder) / "int8.tflite",
            quantize="int8",
            calibration=images.standardized(images.train_images[:CALIBRATION_IMAGES]),
            evaluation=(images.standardized_test_images(), images.test_labels),
        )
    return {
        "seed": seed,
        "accuracy": 100 * report.accuracy_model,
        LOSS: 100 * report.accuracy_drop,
        RATIO: report.signal_to_noise_db,
        "samples": report.samples,
    }


def _trained(setting: Setting, options: dict[str, Any]) -> dict[str, Any]:
    """The same for a network that is trained as examples/saved_models.py trains its networks."""
    import saved_models

    network, words = saved_models.NETWORKS[options["network"]]
    normalization = options["normalization"]
    if normalization == "spectral" and options["network"] in ("mobilenet_v2", "densenet_bc"):
        normalization = "scaled-spectral"
    # At the paper's scale the networks have their full size.
    words = [] if setting.scale == "paper" else list(words)
    words += ["--normalization", normalization, "--seed", str(options["seed"])]
    words += ["--dataset", setting.dataset]
    with tempfile.TemporaryDirectory() as folder:
        images = network.main([*words, "--output", folder])
        model = keras.saving.load_model(Path(folder) / "trained.keras", compile=False)
    return exported(model, images, options["seed"])


CLAIM = Claim(
    name="int8",
    title="int8: what quantization costs, by normalization",
    source="A statement of this project; no paper.",
    setup=(
        "Four networks of less than 60,000 parameters with five normalizations, trained on the "
        "digits of scikit-learn by `examples/saved_models.py`. Those of seed 0, kept in "
        "`savedmodels`, are exported to int8 anew, calibrated on 500 training images and run on "
        "360 test images; seeds 1 and 2 are taken from `savedmodels/results.json`, which the same "
        "script wrote."
    ),
    minutes=20,
    runs=runs,
    measure=measure,
    findings=findings,
    details=details,
    draw=draw,
)

if __name__ == "__main__":
    command.main(CLAIM)
