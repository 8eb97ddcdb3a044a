"""A wrapper is called, frozen and built as its layer is."""

import contextlib

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tfspecnorm import scales
from tfspecnorm.layers import (
    BidirectionalSpectralNorm,
    MeanSpectralNorm,
    SpectralNorm,
    WeightNorm,
)

every_wrapper = pytest.mark.parametrize(
    "wrapper", [SpectralNorm, BidirectionalSpectralNorm, MeanSpectralNorm, WeightNorm]
)


def test_attention_with_masks_options_and_names():
    inner = layers.MultiHeadAttention(2, 4)
    query, value = tools.random(2, 5, 4), tools.random(2, 6, 4, seed=1)
    mask = np.tril(np.ones((2, 5, 6), bool))
    options = {"attention_mask": mask, "return_attention_scores": True}
    wrapper = WeightNorm(inner)
    found = wrapper(query=query, value=value, **options)
    expected = inner(query, value, **options)
    for first, second in zip(found, expected, strict=True):
        np.testing.assert_allclose(tools.array(first), tools.array(second), atol=1e-5)
    again = wrapper(query, value, attention_mask=mask, use_causal_mask=True)
    expected = inner(query, value, attention_mask=mask, use_causal_mask=True)
    np.testing.assert_allclose(tools.array(again), tools.array(expected), atol=1e-5)


def test_model_that_calls_its_layers_by_name():
    inputs = keras.Input((5, 4))
    hidden = layers.MultiHeadAttention(2, 4)(query=inputs, value=inputs)
    model = keras.Model(inputs, layers.LSTM(3)(sequences=hidden))
    data = tools.random(2, 5, 4)
    expected = tools.array(model(data))
    wrapped = tfspecnorm.wrap(model, WeightNorm)
    np.testing.assert_allclose(tools.array(wrapped(data)), expected, atol=1e-5)
    plain = tfspecnorm.fold(wrapped)
    np.testing.assert_allclose(tools.array(plain(data)), expected, atol=1e-5)


_SEVERAL_INPUTS = {
    "attention": (lambda: layers.MultiHeadAttention(2, 3), {"query": (5, 6), "value": (4, 6)}),
    "grouped": (
        lambda: layers.GroupQueryAttention(3, 4, 2),
        {"query": (5, 6), "value": (4, 6), "key": (4, 6)},
    ),
    "recurrent": (lambda: layers.SimpleRNN(3), {"sequences": (5, 2), "initial_state": (3,)}),
    "convolutional": (
        lambda: layers.ConvLSTM1D(2, 3),
        {"sequences": (5, 6, 2), "initial_state": [(4, 2), (4, 2)]},
    ),
}


@pytest.mark.parametrize("case", _SEVERAL_INPUTS)
@pytest.mark.parametrize("by_name", [True, False])
def test_several_inputs_are_taken_as_the_layer_takes_them(case, by_name):
    make, shapes = _SEVERAL_INPUTS[case]
    shapes = {
        name: [(2, *part) for part in shape] if isinstance(shape, list) else (2, *shape)
        for name, shape in shapes.items()
    }

    def given(function, values, suffix=""):
        if by_name:
            return function(**{name + suffix: value for name, value in values.items()})
        return function(*values.values())

    def each(function):
        return {
            name: list(map(function, shape)) if isinstance(shape, list) else function(shape)
            for name, shape in shapes.items()
        }

    data = each(lambda shape: tools.random(*shape))
    specs = each(keras.KerasTensor)
    plain, wrapper = make(), WeightNorm(make())
    given(plain.build, shapes, "_shape")
    given(wrapper.build, shapes, "_shape")
    wrapper.layer.set_weights(plain.get_weights())
    wrapper.restart()
    for function in ("compute_output_spec", "compute_output_shape"):
        values, suffix = (specs, "") if function.endswith("spec") else (shapes, "_shape")
        expected, found = (given(getattr(x, function), values, suffix) for x in (plain, wrapper))
        assert getattr(found, "shape", found) == getattr(expected, "shape", expected)
    expected = given(plain, data)
    np.testing.assert_allclose(tools.array(given(wrapper, data)), tools.array(expected), atol=1e-5)
    values = [
        [v.value for v in part]
        for part in (wrapper.trainable_variables, wrapper.non_trainable_variables)
    ]
    tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, data)
    found, _ = given(
        lambda *args, **kwargs: wrapper.stateless_call(*values, *args, **kwargs), tensors
    )
    np.testing.assert_allclose(tools.array(found), tools.array(expected), atol=1e-5)


