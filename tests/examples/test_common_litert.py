"""The LiteRT file: no trace of the normalization, and the same numbers as Keras."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from common import litert, norms

import tfspecnorm
from tests import tools
from tfspecnorm.models import vgg7

# ReLU becomes a part of the convolution; LiteRT has an operator for the leaky one.
BLOCK = ["CONV_2D", "LEAKY_RELU"]
POOL = ["MAX_POOL_2D"]
OPERATORS = BLOCK * 2 + POOL + BLOCK * 2 + POOL + (BLOCK + POOL) * 2 + ["FULLY_CONNECTED"]


def operators(path):
    """Operators of a file in their order, as they are before a delegate takes them over."""
    interpreter = Interpreter(
        str(path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    return [details["op_name"] for details in interpreter._get_ops_details()]


@pytest.fixture(scope="module")
def spectral():
    """A VGG7 with spectral normalization whose weights have left their start."""
    keras.utils.set_random_seed(0)
    model = vgg7()
    tools.fit_steps(model, tools.random(8, 32, 32, 3), tools.random(8, 10, seed=1), epochs=2)
    return model


@pytest.fixture(scope="module")
def folded(spectral):
    return tfspecnorm.fold(spectral)


def twin(folded):
    """The plain variant with the folded weights."""
    model = vgg7(normalization="none", negative_slope=0.1)
    model.set_weights(folded.get_weights())
    return model


def test_folded_file_is_that_of_the_plain_variant(folded, tmp_path):
    litert.export_litert(folded, tmp_path / "folded.tflite")
    litert.export_litert(twin(folded), tmp_path / "plain.tflite")
    assert operators(tmp_path / "folded.tflite") == OPERATORS
    assert operators(tmp_path / "plain.tflite") == OPERATORS
    sizes = [(tmp_path / f"{name}.tflite").stat().st_size for name in ("folded", "plain")]
    assert abs(sizes[0] - sizes[1]) <= 256
    # Four bytes for each parameter, and little else.
    assert 4 * 437_162 < sizes[0] < 4 * 437_162 + 8192


@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_relu_and_batch_normalization_cost_no_operator(normalization, tmp_path):
    litert.export_litert(vgg7(normalization=normalization), tmp_path / "model.tflite")
    expected = [name for name in OPERATORS if name != "LEAKY_RELU"]
    assert operators(tmp_path / "model.tflite") == expected


def test_file_computes_what_keras_computes(spectral, folded, tmp_path):
    images = tools.random(12, 32, 32, 3, seed=2)
    litert.export_litert(folded, tmp_path / "model.tflite")
    outputs, seconds = litert.run_litert(tmp_path / "model.tflite", images)
    assert np.abs(outputs - spectral.predict(images, verbose=0)).max() < 1e-5
    assert seconds.shape == (12,)
    assert (seconds > 0).all()


def test_raw_norms_are_those_before_the_division(spectral):
    found = norms.raw_norms(spectral)
    assert list(found) == [f"sigma/conv{number}" for number in range(1, 7)] + ["sigma/head"]
    for layer in spectral.layers:
        inner = getattr(layer, "layer", layer)
        if f"sigma/{inner.name}" in found:
            matrix = tools.matrix_of(tools.array(inner.kernel), -1)
            exact = tools.largest_singular_value(matrix)
            assert found[f"sigma/{inner.name}"] == pytest.approx(exact, rel=1e-2)


def test_raw_norms_of_plain_layers(folded):
    found = norms.raw_norms(folded)
    convolutions = [found[f"sigma/conv{number}"] for number in range(1, 7)]
    assert convolutions == pytest.approx([1.0] * 6, rel=1e-2)
