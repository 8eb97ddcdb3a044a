"""A model that measures the kernels of its wrappers at once."""

from typing import Any

import keras

from tfspecnorm.kernels.holders import layers_in
from tfspecnorm.layers._divided_by_norm import DividedByNorm
from tfspecnorm.layers._together import measured_together


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
        wrappers = [part for part in layers_in(self) if isinstance(part, DividedByNorm)]
        with measured_together(wrappers, bool(training)):
            return super().call(inputs, training=training, mask=mask)
