"""What a function over a model wants of it."""

from typing import Any

import keras


def check_model(model: Any) -> None:
    """Raise a `ValueError` for anything but a built Keras model."""
    if not isinstance(model, keras.Model):
        raise ValueError(f"Argument `model` must be a Keras model. Received: model={model!r}")
    if not model.built:
        raise ValueError(
            "Argument `model` must be built: give it an `Input` or call it on data first. "
            f"Received: unbuilt model '{model.name}'"
        )
