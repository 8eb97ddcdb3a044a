"""A small classifier of the data set itself, where no pretrained network can be had."""

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from tfspecnorm._util.arguments import check_name, check_positive_integer, check_seed
from tfspecnorm._util.files import check_writable, writing
from tfspecnorm.metrics.extractors.extractor import Extractor, checked_images

_BATCH_SIZE = 128
# Beside what Keras writes into the file: what the model was trained on, and how.
_TRAINING = "training.json"


def classifier(
    images: Any,
    labels: Any,
    path: str | os.PathLike | None = None,
    epochs: int = 5,
    seed: int = 0,
    name: str = "classifier",
) -> Extractor:
    """A small network that is trained to classify the data set; 64 features.

    Three convolutions, mean, a hidden layer of 64 units, whose outputs are the features, and one of
    logits: a minute or two for 60000 images of 28×28 on two cores. No download is needed, and the
    classes are those of the data, which ImageNet's are not.

    Guarantee: the same start and the same order of images for the same `seed`, whatever the random
    state of Keras; with a `path` the same network in every run, and so comparable scores. They
    compare with those of no other extractor.

    Args:
        images: Float array `(count, height, width, channels)` in [-1, 1], the training images.
        labels: Integer array `(count,)` of at least two classes, counted from 0.
        path: Path of a file that ends in `.keras`. If it is there the network is loaded from it,
            else it is written, or `None`. Defaults to `None`.
        epochs: Positive integer. Defaults to 5.
        seed: Integer, seed of start and order. Defaults to 0.
        name: What scores call it. Defaults to `"classifier"`.

    Returns:
        `Extractor`.

    Raises:
        ValueError: If images, labels or epochs are not as above, or the file is damaged or holds a
            network that was trained on other data or otherwise.
        OSError: If the file cannot be written; before any training.

    Example:

    >>> images = np.linspace(-1, 1, 64, dtype="float32").reshape(64, 1, 1, 1).repeat(8, 1)
    >>> extractor = classifier(images, np.arange(64) // 32, epochs=1)
    >>> extractor.name, extractor.features(images).shape, extractor.probabilities(images).shape
    ('classifier', (64, 64), (64, 2))
    """
    images = checked_images(images).astype("float32")
    labels = _checked_labels(labels, len(images))
    epochs, seed = check_positive_integer("epochs", epochs), check_seed(seed)
    check_name(name)
    training = {"data": _fingerprint(images, labels), "epochs": epochs, "seed": seed}
    if path is not None:
        if not isinstance(path, (str, os.PathLike)):
            raise ValueError(f"Argument `path` must be a path or `None`. Received: path={path!r}")
        if Path(path).suffix != ".keras":
            raise ValueError(
                f"Argument `path` must end in .keras. Received: path={os.fspath(path)!r}"
            )
        check_writable(path)
    if path is not None and os.path.exists(path):
        model = _loaded(path, training, (*images.shape[1:], int(labels.max()) + 1))
    else:
        model = _trained(images, labels, epochs, seed)
        if path is not None:
            with writing(path) as partial:
                model.save(partial)
                with zipfile.ZipFile(partial, "a") as file:
                    file.writestr(_TRAINING, json.dumps(training))
    return Extractor(model, name, feature_layer="features", from_logits=True, batch_size=256)


def _network(shape: tuple[int, ...], classes: int, seed: int) -> keras.Model:
    # Seeds of their own: the random state of Keras belongs to what is being measured.
    def start(index: int) -> keras.initializers.Initializer:
        return keras.initializers.HeNormal(seed=seed + index)

    same = {"strides": 2, "padding": "same", "activation": "relu"}
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(32, 5, kernel_initializer=start(0), **same),
            layers.Conv2D(64, 3, kernel_initializer=start(1), **same),
            layers.Conv2D(128, 3, kernel_initializer=start(2), **same),
            layers.GlobalAveragePooling2D(),
            layers.Dense(64, "relu", kernel_initializer=start(3), name="features"),
            layers.Dense(classes, kernel_initializer=start(4), name="logits"),
        ],
        name="classifier",
    )


def _trained(images: np.ndarray, labels: np.ndarray, epochs: int, seed: int) -> keras.Model:
    model = _network(images.shape[1:], int(labels.max()) + 1, seed)
    # Compiled around the network, so that no optimizer is saved with it.
    training = keras.Model(model.inputs[0], model.outputs[0])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    training.compile(keras.optimizers.Adam(2e-3), loss)
    random = np.random.default_rng(seed)
    size = min(_BATCH_SIZE, len(images))
    for _ in range(epochs):
        # All batches are of one size, for which a step is compiled once.
        order = random.permutation(len(images))
        for start in range(0, len(images) - size + 1, size):
            chosen = order[start : start + size]
            training.train_on_batch(images[chosen], labels[chosen])
    return model


def _loaded(path: str | os.PathLike, training: dict[str, Any], shape: tuple) -> keras.Model:
    received = f"Received: path={os.fspath(path)!r}"
    try:
        with zipfile.ZipFile(path) as file:
            stored = json.loads(file.read(_TRAINING))
        differing = [key for key, value in training.items() if stored[key] != value]
        model = keras.saving.load_model(path, compile=False)
        found = (*model.input_shape[1:], model.output_shape[-1])
        model.get_layer("features")
    except Exception as error:
        raise ValueError(
            "Argument `path` must be the path of a new file or of one that `classifier` wrote; "
            f"remove it to train anew. {received}, a file that cannot be read: {error!r}"
        ) from error
    if differing or found != shape:
        told = {key: stored[key] for key in differing} or {"shape": found}
        raise ValueError(
            "Argument `path` must be the path of a new file or of a classifier that was trained on "
            f"the same images and labels in the same way, {training}. {received}, trained with "
            f"{told}"
        )
    return model


def _checked_labels(labels: Any, count: int) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"Argument `labels` must be integers of the shape ({count},), one for each image. "
            f"Received: shape {labels.shape} of type {labels.dtype}"
        )
    if labels.min() < 0 or labels.max() < 1:
        raise ValueError(
            "Argument `labels` must have at least two classes, counted from 0. "
            f"Received: labels from {labels.min()} to {labels.max()}"
        )
    return labels.astype("int32")


def _fingerprint(images: np.ndarray, labels: np.ndarray) -> str:
    found = hashlib.sha256(f"{images.shape}".encode())
    for array in (images, labels):
        found.update(np.ascontiguousarray(array))
    return found.hexdigest()
