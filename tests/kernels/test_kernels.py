import keras
import numpy as np
import pytest
from keras import layers

from tests import tools
from tfspecnorm import kernels
from tfspecnorm.norms import LinearMap


def built(layer, shape):
    layer.build(shape)
    return layer


def dense_operator(layer, shape):
    """The layer's linear map as a dense matrix, one input basis vector at a time."""
    size = int(np.prod(shape))
    basis = np.eye(size, dtype="float32").reshape(size, *shape)
    zero = tools.array(layer(np.zeros((1, *shape), "float32")))
    return (tools.array(layer(basis)) - zero).reshape(size, -1)


def only_kernel(layer):
    (kernel,) = kernels.kernels_of(layer)
    return kernel


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Dense(3), (None, 4)),
        (layers.EinsumDense("ab,bc->ac", output_shape=3), (None, 4)),
        (layers.EinsumDense("ab,cb->ac", output_shape=3), (None, 4)),
        (layers.EinsumDense("ab,abc->ac", output_shape=3), (2, 4)),
        (layers.EinsumDense("...x,xy->...y", output_shape=3), (None, 4)),
        (layers.EinsumDense("abc,cde->abde", output_shape=(None, 3, 2)), (None, 2, 4)),
        (layers.EinsumDense("abcd,cde->abe", output_shape=(None, 5)), (None, 2, 2, 4)),
        (layers.EinsumDense("abc,bcd->abd", output_shape=(3, 5)), (None, 3, 4)),
        (layers.Conv2D(4, 1, groups=2), (None, 1, 1, 6)),
        (layers.Conv2DTranspose(3, 1), (None, 1, 1, 4)),
        (layers.DepthwiseConv2D(1, depth_multiplier=3), (None, 1, 1, 4)),
    ],
)
def test_matrix_norm_is_the_norm_of_a_map_without_taps(layer, shape):
    """Where a kernel has no window the matrix view is the map, up to repetition."""
    linear_map = only_kernel(built(layer, shape)).linear_map
    matrix = linear_map.matrix(tools.array(layer.kernel), np)
    if isinstance(layer, layers.EinsumDense) and layer.equation.startswith("ab,abc"):
        values = tools.array(layer.kernel)
        expected = max(tools.largest_singular_value(block) for block in values)
    else:
        inner = tuple(size or 2 for size in shape[1:])
        expected = tools.largest_singular_value(dense_operator(layer, inner))
    np.testing.assert_allclose(tools.largest_singular_value(matrix), expected, rtol=1e-5)


def test_convolution_lies_between_reshape_and_its_bound():
    layer = built(layers.Conv2D(5, 3, padding="same"), (None, 6, 6, 4))
    matrix = only_kernel(layer).linear_map.matrix(tools.array(layer.kernel), np)
    np.testing.assert_array_equal(matrix, tools.array(layer.kernel).reshape(36, 5))
    sigma = tools.largest_singular_value(matrix)
    norm = tools.largest_singular_value(dense_operator(layer, (6, 6, 4)))
    assert sigma * (1 - 1e-6) <= norm <= 3 * sigma


def test_transposed_convolution_has_a_column_for_each_output():
    layer = built(layers.Conv2DTranspose(3, 2, strides=2), (None, 2, 2, 4))
    linear_map = only_kernel(layer).linear_map
    assert linear_map.kind == "transposed_convolution"
    expected = tools.matrix_of(tools.array(layer.kernel), 2)
    np.testing.assert_allclose(linear_map.matrix(tools.array(layer.kernel), np), expected)


def test_window_carries_the_geometry():
    layer = built(layers.Conv2D(4, (3, 2), strides=(2, 1), padding="same"), (None, 7, None, 2))
    window = only_kernel(layer).linear_map.window
    assert window.strides == (2, 1)
    assert window.padding == "same"
    assert window.dilation_rate == (1, 1)
    assert window.input_size == (7, None)
    first = layers.Conv1D(4, 3, padding="causal", dilation_rate=2)
    window = only_kernel(built(first, (None, 9, 2))).linear_map.window
    assert (window.padding, window.dilation_rate, window.input_size) == ("causal", (2,), (9,))


