"""What is kept of a model that tensorflow-addons normalized."""

import numpy as np
from keras import layers

from tests import tools
from tests.migration.addons import arrays_of, built, with_formats
from tests.migration.wrapped import learned, sigma_of, wrappers
from tfspecnorm.layers import SpectralNorm, WeightNorm
from tfspecnorm.migration import load_tensorflow_addons


@with_formats("spectral_images", "spectral_nested", "spectral_branches", "spectral_ids")
def test_learned_scales_keep_what_a_spectral_model_computes(folder, name, kind):
    model = built(name, learned)
    load_tensorflow_addons(model, folder / f"{name}{kind}")
    arrays = arrays_of(folder, name)
    outputs = tools.array(model(arrays["inputs"]))
    np.testing.assert_allclose(outputs, arrays["outputs"], atol=1e-5)


@with_formats("spectral_images", "spectral_nested")
def test_spectral_kernels_are_divided_by_their_norm(folder, name, kind):
    model = built(name, SpectralNorm)
    load_tensorflow_addons(model, folder / f"{name}{kind}")
    arrays = arrays_of(folder, name)
    stored = [arrays[key] for key in arrays if key.endswith("/kernel:0") and "plain" not in key]
    found = wrappers(model)
    assert len(found) == 3
    for layer, kernel in zip(found, stored, strict=True):
        np.testing.assert_array_equal(tools.array(layer.layer.kernel), kernel)
        effective = tools.array(layer.effective_kernels()["kernel"])
        np.testing.assert_allclose(effective, kernel / sigma_of(kernel), atol=1e-5)


@with_formats(
    "weight_images", "weight_data_images", "weight_nested", "weight_data_nested", "weight_sequences"
)
def test_weight_normalization_computes_what_it_computed(folder, name, kind):
    model = built(name, WeightNorm)
    load_tensorflow_addons(model, folder / f"{name}{kind}")
    arrays = arrays_of(folder, name)
    outputs = tools.array(model(arrays["inputs"]))
    np.testing.assert_allclose(outputs, arrays["outputs"], atol=1e-5)
    gains = [arrays[key] for key in arrays if key.endswith("/g:0")]
    for layer, gain in zip(wrappers(model), gains, strict=True):
        recurrent = isinstance(layer.layer, layers.LSTM)
        found = layer.gains()["recurrent_kernel" if recurrent else "kernel"]
        np.testing.assert_allclose(tools.array(found), gain, rtol=1e-6)


@with_formats("weight_images_untrained")
def test_gains_of_a_model_that_was_never_called_are_lengths(folder, name, kind):
    model = built(name, WeightNorm)
    load_tensorflow_addons(model, folder / f"{name}{kind}")
    for layer in wrappers(model):
        kernel = tools.array(layer.layer.kernel)
        lengths = np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), axis=0)
        np.testing.assert_allclose(tools.array(layer.gains()["kernel"]), lengths, rtol=1e-6)
