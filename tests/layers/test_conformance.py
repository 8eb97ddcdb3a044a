"""Every wrapper on every layer family: one row here for each new one of either."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import tfspecnorm
from tests import tools
from tfspecnorm import kernels
from tfspecnorm.layers import SpectralNorm

WRAPPERS = {
    "spectral": SpectralNorm,
    "spectral-scaled": lambda layer: SpectralNorm(layer, power_iterations=2, scale=1.6),
    "spectral-bounded": lambda layer: SpectralNorm(layer, bound=0.5),
    "spectral-learned": lambda layer: SpectralNorm(
        layer, scale=tfspecnorm.scales.Learned(), jit_compile=False
    ),
}

# Family: layer, shape of one input, whether inputs are integers, and whether the family is the
# representative of its kind for the compiled and the exported cells.
FAMILIES = {
    "dense": (lambda: layers.Dense(4, activation="tanh"), (6,), False, True),
    "dense-sequence": (lambda: layers.Dense(4, use_bias=False), (3, 6), False, False),
    "einsum": (lambda: layers.EinsumDense("abc,cd->abd", (None, 4)), (3, 6), False, True),
    "einsum-blocks": (lambda: layers.EinsumDense("abc,bcd->abd", (3, 4)), (3, 6), False, False),
    "embedding": (lambda: layers.Embedding(9, 4), (5,), True, True),
    "conv1d": (lambda: layers.Conv1D(4, 3, padding="causal"), (7, 2), False, False),
    "conv2d": (lambda: layers.Conv2D(4, 3, activation="relu"), (7, 6, 2), False, True),
    "conv2d-strided": (
        lambda: layers.Conv2D(4, (3, 2), strides=2, padding="same"), (7, 6, 2), False, False,
    ),
    "conv2d-dilated": (lambda: layers.Conv2D(4, 3, dilation_rate=2), (7, 6, 2), False, False),
    "conv2d-grouped": (lambda: layers.Conv2D(4, 3, groups=2), (7, 6, 2), False, False),
    "conv3d": (lambda: layers.Conv3D(3, 2), (4, 4, 4, 2), False, False),
    "conv1d-transposed": (lambda: layers.Conv1DTranspose(4, 3, strides=2), (5, 2), False, False),
    "conv2d-transposed": (lambda: layers.Conv2DTranspose(4, 3, strides=2), (5, 4, 2), False, True),
    "conv3d-transposed": (lambda: layers.Conv3DTranspose(3, 2), (3, 3, 3, 2), False, False),
    "depthwise1d": (lambda: layers.DepthwiseConv1D(3), (7, 3), False, False),
    "depthwise2d": (
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2), (7, 6, 3), False, True,
    ),
    "separable1d": (lambda: layers.SeparableConv1D(4, 3), (7, 3), False, False),
    "separable2d": (lambda: layers.SeparableConv2D(4, 3), (7, 6, 3), False, True),
    "simple-rnn": (lambda: layers.SimpleRNN(4), (5, 3), False, False),
    "lstm": (lambda: layers.LSTM(4, return_sequences=True), (5, 3), False, False),
    "gru": (lambda: layers.GRU(4), (5, 3), False, False),
}  # fmt: skip

REPRESENTATIVES = [name for name, row in FAMILIES.items() if row[3]]
# A wrapper meets every family; its options meet one of each kind.
OPTIONS = ("spectral-scaled", "spectral-bounded", "spectral-learned")
PAIRS = [
    (wrapper, family)
    for wrapper in WRAPPERS
    for family in (REPRESENTATIVES if wrapper in OPTIONS else FAMILIES)
]

pairs = pytest.mark.parametrize(("wrapper", "family"), PAIRS, ids=[f"{w}-{f}" for w, f in PAIRS])
representative = pytest.mark.parametrize("family", REPRESENTATIVES)


def model_of(wrapper, family):
    make, shape, integers, _ = FAMILIES[family]
    layer = WRAPPERS[wrapper](make())
    inputs = keras.Input(shape, dtype="int32" if integers else None)
    return keras.Model(inputs, layer(inputs)), layer


def data(family, batch=3, seed=0):
    _, shape, integers, _ = FAMILIES[family]
    if integers:
        return np.random.default_rng(seed).integers(0, 9, (batch, *shape)).astype("int32")
    return tools.random(batch, *shape, seed=seed)


def expected_norm(wrapper, sigma):
    return {
        "spectral": 1.0,
        "spectral-scaled": 1.6,
        "spectral-bounded": min(sigma, 0.5),
        "spectral-learned": sigma,
    }[wrapper]


@pairs
def test_eager_and_graph(wrapper, family):
    """The effective kernels have the norm that they should; a plain layer with them agrees."""
    model, layer = model_of(wrapper, family)
    inputs = data(family)
    effective = layer.effective_kernels()
    for kernel in kernels.kernels_of(layer.layer):
        raw, new = tools.array(kernel.variable), tools.array(effective[kernel.name])
        sigma = tools.largest_singular_value(kernel.linear_map.matrix(raw, np))
        found = tools.largest_singular_value(kernel.linear_map.matrix(new, np))
        np.testing.assert_allclose(found, expected_norm(wrapper, sigma), rtol=1e-4)
        np.testing.assert_allclose(new / found, raw / sigma, atol=1e-5)
    eager = tools.array(model(inputs))
    np.testing.assert_allclose(model.predict(inputs, verbose=0), eager, atol=1e-5)
    for kernel in kernels.kernels_of(layer.layer):
        kernel.variable.assign(tools.array(effective[kernel.name]))
    np.testing.assert_allclose(tools.array(layer.layer(inputs)), eager, atol=1e-5)


@pairs
def test_two_training_calls_and_evaluation(wrapper, family):
    model, layer = model_of(wrapper, family)
    inputs = data(family)
    raw = [tools.array(variable).copy() for variable in layer.layer.trainable_weights]
    first, second = model(inputs, training=True), model(inputs, training=True)
    np.testing.assert_allclose(tools.array(first), tools.array(second), atol=1e-5)
    for variable, old in zip(layer.layer.trainable_weights, raw, strict=True):
        np.testing.assert_array_equal(tools.array(variable), old)
    np.testing.assert_allclose(tools.array(model(inputs)), tools.array(second), atol=1e-5)


@pairs
def test_training_reduces_the_loss(wrapper, family):
    model, layer = model_of(wrapper, family)
    inputs = data(family, batch=8)
    targets = 0.3 * tools.random(*tools.array(model(inputs)).shape, seed=1)
    model.compile(keras.optimizers.SGD(0.05), "mse")
    history = model.fit(inputs, targets, epochs=6, batch_size=8, verbose=0).history["loss"]
    assert history[-1] < history[0]
    variables = layer.trainable_variables
    wanted = ops.convert_to_tensor(targets)
    found = tools.gradients(lambda: ops.mean(ops.square(model(inputs) - wanted)), variables)
    assert all(np.all(np.isfinite(gradient)) for gradient in found)


@pairs
def test_mixed_precision(wrapper, family):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model, layer = model_of(wrapper, family)
    outputs = model(data(family), training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    assert {keras.backend.standardize_dtype(v.dtype) for v in layer.weights} == {"float32"}
    assert np.all(np.isfinite(tools.array(outputs)))


@pairs
def test_save_and_load(wrapper, family, tmp_path):
    model, _ = model_of(wrapper, family)
    inputs = data(family)
    for _ in range(2):
        model(inputs, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(tools.array(loaded(inputs)), tools.array(model(inputs)))


@pairs
def test_fold(wrapper, family):
    model, layer = model_of(wrapper, family)
    inputs = data(family)
    model(inputs, training=True)
    plain, folded = tfspecnorm.fold(model, report=True)
    assert [record.name for record in folded] == [layer.layer.name]
    assert type(plain.layers[-1]) is type(layer.layer)
    assert plain.layers[-1].name == layer.layer.name
    np.testing.assert_allclose(tools.array(plain(inputs)), tools.array(model(inputs)), atol=1e-6)


@representative
def test_compiled_by_xla(family):
    model, _ = model_of("spectral", family)
    inputs = data(family, batch=8)
    expected = tools.array(model(inputs))
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=tools.BACKEND != "torch")
    model.fit(inputs, np.zeros_like(expected), epochs=1, batch_size=8, verbose=0)
    np.testing.assert_allclose(tools.array(model(inputs)), expected, atol=1e-5)


@pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="LiteRT files are made by TensorFlow")
@representative
def test_litert_file_of_the_folded_model(family, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    model, _ = model_of("spectral", family)
    inputs = data(family, batch=1)
    path = tmp_path / "model.tflite"
    signature = [keras.InputSpec(shape=inputs.shape, dtype=str(inputs.dtype))]
    tfspecnorm.fold(model).export(path, format="litert", input_signature=signature, verbose=False)
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(found, tools.array(model(inputs)), atol=1e-5)


def test_every_family_of_the_registry_has_a_row():
    tested = {type(make()).__name__ for make, *_ in FAMILIES.values()}
    elsewhere = {"MultiHeadAttention"}
    keras_layers = {name for name in kernels.registered() if hasattr(layers, name)}
    assert keras_layers == tested | elsewhere
