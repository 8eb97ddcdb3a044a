"""What graphs of TensorFlow hold once for all kernels: derivatives, lifetime, converters."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import ops

from tests import tools
from tfspecnorm import layers, norms
from tfspecnorm._backend import traced_once as _traced_once
from tfspecnorm._backend.traced_once import traced_once
from tfspecnorm.layers import scales
from tfspecnorm.layers._closed_form import quotient

pytestmark = pytest.mark.skipif(
    tools.BACKEND != "tensorflow", reason="the other backends have no such graphs"
)

WRAPPERS = {
    "SN": layers.SpectralNorm,
    "scaled": lambda layer: layers.SpectralNorm(layer, scale=1.4),
    "learned": lambda layer: layers.SpectralNorm(layer, scale=scales.Learned()),
    "bounded": lambda layer: layers.SpectralNorm(layer, bound=0.8),
    "three iterations": lambda layer: layers.SpectralNorm(layer, power_iterations=3),
    "XLA": lambda layer: layers.SpectralNorm(layer, jit_compile=True),
    "BSN": layers.BidirectionalSpectralNorm,
    "WN": layers.WeightNorm,
}


def network(wrap):
    """Kernels of several ranks and sizes: in order, transposed, in groups, depthwise."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            wrap(keras.layers.Conv2D(4, 3, activation="tanh")),
            wrap(keras.layers.DepthwiseConv2D(3, padding="same")),
            wrap(keras.layers.Conv2D(6, 3, groups=2, strides=2)),
            wrap(keras.layers.Conv2DTranspose(3, 3, activation="tanh")),
            keras.layers.Flatten(),
            wrap(keras.layers.Dense(5, activation="tanh")),
            wrap(keras.layers.Dense(2)),
        ]
    )


def dense_network(count, wrap=layers.SpectralNorm):
    keras.utils.set_random_seed(0)
    dense = [wrap(keras.layers.Dense(size)) for size in range(3, 3 + count)]
    return keras.Sequential([keras.Input((4,)), *dense])


def derivatives(model, inputs):
    """Of a loss in training mode, and of the squared length of its gradient in the inputs."""
    import tensorflow as tf

    variables = [variable.value for variable in model.trainable_variables]
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(inputs)
        with tf.GradientTape() as inner:
            inner.watch(inputs)
            loss = ops.sum(model(inputs, training=True) ** 2)
        penalty = ops.sum(inner.gradient(loss, inputs) ** 2)
    return [*outer.gradient(loss, variables), *outer.gradient(penalty, variables)]


def calls_in(graph):
    return [op.get_attr("f").name for op in graph.get_operations() if op.type == "PartitionedCall"]


def operations_of_a_step(model):
    import tensorflow as tf

    @tf.function
    def step(inputs):
        with tf.GradientTape() as tape:
            loss = ops.sum(model(inputs, training=True) ** 2)
        return tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    return len(step.get_concrete_function(tf.TensorSpec((2, 4))).graph.get_operations())


def training_graph(model, shape=(4,)):
    import tensorflow as tf

    @tf.function
    def step(inputs):
        return derivatives(model, inputs)

    return step.get_concrete_function(tf.TensorSpec((2, *shape))).graph


@pytest.mark.parametrize("wrapper", tools.quick(WRAPPERS, ["SN", "BSN", "WN"]))
def test_derivatives_in_a_graph_are_those_without(wrapper):
    import tensorflow as tf

    model = network(WRAPPERS[wrapper])
    inputs = ops.convert_to_tensor(tools.random(3, 8, 8, 2))
    start = model.get_weights()
    expected = derivatives(model, inputs)
    moved = model.get_weights()
    model.set_weights(start)
    found = tf.function(derivatives)(model, inputs)
    for one, other in zip(model.get_weights(), moved, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    scale = max(float(ops.max(ops.abs(part))) for part in expected if part is not None)
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5 * scale)


def test_a_graph_holds_each_function_once():
    few, many = (calls_in(training_graph(dense_network(count))) for count in (2, 6))
    assert len(many) == 3 * len(few)
    assert len(set(many)) == len(set(few))


