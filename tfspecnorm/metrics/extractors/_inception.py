"""The Inception network that Keras has weights for."""

import os
from pathlib import Path

import keras

from tfspecnorm.metrics.extractors.extractor import Extractor

_INSTEAD = "Or take `metrics.extractors.classifier`, which needs no download; see also `default`."


def inception_v3(weights: str | os.PathLike | None = "imagenet") -> Extractor:
    """Features and classes of the InceptionV3 that Keras has, trained on ImageNet.

    2048 features behind the last pooling, 1000 classes; images are resized to 299×299.

    Guarantee: none that published values can be met. They are from the graph of 2015 that TF-GAN
    and others use, which has other weights, 1008 classes, and resizes otherwise. Compare with
    scores of this extractor only.

    Args:
        weights: `"imagenet"`, which Keras downloads once to its folder; the path of a file of
            weights for `keras.applications.InceptionV3` with its top; or `None` for random ones, a
            baseline. Defaults to `"imagenet"`.

    Returns:
        `Extractor` whose name says which weights these are: `"inception_v3"`,
        `"inception_v3-<file name>"` or `"inception_v3-random"`.

    Raises:
        OSError: If the weights cannot be downloaded, or there is no such file.
        ValueError: If the file has no weights that fit, or Keras is set to channels first.

    Example:

    >>> inception_v3("none.weights.h5")
    Traceback (most recent call last):
    FileNotFoundError: Argument `weights` must be "imagenet", ... Received: ...

    Reference: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception Architecture for
    Computer Vision", 2015, arXiv:1512.00567.
    """
    received = f"Received: weights={weights if weights is None else os.fspath(weights)!r}"
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "`inception_v3` wants the image data format 'channels_last'. "
            f"Received: keras.config.image_data_format()={keras.config.image_data_format()!r}"
        )
    if weights not in ("imagenet", None) and not os.path.isfile(weights):
        raise FileNotFoundError(
            'Argument `weights` must be "imagenet", `None`, or the path of a file. ' + received
        )
    name = "inception_v3"
    if weights is None:
        name += "-random"
    elif weights != "imagenet":
        weights = os.fspath(weights)
        name += f"-{Path(weights).name}"
    try:
        model = keras.applications.InceptionV3(weights=weights)
    except Exception as error:
        # Keras raises a bare `Exception` where a download fails.
        if weights == "imagenet":
            raise OSError(
                "The weights of InceptionV3 cannot be downloaded. Load "
                "`keras.applications.InceptionV3()` once where there is a network, save it by "
                "`save_weights`, and give the path as `weights`. "
                f"{_INSTEAD} {received}: {error}"
            ) from error
        raise ValueError(
            "Argument `weights` must be a file of weights for `keras.applications.InceptionV3` "
            f"with its top. {received}: {error}"
        ) from error
    return Extractor(model, name, feature_layer="avg_pool", batch_size=32)
