"""Replicas that share a training step."""

from typing import Any

import keras
from keras import ops


def count_and_place() -> tuple[int, Any]:
    """Number of replicas that share a step, and which one this is."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            return context.num_replicas_in_sync, context.replica_id_in_sync_group
    return 1, 0


def has_mean() -> bool:
    """Whether Keras has a mean over replicas: not on PyTorch."""
    return keras.backend.backend() != "torch"


def mean_over_replicas(value: Any) -> Any:
    """The mean of a tensor over the replicas of TensorFlow; on JAX a batch is one anyway."""
    if keras.backend.backend() != "tensorflow":
        return value
    mean, _ = ops.moments(ops.expand_dims(value, 0), axes=[0], synchronized=True)
    return mean
