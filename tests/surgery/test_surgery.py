import re

import keras
import numpy as np
import pytest
from keras import layers, ops

import tfspecnorm
from tests import tools
from tfspecnorm import scales
from tfspecnorm.layers import SpectralNorm


def learned(layer):
    return SpectralNorm(layer, scale=scales.Learned())


def names(model):
    return [layer.name for layer in model.layers]


def wrapped_layers(model):
    return [layer for layer in model.layers if isinstance(layer, SpectralNorm)]


@pytest.fixture
def mobilenet():
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(
        weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=10
    )
    random = np.random.default_rng(0)
    for variable in model.weights:
        if "moving" in variable.path or "gamma" in variable.path:
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return model


def test_mobilenet_wrapped_and_folded(mobilenet):
    inputs = tools.random(2, 32, 32, 3)
    expected = tools.array(mobilenet(inputs))
    wrapped = tfspecnorm.wrap(mobilenet, learned)
    assert len(wrapped_layers(wrapped)) == 53
    np.testing.assert_allclose(tools.array(wrapped(inputs)), expected, atol=1e-5)
    plain, folded = tfspecnorm.fold(wrapped, report=True)
    assert names(plain) == names(mobilenet)
    assert [type(layer) for layer in plain.layers] == [type(layer) for layer in mobilenet.layers]
    assert len(folded) == 53
    np.testing.assert_allclose(tools.array(plain(inputs)), expected, atol=1e-5)
    np.testing.assert_allclose(tools.array(mobilenet(inputs)), expected)


@pytest.mark.slow
def test_mobilenet_normalized_then_folded(mobilenet):
    inputs = tools.random(2, 32, 32, 3)
    wrapped = tfspecnorm.wrap(mobilenet, SpectralNorm)
    expected = tools.array(wrapped(inputs))
    plain = tfspecnorm.fold(wrapped)
    np.testing.assert_allclose(tools.array(plain(inputs)), expected, atol=1e-6)
    for old, new in zip(mobilenet.weights, plain.weights, strict=True):
        if "kernel" not in old.path:
            np.testing.assert_array_equal(tools.array(old), tools.array(new))
    assert not np.allclose(expected, tools.array(mobilenet(inputs)), atol=1e-4)


def graph_model():
    """Shared layer, nested models of both kinds, a layer that holds a layer, an operation."""
    inputs = keras.Input((5, 6), name="data")
    shared = layers.Dense(6, name="shared")
    hidden = shared(shared(inputs))
    nested = keras.Sequential([keras.Input((5, 6)), layers.Dense(4, name="a")], name="nested")
    start = keras.Input((5, 4), name="start")
    inner = keras.Model(start, layers.Dense(4, name="b")(start) + start, name="inner")
    hidden = inner(nested(hidden)) * 2.0
    hidden = layers.TimeDistributed(layers.Dense(3, name="c"), name="steps")(hidden)
    return keras.Model(inputs, ops.tanh(hidden), name="whole")


def test_shared_and_nested_layers():
    model = graph_model()
    inputs = tools.random(2, 5, 6)
    expected = tools.array(model(inputs))
    wrapped = tfspecnorm.wrap(model, learned)
    assert wrapped.name == "whole"
    assert wrapped.layers[0].name == "data"
    np.testing.assert_allclose(tools.array(wrapped(inputs)), expected, atol=1e-5)
    assert [layer.layer.name for layer in wrapped_layers(wrapped)] == ["shared", "steps"]
    assert isinstance(wrapped.get_layer("nested").layers[0], SpectralNorm)
    assert len(wrapped.trainable_weights) == len(model.trainable_weights) + 4
    plain, folded = tfspecnorm.fold(wrapped, report=True)
    assert sorted(record.name for record in folded) == ["a", "b", "shared", "steps"]
    assert names(plain) == names(model)
    assert type(plain.get_layer("steps").layer) is layers.Dense
    np.testing.assert_allclose(tools.array(plain(inputs)), expected, atol=1e-5)
    assert [tuple(v.shape) for v in plain.weights] == [tuple(v.shape) for v in model.weights]


