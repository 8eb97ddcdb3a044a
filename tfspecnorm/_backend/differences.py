"""Where Keras differs from backend to backend."""

import keras


def may_repeat_borders() -> bool:
    """Whether average pooling with padding "same" may repeat the border, if padding is uneven."""
    return keras.backend.backend() == "torch"


def exports_open_sizes() -> bool:
    """Whether an exported model may have axes of open size: PyTorch's converters know none."""
    return keras.backend.backend() != "torch"


def bring_up_to_date(model: keras.Model) -> None:
    """Give the variables of a model their values: in an epoch JAX has them elsewhere."""
    if keras.backend.backend() == "jax":
        model.jax_state_sync()
