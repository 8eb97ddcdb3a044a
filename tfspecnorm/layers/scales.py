"""What a normalized kernel is multiplied by: a constant, or a variable of the wrapper."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import keras

from tfspecnorm._backend.operations import ops
from tfspecnorm._util.arguments import check_positive, is_number
from tfspecnorm._util.configurable import Configurable


class Scale(Configurable):
    """Base of the scales: one factor for one kernel.

    A scale holds no variable. The wrapper asks `initial_value` for the start of a trainable
    one, owns it, and passes it back when the scale is called.
    """

    trainable = True
    _owner: Callable[[], Any] | None = None

    def claim(self, wrapper: Any) -> None:
        """Take a trainable scale for one wrapper; a second one is a `ValueError`.

        One variable for several layers would not come back from a configuration or a file.
        """
        owner = None if self._owner is None else self._owner()
        if self.trainable and owner is not None and owner is not wrapper:
            # A model that nobody holds any more may wait for its collection.
            del owner
            gc.collect()
            owner = self._owner()
        if self.trainable and owner is not None and owner is not wrapper:
            raise ValueError(
                "Argument `scale` must be an object of its own for each wrapper: one trainable "
                "scale cannot be shared, because the wrappers are saved and rebuilt one by one. "
                f"Received: scale={self!r}, which '{owner.name}' has already"
            )
        self._owner = weakref.ref(wrapper)

    def initial_value(self, sigma: Any) -> Any:
        """Start of the trainable variable, given the initial norm of the kernel."""
        raise TypeError(f"{type(self).__name__} has no variable.")

    def __call__(self, variable: Any) -> Any:
        """The factor, from the value of the variable (`None` if there is none)."""
        return variable


@keras.saving.register_keras_serializable(package="tfspecnorm")
class Fixed(Scale):
    """Constant factor c: W̄ = c·W/σ(W).

    Args:
        value: Positive number.

    Raises:
        ValueError: If `value` is not a positive finite number.

    Example:

    >>> Fixed(1.6)(None)
    1.6

    Reference: Lin, Sekar, Fanti, "Why Spectral Normalization Stabilizes GANs: Analysis and
    Improvements", 2021, arXiv:2009.02773.
    """

    trainable = False

    def __init__(self, value: float = 1.0) -> None:
        self.value = check_positive("value", value)

    def __call__(self, variable: Any) -> float:
        return self.value

    def get_config(self) -> dict[str, Any]:
        return {"value": self.value}


@keras.saving.register_keras_serializable(package="tfspecnorm")
class Learned(Scale):
    """Trainable factor s, one for each kernel: W̄ = s·W/σ(W).

    By default s starts at the σ of the kernel, so that the wrapped layer computes what it
    computed before. The norm of the layer is then |s|, whatever it becomes.

    Args:
        initial: Positive number that s starts from, or `None` for the kernel's own σ (1 for
            a kernel of zeros, which could not start to learn from 0).

    Raises:
        ValueError: If `initial` is not a positive finite number.

    Example:

    >>> float(Learned().initial_value(sigma=2.5))
    2.5
    """

    def __init__(self, initial: float | None = None) -> None:
        self.initial = None if initial is None else check_positive("initial", initial)

    def initial_value(self, sigma: Any) -> Any:
        if self.initial is not None:
            return self.initial
        return ops.where(sigma > 0, sigma, ops.ones_like(sigma))

    def get_config(self) -> dict[str, Any]:
        return {"initial": self.initial}


@keras.saving.register_keras_serializable(package="tfspecnorm")
class Tanh(Scale):
    """Trainable factor below a limit: W̄ = K·tanh(s)·W/σ(W), so |K·tanh(s)| ≤ K.

    Args:
        limit: The limit K, a positive number.
        initial: Number that s starts from. Defaults to 3, where tanh(s) is 0.995.

    Raises:
        ValueError: If `limit` is not a positive finite number or `initial` is not finite.

    Example:

    >>> round(float(Tanh(5.0)(3.0)), 3)
    4.975

    Reference: Runkel, Etmann, Möller, Schönlieb, "Depthwise Separable Convolutions Allow for
    Fast and Memory-Efficient Spectral Normalization", 2021, arXiv:2102.06496.
    """

    def __init__(self, limit: float, initial: float = 3.0) -> None:
        self.limit = check_positive("limit", limit)
        if not is_number(initial):
            raise ValueError(
                f"Argument `initial` must be a finite number. Received: initial={initial!r}"
            )
        self.initial = float(initial)

    def initial_value(self, sigma: Any) -> Any:
        return self.initial

    def __call__(self, variable: Any) -> Any:
        return self.limit * ops.tanh(variable)

    def get_config(self) -> dict[str, Any]:
        return {"limit": self.limit, "initial": self.initial}


def get(identifier: Any) -> Scale:
    """A scale from a positive number, a scale, or its serialized form.

    >>> get(2).value
    2.0
    """
    if isinstance(identifier, dict):
        identifier = keras.saving.deserialize_keras_object(identifier)
    if isinstance(identifier, Scale):
        return identifier
    return Fixed(check_positive("scale", identifier, " or one of `Fixed`, `Learned`, `Tanh`"))
