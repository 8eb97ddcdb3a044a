"""A model that measures the kernels of its wrappers at once."""

import weakref
from typing import Any

import keras

from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.layers._divided_by_norm import DividedByNorm
from tfspecnorm.layers._together import measured_ahead

# To look for them takes long. As an attribute of the model the list would be saved with it.
_WRAPPERS: weakref.WeakKeyDictionary[Any, list[DividedByNorm]] = weakref.WeakKeyDictionary()


@keras.saving.register_keras_serializable(package="tfspecnorm")
class GroupedModel(keras.Model):
    """A Functional model in which the norms of all kernels are computed before its layers run.

    It computes what its layers compute, with far fewer operations, see `tfspecnorm.grouped`, which
    makes it from another model.

    Args:
        inputs: As in `keras.Model`.
        outputs: As in `keras.Model`.
        name: As in `keras.Model`.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if self not in _WRAPPERS:
            found = [part for part in layers_in(self) if isinstance(part, DividedByNorm)]
            _WRAPPERS[self] = found
        with measured_ahead(_WRAPPERS[self], bool(training), together=True, divided=False):
            return super().call(inputs, training=training, mask=mask)
