"""Training on two replicas is training on one, on the same batch."""

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


@pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="a strategy of TensorFlow")
@pytest.mark.skipif(keras.__version__.startswith("3.7."), reason="no random seeds in a strategy")
def test_mirrored_strategy_over_two_devices():
    result = subprocess.run(
        [sys.executable, "-c", MIRRORED],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([".", *sys.path])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert "replicas agree on" in result.stdout
