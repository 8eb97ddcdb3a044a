"""Pictures of what a generator makes while it trains."""

import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tfspecnorm._util.arguments import check_path, check_positive_integer, check_seed
from tfspecnorm._util.files import check_writable
from tfspecnorm.callbacks._png import write_png
from tfspecnorm.callbacks._samples import (
    generated,
    generator_of,
    trial,
)


def image_grid(images: Any, columns: int) -> np.ndarray:
    """Images side by side as one picture, row by row.

    -1 becomes 0 and 1 becomes 255; values beyond are clipped. What is not a number is black, and so
    are places left over in the last row.

    Args:
        images: Float array `(count, height, width, channels)` in [-1, 1] with at least one image.
        columns: Positive integer, number of images in a row.

    Returns:
        `uint8` array `(rows · height, columns · width, channels)`.

    Raises:
        ValueError: If an argument is not as above.

    Example:

    >>> images = np.array([-1.0, 0.0, 1.0]).reshape(3, 1, 1, 1)
    >>> image_grid(images, columns=2)[..., 0]
    array([[  0, 128], [255,   0]], dtype=uint8)
    """
    columns = check_positive_integer("columns", columns)
    images = np.asarray(images)
    if images.ndim != 4 or not images.size or images.dtype.kind != "f":
        raise ValueError(
            "Argument `images` must be a float array (count, height, width, channels). "
            f"Received: shape {images.shape} of type {images.dtype}"
        )
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    levels = np.round((np.clip(np.nan_to_num(images, nan=-1.0), -1.0, 1.0) + 1.0) * 127.5)
    cells = np.zeros((rows * columns, height, width, channels), "uint8")
    cells[:count] = levels
    grid = cells.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width, channels)


class ImageGrid(keras.callbacks.Callback):
    """Writes a picture of generated images after epochs, always from the same latent vectors.

    Guarantee: every call of the generator has the same count and seed, so that the pictures of two
    epochs differ by the training alone. A picture is either whole or not there. At the start of
    training two images are generated on trial, from the same seed.

    Args:
        path: Path of the file, which ends in `.png`. `{epoch}` in it, also `{epoch:03d}`, becomes
            the number of finished epochs; without it the picture is replaced each time.
        rows: Positive integer, number of rows of images. Defaults to 8.
        columns: Positive integer, number of images in a row. Defaults to 8.
        every: Positive integer, number of epochs between two pictures. Defaults to 1.
        seed: Integer of at least 0, seed of the latent vectors. Defaults to 0.
        generate: Function like the default, the model's method `generate(count, seed=None)`, which
            returns images `(count, height, width, channels)` in [-1, 1] of one channel or three.

    Raises:
        ValueError: If an argument is not as above; at the start of training, if there is no
            `generate` or its images are not as above.
        OSError: If the file cannot be written; before any training for what is known then.

    Example:

    >>> import pathlib, tempfile
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> def noise(count, seed=None):
    ...     return np.random.default_rng(seed).uniform(-1, 1, (count, 8, 8, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     grid = ImageGrid(f"{folder}/epoch{{epoch:02d}}.png", every=2, generate=noise)
    ...     data = np.ones((4, 1)), np.ones((4, 1))
    ...     _ = model.fit(*data, epochs=4, verbose=0, callbacks=[grid])
    ...     print(sorted(path.name for path in pathlib.Path(folder).iterdir()))
    ['epoch02.png', 'epoch04.png']
    """

    def __init__(
        self,
        path: str | os.PathLike,
        rows: int = 8,
        columns: int = 8,
        every: int = 1,
        seed: int = 0,
        generate: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        self.path = check_path("path", path)
        self.rows = check_positive_integer("rows", rows)
        self.columns = check_positive_integer("columns", columns)
        self.every = check_positive_integer("every", every)
        self.seed = check_seed(seed)
        if generate is not None and not callable(generate):
            raise ValueError(
                "Argument `generate` must be a function `generate(count, seed=None)` or `None`. "
                f"Received: generate={generate!r}"
            )
        self.generate = generate
        if not self.path.endswith(".png"):
            raise ValueError(f"Argument `path` must end in .png. Received: path={self.path!r}")
        check_writable(self._path_of(1))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        generate = self.generate or generator_of(self.model, "ImageGrid")
        shape = trial(generate, self.rows * self.columns, self.seed).shape
        if shape[-1] not in (1, 3):
            raise ValueError(
                "`ImageGrid` needs a function `generate` that returns images of 1 or 3 channels. "
                f"Received: images of shape {shape}"
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if (epoch + 1) % self.every:
            return
        # On JAX the model's variables are up to date only once `self.model` was read.
        model = self.model
        generate = self.generate or generator_of(model, "ImageGrid")
        images = generated(generate, self.rows * self.columns, self.seed)
        write_png(self._path_of(epoch + 1), image_grid(images, self.columns))

    def _path_of(self, epoch: int) -> str:
        try:
            return self.path.format(epoch=epoch)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise ValueError(
                "Argument `path` must have no braces but those of `{epoch}`. "
                f"Received: path={self.path!r}"
            ) from error
