"""Data, networks and training of the claims about generative adversarial networks."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from benchmarks.claims.claim import Setting
from benchmarks.claims.data import Images, load_images
from tfspecnorm.gan import GAN
from tfspecnorm.layers import SpectralNorm
from tfspecnorm.models import sn_dcgan

# By the papers' names; those with a scale have √2, the default of the networks.
NORMALIZATIONS: Mapping[str, Any] = {
    "none": "none",
    "strict SN": functools.partial(SpectralNorm, norm="operator"),
    "SN": "spectral",
    "SSN": "scaled-spectral",
    "BSN": "bidirectional",
    "BSSN": "bidirectional-scaled",
}
COLOURS = dict(zip(NORMALIZATIONS, ("black", "C7", "C0", "C1", "C2", "C3"), strict=True))
BETAS = {"beta_1": 0.5, "beta_2": 0.999}
BATCH_SIZE = 64
# Height and width of the paper's images, 32 pixels for other data.
_PAPER_SIZES = {"stl10": 48, "celeb_a": 64}


def image_size(setting: Setting) -> int:
    """Height and width of the images."""
    return setting.pick(small=16, paper=_PAPER_SIZES.get(setting.dataset, 32), smoke=8)


def protocol(setting: Setting) -> dict[str, Any]:
    """The options that all trainings share."""
    return {
        "dataset": setting.dataset,
        "size": image_size(setting),
        "width": setting.pick(small=0.25, paper=1.0, smoke=0.0625),
        "batch": BATCH_SIZE,
        "loss": "hinge",
        "adam": BETAS,
    }


def images_of(setting: Setting) -> Images:
    """The data set, grey if it is."""
    smoke = setting.scale == "smoke"
    return load_images(setting.dataset, smoke=smoke, size=image_size(setting), repeat_grey=False)


def built(images: Images, options: Mapping[str, Any]) -> GAN:
    """An SN-DCGAN without an average of the generator, as in the papers.

    Args:
        images: The data.
        options: Those of `protocol`; `normalization`, the discriminator's, of `NORMALIZATIONS`;
            `rates`, of the generator and of the discriminator; `seed`, of weights and latent
            vectors.
    """
    seed = options["seed"]
    keras.utils.set_random_seed(seed)
    size, _, channels = images.shape
    generator, discriminator = sn_dcgan(
        size,
        channels,
        normalization=NORMALIZATIONS[options["normalization"]],
        width=options["width"],
    )
    gan = GAN(generator, discriminator, average_momentum=None, seed=seed)
    gan.compile(
        *(keras.optimizers.Adam(rate, **options["adam"]) for rate in options["rates"]),
        loss=options["loss"],
        jit_compile=False,
    )
    return gan


def trained(
    gan: GAN,
    pixels: np.ndarray,
    options: Mapping[str, Any],
    measure: Callable[[], dict[str, Any]],
) -> list[dict[str, Any]]:
    """Train; the figures before it and after each `every` steps, with `step` and `losses`.

    Args:
        gan: The compiled model.
        pixels: Images in [-1, 1].
        options: `steps`, a multiple of `every`, the number of them between two measurements;
            `batch`, the number of images; `seed`, of the batches.
        measure: Returns figures of the model as it is.
    """
    found = [{"step": 0, **measure()}]
    every = options["every"]

    def record(epoch: int, logs: Any) -> None:
        losses = {name: rounded(logs[f"{name}_loss"]) for name in ("generator", "discriminator")}
        found.append({"step": (epoch + 1) * every, "losses": losses, **measure()})

    gan.fit(
        batches(pixels, options["seed"], options["batch"]),
        steps_per_epoch=every,
        epochs=options["steps"] // every,
        shuffle=False,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=record)],
        verbose=0,
    )
    return found


def batches(pixels: np.ndarray, seed: int, size: int) -> Iterator[tuple[np.ndarray]]:
    """Batches without end, drawn with replacement as in the papers' code."""
    random = np.random.default_rng(seed)
    while True:
        yield (pixels[random.integers(len(pixels), size=size)],)


def rounded(value: Any) -> float:
    """The number with six digits, which a file of figures needs no more of."""
    return float(f"{float(value):.6g}")