def test_channels_first_sizes():
    layer = built(layers.Conv2D(4, 3, data_format="channels_first"), (None, 2, 7, 9))
    assert only_kernel(layer).linear_map.window.input_size == (7, 9)


@pytest.mark.parametrize(
    ("layer", "shape", "names"),
    [
        (layers.Embedding(5, 3), (None, 4), ["embeddings"]),
        (layers.SeparableConv2D(4, 3), (None, 5, 5, 2), ["depthwise_kernel", "pointwise_kernel"]),
        (layers.LSTM(3), (None, 4, 2), ["kernel", "recurrent_kernel"]),
        (layers.GRU(3), (None, 4, 2), ["kernel", "recurrent_kernel"]),
        (layers.SimpleRNN(3), (None, 4, 2), ["kernel", "recurrent_kernel"]),
        (layers.DepthwiseConv1D(3), (None, 5, 2), ["kernel"]),
        (layers.Conv3D(2, 2), (None, 3, 3, 3, 2), ["kernel"]),
    ],
)
def test_names(layer, shape, names):
    assert [kernel.name for kernel in kernels.kernels_of(built(layer, shape))] == names


def test_attention_has_four_kernels():
    layer = layers.MultiHeadAttention(2, 3)
    layer.build((None, 4, 6), (None, 5, 6))
    shapes = {kernel.name: kernel.linear_map.matrix_shape for kernel in kernels.kernels_of(layer)}
    assert shapes == {
        "query_kernel": (6, 6),
        "key_kernel": (6, 6),
        "value_kernel": (6, 6),
        "output_kernel": (6, 6),
    }


def test_subclasses_are_known():
    class Mine(layers.Dense):
        pass

    assert kernels.is_registered(Mine(3))
    assert not kernels.is_registered(layers.Flatten())


def test_unknown_layer_lists_what_is_known():
    with pytest.raises(
        ValueError, match=r"Conv2D, .*Dense.*kernels\.register.*Received: layer=Flatten"
    ):
        kernels.kernels_of(layers.Flatten())


def test_unbuilt_layer():
    with pytest.raises(ValueError, match="must be built.*Received: layer=Dense"):
        kernels.kernels_of(layers.Dense(3))


def test_quantized_layer():
    layer = built(layers.Dense(4), (None, 8))
    layer.quantize("int8")
    with pytest.raises(ValueError, match="must not be quantized.*quantization_mode='int8'"):
        kernels.kernels_of(layer)


def test_layer_with_lora():
    layer = built(layers.Dense(4), (None, 8))
    layer.enable_lora(2)
    with pytest.raises(ValueError, match="must not have LoRA enabled.*lora_rank=2"):
        kernels.kernels_of(layer)


def test_register_needs_a_layer_class():
    with pytest.raises(ValueError, match="Argument `layer_class` must be a subclass"):
        kernels.register(layers.Dense(3), lambda layer: [])


def test_registered_layer_of_ones_own():
    class Twice(keras.layers.Layer):
        def build(self, input_shape):
            self.first = self.add_weight(shape=(input_shape[-1], 3), name="first")

    kernels.register(
        Twice,
        lambda layer: [kernels.Kernel("first", layer.first, LinearMap("dense", (2, 3), (1,)))],
    )
    assert "Twice" in kernels.registered()
    assert only_kernel(built(Twice(), (None, 2))).linear_map.matrix_shape == (2, 3)


def test_a_matrix_that_no_description_names_is_refused():
    class TwoMatrices(layers.Dense):
        def build(self, input_shape):
            super().build(input_shape)
            self._tracker.unlock()
            self.second = self.add_weight(shape=(3, 3), name="second")

    with pytest.raises(ValueError, match="no matrix beside its known kernels.*'second' of shape"):
        kernels.kernels_of(built(TwoMatrices(3), (None, 4)))
