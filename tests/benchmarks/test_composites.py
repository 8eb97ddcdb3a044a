"""The benchmark of composite layers: its contenders do the same work."""

import collections

import keras
import numpy as np
import pytest

from benchmarks.speed import composites, networks
from tests import tools

pytestmark = pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="graphs of TensorFlow")


def operations(model):
    """How many operations of each type the graph of loss and gradient has."""
    import tensorflow as tf

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        return tape.gradient(value, [variable.value for variable in model.trainable_variables])

    shapes = tf.TensorSpec((4, networks.TOKENS, networks.WIDTH)), tf.TensorSpec((4,), tf.int32)
    graph = step.get_concrete_function(*shapes).graph
    return collections.Counter(operation.type for operation in graph.get_operations())


def test_contenders_compute_the_same_by_the_same_operations(monkeypatch):
    monkeypatch.setattr(networks, "BLOCKS", 1)
    models = {name: make() for name, make in composites.CONTENDERS.items()}
    plain = operations(models.pop("none"))
    inputs = tools.random(4, networks.TOKENS, networks.WIDTH)
    expected = models.pop(composites.ONE_BY_ONE)
    wanted, outputs = operations(expected), tools.array(expected(inputs))
    assert wanted.total() > plain.total()
    for model in models.values():
        assert operations(model) == wanted
        np.testing.assert_allclose(tools.array(model(inputs)), outputs, rtol=1e-5, atol=1e-6)
