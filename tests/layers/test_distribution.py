"""Training on several replicas, each in a process of its own with the devices it needs."""

import os
import subprocess
import sys

import pytest

from tests import tools

MODEL = """
import keras
import numpy as np
import tfspecnorm
from keras import layers
from tfspecnorm import scales
from tfspecnorm.layers import *

keras.utils.set_random_seed(0)
random = np.random.default_rng(0)
inputs = random.standard_normal((32, 8, 8, 3)).astype("float32")
targets = random.standard_normal((32, 2)).astype("float32")

def trained():
    model = keras.Sequential([
        keras.Input((8, 8, 3)),
        SpectralNorm(layers.Conv2D(4, 3, activation="relu")),
        MeanSpectralNorm(layers.Conv2D(4, 3)),
        BidirectionalSpectralNorm(layers.Conv2D(4, 3)),
        WeightNorm(layers.DepthwiseConv2D(2)),
        layers.Flatten(),
        SpectralNorm(layers.Dense(2), scale=scales.Learned()),
    ])
    model.compile(keras.optimizers.SGD(0.05), "mse")
    start = model.get_weights()
    history = model.fit(inputs, targets, epochs=3, batch_size=32, shuffle=False, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < losses[0], losses
    moved = [np.abs(a - b).max() for a, b in zip(start, model.get_weights())]
    # What precedes a mean over the batch has a bias without a gradient.
    assert sorted(moved)[0] > 0 or sorted(moved)[1] > 0, moved
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
assert names.count("vector_u") == 4 and names.count("scale") == names.count("gain") == 1
plain = tfspecnorm.fold(model)
outputs = np.asarray(model.predict(inputs, verbose=0))
np.testing.assert_allclose(plain.predict(inputs, verbose=0), outputs, atol=1e-5)
print("replicas agree on", len(model.weights), "variables")
"""

MIRRORED_MEAN = """
import keras
import numpy as np
import tensorflow as tf
from tfspecnorm.layers import MeanSpectralNorm

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
random = np.random.default_rng(0)
batches = random.standard_normal((2, 8, 6, 6, 3)).astype("float32") + [[[[[1]]]], [[[[-2]]]]]

for synchronized in (False, True):
    with strategy.scope():
        convolution = keras.layers.Conv2D(4, 3)
        layer = MeanSpectralNorm(convolution, momentum=0.9, synchronized=synchronized)
        layer.build((None, 6, 6, 3))

    @tf.function
    def step(inputs):
        return strategy.run(lambda part: layer(part, training=True), args=(inputs,))

    def value(context):
        return tf.constant(batches[context.replica_id_in_sync_group], "float32")

    outputs = step(strategy.experimental_distribute_values_from_function(value)).values
    means = np.stack([part.numpy().mean(axis=(0, 1, 2)) for part in outputs])
    plain = [tf.nn.conv2d(batch, layer.effective_kernels()["kernel"], 1, "VALID").numpy()
             for batch in batches.astype("float32")]
    wanted = np.mean([part.mean(axis=(0, 1, 2)) for part in plain], axis=0)
    if synchronized:
        np.testing.assert_allclose(means.mean(axis=0), 0, atol=1e-5)
        assert np.abs(means).max() > 0.1, means
        for part, out in zip(plain, outputs):
            np.testing.assert_allclose(out.numpy(), part - wanted, atol=1e-5)
    else:
        np.testing.assert_allclose(means, 0, atol=1e-5)
    for variable in layer.state:
        first, second = (part.numpy() for part in variable.value.values)
        np.testing.assert_array_equal(first, second, err_msg=variable.path)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.1 * wanted, atol=1e-5)
print("running means agree")
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
kernel = np.asarray(model.layers[0].effective_kernels()["kernel"])
np.testing.assert_allclose(np.linalg.norm(kernel.reshape(-1, 4), 2), 1.0, rtol=0.02)
print("replicas agree on", len(model.weights), "variables")
"""

