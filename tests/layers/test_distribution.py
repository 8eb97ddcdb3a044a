"""Training on several replicas, each in a process of its own with the devices it needs."""

import os
import subprocess
import sys

import pytest

from tests import tools

MODEL = """
import keras
import numpy as np
from keras import layers
from tfspecnorm import scales
from tfspecnorm.layers import SpectralNorm

keras.utils.set_random_seed(0)
random = np.random.default_rng(0)
inputs = random.standard_normal((32, 8, 8, 3)).astype("float32")
targets = random.standard_normal((32, 2)).astype("float32")

def trained():
    model = keras.Sequential([
        keras.Input((8, 8, 3)),
        SpectralNorm(layers.Conv2D(4, 3, activation="relu")),
        layers.Flatten(),
        SpectralNorm(layers.Dense(2), scale=scales.Learned()),
    ])
    model.compile(keras.optimizers.SGD(0.05), "mse")
    start = model.get_weights()
    history = model.fit(inputs, targets, epochs=3, batch_size=32, shuffle=False, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < losses[0], losses
    moved = [np.abs(a - b).max() for a, b in zip(start, model.get_weights())]
    assert min(moved) > 0, moved
    return model
"""

MIRRORED = """
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
exec(MODEL)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
with strategy.scope():
    model = trained()
for variable in model.weights:
    first, second = (part.numpy() for part in variable.value.values)
    np.testing.assert_array_equal(first, second, err_msg=variable.path)
names = [variable.name for variable in model.weights]
assert names.count("vector_u") == 2 and names.count("scale") == 1
print("replicas agree on", len(model.weights), "variables")
"""

DATA_PARALLEL = """
import jax

exec(MODEL)
assert jax.device_count() == 4
keras.distribution.set_distribution(keras.distribution.DataParallel())
model = trained()
for variable in model.weights:
    shards = [np.asarray(shard.data) for shard in variable.value.addressable_shards]
    assert len(shards) == 4
    for shard in shards:
        assert shard.shape == tuple(variable.shape)
        np.testing.assert_array_equal(shard, shards[0], err_msg=variable.path)
alone = [np.linalg.norm(np.asarray(layer.effective_kernels()["kernel"]).reshape(
    -1, layer.layer.kernel.shape[-1]), 2) for layer in model.layers[::2]]
np.testing.assert_allclose(alone[0], 1.0, rtol=0.02)
print("replicas agree on", len(model.weights), "variables")
"""


def run(script, **environment):
    program = f"MODEL = {MODEL!r}\n{script}"
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="a strategy of TensorFlow")
def test_mirrored_strategy_over_two_devices():
    result = run(MIRRORED)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "replicas agree on 9 variables" in result.stdout


@pytest.mark.skipif(tools.BACKEND != "jax", reason="a distribution of Keras on JAX")
def test_data_parallel_over_four_devices():
    result = run(DATA_PARALLEL, XLA_FLAGS="--xla_force_host_platform_device_count=4")
    assert result.returncode == 0, result.stderr[-3000:]
    assert "replicas agree on 9 variables" in result.stdout
