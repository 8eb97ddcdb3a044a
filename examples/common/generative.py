"""What an example of a generative network needs beside `fit`: measured samples, plain files."""

import argparse
import dataclasses
import json
from typing import Any

import keras
import numpy as np

import tfspecnorm
from common import backend
from common.command import CheckError, UsageError, command_line
from common.datasets import Images, load_images
from common.delivery import check_agreement, check_difference
from common.download import SOURCES
from common.litert import export_litert
from common.options import (
    fraction,
    integer_of_at_least,
    non_negative_number,
    positive_integer,
    positive_number,
)
from common.plots import Panel, plot_curves
from common.report import REPORT, print_table
from common.run import Run, versions
from tfspecnorm import callbacks, metrics
from tfspecnorm.gan import GAN
from tfspecnorm.metrics import extractors

EXTRACTORS = ("auto", "inception_v3", "classifier")
GRID = "samples.png"
_SAMPLES, _SMOKE_SAMPLES, _PROVEN_SAMPLES = 2000, 64, 32
# Two for each of the ten splits of the Inception score.
_LEAST_SAMPLES = 20
# More of them change a distance little, and take memory.
_REAL_IMAGES = 10_000
_CLASSIFIER_STEPS, _CLASSIFIER_BATCH = 500, 128
# Measurements and pictures in a whole training.
_MEASUREMENTS = 15

GAN_OPTIONS = (
    ("--loss", {"choices": ("hinge", "non-saturating", "wasserstein"), "default": "hinge"}),
    (
        "--n-discriminator",
        {
            "type": positive_integer,
            "default": 1,
            "help": "updates of the discriminator for each of the generator, each with its part "
            "of the batch (default: 1)",
        },
    ),
    (
        "--discriminator-learning-rate",
        {"type": positive_number, "help": "default: that of the generator"},
    ),
    (
        "--r1",
        {"type": non_negative_number, "default": 0.0, "help": "weight of the R1 penalty"},
    ),
    (
        "--gradient-penalty",
        {"type": non_negative_number, "default": 0.0, "help": "weight of the gradient penalty"},
    ),
    (
        "--average-momentum",
        {"type": fraction, "default": 0.99, "help": "of the averaged generator (default: 0.99)"},
    ),
    (
        "--samples",
        {
            "type": integer_of_at_least(_LEAST_SAMPLES),
            "help": f"images to measure (default: {_SAMPLES}, {_SMOKE_SAMPLES} with --smoke)",
        },
    ),
    (
        "--extractor",
        {
            "choices": EXTRACTORS,
            "default": "auto",
            "help": "where features come from: InceptionV3, or a classifier that is trained on the "
            "data; auto: the classifier for offline data, else InceptionV3 if its weights can be "
            "loaded",
        },
    ),
    (
        "--classifier",
        {
            "help": "file of the classifier, written if it is not there, for several runs "
            "that are to be measured by the same one (default: classifier.keras in --output)"
        },
    ),
)


def load_generative_images(options: argparse.Namespace) -> Images:
    """The data set that the options name, grey if it is.

    Raises:
        UsageError: If the data cannot be loaded, or several processes are to train, one of which
            would measure samples that only all of them together can generate.
    """
    if options.strategy == "multiworker":
        raise UsageError(
            "argument --strategy: must be none or mirrored for a generative network. "
            f"Received: {options.strategy}"
        )
    return load_images(
        options.dataset, options.data_dir, options.smoke, options.image_size, repeat_grey=False
    )


