"""Layers with several kernels: their names, their gates, what is refused."""

import gc
import pickle

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tfspecnorm import kernels, scales
from tfspecnorm.layers import BidirectionalSpectralNorm, SpectralNorm, WeightNorm


def names(layer, per_gate=False):
    return [kernel.name for kernel in kernels.kernels_of(layer, per_gate)]


def built(layer, *shape):
    layer.build((None, *shape))
    return layer


def test_names_of_kernels_in_held_layers():
    cells = layers.StackedRNNCells([layers.LSTMCell(3), layers.GRUCell(2)])
    assert names(built(layers.RNN(cells), 5, 4)) == [
        "cell0_kernel", "cell0_recurrent_kernel", "cell1_kernel", "cell1_recurrent_kernel",
    ]  # fmt: skip
    assert names(built(layers.Bidirectional(layers.RNN(cells)), 5, 4))[-1] == (
        "backward_cell1_recurrent_kernel"
    )
    model = keras.Sequential([layers.Dense(3, name="a"), layers.ReLU(), layers.Dense(2, name="b")])
    assert names(built(model, 4)) == ["a_kernel", "b_kernel"]


def test_attention_kernels():
    layer = layers.GroupQueryAttention(3, 4, 2)
    layer.build((None, 4, 6), (None, 5, 6))
    shapes = {kernel.name: kernel.linear_map.matrix_shape for kernel in kernels.kernels_of(layer)}
    assert shapes == {
        "query_kernel": (6, 12),
        "key_kernel": (6, 6),
        "value_kernel": (6, 6),
        "output_kernel": (12, 6),
    }


def test_a_layer_that_is_used_twice_has_its_kernel_once():
    shared = layers.Dense(4, name="shared")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, shared(shared(inputs)))
    assert names(model) == ["shared_kernel"]


@pytest.mark.parametrize("wrapper", [SpectralNorm, BidirectionalSpectralNorm])
@pytest.mark.parametrize(
    ("make", "shape", "gates"),
    [
        (lambda: layers.LSTM(3), (5, 4), ["input", "forget", "candidate", "output"]),
        (lambda: layers.GRU(3), (5, 4), ["update", "reset", "candidate"]),
        (lambda: layers.ConvLSTM1D(3, 2), (5, 6, 4), ["input", "forget", "candidate", "output"]),
    ],
)
def test_each_gate_is_divided_by_its_own_norm(wrapper, make, shape, gates):
    layer = wrapper(make(), per_gate=True)
    layer.build((None, *shape))
    assert list(layer.sigma()) == [
        f"{kernel}_{gate}" for kernel in ("kernel", "recurrent_kernel") for gate in gates
    ]
    raw = tools.array(layer.layer.cell.kernel)
    for position, gate in enumerate(gates):
        part = np.split(raw, len(gates), axis=-1)[position]
        sigma = tools.largest_singular_value(tools.matrix_of(part, part.ndim - 1))
        if wrapper is BidirectionalSpectralNorm and part.ndim > 2:
            sigma = (sigma + tools.largest_singular_value(tools.matrix_of(part, 1))) / 2
        np.testing.assert_allclose(
            tools.array(layer.effective_kernels()[f"kernel_{gate}"]), part / sigma, atol=1e-5
        )


def test_gates_keep_their_function_with_learned_scales():
    inner = built(layers.LSTM(3), 5, 4)
    layer = SpectralNorm(inner, scale=scales.Learned(), per_gate=True)
    inputs = tools.random(2, 5, 4)
    expected = tools.array(inner(inputs))
    np.testing.assert_allclose(tools.array(layer(inputs)), expected, atol=1e-5)
    assert len([variable for variable in layer.state if "scale" in variable.name]) == 8


def test_gates_of_a_layer_without_them():
    layer = SpectralNorm(layers.Dense(3), per_gate=True)
    with pytest.raises(ValueError, match="`per_gate` must be `False` for a layer without gates"):
        layer.build((None, 4))


@pytest.mark.parametrize("wrapper", [SpectralNorm, BidirectionalSpectralNorm, WeightNorm])
def test_a_cell_is_refused(wrapper):
    cells = (layers.LSTMCell(3), layers.StackedRNNCells([layers.GRUCell(3)]))
    for cell in cells:
        with pytest.raises(ValueError, match=r"must not be a cell.*keras\.layers\.RNN\(cell\)"):
            wrapper(cell)


def test_a_held_layer_without_kernels_is_unknown():
    with pytest.raises(ValueError, match="must be a layer with known kernels.*TimeDistributed"):
        SpectralNorm(layers.TimeDistributed(layers.Flatten()))


def test_a_subclassed_model_without_kernels_is_refused_when_it_is_built():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="must be a layer with known kernels"):
        SpectralNorm(Own())(np.ones((2, 3)))


def test_a_held_quantized_layer_is_refused():
    inner = built(layers.Dense(4), 8)
    inner.quantize("int8")
    with pytest.raises(ValueError, match="must not be quantized"):
        SpectralNorm(keras.Sequential([inner]))


def test_statistics_of_a_held_batch_normalization_move():
    held = keras.Sequential([layers.Dense(3), layers.BatchNormalization()])
    layer = SpectralNorm(held)
    layer(tools.random(8, 4) + 3.0, training=True)
    assert np.abs(tools.array(held.layers[1].moving_mean)).max() > 1e-3


def test_stateful_layers_that_are_held_keep_their_state():
    inner = layers.Bidirectional(layers.GRU(3, stateful=True))
    inputs = tools.random(2, 5, 4)
    wrapper = SpectralNorm(inner, scale=scales.Learned())
    first, second = tools.array(wrapper(inputs)), tools.array(wrapper(inputs))
    assert np.abs(first - second).max() > 1e-3
    inner.reset_state()
    np.testing.assert_allclose(tools.array(wrapper(inputs)), first, atol=1e-6)


@pytest.mark.parametrize("make", [scales.Learned, lambda: scales.Tanh(2.0)])
def test_one_trainable_scale_for_two_wrappers_is_an_error(make):
    scale = make()
    first = SpectralNorm(layers.Dense(3), scale=scale, name="first")
    with pytest.raises(ValueError, match="an object of its own for each wrapper.*'first' has"):
        BidirectionalSpectralNorm(layers.Dense(3), scale=scale)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)])
    with pytest.raises(ValueError, match="an object of its own for each wrapper"):
        tfspecnorm.wrap(model, lambda layer: SpectralNorm(layer, scale=scale))
    assert first.scale is scale


def test_a_scale_is_free_again_when_its_wrapper_is_gone():
    scale = scales.Learned()
    first = SpectralNorm(layers.Dense(3), scale=scale)
    first.cycle = {"of": first}
    del first
    gc.disable()
    try:
        SpectralNorm(layers.Dense(3), scale=scale)
    finally:
        gc.enable()


def test_a_fixed_scale_may_serve_several_wrappers():
    scale = scales.Fixed(2.0)
    assert {SpectralNorm(layers.Dense(3), scale=scale).scale for _ in range(3)} == {scale}


def test_a_scale_that_is_taken_can_be_copied():
    scale = scales.Learned(2.0)
    layer = SpectralNorm(layers.Dense(3), scale=scale)
    copy = pickle.loads(pickle.dumps(scale))
    assert copy == scale
    SpectralNorm(layers.Dense(3), scale=copy)
    again = SpectralNorm.from_config(layer.get_config())
    assert again.scale == scale