def test_masks_and_states_of_recurrent_layers():
    ids = np.array([[1, 2, 3, 0], [4, 0, 0, 0]], "int32")
    hidden = layers.Embedding(5, 3, mask_zero=True)(ids)
    inner = layers.LSTM(4, return_sequences=True, return_state=True)
    state = [tools.random(2, 4, seed=seed) for seed in (1, 2)]
    wrapper = WeightNorm(inner)
    for options in ({}, {"initial_state": state}, {"mask": ids > 1}):
        found, expected = wrapper(hidden, **options), inner(hidden, **options)
        for first, second in zip(found, expected, strict=True):
            np.testing.assert_allclose(tools.array(first), tools.array(second), atol=1e-5)


@pytest.mark.parametrize(
    "make", [WeightNorm, lambda layer: SpectralNorm(layer, scale=scales.Learned())]
)
@pytest.mark.parametrize("thaw", ["clone", "wrap"])
def test_what_was_made_while_frozen_trains_later(make, thaw):
    plain = keras.Sequential([keras.Input((4,)), layers.Dense(3)], name="base")
    if thaw == "wrap":
        plain.trainable = False
        model = tfspecnorm.wrap(plain, make)
    else:
        model = keras.Sequential([keras.Input((4,)), make(layers.Dense(3))])
        model.trainable = False
        model = keras.models.clone_model(model)
    assert model.trainable_variables == []
    model.trainable = True
    assert len(model.trainable_variables) == 3
    before = [tools.array(variable).copy() for variable in model.trainable_variables]
    tools.fit_steps(model, tools.random(8, 4), tools.random(8, 3, seed=1), epochs=2)
    for old, variable in zip(before, model.trainable_variables, strict=True):
        assert np.abs(tools.array(variable) - old).max() > 1e-5


def test_wrapping_a_frozen_part_of_a_model():
    base = keras.Sequential([keras.Input((6,)), layers.Dense(5)], name="base")
    base.trainable = False
    model = keras.Sequential([keras.Input((6,)), base, layers.Dense(1)])
    wrapped = tfspecnorm.wrap(model, WeightNorm)
    part = wrapped.get_layer("base")
    assert part.trainable_variables == []
    part.trainable = True
    assert len(part.trainable_variables) == 3


