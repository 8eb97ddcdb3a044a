"""The classifiers of the mean spectral normalization paper, and how they are trained."""

import dataclasses
import math
from typing import Any

import keras
import numpy as np

from benchmarks.claims import data
from benchmarks.claims.claim import Setting
from tfspecnorm import initializers, models

TITLES = {"small_cnn": "three-layer CNN", "vgg7": "VGG7", "densenet_bc": "DenseNet-BC"}
NETWORKS = tuple(TITLES)
SHORT = {"none": "none", "batch": "BN", "spectral": "SN", "mean-spectral": "MSN", "weight": "WN"}
NORMALIZATIONS = tuple(SHORT)
# Training images of the small scale, a multiple of the batch, and those to choose an epoch by.
# So few, and with noise, normalizations differ: all of the digits are learned by every network.
FEW, HELD = 320, 200
NOISE = 0.5
_NOISE_SEED = 1
_RATES = (1e-1, 1e-2, 1e-3, 1e-4)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How large a network is and how it is trained.

    Args:
        network: Name of a function of `tfspecnorm.models`.
        size: Height and width of the images.
        epochs: Number of epochs.
        arguments: More arguments of the function.
        batch_size: Number of images in a training batch.
        rates: Learning rates of Adam.
        shift: Pixels that a training image is moved by at most.
        slope: Slope of all activations below zero, 0 for ReLU. The defaults of the networks depend
            on the normalization.
    """

    network: str
    size: int
    epochs: int
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    batch_size: int = 32
    rates: tuple[float, ...] = _RATES
    shift: int = 0
    slope: float = 0.0

    @property
    def options(self) -> dict[str, Any]:
        """All of it, as the options of a run have it."""
        return {**dataclasses.asdict(self), "rates": list(self.rates)}

    @classmethod
    def of(cls, options: dict[str, Any]) -> "Protocol":
        """The protocol in the options of a run, where more may be."""
        own = {field.name: options[field.name] for field in dataclasses.fields(cls)}
        return cls(**{**own, "rates": tuple(own["rates"])})


# The paper's rates are those of its code; its VGG7 has dropout with batch normalization only,
# which a quarter of the width does not carry.
_PROTOCOLS = {
    ("small_cnn", "small"): Protocol("small_cnn", 28, 60),
    ("small_cnn", "smoke"): Protocol("small_cnn", 28, 1, {"width": 0.25}),
    ("small_cnn", "paper"): Protocol("small_cnn", 28, 400, {}, 128, (1e-1, 1e-3, 1e-4), 4),
    ("vgg7", "small"): Protocol("vgg7", 32, 100, {"width": 0.25, "dropout": 0.0}),
    ("vgg7", "smoke"): Protocol("vgg7", 32, 1, {"width": 0.1, "dropout": 0.0}),
    ("vgg7", "paper"): Protocol("vgg7", 32, 400, {}, 64, (1e-1, 1e-3, 1e-4)),
    ("densenet_bc", "small"): Protocol("densenet_bc", 16, 100, {"depth": 22, "growth": 6}),
    ("densenet_bc", "smoke"): Protocol("densenet_bc", 8, 1, {"depth": 10, "growth": 2}),
    ("densenet_bc", "paper"): Protocol("densenet_bc", 32, 400, {}, 64, (1e-1, 1e-3, 1e-4), 4),
}


def protocol_of(setting: Setting, network: str) -> Protocol:
    """The protocol of a network at a scale."""
    return _PROTOCOLS[network, setting.scale]


def few_images(setting: Setting) -> dict[str, Any]:
    """Options of `images_of`: few noisy digits, or else the whole data set."""
    if setting.dataset != "digits" or setting.scale == "paper":
        return whole()
    training, validation = (64, 64) if setting.scale == "smoke" else (FEW, HELD)
    return {"training": training, "validation": validation, "noise": NOISE}


def whole() -> dict[str, Any]:
    """Options of `images_of` for a whole data set."""
    return {"training": None, "validation": None, "noise": 0.0}


def images_of(setting: Setting, options: dict[str, Any]) -> data.Split:
    """The images to train and to judge with.

    Args:
        setting: Names the data set.
        options: Those of a run: `size`, numbers of `training` and `validation` images, and the
            deviation of the `noise`.
    """
    split = data.split(
        setting.dataset,
        options["size"],
        options["training"],
        options["validation"],
        smoke=setting.scale == "smoke",
        repeat_grey=False,
    )
    return noisy(split, options["noise"]) if options["noise"] else split


def noisy(split: data.Split, deviation: float) -> data.Split:
    """The images with Gaussian noise, always the same."""
    random = np.random.default_rng(_NOISE_SEED)

    def disturbed(part: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        images, labels = part
        return images + deviation * random.standard_normal(images.shape, "float32"), labels

    parts = {name: disturbed(getattr(split, name)) for name in ("training", "validation", "test")}
    return dataclasses.replace(split, **parts)


def compiled(protocol: Protocol, normalization: str, split: data.Split, seed: int) -> keras.Model:
    """A network with an Adam whose rate can be set; weight normalization has its robust start."""
    model = getattr(models, protocol.network)(
        split.shape,
        split.classes,
        normalization=normalization,
        negative_slope=protocol.slope,
        **protocol.arguments,
    )
    if normalization == "weight":
        initializers.robust(model, seed=seed)
    if protocol.shift:
        model = _augmented(model, protocol, split.mirrored)
    model.compile(
        keras.optimizers.Adam(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _augmented(model: keras.Model, protocol: Protocol, mirrored: bool) -> keras.Model:
    """The model with random shifts, and reflections where those are examples too."""
    share = protocol.shift / protocol.size
    images = keras.Input(model.input_shape[1:])
    moved = keras.layers.RandomTranslation(
        share, share, fill_mode="constant", interpolation="nearest"
    )(images)
    if mirrored:
        moved = keras.layers.RandomFlip("horizontal")(moved)
    return keras.Model(images, model(moved))


class Start:
    """The initial values of a model and its optimizer, to train from several times.

    Args:
        model: Compiled model whose optimizer is built.
    """

    def __init__(self, model: keras.Model) -> None:
        self.optimizer = model.optimizer
        variables = [*model.variables, *model.optimizer.variables]
        self.values = [(v, keras.ops.convert_to_numpy(v).copy()) for v in variables]

    def restore(self, rate: float) -> None:
        """Assigns all of them, and a learning rate."""
        for variable, value in self.values:
            variable.assign(value)
        self.optimizer.learning_rate.assign(rate)


class BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the best accuracy, then loss, in validation."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch: int | None = None
        self.weights: list[np.ndarray] = []
        self._best = (-math.inf, -math.inf)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        accuracy, loss = logs["val_accuracy"], logs["val_loss"]
        if math.isfinite(loss) and (accuracy, -loss) > self._best:
            self.epoch, self._best = epoch, (accuracy, -loss)
            self.weights = [value.copy() for value in self.model.get_weights()]


def trained(
    model: keras.Model, split: data.Split, protocol: Protocol, rate: float, seed: int
) -> dict[str, Any]:
    """Trains, and tests with the weights of the epoch that validation selects.

    The training ends early if the loss is not a number any more.

    Args:
        model: Model as `compiled` makes it, at its start and with its learning rate.
        split: The images.
        protocol: Numbers of epochs and images in a batch.
        rate: Learning rate, for the record.
        seed: Seed of the order of the images.

    Returns:
        Record of the training, as JSON has it.
    """
    keras.utils.set_random_seed(seed)
    best = BestEpoch()
    history = model.fit(
        *split.training,
        batch_size=protocol.batch_size,
        epochs=protocol.epochs,
        validation_data=split.validation,
        validation_batch_size=100,
        verbose=0,
        callbacks=[best, keras.callbacks.TerminateOnNaN()],
    ).history
    record: dict[str, Any] = {"rate": rate, "epoch": best.epoch, "test": None, "selected": None}
    record["history"] = {name: [float(x) for x in values] for name, values in history.items()}
    if best.epoch is not None:
        model.set_weights(best.weights)
        record["test"] = float(model.evaluate(*split.test, batch_size=200, verbose=0)[1])
        record["selected"] = record["history"]["val_accuracy"][best.epoch]
    return record


def failed(record: dict[str, Any], classes: int, epochs: int) -> bool:
    """Whether a training ended with a loss that is no number, or has learned nothing.

    What counts is the accuracy over the training images in the last epoch.
    """
    history = record["history"]
    losses, accuracies = history["loss"], history["accuracy"]
    if len(losses) < epochs or losses[-1] is None or not math.isfinite(losses[-1]):
        return True
    return not data.learned(accuracies[-1], classes)
