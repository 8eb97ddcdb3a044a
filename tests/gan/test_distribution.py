"""Training on two replicas is training on one; images are made and measured on three devices."""

import os
import subprocess
import sys

import keras
import pytest

from tests import tools

MIRRORED = """
import keras
import numpy as np
import tensorflow as tf
from tests.gan import networks

# Replicas are one machine's threads here, and run one after the other, always in the same order.
tf.config.threading.set_inter_op_parallelism_threads(1)
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2

def trained():
    keras.utils.set_random_seed(0)
    gan = networks.compiled(
        networks.small_pair(batch=False), (0.05, 0.1), loss="non-saturating",
        gradient_penalty=0.5, average_momentum=0.5,
    )
    return gan, networks.fit(gan, networks.data(16), batch_size=8, epochs=3)

one, logs = trained()
with strategy.scope():
    two, other_logs = trained()
for name in logs:
    np.testing.assert_allclose(other_logs[name], logs[name], rtol=1e-4, atol=1e-5, err_msg=name)
for variable, single in zip(two.variables, one.variables, strict=True):
    first, second = (part.numpy() for part in variable.value.values)
    np.testing.assert_array_equal(first, second, err_msg=variable.path)
    np.testing.assert_allclose(first, single.numpy(), rtol=1e-3, atol=1e-5, err_msg=variable.path)
found = two.evaluate(networks.data(16), verbose=0, return_dict=True)
logits = np.asarray(one.discriminator(networks.data(16)))
np.testing.assert_allclose(found["real_logits"], logits.mean(), rtol=1e-3, atol=1e-5)
print("replicas agree on", len(two.variables), "variables")
"""

PARALLEL = """
import keras
import numpy as np
from tests.gan import networks
from tfspecnorm.metrics.extractors import Extractor

keras.distribution.set_distribution(keras.distribution.DataParallel())
assert keras.distribution.distribution().device_mesh.devices.size == 3
gan = networks.compiled(networks.linear_pair(), average_momentum=0.5)
networks.fit(gan, networks.data(12), batch_size=6)
for count, options in ((1, {}), (5, {"batch_size": 4}), (64, {}), (100, {})):
    latents = np.random.default_rng(0).standard_normal((count, networks.LATENT))
    kernel, bias = gan.averaged_generator.get_weights()
    images = gan.generate(count, seed=0, **options)
    np.testing.assert_allclose(images, latents @ kernel + bias, rtol=1e-4, atol=1e-5)

pixels = keras.Sequential([keras.Input((1, 1, 2)), keras.layers.Flatten()])
images = np.random.default_rng(0).uniform(-1, 1, (10, 1, 1, 2)).astype("float32")
for count in (1, 4, 5, 10):
    found = Extractor(pixels, "pixels", batch_size=4).features(images[:count])
    np.testing.assert_array_equal(found, images[:count, 0, 0])
print("three devices agree")
"""


def output_of(script, **environment):
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([".", *sys.path]), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="a strategy of TensorFlow")
@pytest.mark.skipif(keras.__version__.startswith("3.7."), reason="no random seeds in a strategy")
def test_mirrored_strategy_over_two_devices():
    assert "replicas agree on" in output_of(MIRRORED)


@pytest.mark.skipif(tools.BACKEND != "jax", reason="a distribution of Keras on JAX")
def test_images_on_three_devices():
    devices = "--xla_force_host_platform_device_count=3"
    assert "three devices agree" in output_of(PARALLEL, XLA_FLAGS=devices)