@every_wrapper
def test_built_in_a_step_that_xla_compiles(wrapper):
    """A Sequential without an input shape; the vectors start converged there too."""
    model = keras.Sequential([wrapper(layers.Conv2D(4, 3)), layers.Flatten(), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=tools.BACKEND != "torch")
    model.fit(tools.random(8, 6, 6, 2), np.zeros((8, 1)), verbose=0)
    layer = model.layers[0]
    if isinstance(layer, (SpectralNorm, MeanSpectralNorm)):
        kernel = tools.array(layer.effective_kernels()["kernel"])
        norm = tools.largest_singular_value(tools.matrix_of(kernel, 3))
        rough = {} if tools.BACKEND == "tensorflow" else {"rtol": 0.05}
        np.testing.assert_allclose(norm, 1.0, **{"rtol": 1e-3, **rough})


@pytest.mark.parametrize("options", [{"norm": {"kernl": "matrix"}}, {"per_gate": True}])
def test_a_build_that_fails_leaves_no_variables(options):
    layer = SpectralNorm(layers.Dense(3), **options)
    for _ in range(3):
        with pytest.raises(ValueError, match="`norm` must have keys|`per_gate` must be"):
            layer(tools.random(2, 4))
    assert len(layer.weights) == 2


@keras.saving.register_keras_serializable(package="tests")
class Cell(keras.layers.Layer):
    """A cell of a user's own, with a normalized layer inside."""

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.state_size = 3
        self.inner = layer

    def build(self, input_shape):
        self.inner.build((None, input_shape[-1] + 3))

    def call(self, inputs, states, training=None):
        new = self.inner(keras.ops.concatenate([inputs, states[0]], -1), training=training)
        return new, [new]


@every_wrapper
@pytest.mark.parametrize("unroll", [False, True])
def test_wrapper_inside_a_cell_trains_or_names_the_way_out(wrapper, unroll):
    recurrent = layers.RNN(Cell(wrapper(layers.Dense(3))), unroll=unroll)
    model = keras.Sequential([keras.Input((4, 2)), recurrent])

    def train():
        tools.fit_steps(model, tools.random(8, 4, 2), tools.random(8, 3, seed=1))

    if tools.BACKEND == "jax" and not unroll and wrapper is not WeightNorm:
        with pytest.raises(ValueError, match="`unroll=True`.*`tfspecnorm.kernels.register`"):
            train()
    else:
        before = tools.array(recurrent.cell.inner.layer.kernel).copy()
        train()
        assert np.abs(tools.array(recurrent.cell.inner.layer.kernel) - before).max() > 1e-5


@pytest.mark.skipif(tools.BACKEND != "jax", reason="of JAX")
@every_wrapper
@pytest.mark.parametrize("compiled", [False, True])
def test_wrapper_inside_a_cell_in_a_training_step_of_ones_own(wrapper, compiled):
    import jax

    model = keras.Sequential([keras.Input((4, 2)), layers.RNN(Cell(wrapper(layers.Dense(3))))])
    inputs = tools.random(8, 4, 2)
    trained, state = ([v.value for v in model.trainable_variables], model.non_trainable_variables)
    state = [variable.value for variable in state]

    def loss(trained):
        outputs, moved = model.stateless_call(trained, state, inputs, training=True)
        return keras.ops.sum(outputs), moved

    step = jax.value_and_grad(loss, has_aux=True)
    step = jax.jit(step) if compiled else step
    if wrapper is WeightNorm:
        assert np.isfinite(step(trained)[0][0])
        return
    # The variables have values in either case: `loss` takes the state from around it.
    with pytest.raises(ValueError, match="`unroll=True`.*`tfspecnorm.kernels.register`"):
        step(trained)
    with pytest.raises(ValueError, match="`unroll=True`"):
        model(inputs, training=True)
    assert np.isfinite(tools.array(model(inputs))).all()


@pytest.mark.skipif(tools.BACKEND != "jax", reason="of JAX")
@every_wrapper
def test_state_that_a_compiled_function_takes_from_around_it_moves(wrapper):
    import jax

    layer = wrapper(layers.Dense(3))
    layer.build((None, 4))
    trained = [variable.value for variable in layer.trainable_variables]
    state = [variable.value for variable in layer.non_trainable_variables]
    inputs = tools.random(2, 4)
    found = jax.jit(lambda x: layer.stateless_call(trained, state, x, training=True))(inputs)
    expected = layer.stateless_call(trained, state, inputs, training=True)
    for one, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.skipif(not hasattr(keras, "RematScope"), reason="Keras before 3.9 has none")
@every_wrapper
@pytest.mark.parametrize("mode", ["full", "activations", "list_of_layers", "larger_than"])
def test_gradients_in_a_remat_scope_are_those_without(wrapper, mode):
    inputs = tools.random(5, 6)

    def layer_in(scope):
        with scope:
            layer = wrapper(layers.Dense(8, name="big"), name="outer")
            layer.build((None, 6))
        layer.layer.kernel.assign(tools.random(6, 8, seed=1))
        layer.restart()
        return layer

    names = {"layer_names": ["big", "outer"]} if mode == "list_of_layers" else {}
    plain = layer_in(contextlib.nullcontext())
    recomputed = layer_in(keras.RematScope(mode, output_size_threshold=1, **names))
    found, expected = (
        tools.gradients(
            lambda: keras.ops.sum(keras.ops.square(layer(inputs, training=True))),  # noqa: B023
            layer.trainable_variables,
        )
        for layer in (recomputed, plain)
    )
    for part, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(part, wanted, rtol=1e-5)
        assert np.abs(wanted).max() > 1e-3 or wanted.ndim == 1
    for variable, wanted in zip(recomputed.state, plain.state, strict=True):
        np.testing.assert_allclose(tools.array(variable), tools.array(wanted), rtol=1e-5)
