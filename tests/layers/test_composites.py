"""Layers of somebody's own, wrapped as a whole."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import tfspecnorm
from tests import tools
from tests.surgery import blocks
from tfspecnorm.layers import SpectralNorm, WeightNorm

BATCH = tools.random(4, 6)


@blocks.registered
class Watched(layers.Layer):
    """A block with dropout, a loss and a metric."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(6, name="dense")
        self.drop = layers.Dropout(0.5)
        self.mean = keras.metrics.Mean(name="watched")

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True

    def call(self, inputs, training=None):
        self.mean.update_state(ops.mean(inputs))
        self.add_loss(0.01 * ops.sum(inputs))
        return self.drop(self.dense(inputs), training=training)


def test_metrics_and_losses_in_a_block():
    for block in (Watched(), WeightNorm(Watched())):
        inputs = keras.Input((6,))
        model = keras.Model(inputs, block(inputs))
        model.compile(keras.optimizers.SGD(0.0), "mse")
        for method in (model.train_on_batch, model.test_on_batch):
            logs = method(BATCH, np.ones((4, 6)), return_dict=True)
            # Keras loses the metric of a layer in its functions of JAX.
            expected = 0.0 if tools.BACKEND == "jax" else BATCH.mean()
            assert logs["watched"] == pytest.approx(expected, abs=1e-6)
        model(BATCH)
        assert [float(loss) for loss in model.losses] == pytest.approx([0.01 * BATCH.sum()], 1e-4)
    eager = SpectralNorm(Watched())
    eager(BATCH), eager(BATCH)
    assert float(eager.layer.mean.count) == 2
    once, again = (tools.array(eager(BATCH, training=True)) for _ in range(2))
    assert (once != again).any()


def test_wrappers_that_a_block_makes_late_are_refused():
    class Late(layers.Layer):
        def build(self, input_shape):
            self.dense = SpectralNorm(layers.Dense(6), scale=3.0)
            self.dense.build(input_shape)

        def call(self, inputs):
            return self.dense(inputs)

    with pytest.raises(ValueError, match="must not be or hold a wrapper of its own kind"):
        SpectralNorm(Late())(BATCH)
    assert tfspecnorm.raw_matrices(keras.Sequential([keras.Input((6,)), Late()])) == []
