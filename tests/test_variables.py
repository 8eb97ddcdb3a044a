"""Calls with other values of variables: what they hand on, and what they leave alone."""

import keras
import numpy as np
import pytest

from tests.tools import array
from tfspecnorm._backend.variables import run


class Counting(keras.layers.Layer):
    """Adds its variable to what it is called on, counts its calls, and has a loss."""

    def build(self, input_shape):
        self.offset = self.add_weight(shape=(), initializer="zeros", name="offset")
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")

    def call(self, inputs):
        self.calls.assign(self.calls + 1)
        self.add_loss(keras.ops.sum(inputs))
        return inputs + self.offset


def called(**options):
    layer = Counting()
    layer.build((2,))
    mapping = [(layer.offset, np.float32(3)), (layer.calls, np.float32(5))]
    return layer, run(lambda: layer(np.ones(2, "float32")), mapping, **options)


@pytest.mark.parametrize("assign", [False, True])
def test_only_what_changed_is_assigned_and_only_if_asked(assign):
    layer, (outputs, values, losses) = called(assign=assign, collect_losses=True)
    np.testing.assert_array_equal(array(outputs), [4, 4])
    assert [float(array(value)) for value in values] == [3, 6]
    assert [float(array(v)) for v in (layer.offset, layer.calls)] == [0, 6 if assign else 0]


def test_collected_losses_are_not_the_layers():
    layer, (outputs, values, losses) = called(collect_losses=True)
    assert [float(array(loss)) for loss in losses] == [2]
    assert layer.losses == []


def test_losses_are_handed_to_a_layer_or_to_the_scope_around_it():
    taker = Counting()
    called(collect_losses=True, losses_to=taker)
    assert [float(array(loss)) for loss in taker.losses] == [2]
    taker = Counting()
    layer = Counting()
    layer.build((2,))
    mapping = [(variable, variable.value) for variable in layer.variables]
    with keras.StatelessScope(mapping, collect_losses=True) as scope:
        run(lambda: layer(np.ones(2, "float32")), mapping, collect_losses=True, losses_to=taker)
    assert [float(array(loss)) for loss in scope.losses] == [2]
    assert taker.losses == []
