"""Training on several devices or several processes, with the same `model.fit`."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

import keras

from common import backend
from common.command import UsageError, describe
from common.quiet import native_log_hidden

STRATEGIES = ("none", "mirrored", "multiworker")


class Strategy:
    """Where a training runs; the other parts of an example ask nothing else.

    Args:
        name: One of `STRATEGIES`. `"mirrored"` has a replica of the model on each device:
            `MirroredStrategy` on TensorFlow, `DataParallel` on JAX. `"multiworker"` has one in
            each process that `TF_CONFIG` names.
        devices: Number of devices for `"mirrored"`. Where there is no accelerator, the CPU
            counts as so many.
        batch_size: Size of a batch of all replicas.

    Attributes:
        is_chief: Whether this process writes the results.

    Raises:
        UsageError: If the backend, the number of devices or `TF_CONFIG` do not allow it.
    """

    def __init__(self, name: str, devices: int, batch_size: int) -> None:
        self.is_chief = True
        self._distributed = name == "multiworker"
        self._strategy: Any = None
        replicas = 1
        if name == "mirrored":
            replicas = devices
            makers = {"tensorflow": _mirrored_tensorflow, "jax": _mirrored_jax}
            if backend.NAME not in makers:
                raise UsageError(
                    f"argument --strategy: {name} needs TensorFlow or JAX. "
                    f"Received: KERAS_BACKEND={backend.NAME}"
                )
            self._strategy = makers[backend.NAME](devices)
        elif name == "multiworker":
            backend.require_tensorflow(f"argument --strategy: {name}")
            replicas, self.is_chief = _cluster()
            self._strategy = _multiworker()
        if batch_size % replicas:
            raise UsageError(
                f"argument --batch-size: must be a multiple of the number of replicas, {replicas}. "
                f"Received: {batch_size}"
            )

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Within it, models are built and compiled."""
        if self._strategy is None or backend.NAME != "tensorflow":
            yield
            return
        with self._strategy.scope():
            yield

    def finish(self) -> None:
        """Waits for the other processes, to which the early end of one is an error."""
        if self._distributed:
            import tensorflow as tf

            self._strategy.reduce(tf.distribute.ReduceOp.SUM, tf.ones(()), axis=None)

    def local(self, model: keras.Model) -> keras.Model:
        """A copy of a model on one device of this process, with the weights of the first replica.

        A replica's statistics of batch normalization are its own.
        """
        if self._strategy is None or backend.NAME != "tensorflow":
            return model
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        return copy


def _mirrored_tensorflow(devices: int) -> Any:
    import tensorflow as tf

    accelerators = tf.config.list_physical_devices("GPU")
    if accelerators:
        names = [f"GPU:{number}" for number in range(len(accelerators))]
        _check_number(devices, len(names))
    else:
        (processor,) = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration()] * devices
        try:
            tf.config.set_logical_device_configuration(processor, parts)
        except RuntimeError:  # TensorFlow has started; it does so once in a process.
            _check_number(devices, len(tf.config.list_logical_devices("CPU")))
        names = [f"CPU:{number}" for number in range(devices)]
    with native_log_hidden():
        return tf.distribute.MirroredStrategy(names[:devices])


def _mirrored_jax(devices: int) -> Any:
    import jax

    with contextlib.suppress(RuntimeError):  # JAX has started; it does so once in a process.
        jax.config.update("jax_num_cpu_devices", devices)
    found = keras.distribution.list_devices()
    _check_number(devices, len(found))
    distribution = keras.distribution.DataParallel(
        devices=found[:devices], auto_shard_dataset=False
    )
    keras.distribution.set_distribution(distribution)
    return distribution


def _check_number(wanted: int, found: int) -> None:
    if wanted > found:
        raise UsageError(
            f"argument --devices: must be at most {found}, the number of devices. "
            f"Received: {wanted}"
        )


def _cluster() -> tuple[int, bool]:
    """Number of workers, and whether this process is the first of them."""
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        workers, task = config["cluster"]["worker"], config["task"]
        if task["type"] != "worker" or not 0 <= task["index"] < len(workers):
            raise ValueError("the task is none of the workers")
        return len(workers), task["index"] == 0
    except (ValueError, LookupError, TypeError) as error:
        raise UsageError(
            "argument --strategy: multiworker needs the environment variable TF_CONFIG with the "
            'addresses of all workers and the number of this one, such as {"cluster": {"worker": '
            '["host:port", "host:port"]}, "task": {"type": "worker", "index": 0}}. '
            f"Received: TF_CONFIG={text!r} ({describe(error)})"
        ) from error


def _multiworker() -> Any:
    import tensorflow as tf

    class MultiWorker(tf.distribute.MultiWorkerMirroredStrategy):
        """Reduces all that `fit` asks it to: it hands over whole batches, and scalars by axis 0."""

        def reduce(self, reduce_op: Any, value: Any, axis: int | None) -> Any:
            if tf.nest.is_nested(value):
                # A batch, of which `fit` wants no more than shapes and types.
                return tf.nest.map_structure(
                    lambda part: self.experimental_local_results(part)[0], value
                )
            if isinstance(value, tf.Tensor) and not value.shape.rank:
                axis = None
            return super().reduce(reduce_op, value, axis)

    with native_log_hidden():
        return MultiWorker()
