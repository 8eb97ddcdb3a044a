"""Features and class probabilities of images, by a Keras model."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from tfspecnorm._util.arguments import (
    check_boolean,
    check_model,
    check_name,
    check_positive_integer,
    is_integer,
)
from tfspecnorm.metrics.extractors._resizing import resized

# What rounding in half precision makes of an image whose values end at 1.
_BEYOND = 1e-2


class Extractor:
    """Features and class probabilities of images, by any Keras model.

    Images of any size are resized to what the model wants, bilinear with antialias, and grey ones
    repeated where it wants three channels.

    Args:
        model: Built Keras model with one input `(batch, height, width, channels)`.
        name: What scores call it. Name the weights too: scores of others are not comparable.
        feature_layer: Name of the layer of `model`, then Sequential or Functional, whose outputs
            `(batch, d)` are the features. By default the model's outputs are.
        image_size: Height and width of the images that the model is given. By default those that
            it has an input for; without such a size, those that the images have.
        preprocess: Function of the resized `float32` images in [-1, 1] that returns what the model
            is given. By default they are given as they are.
        from_logits: Whether the model's outputs are logits rather than probabilities. Defaults to
            `False`.
        batch_size: Number of images that the model is given at once, rounded up to a multiple of
            the devices of a `keras.distribution`. Defaults to 64.

    Raises:
        ValueError: If an argument is not as above.

    Example:

    >>> layers = [keras.layers.GlobalAveragePooling2D(name="mean"), keras.layers.Softmax()]
    >>> model = keras.Sequential([keras.Input((4, 4, 3)), *layers])
    >>> extractor = Extractor(model, "colours", feature_layer="mean")
    >>> grey = np.full((5, 8, 8, 1), 0.5, "float32")
    >>> extractor.features(grey)[0]
    array([0.5, 0.5, 0.5])
    >>> extractor.probabilities(grey).shape
    (5, 3)
    """

    def __init__(
        self,
        model: keras.Model,
        name: str,
        feature_layer: str | None = None,
        image_size: tuple[int, int] | None = None,
        preprocess: Callable[[np.ndarray], Any] | None = None,
        from_logits: bool = False,
        batch_size: int = 64,
    ) -> None:
        check_model(model)
        check_name(name)
        if image_size is not None and not (
            isinstance(image_size, (tuple, list))
            and len(image_size) == 2
            and all(is_integer(length) and length > 0 for length in image_size)
        ):
            raise ValueError(
                "Argument `image_size` must be a pair of positive integers, height and width, or "
                f"`None`. Received: image_size={image_size!r}"
            )
        if preprocess is not None and not callable(preprocess):
            raise ValueError(
                "Argument `preprocess` must be a function of images, or `None`. "
                f"Received: preprocess={preprocess!r}"
            )
        shape = model.input_shape if getattr(model, "inputs", None) else (None,) * 4
        if not isinstance(shape, tuple) or len(shape) != 4:
            raise ValueError(
                "Argument `model` must have one input (batch, height, width, channels). "
                f"Received: model '{model.name}' with inputs of the shape {shape}"
            )
        self._input_shape = shape
        self.model = model
        self.name = name
        self.image_size = image_size if image_size is None else tuple(image_size)
        self.preprocess = preprocess
        self.from_logits = check_boolean("from_logits", from_logits)
        self.batch_size = check_positive_integer("batch_size", batch_size)
        self._feature_model = model if feature_layer is None else _part_of(model, feature_layer)

    def features(self, images: Any) -> np.ndarray:
        """The features of images.

        Args:
            images: Float array `(batch, height, width, channels)` in [-1, 1].

        Returns:
            `float64` array `(batch, d)`.

        Raises:
            ValueError: If the images are not as above, or have channels that the model does not
                take, or if the features have another shape.
        """
        return self._outputs(self._feature_model, images, "features")

    def probabilities(self, images: Any) -> np.ndarray:
        """The class probabilities of images, by a softmax in 64 bits where the model has logits.

        Args:
            images: Float array `(batch, height, width, channels)` in [-1, 1].

        Returns:
            `float64` array `(batch, classes)`.

        Raises:
            ValueError: If the images are not as above, or have channels that the model does not
                take, or if the outputs have another shape.
        """
        outputs = self._outputs(self.model, images, "class probabilities")
        if not self.from_logits:
            return outputs
        exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def _outputs(self, model: keras.Model, images: Any, what: str) -> np.ndarray:
        images = checked_images(images)
        count, outputs = len(images), []
        size = min(self.batch_size, count)
        size += -size % _devices()
        # In parts, as images are larger once resized than they were. The last part begins within
        # the one before: for a batch of another size the model would be compiled again. Images
        # that are too few to be divided among devices are followed by the last one again.
        for start in range(0, count, size):
            first = max(min(start, count - size), 0)
            part = self._prepared(images[np.minimum(np.arange(first, first + size), count - 1)])
            outputs.append(model.predict_on_batch(part)[start - first : count - first])
        if any(getattr(part, "ndim", None) != 2 for part in outputs):
            raise ValueError(
                f"Argument `model` must have {what} of the shape (batch, size); name the layer "
                "with `feature_layer`. Received: outputs of the shapes "
                f"{sorted({str(np.shape(part)) for part in outputs})} of model '{model.name}'"
            )
        return np.concatenate([np.asarray(part).astype("float64") for part in outputs])

    def _prepared(self, images: np.ndarray) -> Any:
        images = images.astype("float32")
        _, height, width, channels = self._input_shape
        if channels == 3 and images.shape[-1] == 1:
            images = np.repeat(images, 3, axis=-1)
        if channels not in (None, images.shape[-1]):
            raise ValueError(
                f"Argument `images` must have the {channels} channels of the extractor "
                f"'{self.name}'. Received: images with {images.shape[-1]} channels"
            )
        size = self.image_size or (height or images.shape[1], width or images.shape[2])
        images = resized(images, size)
        return images if self.preprocess is None else self.preprocess(images)


def checked_images(images: Any, argument: str = "images") -> np.ndarray:
    """Float images `(batch, height, width, channels)` in [-1, 1], or a `ValueError`."""
    array = ops.convert_to_numpy(images)
    is_float = array.dtype.kind == "f" or "float" in array.dtype.name
    if array.ndim != 4 or not array.size or not is_float:
        raise ValueError(
            f"Argument `{argument}` must be a float array (batch, height, width, channels) in "
            f"[-1, 1]. Received: shape {array.shape} of type {array.dtype}"
        )
    if not (-1 - _BEYOND <= array.min() and array.max() <= 1 + _BEYOND):
        raise ValueError(
            f"Argument `{argument}` must be finite and in [-1, 1]. Received: values between "
            f"{array.min()} and {array.max()}"
        )
    return array


def _devices() -> int:
    distribution = keras.distribution.distribution()
    return 1 if distribution is None else distribution.device_mesh.devices.size


def _part_of(model: keras.Model, feature_layer: str) -> keras.Model:
    names = [layer.name for layer in model.layers]
    if feature_layer not in names or not getattr(model, "inputs", None):
        raise ValueError(
            "Argument `feature_layer` must be the name of a layer of a Sequential or Functional "
            f"model. Received: feature_layer={feature_layer!r}, model '{model.name}' with the "
            f"layers {names}"
        )
    # A list of one input would want a list of images.
    return keras.Model(model.inputs[0], model.get_layer(feature_layer).output)