def test_models_share_functions():
    """The second model of a process traces none of its own."""
    first, second = (
        calls_in(training_graph(network(layers.SpectralNorm), (8, 8, 2))) for _ in range(2)
    )
    # Keras has one for a convolution with groups.
    own = {name for name in first if "conv_xla" not in name}
    assert own and own <= set(second)


def test_a_graph_keeps_the_functions_that_it_calls():
    import tensorflow as tf

    @traced_once(sizes_matter=True)
    def times(tensor, factor):
        return factor * tensor

    made = tf.function(lambda tensor: times(tensor, factor=3.0)).get_concrete_function(
        tf.TensorSpec((2,))
    )

    @tf.function
    def others(tensor):
        return [times(tensor, factor=float(factor)) for factor in range(4, 4 + _traced_once._KEPT)]

    others.get_concrete_function(tf.TensorSpec((2,)))
    gc.collect()
    np.testing.assert_array_equal(made(tf.constant([1.0, 2.0])), [3.0, 6.0])


def test_a_layer_adds_few_operations():
    """In a training step; without functions a hundred."""
    plain, normalized = (
        [operations_of_a_step(dense_network(count, wrap)) for count in (2, 6)]
        for wrap in (lambda layer: layer, layers.SpectralNorm)
    )
    added = [found[1] - found[0] for found in (plain, normalized)]
    assert added[1] <= added[0] + 4 * 25


def test_the_graph_of_a_model_is_not_kept():
    graph = training_graph(network(layers.SpectralNorm), (8, 8, 2))
    kept = weakref.ref(graph)
    assert calls_in(graph)
    del graph
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize("wrapper", tools.quick(["SN", "BSN", "WN"], ["BSN"]))
def test_second_derivative_of_a_loop_compiled_by_xla(wrapper):
    """A recurrent cell with a normalized kernel: the body of a loop is what it was."""
    import tensorflow as tf

    @keras.saving.register_keras_serializable("tests")
    class Cell(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.state_size = 3
            self.dense = WRAPPERS[wrapper](keras.layers.Dense(3))

        def build(self, shape):
            self.dense.build((None, shape[-1] + 3))

        def call(self, inputs, states):
            state = ops.tanh(self.dense(ops.concatenate([inputs, states[0]], axis=-1)))
            return state, [state]

    keras.utils.set_random_seed(0)
    layer = keras.layers.RNN(Cell())
    inputs = ops.convert_to_tensor(tools.random(2, 4, 2))
    layer(inputs)
    variables = [variable.value for variable in layer.trainable_variables]

    def penalty():
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                inner.watch(inputs)
                loss = ops.sum(layer(inputs, training=True) ** 2)
            value = ops.sum(inner.gradient(loss, inputs) ** 2)
        return [part for part in outer.gradient(value, variables) if part is not None]

    start = [variable.numpy() for variable in layer.variables]
    expected = tf.function(penalty)()
    for variable, value in zip(layer.variables, start, strict=True):
        variable.assign(value)
    found = tf.function(penalty, jit_compile=True)()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_a_map_described_by_lists():
    import tensorflow as tf

    linear_map = norms.LinearMap("dense", [3, 4], [0])
    kernel = tools.random(3, 4).astype("float32")
    state = norms.Matrix().initial_state(kernel, linear_map)
    state = {name: vector.astype("float32") for name, vector in state.items()}

    @tf.function
    def divided(kernel):
        return quotient(kernel, norms.Matrix()(kernel, state, linear_map))

    largest = np.linalg.svd(divided(ops.convert_to_tensor(kernel)), compute_uv=False)[0]
    np.testing.assert_allclose(largest, 1.0, rtol=1e-5)


# Keras exports to LiteRT since 3.13.
@pytest.mark.newest_keras
def test_litert_file_of_a_model_that_is_not_folded(tmp_path):
    model = network(layers.SpectralNorm)
    model.compile("sgd", "mse")
    inputs = tools.random(1, 8, 8, 2).astype("float32")
    model.fit(inputs, np.ones((1, 2)), verbose=0)
    found = tools.litert_output(model, inputs, tmp_path / "model.tflite")
    np.testing.assert_allclose(found, tools.array(model(inputs)), atol=1e-5)
