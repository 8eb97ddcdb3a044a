"""What int8 costs a network, by its normalization.

python -m benchmarks.claims.int8
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import keras

from benchmarks.claims import command
from benchmarks.claims.claim import LABELLED, Claim, Run, Setting

# Importing `data` lets scripts of the examples be imported.
from benchmarks.claims.data import Images, load_images
from benchmarks.claims.int8_findings import (
    BATCH,
    FACTORS,
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
# Seeds that savedmodels/results.json has; files of the first one are kept.
_RECORDED_SEEDS = (0, 1, 2)


def runs(setting: Setting) -> list[Run]:
    """One run for each network and normalization; where none is kept, for each seed as well."""
    names = setting.pick(small=NETWORKS, paper=NETWORKS, smoke=("small_cnn",))
    chosen = setting.pick(small=NORMALIZATIONS, paper=NORMALIZATIONS, smoke=(BATCH, SPECTRAL[0]))
    found = []
    for name in names:
        for normalization in chosen:
            options = {
                "network": name,
                "normalization": normalization,
                "training": _words(setting, name, normalization),
                "calibration images": CALIBRATION_IMAGES,
            }
            if _kept(setting):
                options["seeds"] = list(_RECORDED_SEEDS)
                found.append(Run(f"{name}-{normalization}", options))
            else:
                found += [
                    Run(f"{name}-{normalization}-{seed}", {**options, "seed": seed})
                    for seed in setting.seeds_or(3)
                ]
    return found


def _words(setting: Setting, network: str, normalization: str) -> list[str]:
    """Options of the network's example, as examples/saved_models.py gives them but for the seed."""
    import saved_models

    _, small = saved_models.NETWORKS[network]
    if normalization == "spectral" and network in FACTORS:
        normalization = "scaled-spectral"
    # At the paper's scale the networks have their full size.
    words = [] if setting.scale == "paper" else list(small)
    words += ["--normalization", normalization]
    if not _kept(setting):
        words += ["--dataset", setting.dataset]
        words += ["--smoke", "--epochs", "1"] if setting.scale == "smoke" else []
    return words


def _kept(setting: Setting) -> bool:
    """Whether the networks of `savedmodels` are those that the setting asks for."""
    return setting.scale != "paper" and setting.dataset == "digits" and setting.seeds is None


def measure(setting: Setting, run: Run) -> dict[str, Any]:
    """Accuracy, its loss and the noise of the int8 file, for each seed that is known."""
    options = run.options
    if not _kept(setting):
        return {"measured": [_trained(options)], "recorded": []}
    network, normalization = options["network"], options["normalization"]
    path = SAVED / f"{network}-{normalization}.keras"
    model = keras.saving.load_model(path, compile=False)
    shape = model.input_shape[1:]
    images = load_images("digits", size=shape[0], repeat_grey=shape[-1] == 3)
    known = recorded(SAVED / "results.json", network, normalization)
    return {
        "measured": [exported(model, images, 0, options["calibration images"])],
        "recorded": [
            own
            for own in known
            if own["seed"] in options["seeds"]
            and own["training"] == [*options["training"], "--seed", str(own["seed"])]
        ],
        "provenance": f"{path.name} exported again; other seeds from savedmodels/results.json",
    }


def recorded(path: Path, network: str, normalization: str) -> list[dict[str, Any]]:
    """What examples/saved_models.py has measured and kept, of all seeds."""
    return [
        {
            "seed": entry["seed"],
            "training": entry["arguments"],
            "accuracy": 100 * entry["int8"]["accuracy_model"],
            LOSS: 100 * entry["int8"]["accuracy_drop"],
            RATIO: entry["int8"]["signal_to_noise_db"],
            "samples": entry["int8"]["samples"],
            "versions": entry["int8"]["versions"],
        }
        for entry in json.loads(path.read_text())
        if (entry["network"], entry["normalization"]) == (network, normalization)
    ]


def exported(
    model: keras.Model, images: Images, seed: int, calibration: int = CALIBRATION_IMAGES
) -> dict[str, Any]:
    """What the int8 file of a model does on the test images."""
    with tempfile.TemporaryDirectory() as folder:
        report = export(
            model,
            Path(folder) / "int8.tflite",
            quantize="int8",
            calibration=images.standardized(images.train_images[:calibration]),
            evaluation=(images.standardized_test_images(), images.test_labels),
        )
    return {
        "seed": seed,
        "accuracy": 100 * report.accuracy_model,
        LOSS: 100 * report.accuracy_drop,
        RATIO: report.signal_to_noise_db,
        "samples": report.samples,
    }


def _trained(options: dict[str, Any]) -> dict[str, Any]:
    """The same for a network that is trained as examples/saved_models.py trains its networks."""
    import saved_models

    network, _ = saved_models.NETWORKS[options["network"]]
    words = [*options["training"], "--seed", str(options["seed"])]
    with tempfile.TemporaryDirectory() as folder:
        images = network.main([*words, "--output", folder])
        model = keras.saving.load_model(Path(folder) / "trained.keras", compile=False)
    return exported(model, images, options["seed"], options["calibration images"])


CLAIM = Claim(
    name="int8",
    title="int8: what quantization costs, by normalization",
    source="A statement of this project; no paper.",
    setup=(
        "Four networks of less than 60,000 parameters with five normalizations, trained on the "
        "digits of scikit-learn by `examples/saved_models.py`. `spectral` and `mean-spectral` "
        "multiply each normalized kernel with 3 in MobileNetV2 and with 2 in DenseNet-BC (SSN, "
        "`scaled-spectral`), without which these deep networks hand on too little; they have leaky "
        "ReLU where the others have ReLU, but for MobileNetV2, where all have ReLU6. The networks "
        "of seed 0, kept in `savedmodels`, are exported to int8 anew, calibrated on 500 training "
        "images and run on 360 test images; seeds 1 and 2 are taken from "
        "`savedmodels/results.json`, which the same script wrote."
    ),
    minutes=10,
    runs=runs,
    measure=measure,
    findings=findings,
    details=details,
    draw=draw,
    datasets=LABELLED,
)

if __name__ == "__main__":
    command.main(CLAIM)