MODEL_PARALLEL = """
import keras
import numpy as np
from tfspecnorm.layers import *
from keras import layers
import tfspecnorm

def made():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), dtype="int32")
    hidden = SpectralNorm(layers.Embedding(20, 8, name="table"), name="t")(inputs)
    hidden = SpectralNorm(layers.MultiHeadAttention(4, 2), name="attention")(hidden, hidden)
    hidden = WeightNorm(layers.Dense(12), name="wide")(hidden)
    hidden = SpectralNorm(layers.Dense(16), tracked_vectors=2, name="up")(hidden)
    hidden = BidirectionalSpectralNorm(layers.Conv1D(8, 3), name="conv")(hidden)
    hidden = SpectralNorm(layers.Conv1D(8, 3), norm="operator", name="operator")(hidden)
    hidden = SpectralNorm(layers.LSTM(8), scale=tfspecnorm.scales.Learned(), name="lstm")(hidden)
    model = keras.Model(inputs, layers.Dense(2, name="head")(hidden))
    model.compile(keras.optimizers.SGD(0.05), "mse")
    return model

random = np.random.default_rng(0)
tokens = random.integers(0, 20, (8, 6))
targets = random.standard_normal((8, 2)).astype("float32")
def trained(model):
    losses = [float(model.train_on_batch(tokens, targets)) for _ in range(3)]
    return losses, model.get_weights(), np.asarray(model.predict(tokens, verbose=0))

model = made()
start = model.get_weights()
alone = trained(model)
mesh = keras.distribution.DeviceMesh((1, 4), ["batch", "model"], keras.distribution.list_devices())
layouts = keras.distribution.LayoutMap(mesh)
layouts[".*table.*embeddings"] = (None, "model")
# These fit the paths of vectors, too.
layouts[".*query.*kernel"] = layouts[".*key.*kernel"] = (None, "model", None)
layouts[".*output.*kernel"] = ("model", None, None)
layouts[".*wide.*kernel"] = layouts[".*up.*kernel"] = (None, "model")
layouts[".*conv.*kernel"] = (None, None, "model")
layouts[".*lstm.*kernel"] = (None, "model")
keras.distribution.set_distribution(keras.distribution.ModelParallel(layout_map=layouts))
sharded = made()
sharded.set_weights(start)
found = trained(sharded)
np.testing.assert_allclose(found[0], alone[0], rtol=1e-5)
for one, other in zip(alone[1], found[1], strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
shards = {v.path: v.value.addressable_shards[0].data.shape for v in sharded.weights}
whole = {v.path: tuple(v.shape) for v in sharded.weights}
for path, shape in {
    "t/vector_u": (2,), "t/vector_v": (20,),
    "attention/query_kernel_vector_u": (2,), "attention/query_kernel_vector_v": (8,),
    "attention/output_kernel_vector_u": (8,), "attention/output_kernel_vector_v": (2,),
    "wide/gain": (3,), "up/vector_u": (4,), "up/vector_v": (12,),
    "conv/vector_u": (2,), "conv/adjoint_vector_v": (24,), "lstm/recurrent_kernel_vector_u": (8,),
}.items():
    assert shards[path] == shape, (path, shards[path], whole[path])
difference = np.abs(found[2] - alone[2]).max()
print("sharded as kernels are, difference", difference)
assert difference < 1e-6
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


@pytest.mark.slow
@pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="a strategy of TensorFlow")
def test_mirrored_strategy_over_two_devices():
    result = run(MIRRORED)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "replicas agree on 23 variables" in result.stdout


@pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="a strategy of TensorFlow")
def test_mean_on_each_replica_and_over_all():
    result = run(MIRRORED_MEAN)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "running means agree" in result.stdout


@pytest.mark.skipif(tools.BACKEND != "jax", reason="a distribution of Keras on JAX")
def test_data_parallel_over_four_devices():
    result = run(DATA_PARALLEL, XLA_FLAGS="--xla_force_host_platform_device_count=4")
    assert result.returncode == 0, result.stderr[-3000:]
    assert "replicas agree on 23 variables" in result.stdout


@pytest.mark.skipif(tools.BACKEND != "jax", reason="a distribution of Keras on JAX")
def test_state_is_sharded_as_the_kernels_are():
    result = run(MODEL_PARALLEL, XLA_FLAGS="--xla_force_host_platform_device_count=4")
    assert result.returncode == 0, result.stderr[-3000:]
    assert "sharded as kernels are" in result.stdout
