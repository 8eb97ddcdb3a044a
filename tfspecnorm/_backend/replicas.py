"""Replicas that share a training step."""

from typing import Any

import keras


def count_and_place() -> tuple[int, Any]:
    """Number of replicas that share a step, and which one this is."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            return context.num_replicas_in_sync, context.replica_id_in_sync_group
    return 1, 0