class Samples:
    """Measures and draws what a GAN generates, during training and at its end.

    Args:
        run: The run.
        options: Its options, with `GAN_OPTIONS`.
        images: The data.
        gan: The compiled model, before any training.

    Attributes:
        callbacks: Callbacks for `fit`, in front of those that store the logs.
        untrained: Dict from the name of a column to the `Score` before training.

    Raises:
        UsageError: If there is no extractor of features for the data.
    """

    def __init__(self, run: Run, options: argparse.Namespace, images: Images, gan: GAN) -> None:
        self.run, self.gan, self.latent_size = run, gan, gan.latent_size
        samples = options.samples or (_SMOKE_SAMPLES if options.smoke else _SAMPLES)
        real = images.symmetric(images.train_images[:_REAL_IMAGES])
        extractor = _extractor(run, options, images)
        # Scores of another extractor do not continue a history.
        run.settings["extractor"] = extractor.name
        self.metrics = callbacks.SampleMetrics(
            [metrics.FrechetDistance(extractor), metrics.InceptionScore(extractor, seed=0)],
            real,
            samples,
            every=max(1, options.epochs // _MEASUREMENTS),
        )
        self.metrics.set_model(gan)
        self.metrics.on_train_begin()
        self.untrained = self.metrics.measure()
        for score in self.untrained.values():
            print(f"before training: {score}")
        self.callbacks: list[keras.callbacks.Callback] = [
            self.metrics,
            callbacks.ImageGrid(run.folder / GRID),
        ]

    def deliver(self, history: dict[str, list[float]]) -> None:
        """Writes curves, samples, models and report, and checks the plain generator.

        The folder then holds `curves.png`, `samples.png`, `gan.keras`, `generator.keras` and
        `discriminator.keras`, which are folded, `report.json` and, on TensorFlow, the LiteRT file
        `generator.tflite`. The generator is the averaged one.

        Args:
            history: Dict from a column's name to its values, one for each epoch.

        Raises:
            CheckError: If samples are not finite, or a pixel of the folded generator or of its
                LiteRT file differs from the trained one's by more than 1e-4.
        """
        scores = self.metrics.measure()
        if not scores:
            raise CheckError("the generated images are not finite; try a smaller --learning-rate")
        folder, gan = self.run.folder, self.gan
        generator = self.run.strategy.local(gan.averaged_generator or gan.generator)
        folded = tfspecnorm.fold(generator)
        with folder.writing("curves.png") as path:
            plot_curves(history, self.run.title, path, self._panels())
        with folder.writing("gan.keras") as path:
            gan.save(path)
        with folder.writing("generator.keras") as path:
            folded.save(path)
        with folder.writing("discriminator.keras") as path:
            tfspecnorm.fold(gan.discriminator).save(path)
        latents = np.random.default_rng(0).standard_normal((_PROVEN_SAMPLES, self.latent_size))
        latents = latents.astype("float32")
        expected = generator.predict(latents, verbose=0)
        check_agreement("the folded generator", folded.predict(latents, verbose=0), expected)
        if backend.NAME == "tensorflow":
            with folder.writing("generator.tflite") as path:
                report = export_litert(generator, path, latents)
                check_difference("the LiteRT file", report.largest_difference, expected)
        self._report(scores, history)

    def _panels(self) -> list[Panel]:
        distances = {name: name for name in self.untrained if name.startswith("frechet")}
        return [
            Panel("Losses", {name: f"{name}_loss" for name in ("generator", "discriminator")}),
            Panel("Mean logits", {name: f"{name}_logits" for name in ("real", "fake")}),
            Panel("Fréchet distance", distances, logarithmic=True),
        ]

    def _report(self, scores: dict[str, Any], history: dict[str, list[float]]) -> None:
        report = {
            "command": command_line(),
            "versions": versions(),
            "settings": self.run.settings,
            "untrained": {name: dataclasses.asdict(part) for name, part in self.untrained.items()},
            "trained": {name: dataclasses.asdict(part) for name, part in scores.items()},
            "training_seconds": sum(history["seconds"]),
        }
        with self.run.folder.writing(REPORT) as path:
            path.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        rows = {}
        for name, score in self.untrained.items():
            rows[f"{score.metric}, untrained"] = f"{float(score):.4g}"
            rows[f"{score.metric}, trained"] = f"{float(scores[name]):.4g}"
            rows[f"{score.metric}, extractor"] = score.extractor
            counts = f"{score.real_samples} real, {score.generated_samples} generated"
            rows[f"{score.metric}, samples"] = counts
        rows["training time"] = f"{report['training_seconds']:.0f} s"
        print_table(self.run.title, rows)


def _extractor(run: Run, options: argparse.Namespace, images: Images) -> extractors.Extractor:
    choice = options.extractor
    if choice == "auto" and images.name not in SOURCES:
        choice = "classifier"
    if choice == "classifier" and not images.classes:
        raise UsageError(
            "argument --extractor: a classifier needs a data set with labels. "
            f"Received: --dataset {images.name}"
        )
    if choice == "inception_v3" or not images.classes:
        if options.classifier:
            raise UsageError("argument --classifier: is not used by --extractor inception_v3")
        return extractors.inception_v3()
    pixels = images.symmetric(images.train_images)
    path = options.classifier or run.folder / "classifier.keras"
    epochs = max(5, _CLASSIFIER_STEPS * _CLASSIFIER_BATCH // len(pixels))
    make = extractors.default if choice == "auto" else extractors.classifier
    try:
        return make(pixels, images.train_labels, path, 5 if options.smoke else epochs)
    except ValueError as error:
        raise UsageError(str(error)) from error
