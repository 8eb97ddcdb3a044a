"""Every wrapper on every layer family that it is defined for: see `families.py` for the rows."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import tfspecnorm
from tests import tools
from tests.layers.families import (
    FAMILIES,
    KINDS,
    PAIRS,
    UNDEFINED,
    WRAPPERS,
    data,
    model_of,
    quick_pairs,
)
from tfspecnorm import kernels
from tfspecnorm.kernels.registry import public_name


def pairs(turn, families=tuple(FAMILIES)):
    """All wrappers on all families. The quick run takes a covering subset, which the turn picks."""
    quick = quick_pairs(turn, families)
    return pytest.mark.parametrize(
        ("wrapper", "family"),
        [
            pytest.param(w, f, marks=() if (w, f) in quick else pytest.mark.crossed, id=f"{w}-{f}")
            for w, f in PAIRS
        ],
    )


def norm_of(wrapper, kernel, value):
    """The norm that the wrapper should divide by, by NumPy."""
    linear_map = kernel.linear_map
    if linear_map.kind == "depthwise_convolution" and wrapper.startswith(("spectral", "mean")):
        return tools.largest_frequency(value, linear_map.window.input_size)
    sigma = tools.largest_singular_value(linear_map.matrix(value, np))
    if wrapper.startswith("bidirectional"):
        second = tools.largest_singular_value(linear_map.adjoint.matrix(value, np))
        return (sigma + second) / 2
    return sigma


def expected_norm(wrapper, sigma):
    return {
        "spectral-scaled": 1.6,
        "bidirectional-scaled": 1.6,
        "spectral-bounded": min(sigma, 0.5),
        "spectral-learned": sigma,
    }.get(wrapper, 1.0)


@pairs(turn=0)
def test_eager_and_graph(wrapper, family):
    """The effective kernels have the norm that they should; a plain layer with them agrees."""
    model, layer = model_of(wrapper, family)
    inputs = data(family)
    effective = layer.effective_kernels()
    # The norms of the factors of a map, as of a separable convolution, are multiplied.
    maps = {}
    for kernel in layer.kernels:
        raw = tools.array(kernel.value_in(kernel.variable.value))
        new = tools.array(effective[kernel.name])
        if wrapper == "weight":
            np.testing.assert_allclose(new, raw, atol=1e-6)
            continue
        sigma, found = norm_of(wrapper, kernel, raw), norm_of(wrapper, kernel, new)
        maps.setdefault(kernel.followed_by or kernel.name, []).append((sigma, found))
        np.testing.assert_allclose(new / found, raw / sigma, atol=1e-5)
    for factors in maps.values():
        sigma, found = np.prod(factors, axis=0)
        np.testing.assert_allclose(found, expected_norm(wrapper, sigma), rtol=1e-4)
    eager = tools.array(model(inputs))
    np.testing.assert_allclose(model.predict(inputs, verbose=0), eager, atol=1e-5)
    for variable, value in zip(layer.layer.weights, layer._folded_weights(), strict=False):
        variable.assign(tools.array(value))
    plain = FAMILIES[family].call(layer.layer, inputs)
    np.testing.assert_allclose(tools.array(plain), eager, atol=1e-5)


@pairs(turn=1)
def test_length_of_the_raw_kernels_does_not_matter(wrapper, family):
    if wrapper == "spectral-bounded":
        pytest.skip("a bound acts on the length")
    model, layer = model_of(wrapper, family)
    inputs = data(family)
    expected = tools.array(model(inputs))
    for kernel in kernels.kernels_of(layer.layer):
        kernel.variable.assign(7 * kernel.variable.value)
    np.testing.assert_allclose(tools.array(model(inputs)), expected, atol=1e-5)


@pairs(turn=2)
def test_two_training_calls_and_evaluation(wrapper, family):
    model, layer = model_of(wrapper, family)
    inputs = data(family)
    raw = [tools.array(variable).copy() for variable in layer.trainable_weights]
    first, second = model(inputs, training=True), model(inputs, training=True)
    np.testing.assert_allclose(tools.array(first), tools.array(second), atol=1e-5)
    for variable, old in zip(layer.trainable_weights, raw, strict=True):
        np.testing.assert_array_equal(tools.array(variable), old)
    if wrapper != "mean" and family != "sequential":  # Both have means over the batch.
        np.testing.assert_allclose(tools.array(model(inputs)), tools.array(second), atol=1e-5)


@pairs(turn=3)
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


@pairs(turn=4)
def test_mixed_precision(wrapper, family):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model, layer = model_of(wrapper, family)
    outputs = model(data(family), training=True)
    expected = plain_model(family)(data(family)).dtype
    assert outputs.dtype == expected
    reverse = family.startswith("embedding-")  # Keras gives its logits in float32.
    assert keras.backend.standardize_dtype(expected) == ("float32" if reverse else "bfloat16")
    assert {keras.backend.standardize_dtype(v.dtype) for v in layer.weights} <= {
        "float32",
        "uint32",  # The state of a seed generator.
    }
    assert np.all(np.isfinite(tools.array(outputs)))


@pairs(turn=5)
def test_save_and_load(wrapper, family, tmp_path):
    model, _ = model_of(wrapper, family)
    inputs = data(family)
    for _ in range(2):
        model(inputs, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(tools.array(loaded(inputs)), tools.array(model(inputs)))


@pairs(turn=6)
def test_fold(wrapper, family):
    model, layer = model_of(wrapper, family)
    inputs = data(family)
    model(inputs, training=True)
    plain, folded = tfspecnorm.fold(model, report=True)
    assert [record.name for record in folded] == [layer.layer.name]
    assert type(plain.layers[-1]) is type(layer.layer)
    assert plain.layers[-1].name == layer.layer.name
    np.testing.assert_allclose(tools.array(plain(inputs)), tools.array(model(inputs)), atol=1e-6)


@pytest.mark.skipif(tools.BACKEND == "jax", reason="`fit` on JAX is compiled in every other test")
# What takes long meets each kind of kernel in the quick run.
@pairs(turn=7, families=KINDS)
def test_compiled_by_xla(wrapper, family):
    model, _ = model_of(wrapper, family)
    inputs = data(family, batch=8)
    expected = tools.array(model(inputs))
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=tools.BACKEND != "torch")
    model.fit(inputs, np.zeros_like(expected), epochs=1, batch_size=8, verbose=0)
    if wrapper != "mean" and family != "sequential":
        np.testing.assert_allclose(tools.array(model(inputs)), expected, atol=1e-5)


# Keras exports to LiteRT since 3.13.
@pytest.mark.newest_keras
@pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="LiteRT files are made by TensorFlow")
@pairs(turn=8, families=KINDS)
def test_litert_file_of_the_folded_model(wrapper, family, tmp_path):
    """Of built-in operators alone: no family is left out, the recurrent ones neither."""
    model, _ = model_of(wrapper, family)
    inputs = data(family, batch=1)
    plain = tfspecnorm.fold(model)
    found = tools.litert_output(plain, inputs, tmp_path / "model.tflite")
    np.testing.assert_allclose(found, tools.array(model(inputs)), atol=1e-5)


def plain_model(family):
    row = FAMILIES[family]
    inputs = keras.Input(row.shape, dtype="int32" if row.integers else None)
    return keras.Model(inputs, row.call(row.make(), inputs))


@pytest.mark.parametrize(
    ("wrapper", "family"),
    [(wrapper, family) for wrapper, names in UNDEFINED.items() for family in sorted(names)],
)
def test_undefined_pair(wrapper, family):
    with pytest.raises(ValueError, match="Argument `layer` must .* Received: layer="):
        WRAPPERS[wrapper](FAMILIES[family].make())


def test_every_layer_of_the_registry_has_a_row():
    tested = {public_name(type(family.make())) for family in FAMILIES.values()}
    known = {name for name in kernels.registered() if hasattr(layers, name)}
    assert known <= tested


def test_the_quick_run_covers_the_table():
    """Every pair meets a property, and every property meets every wrapper and every kind."""
    each = [quick_pairs(turn) for turn in range(7)]
    long = [quick_pairs(turn, KINDS) for turn in (7, 8)]
    assert set().union(*each, *long) == set(PAIRS)
    for turn in (*each, *long):
        assert {wrapper for wrapper, _ in turn} == set(WRAPPERS)
        assert {family for _, family in turn} >= set(KINDS if turn in long else FAMILIES)