def test_new_models_share_nothing_with_the_old():
    model = graph_model()
    inputs = tools.random(2, 5, 6)
    expected = tools.array(model(inputs))
    wrapped = tfspecnorm.wrap(model, SpectralNorm)
    plain = tfspecnorm.fold(wrapped)
    for new in (wrapped, plain):
        for variable in new.weights:
            variable.assign(np.zeros(variable.shape))
    np.testing.assert_array_equal(tools.array(model(inputs)), expected)
    assert not {id(v) for v in model.weights} & {id(v) for v in wrapped.weights + plain.weights}


def test_where_chooses():
    model = graph_model()
    wrapped = tfspecnorm.wrap(model, SpectralNorm, where=lambda layer: layer.name in ("a", "c"))
    _, folded = tfspecnorm.fold(wrapped, report=True)
    assert sorted(record.name for record in folded) == ["a", "c"]


def test_wrapping_what_is_partly_wrapped():
    """Names of new wrappers do not collide with those of a model from a file."""
    model = graph_model()
    once = tfspecnorm.wrap(model, SpectralNorm, where=lambda layer: layer.name == "shared")
    inputs = tools.random(2, 5, 6)
    for _ in range(3):
        once(inputs, training=True)
    keras.utils.clear_session()
    twice = tfspecnorm.wrap(once, learned)
    np.testing.assert_allclose(tools.array(twice(inputs)), tools.array(once(inputs)), atol=1e-5)
    _, folded = tfspecnorm.fold(twice, report=True)
    assert sorted(record.name for record in folded) == ["a", "b", "shared", "steps"]


def test_compiled_model_with_functions_of_ones_own():
    model = graph_model()
    model.compile("adam", lambda targets, outputs: ops.mean((targets - outputs) ** 2))
    wrapped = tfspecnorm.wrap(model, SpectralNorm)
    assert model.compiled and not wrapped.compiled
    model.fit(tools.random(4, 5, 6), tools.random(4, 5, 3), verbose=0)
    wrapped.compile("adam", lambda targets, outputs: ops.mean((targets - outputs) ** 2))
    wrapped.fit(tools.random(4, 5, 6), tools.random(4, 5, 3), verbose=0)
    assert not tfspecnorm.fold(wrapped).compiled


def test_frozen_layers_stay_frozen():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)])
    model.layers[0].trainable = False
    wrapped = tfspecnorm.wrap(model, SpectralNorm)
    assert [len(layer.layer.trainable_weights) for layer in wrapped.layers] == [0, 2]
    plain = tfspecnorm.fold(wrapped)
    assert [layer.trainable for layer in plain.layers] == [False, True]
    frozen = SpectralNorm(layers.Dense(3), trainable=False)
    plain = tfspecnorm.fold(keras.Sequential([keras.Input((4,)), frozen]))
    assert not plain.layers[0].trainable


def test_dtype_policies_are_kept():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    keras.config.set_dtype_policy("float32")
    inputs = tools.random(2, 4)
    wrapped = tfspecnorm.wrap(model, learned)
    plain = tfspecnorm.fold(wrapped)
    for new in (wrapped, plain):
        assert new.layers[0].compute_dtype == "bfloat16"
        np.testing.assert_allclose(tools.array(new(inputs)), tools.array(model(inputs)), atol=0.02)


@keras.saving.register_keras_serializable(package="tests")
class TakesLayers(keras.Model):
    """A subclass that Keras can rebuild: its layers are arguments."""

    def __init__(self, first, second, **kwargs):
        super().__init__(**kwargs)
        self.first = first
        self.second = second

    def call(self, inputs):
        return self.second(ops.relu(self.first(inputs)))

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {"first": serialize(self.first), "second": serialize(self.second)}

    @classmethod
    def from_config(cls, config):
        return cls(*(keras.saving.deserialize_keras_object(config[k]) for k in ("first", "second")))


