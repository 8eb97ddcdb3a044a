"""Names after `wrap`, what a wrapper shows of the layer inside, and plain weights in it."""

import copy
import pickle

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tfspecnorm.layers import MeanSpectralNorm, SpectralNorm, WeightNorm

WRAPPERS = [SpectralNorm, MeanSpectralNorm, WeightNorm]


def two_heads():
    inputs = keras.Input((4,))
    trunk = layers.Dense(5, name="trunk")(inputs)
    return keras.Model(
        inputs, [layers.Dense(1, name="age")(trunk), layers.Dense(3, name="kind")(trunk)]
    )


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_outputs_and_layers_keep_their_names(wrapper, tmp_path):
    model = tfspecnorm.wrap(two_heads(), wrapper)
    assert model.output_names == ["age", "kind"]
    assert isinstance(model.get_layer("trunk"), wrapper)
    model.compile("sgd", loss={"age": "mse", "kind": "mse"})
    targets = {"age": tools.random(6, 1), "kind": tools.random(6, 3)}
    model.fit(tools.random(6, 4), targets, verbose=0)
    inputs = tools.random(3, 4)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.output_names == ["age", "kind"]
    for old, new in zip(model(inputs), loaded(inputs), strict=True):
        np.testing.assert_allclose(tools.array(new), tools.array(old), atol=1e-6)
    assert tfspecnorm.fold(model).output_names == ["age", "kind"]


def test_a_chosen_name_stays():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="dense")])
    for name in ("mine", "dense"):
        wrapped = tfspecnorm.wrap(model, lambda layer, name=name: SpectralNorm(layer, name=name))
        assert wrapped.layers[0].name == name
    assert SpectralNorm(layers.Dense(3, name="dense")).name.startswith("spectral_norm")


def test_layers_of_one_name_in_two_models():
    """A wrapper that was there keeps its vectors when its namesake in another model is wrapped."""
    start = keras.Input((4,))
    first = tfspecnorm.wrap(
        keras.Model(start, layers.Dense(4, name="dense")(start), name="first"), SpectralNorm
    )
    first(tools.random(2, 4), training=True)
    vector = first.get_layer("dense").state[0]
    vector.assign(tools.random(*vector.shape))
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(4, name="dense")(first(inputs)))
    wrapped = tfspecnorm.wrap(model, SpectralNorm)
    kept = wrapped.get_layer("first").get_layer("dense").state[0]
    np.testing.assert_array_equal(tools.array(kept), tools.array(vector))


def test_a_summary_shows_what_is_inside():
    model = tfspecnorm.wrap(two_heads(), SpectralNorm)
    lines = []
    model.summary(200, expand_nested=True, print_fn=lambda line, **_: lines.append(line))
    text = " ".join("".join(lines).split())
    assert "trunk (SpectralNorm)" in text
    assert "└ trunk (Dense)" in text


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_attributes_of_the_layer_inside_are_pointed_at(wrapper):
    layer = wrapper(layers.Conv2D(3, 2))
    keras.Sequential([keras.Input((4, 4, 2)), layer])
    for name in ("kernel", "bias", "filters", "kernel_size", "strides"):
        with pytest.raises(AttributeError, match=rf"no attribute '{name}'.*`\.layer\.{name}`"):
            getattr(layer, name)
        assert not hasattr(layer, name)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'$"):
        _ = layer.nonsense
    inputs = tools.random(2, 4, 4, 2)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_allclose(tools.array(twin(inputs)), tools.array(layer(inputs)), atol=1e-6)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_plain_weights_in_a_wrapped_model_say_what_to_do(wrapper, tmp_path):

    def build():
        return keras.Sequential([keras.Input((4,)), layers.Dense(3, name="trunk")])

    path = tmp_path / "plain.weights.h5"
    plain = build()
    plain.save_weights(path)
    with pytest.raises(ValueError, match="load it into the plain model first, and wrap then"):
        tfspecnorm.wrap(build(), wrapper).load_weights(path)
    other = build()
    other.load_weights(path)
    wrapped = tfspecnorm.wrap(other, wrapper)
    np.testing.assert_array_equal(
        tools.array(wrapped.get_layer("trunk").layer.kernel),
        tools.array(plain.get_layer("trunk").kernel),
    )
