"""Models with `keras.layers.SpectralNormalization`."""

import keras
import numpy as np
import pytest
from keras import layers

from tests import tools
from tests.migration.wrapped import GOLDEN, learned, sigma_of, wrappers
from tfspecnorm.layers import SpectralNorm, WeightNorm
from tfspecnorm.migration import from_keras


@pytest.fixture(scope="module")
def normalized():
    return keras.saving.load_model(GOLDEN / "keras_spectral.keras")


@pytest.fixture(scope="module")
def keras_arrays():
    return dict(np.load(GOLDEN / "keras_spectral.npz"))


def test_learned_scales_keep_what_a_model_of_keras_computes(normalized, keras_arrays):
    inputs, outputs = {"images": keras_arrays["inputs"]}, keras_arrays["outputs"]
    np.testing.assert_allclose(tools.array(normalized(inputs)), outputs, atol=1e-5)
    new = from_keras(normalized, learned)
    assert len(wrappers(new)) == 4
    np.testing.assert_allclose(tools.array(new(inputs)), outputs, atol=1e-5)


def test_kernels_of_keras_are_carried_over_and_divided_by_their_norm(normalized, keras_arrays):
    new = from_keras(normalized)
    found = wrappers(new)
    names = ["normalized_shared", "normalized_inside", "normalized_up", "normalized_step"]
    assert [layer.name for layer in found] == names
    assert [layer.power_iterations for layer in found] == [2, 1, 1, 1]
    assert [layer.name for layer in new.layers] == [layer.name for layer in normalized.layers]
    for layer in found:
        (path,) = (p for p in keras_arrays if p.endswith(f"{layer.layer.name}/kernel"))
        kernel = keras_arrays[path]
        np.testing.assert_array_equal(tools.array(layer.layer.kernel), kernel)
        axis = -2 if isinstance(layer.layer, layers.Conv2DTranspose) else -1
        effective = tools.array(layer.effective_kernels()["kernel"])
        np.testing.assert_allclose(effective, kernel / sigma_of(kernel, axis), atol=1e-5)
    plain = tools.array(new.get_layer("plain").kernel)
    np.testing.assert_array_equal(plain, keras_arrays["plain/kernel"])
    moving = tools.array(new.get_layer("inner").get_layer("statistics").moving_mean)
    np.testing.assert_array_equal(moving, keras_arrays["inner/statistics/moving_mean"])


def test_weights_alone_of_keras(normalized, keras_arrays):
    model = keras.models.clone_model(normalized)
    model.load_weights(GOLDEN / "keras_spectral.weights.h5")
    new = from_keras(model, learned)
    outputs = tools.array(new({"images": keras_arrays["inputs"]}))
    np.testing.assert_allclose(outputs, keras_arrays["outputs"], atol=1e-5)


def test_file_of_the_keras_that_is_installed(normalized, keras_arrays, tmp_path):
    """The golden files are of the oldest one."""
    normalized.save(tmp_path / "again.keras")
    new = from_keras(keras.saving.load_model(tmp_path / "again.keras"), learned)
    outputs = tools.array(new({"images": keras_arrays["inputs"]}))
    np.testing.assert_allclose(outputs, keras_arrays["outputs"], atol=1e-5)


def test_inner_layers_of_keras_left_plain(normalized, keras_arrays):
    plain = from_keras(normalized, lambda layer: layer)
    assert wrappers(plain)[0].name == "step"
    assert [type(layer) for layer in plain.layers][1] is layers.Conv2D
    outputs = tools.array(plain({"images": keras_arrays["inputs"]}))
    np.testing.assert_allclose(outputs, keras_arrays["outputs"], atol=1e-5)


def test_the_model_of_keras_stays_what_it_is(normalized, keras_arrays):
    new = from_keras(normalized)
    assert not new.compiled
    for variable in new.weights:
        variable.assign(np.zeros(variable.shape))
    outputs = tools.array(normalized({"images": keras_arrays["inputs"]}))
    np.testing.assert_allclose(outputs, keras_arrays["outputs"], atol=1e-5)
    assert normalized.compiled


def test_frozen_wrappers_of_keras_stay_frozen():
    frozen = layers.SpectralNormalization(layers.Dense(3), trainable=False)
    model = keras.Sequential([keras.Input((4,)), frozen])
    for wrapper in (SpectralNorm, learned, WeightNorm):
        assert from_keras(model, wrapper).trainable_weights == []


def test_other_wrappers_take_the_place_of_those_of_keras(normalized, keras_arrays):
    new = from_keras(normalized, WeightNorm)
    assert {type(layer) for layer in wrappers(new)} == {WeightNorm}
    outputs = tools.array(new({"images": keras_arrays["inputs"]}))
    np.testing.assert_allclose(outputs, keras_arrays["outputs"], atol=1e-5)


class MakesLayers(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.SpectralNormalization(layers.Dense(3))

    def call(self, inputs):
        return self.dense(inputs)


def test_bad_models_of_keras(normalized):
    with pytest.raises(ValueError, match="`model` must be a Keras model. Received: model=3"):
        from_keras(3)
    with pytest.raises(ValueError, match="must be built.*Received: unbuilt model"):
        from_keras(keras.Sequential([layers.SpectralNormalization(layers.Dense(3))]))
    plain = keras.Sequential([keras.Input((2,)), layers.Dense(3)], name="plain")
    with pytest.raises(ValueError, match="must hold a `keras.*Received: model 'plain' without"):
        from_keras(plain)
    with pytest.raises(ValueError, match="`wrapper` must return a wrapper.*returning None"):
        from_keras(normalized, lambda layer: None)
    model = MakesLayers()
    model(tools.random(2, 5))
    with pytest.raises(ValueError, match="cannot be exchanged.*MakesLayers named"):
        from_keras(model)


@keras.saving.register_keras_serializable(package="tests")
class OwnKernel(layers.Layer):
    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], 3), name="kernel")

    def call(self, inputs):
        return inputs @ self.kernel


def test_layer_of_unknown_kernels_in_a_wrapper_of_keras():
    unknown = layers.SpectralNormalization(OwnKernel())
    model = keras.Sequential([keras.Input((4,)), unknown])
    with pytest.raises(ValueError, match="known kernels.*Received: layer=OwnKernel"):
        from_keras(model)
