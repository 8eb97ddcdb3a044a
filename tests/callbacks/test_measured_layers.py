"""Which layers are measured, under which names; bad arguments."""

import keras
import numpy as np
import pytest
from keras import layers

from tests import tools
from tests.callbacks.training import INPUTS, fit, small_model
from tests.tools import array, largest_singular_value
from tfspecnorm.callbacks import SpectralMonitor
from tfspecnorm.layers import SpectralNorm, WeightNorm


def test_names_of_nested_models_shared_layers_and_holders():
    def block(name):
        return keras.Sequential([keras.Input((5, 4)), layers.Dense(4, name="dense")], name=name)

    inputs = keras.Input((5, 4))
    shared = layers.Dense(4, name="shared")
    inner = keras.Input((5, 4))
    nested = keras.Model(inner, block("deep")(shared(inner)), name="nested")
    hidden = nested(block("left")(shared(inputs)))
    hidden = layers.TimeDistributed(layers.Dense(4), name="each")(hidden)
    hidden = SpectralNorm(layers.Bidirectional(layers.LSTM(2), name="both"))(hidden)
    part = keras.Sequential([layers.Dense(3, name="p"), layers.Dense(3, name="q")], name="part")
    model = keras.Model(inputs, WeightNorm(part)(hidden))
    model.compile("sgd", "mse")
    monitor = SpectralMonitor(gradients=(tools.random(2, 5, 4), tools.random(2, 3)))
    monitor.set_model(model)
    monitor.on_train_begin()
    monitor.on_epoch_begin(0)
    monitor.on_epoch_end(0, logs := {})
    sigma = {name.removeprefix("sigma/") for name in logs if name.startswith("sigma/")}
    assert sigma == {
        "shared",
        "left/dense",
        "nested/deep/dense",
        "each",
        *(f"both/{way}_{kernel}" for way in ("forward", "backward") for kernel in KERNELS),
        "part/p_kernel",
        "part/q_kernel",
    }
    gradients = {name for name in logs if name.startswith("gradient_norm/")}
    names = ("shared", "left/dense", "nested/deep/dense", "each", "both", "part")
    assert gradients == {f"gradient_norm/{name}" for name in names}
    assert logs["sigma/part/q_kernel"] == pytest.approx(
        largest_singular_value(array(part.layers[1].kernel)), rel=1e-5
    )


KERNELS = ("kernel", "recurrent_kernel")


class Block(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.parts = [layers.Dense(2, name="same"), layers.Dense(2, name="same")]

    def build(self, input_shape):
        for part in self.parts:
            part.build(input_shape)

    def call(self, inputs):
        return self.parts[1](self.parts[0](inputs))


class Subclass(keras.Model):
    def __init__(self):
        super().__init__(name="subclass")
        self.block = Block()
        self.head = SpectralNorm(layers.Dense(1, name="head"))

    def call(self, inputs):
        return self.head(self.block(inputs))


def test_a_subclassed_model_without_a_training_argument():
    model = Subclass()
    model.compile("sgd", "mse")
    data = tools.random(4, 2), tools.random(4, 1)
    history = model.fit(*data, verbose=0, callbacks=[SpectralMonitor()]).history
    names = sorted(name.rpartition("/")[2] for name in history if name.startswith("sigma/"))
    assert names == ["head", "same", "same_2"]
    monitor = SpectralMonitor(gradients=data)
    history = model.fit(*data, verbose=0, callbacks=[monitor]).history
    assert history["gradient_norm/head"][0] > 0


def test_a_layer_whose_kernels_cannot_be_told_is_named():
    model = small_model()
    model.layers[0].enable_lora(2)
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="leaves out layers and matrices: 'conv'.*LoRA"):
        history = fit(model, SpectralMonitor()).history
    assert "sigma/conv" not in history
    assert "sigma/head" in history


def test_a_model_without_known_kernels():
    model = keras.Sequential(
        [keras.Input((6, 6, 2)), layers.Flatten(), layers.LayerNormalization()], name="kernelless"
    )
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="known kernels.*Received: model 'kernelless'"):
        model.fit(INPUTS, INPUTS.reshape(16, -1), callbacks=[SpectralMonitor()], verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every": 0}, '`every` must be "epoch" or a positive integer.*every=0'),
        ({"every": "step"}, "`every` must be.*every='step'"),
        ({"every": True}, "`every` must be.*every=True"),
        ({"every": 1.5}, "`every` must be.*every=1.5"),
        ({"operator_norm": 1}, "`operator_norm` must be `True` or `False`.*operator_norm=1"),
        ({"gradients": 3}, "`gradients` must be a pair.*gradients=3"),
        ({"gradients": (1, 2, 3)}, "`gradients` must be a pair.*"),
        ({"power_iterations": 0}, "`power_iterations` must be a positive.*power_iterations=0"),
        ({"csv": 3}, "`csv` must be a path or `None`.*csv=3"),
        ({"log_dir": ""}, "`log_dir` must be a path or `None`.*log_dir=''"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SpectralMonitor(**arguments)


def test_matrices_without_a_description_are_named():
    class Positions(layers.Layer):
        def build(self, input_shape):
            self.table = self.add_weight(shape=input_shape[1:], name="table")

        def call(self, inputs):
            return inputs + self.table

    model = keras.Sequential(
        [keras.Input((4, 2)), Positions(name="positions"), layers.Dense(2, name="dense")]
    )
    model.compile("sgd", "mse")
    monitor = SpectralMonitor()
    batch = np.ones((2, 4, 2), "float32")
    with pytest.warns(UserWarning, match="'positions/table': no description"):
        history = model.fit(batch, batch, verbose=0, callbacks=[monitor]).history
    assert set(history) == {"loss", "sigma/dense"}
    assert monitor.left_out == {
        "positions/table": "no description: see tfspecnorm.kernels.register"
    }