class MakesLayers(keras.Model):
    """A subclass that no configuration describes."""

    def __init__(self, wrapper=lambda layer: layer):
        super().__init__()
        self.dense = wrapper(layers.Dense(3))

    def call(self, inputs):
        return self.dense(inputs)


def test_subclassed_model_that_takes_its_layers():
    model = TakesLayers(layers.Dense(4, name="first"), layers.Dense(2, name="second"))
    inputs = tools.random(2, 5)
    expected = tools.array(model(inputs))
    wrapped = tfspecnorm.wrap(model, learned)
    assert isinstance(wrapped, TakesLayers)
    assert isinstance(wrapped.first, SpectralNorm)
    np.testing.assert_allclose(tools.array(wrapped(inputs)), expected, atol=1e-5)
    plain, folded = tfspecnorm.fold(wrapped, report=True)
    assert [record.name for record in folded] == ["first", "second"]
    assert type(plain.first) is layers.Dense
    np.testing.assert_allclose(tools.array(plain(inputs)), expected, atol=1e-5)


@pytest.mark.parametrize("operation", ["wrap", "fold"])
def test_subclassed_model_without_a_configuration(operation):
    model = MakesLayers() if operation == "wrap" else MakesLayers(SpectralNorm)
    inputs = tools.random(2, 5)
    expected = tools.array(model(inputs))
    with pytest.raises(ValueError, match="MakesLayers.*cannot be copied.*must have a `get_config`"):
        if operation == "wrap":
            tfspecnorm.wrap(model, SpectralNorm)
        else:
            tfspecnorm.fold(model)
    if operation == "fold":
        folded, (record,) = tfspecnorm.fold(model, report=True, in_place=True)
        assert folded is model and record.stays
        np.testing.assert_allclose(tools.array(model.dense.layer(inputs)), expected, atol=1e-6)
        np.testing.assert_allclose(tools.array(model(inputs)), expected, atol=1e-6)


def test_attention_in_a_functional_model():
    inputs = keras.Input((4, 6))
    attention = SpectralNorm(layers.MultiHeadAttention(2, 3, name="attention"))
    model = keras.Model(inputs, attention(inputs, inputs))
    data = tools.random(2, 4, 6)
    model(data, training=True)
    plain, folded = tfspecnorm.fold(model, report=True)
    assert folded[0].kernels == ("query_kernel", "key_kernel", "value_kernel", "output_kernel")
    np.testing.assert_allclose(tools.array(plain(data)), tools.array(model(data)), atol=1e-6)


def test_model_without_wrappers_folds_to_a_copy():
    model = graph_model()
    inputs = tools.random(2, 5, 6)
    plain, folded = tfspecnorm.fold(model, report=True)
    assert folded == []
    np.testing.assert_array_equal(tools.array(plain(inputs)), tools.array(model(inputs)))


def test_folded_model_loads_without_the_package(tmp_path):
    model = tfspecnorm.fold(tfspecnorm.wrap(graph_model(), SpectralNorm))
    model.save(tmp_path / "plain.keras")
    import zipfile

    with zipfile.ZipFile(tmp_path / "plain.keras") as archive:
        assert "tfspecnorm" not in archive.read("config.json").decode()


def test_warm_up_of_a_model_after_weights_were_assigned():
    model = tfspecnorm.wrap(graph_model(), SpectralNorm)
    for layer in wrapped_layers(model):
        (kernel,) = layer.kernels
        kernel.variable.assign(5 * tools.random(*kernel.variable.shape, seed=9))
    tfspecnorm.warm_up(model)
    for layer in wrapped_layers(model):
        effective = tools.array(layer.effective_kernels()["kernel"])
        np.testing.assert_allclose(np.linalg.norm(effective, 2), 1.0, rtol=1e-5)


@pytest.mark.parametrize("function", [tfspecnorm.fold, lambda m: tfspecnorm.wrap(m, SpectralNorm)])
def test_bad_models(function):
    with pytest.raises(ValueError, match="`model` must be a Keras model. Received: model=3"):
        function(3)
    with pytest.raises(ValueError, match="`model` must be a Keras model. Received: model=<Dense"):
        function(layers.Dense(3))
    with pytest.raises(ValueError, match="must be built.*Received: unbuilt model"):
        function(keras.Sequential([layers.Dense(3)]))


def test_bad_wrap():
    model = graph_model()
    with pytest.raises(ValueError, match="`where` must choose at least one layer"):
        tfspecnorm.wrap(model, SpectralNorm, where=lambda layer: False)
    with pytest.raises(ValueError, match="`where` must choose at least one layer with known ker"):
        flat = keras.Sequential([keras.Input((2, 3)), layers.Flatten()])
        tfspecnorm.wrap(flat, SpectralNorm, where=lambda layer: True)
    with pytest.raises(ValueError, match="`wrapper` must return a wrapper of.*returning None"):
        tfspecnorm.wrap(model, lambda layer: None)
    with pytest.raises(ValueError, match="`wrapper` must be a wrapper of.*SpectralNormalization"):
        tfspecnorm.wrap(model, layers.SpectralNormalization)
    with pytest.raises(ValueError, match="are wrapped already. Received: where=None"):
        tfspecnorm.wrap(tfspecnorm.wrap(model, SpectralNorm), SpectralNorm)


@keras.saving.register_keras_serializable(package="tests")
class MakesLayersFromNumbers(layers.Layer):
    """A layer whose configuration rebuilds it, but with layers of its own making."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = layers.Dense(units, name="made")

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, inputs):
        return self.dense(inputs)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def test_a_layer_that_makes_its_own_is_wrapped_where_it_is():
    inputs = keras.Input((4,))
    hidden = MakesLayersFromNumbers(3, name="maker")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="out")(hidden))
    for where, names in ((lambda layer: layer.name == "made", ["made"]), (None, ["made", "out"])):
        wrapped = tfspecnorm.wrap(model, learned, where=where)
        assert type(wrapped.get_layer("maker")) is MakesLayersFromNumbers
        x = tools.random(3, 4)
        np.testing.assert_allclose(tools.array(wrapped(x)), tools.array(model(x)), atol=1e-5)
        plain, folded = tfspecnorm.fold(wrapped, report=True)
        assert [record.name for record in folded] == names
        assert type(plain) is type(model)


def test_nested_models_are_entered_whatever_where_says_of_them():
    model = graph_model()
    wrapped = tfspecnorm.wrap(
        model, SpectralNorm, where=lambda layer: layer.name in ("nested", "a", "inner", "b")
    )
    _, folded = tfspecnorm.fold(wrapped, report=True)
    assert sorted(record.name for record in folded) == ["a", "b"]


def test_subclassed_model_that_takes_functional_models():
    def part(name):
        start = keras.Input((5,))
        return keras.Model(start, layers.Dense(5, name=f"{name}_dense")(start), name=name)

    model = TakesLayers(part("generator"), part("discriminator"))
    inputs = tools.random(2, 5)
    expected = tools.array(model(inputs))
    wrapped = tfspecnorm.wrap(model, learned)
    np.testing.assert_allclose(tools.array(wrapped(inputs)), expected, atol=1e-5)
    plain, folded = tfspecnorm.fold(wrapped, report=True)
    assert [record.name for record in folded] == ["generator_dense", "discriminator_dense"]
    np.testing.assert_allclose(tools.array(plain(inputs)), expected, atol=1e-5)


def test_layers_of_one_name_in_one_holder():
    model = TakesLayers(layers.Dense(5, name="d"), layers.Dense(5, activation="tanh", name="d"))
    inputs = tools.random(2, 5)
    expected = tools.array(model(inputs))
    wrapped = tfspecnorm.wrap(model, learned)
    np.testing.assert_allclose(tools.array(wrapped(inputs)), expected, atol=1e-5)
    assert len(tfspecnorm.fold(wrapped, report=True)[1]) == 2


def test_recurrent_layers_are_wrapped_as_a_whole():
    inputs = keras.Input((5, 3))
    hidden = layers.Bidirectional(layers.LSTM(2), name="both")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="out")(hidden))
    data = tools.random(2, 5, 3)
    wrapped = tfspecnorm.wrap(model, learned)
    np.testing.assert_allclose(tools.array(wrapped(data)), tools.array(model(data)), atol=1e-5)
    plain, folded = tfspecnorm.fold(wrapped, report=True)
    assert [record.name for record in folded] == ["both", "out"]
    np.testing.assert_allclose(tools.array(plain(data)), tools.array(model(data)), atol=1e-5)


def test_state_that_is_adapted_is_carried_over():
    """What a layer derives from its weights when they are loaded."""
    normalization = layers.Normalization()
    normalization.adapt(3.0 + 2.0 * tools.random(50, 4))
    model = keras.Sequential([keras.Input((4,)), normalization, layers.Dense(3)])
    inputs = tools.random(2, 4)
    expected = tools.array(model(inputs))
    wrapped = tfspecnorm.wrap(model, learned)
    np.testing.assert_allclose(tools.array(wrapped(inputs)), expected, atol=1e-5)
    np.testing.assert_allclose(tools.array(tfspecnorm.fold(wrapped)(inputs)), expected, atol=1e-5)


@pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="text needs TensorFlow")
def test_vocabulary_is_carried_over():
    words = layers.TextVectorization(output_sequence_length=3)
    words.adapt(["a rose is a rose", "is a rose"])
    inputs = keras.Input((1,), dtype="string")
    hidden = SpectralNorm(layers.Embedding(9, 4))(words(inputs))
    model = keras.Model(inputs, hidden)
    texts = ops.convert_to_tensor([["a rose"], ["is not"]])
    plain = tfspecnorm.fold(model)
    np.testing.assert_allclose(tools.array(plain(texts)), tools.array(model(texts)), atol=1e-6)


def test_folded_layer_has_the_wrappers_dtype():
    wrapped = SpectralNorm(layers.Dense(3), dtype="mixed_bfloat16")
    plain = tfspecnorm.fold(keras.Sequential([keras.Input((4,)), wrapped]))
    outputs = plain(tools.random(2, 4))
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"


def test_warm_up_without_wrappers():
    with pytest.raises(ValueError, match="`model` must be a Keras model. Received: model=3"):
        tfspecnorm.warm_up(3)
    with pytest.raises(ValueError, match="must hold a layer wrapped.*'whole' without one"):
        tfspecnorm.warm_up(graph_model())


def test_matrices_that_are_left_as_they_are_are_named():
    class Block(layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.one, self.two = layers.Dense(8, name="one"), layers.Dense(4, name="two")

        def build(self, shape):
            self.one.build(shape)
            self.two.build((*shape[:-1], 8))
            self.table = self.add_weight(shape=(2, 2), name="table")

        def call(self, inputs):
            return inputs + self.two(self.one(inputs))

    head = layers.Dense(2, name="head")
    positions = layers.Embedding(5, 4, name="position_embedding")
    model = keras.Sequential([keras.Input((3,)), positions, Block(name="block"), head])
    with pytest.warns(UserWarning, match="leaves 2 matrices") as caught:
        wrapped = tfspecnorm.wrap(model, SpectralNorm)
    (message,) = (str(one.message) for one in caught if "leaves" in str(one.message))
    # Keras names a layer anew whose configuration it makes itself.
    assert re.search(r"block\w*/table \(2, 2\): Block is not known", message)
    assert "position_embedding/embeddings (5, 4): a table of positions" in message
    left = tfspecnorm.raw_matrices(wrapped)
    assert [matrix.shape for matrix in left] == [(5, 4), (2, 2)]
    assert len(tfspecnorm.raw_matrices(model)) == 5
    # Whoever chooses is not told.
    again = tfspecnorm.wrap(model, SpectralNorm, where=lambda layer: layer.name == "head")
    assert isinstance(again.layers[-1], SpectralNorm)
    assert len(tfspecnorm.raw_matrices(again)) == 4
