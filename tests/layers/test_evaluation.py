"""Outside of training each kernel has the norm that was asked for, whatever happened to it."""

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tfspecnorm import norms
from tfspecnorm.gan import GAN
from tfspecnorm.layers import BidirectionalSpectralNorm, MeanSpectralNorm, SpectralNorm, WeightNorm

WITHIN = 1e-3


def convolution(norm):
    return SpectralNorm(layers.Conv2D(6, 3, padding="same", activation="relu"), norm=norm)


def bidirectional(layer):
    return BidirectionalSpectralNorm(layer)


def network(wrap=SpectralNorm, width=24, depth=3):
    hidden = [wrap(layers.Dense(width, activation="relu")) for _ in range(depth)]
    return keras.Sequential([keras.Input((12,)), *hidden, wrap(layers.Dense(3))])


def images_network(wrap):
    return keras.Sequential(
        [
            keras.Input((7, 7, 3)),
            wrap(layers.Conv2D(6, 3, activation="relu")),
            wrap(layers.Conv2D(5, 3, strides=2, activation="relu")),
            layers.Flatten(),
            wrap(layers.Dense(3)),
        ]
    )


def wrappers_of(model):
    return [part for part in model.layers if hasattr(part, "effective_kernels")]


def both_sides(kernel):
    """The mean of the norms of both reshapes."""
    kernel = np.asarray(kernel, "float64")
    sides = (kernel, np.swapaxes(kernel, -2, -1))
    return np.mean([np.linalg.norm(side.reshape(-1, side.shape[-1]), 2) for side in sides])


def used_norms(model, measure=None):
    """The norm of each kernel that the layers compute with, by decompositions in float64."""
    found = []
    for wrapper in wrappers_of(model):
        for kernel in wrapper.kernels:
            value = tools.array(wrapper.effective_kernels()[kernel.name])
            if measure is None:
                found.append(tools.largest_singular_value(kernel.linear_map.matrix(value, np)))
            else:
                found.append(measure(value, kernel.linear_map))
    return found


def assert_norms_are(model, expected=1.0, measure=None):
    np.testing.assert_allclose(used_norms(model, measure), expected, atol=WITHIN)
    assert_predicted_and_folded_alike(model)


def assert_predicted_and_folded_alike(model):
    """`predict`, an eager call and the folded model are one network."""
    inputs = tools.random(16, *model.input_shape[1:], seed=9)
    outputs = model.predict(inputs, verbose=0)
    largest = np.max(np.abs(outputs))
    folded = tfspecnorm.fold(model).predict(inputs, verbose=0)
    np.testing.assert_allclose(folded, outputs, rtol=0, atol=1e-5 * largest)
    eager = tools.array(model(inputs, training=False))
    np.testing.assert_allclose(eager, outputs, rtol=0, atol=1e-5 * largest)


def train(model, epochs=3, optimizer=None, callbacks=(), batch_size=16):
    inputs = tools.random(64, *model.input_shape[1:], seed=1)
    targets = tools.random(64, *model.output_shape[1:], seed=2)
    model.compile(optimizer or keras.optimizers.Adam(3e-2), "mse")
    model.fit(
        inputs, targets, epochs=epochs, batch_size=batch_size, verbose=0, callbacks=list(callbacks)
    )


@pytest.mark.parametrize("wrap", [SpectralNorm, MeanSpectralNorm])
def test_right_after_large_steps(wrap):
    def plain(layer):
        layer.activation = keras.activations.linear
        return wrap(layer)

    keras.utils.set_random_seed(0)
    model = network(plain if wrap is MeanSpectralNorm else wrap)
    train(model)
    assert_norms_are(model)


def test_both_norms_of_convolutions_right_after_large_steps():
    keras.utils.set_random_seed(0)
    model = images_network(bidirectional)
    train(model)
    assert_norms_are(model, measure=lambda value, _: both_sides(value))


def test_operator_norms_after_training_with_adam():
    keras.utils.set_random_seed(0)
    model = images_network(lambda layer: SpectralNorm(layer, norm="operator"))
    train(model, optimizer=keras.optimizers.Adam())
    assert_norms_are(model, measure=lambda value, map_: norms.exact(value, map_).value)
    bound = tfspecnorm.lipschitz_bound(model)
    assert bound.certified
    assert bound.bound <= (1 + WITHIN) ** 3 * 1.05


def test_a_bound_is_never_exceeded():
    """As in SNGP: `bound=.95`."""
    keras.utils.set_random_seed(0)
    model = network(lambda layer: SpectralNorm(layer, bound=0.95))
    train(model)
    found = np.array(used_norms(model))
    assert np.all(found <= 0.95)
    raw = [np.linalg.norm(tools.array(part.layer.kernel), 2) for part in wrappers_of(model)]
    np.testing.assert_allclose(found, np.minimum(raw, 0.95), atol=WITHIN)
    assert_predicted_and_folded_alike(model)


@pytest.mark.parametrize("smallest", [1e-33, 1e-20, 1e20, 1e35, 1e37, 1.6e38])
@pytest.mark.parametrize("bound", [1e-3, 0.5, 20.0])
def test_a_bound_is_kept_by_kernels_of_any_size(bound, smallest):
    layer = SpectralNorm(layers.Dense(6), bound=bound)
    layer.build((None, 8))
    random = tools.random(8, 6)
    kernel = np.sign(random) * (1.0 + np.exp(-np.abs(random))) * np.float32(smallest)
    layer.layer.kernel.assign(kernel)
    used = tools.largest_singular_value(tools.array(layer.effective_kernels()["kernel"]))
    raw = tools.largest_singular_value(kernel)
    assert used <= bound
    np.testing.assert_allclose(used, min(raw, bound), rtol=WITHIN)


@pytest.mark.parametrize("ties", [1.0, 0.9999, 0.9995])
def test_a_bound_is_never_exceeded_by_clustered_values(ties):
    layer = SpectralNorm(layers.Dense(40), bound=0.5)
    layer.build((None, 60))
    layer.layer.kernel.assign(with_singular_values([1.0] + [ties] * 39, 60))
    used = tools.largest_singular_value(tools.array(layer.effective_kernels()["kernel"]))
    assert 0.5 * (1 - WITHIN) <= used <= 0.5


def test_averages_of_the_optimizer():
    for callbacks in ((), (keras.callbacks.SwapEMAWeights(),)):
        keras.utils.set_random_seed(0)
        model = network()
        optimizer = keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.95)
        train(model, optimizer=optimizer, callbacks=callbacks)
        assert_norms_are(model)


def test_averaged_generator_of_a_gan():
    generator = keras.Sequential(
        [keras.Input((4,)), SpectralNorm(layers.Dense(16, activation="relu")), layers.Dense(6)]
    )
    discriminator = network(depth=1)
    discriminator = keras.Sequential(
        [keras.Input((6,)), SpectralNorm(layers.Dense(16)), SpectralNorm(layers.Dense(1))]
    )
    gan = GAN(generator, discriminator, average_momentum=0.9, seed=0)
    gan.compile(keras.optimizers.Adam(1e-2), keras.optimizers.Adam(1e-2))
    gan.fit(tools.random(64, 6), epochs=3, batch_size=16, verbose=0)
    assert_norms_are(gan.averaged_generator)
    assert_norms_are(gan.discriminator)


def test_target_network_of_trainable_variables():
    keras.utils.set_random_seed(0)
    critic, target = network(), network()
    for _ in range(100):
        for own, other in zip(target.trainable_variables, critic.trainable_variables, strict=True):
            own.assign(0.97 * tools.array(own) + 0.03 * tools.array(other))
    assert_norms_are(target)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_mean_of_all_weights_of_two_models(sign):
    """With the sign turned the vectors vanish."""
    keras.utils.set_random_seed(0)
    one, other, mean = network(), network(), network()
    if sign < 0:
        other.set_weights(
            [
                part if "kernel" in v.path else -part
                for part, v in zip(one.get_weights(), one.weights, strict=True)
            ]
        )
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    mean.set_weights([(first + second) / 2 for first, second in pairs])
    assert_norms_are(mean)


def test_partly_loaded_weights(tmp_path):
    """Kernels without their vectors, as from a file of a plain network."""
    keras.utils.set_random_seed(0)
    model, other = network(), network()
    for mine, theirs in zip(wrappers_of(model), wrappers_of(other), strict=True):
        mine.layer.set_weights(theirs.layer.get_weights())
    assert_norms_are(model)


def with_singular_values(values, rows, seed=0):
    left = np.linalg.qr(tools.random(rows, len(values), seed=seed, dtype="float64"))[0]
    right = np.linalg.qr(tools.random(len(values), len(values), seed=seed + 1, dtype="float64"))[0]
    return left * np.asarray(values) @ right.T


def two_close_values(seed, size=600):
    """A fixed random start holds a hundred times more of the second direction than of the first."""
    random = np.random.default_rng(seed)
    bulk = random.uniform(0, 0.6, size - 2)
    return np.diag(random.permutation(np.concatenate([[1, 0.992], bulk])))


ASSIGNED = {
    "gaussian": lambda: tools.random(48, 40),
    "clustered": lambda: with_singular_values([1.0] + [0.999] * 39, 48),
    "nearly equal": lambda: with_singular_values(np.linspace(1, 0.99, 40), 48),
    "equal": lambda: with_singular_values([1.0] * 40, 48),
    "rank one": lambda: np.outer(tools.random(48), tools.random(40, seed=1)),
    "diagonal": lambda: np.eye(48, 40) * np.where(np.arange(40) == 7, 1.5, 1.0),
    "wide": lambda: tools.random(40, 48),
    "one row": lambda: tools.random(1, 40),
    "one column": lambda: tools.random(40, 1),
    "tall": lambda: tools.random(600, 80),
    "large": lambda: tools.random(560, 530),
    "large and wide": lambda: tools.random(530, 560),
    "large with two close values above a bulk": lambda: two_close_values(seed=290),
    "large with two other close values": lambda: two_close_values(seed=500),
    "large of rank one": lambda: np.outer(tools.random(530), tools.random(560, seed=1)),
}


@pytest.mark.parametrize("name", ASSIGNED)
def test_assigned_kernel(name):
    kernel = ASSIGNED[name]()
    layer = SpectralNorm(layers.Dense(kernel.shape[1], use_bias=False))
    layer.build((None, kernel.shape[0]))
    layer.layer.kernel.assign(kernel)
    used = tools.array(layer.effective_kernels()["kernel"])
    np.testing.assert_allclose(tools.largest_singular_value(used), 1.0, atol=WITHIN)
    exact = tools.largest_singular_value(kernel.astype("float32"))
    np.testing.assert_allclose(float(layer.sigma()["kernel"]), exact, rtol=WITHIN)


@pytest.mark.parametrize("size", [(48, 40), (540, 530)])
@pytest.mark.parametrize("gap", [1.01, 1.3])
def test_stored_vectors_that_have_lost_the_leading_direction(size, gap):
    """They are exactly those of another singular value: power iteration would stay there."""
    rows, columns = size
    values = np.linspace(1.0, 0.1, columns)
    values[1] = gap
    left = np.linalg.qr(tools.random(rows, columns, dtype="float64"))[0]
    right = np.linalg.qr(tools.random(columns, columns, seed=1, dtype="float64"))[0]
    layer = SpectralNorm(layers.Dense(columns))
    layer.build((None, rows))
    layer.layer.kernel.assign(left * values @ right.T)
    for variable in layer.state:
        variable.assign((right if variable.name == "vector_u" else left)[:, 0])
    used = tools.largest_singular_value(tools.array(layer.effective_kernels()["kernel"]))
    np.testing.assert_allclose(used, 1.0, atol=WITHIN)


@pytest.mark.parametrize("options", [{}, {"strides": 2}, {"groups": 2}], ids=str)
def test_assigned_convolution(options):
    layer = SpectralNorm(layers.Conv2D(6, 3, **options), norm="operator")
    layer.build((None, 9, 8, 4))
    layer.layer.kernel.assign(tools.random(*layer.layer.kernel.shape, seed=5))
    (kernel,) = layer.kernels
    used = norms.exact(tools.array(layer.effective_kernels()["kernel"]), kernel.linear_map)
    np.testing.assert_allclose(used.value, 1.0, atol=WITHIN)


def test_frozen_layer_in_a_training_call():
    layer = SpectralNorm(layers.Dense(30, use_bias=False))
    layer.build((None, 40))
    layer.layer.kernel.assign(tools.random(40, 30, seed=5))
    layer.trainable = False
    used = tools.array(layer(np.eye(40, dtype="float32"), training=True))
    np.testing.assert_allclose(tools.largest_singular_value(used), 1.0, atol=1e-5)


def test_evaluation_changes_nothing():
    model = network()
    train(model, epochs=1)
    before = model.get_weights()
    model.predict(tools.random(8, 12), verbose=0)
    model(tools.random(8, 12), training=False)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_evaluation_is_a_function_of_the_kernel_alone():
    one, other = network(), network()
    other.set_weights(one.get_weights())
    for wrapper in wrappers_of(other):
        for variable in wrapper.state:
            variable.assign(np.full(variable.shape, np.nan))
    inputs = tools.random(8, 12)
    np.testing.assert_array_equal(one.predict(inputs, verbose=0), other.predict(inputs, verbose=0))


@pytest.mark.parametrize("bound", [None, 0.5])
@pytest.mark.parametrize("norm", ["matrix", "bidirectional", "operator"])
def test_gradient_in_the_kernel_through_evaluation(norm, bound):
    with tools.double_precision():
        layer = SpectralNorm(layers.Conv2D(3, 2, dtype="float64"), norm=norm, bound=bound)
        layer.build((None, 4, 4, 2))
        layer.layer.kernel.assign(tools.random(2, 2, 2, 3, seed=4))
        inputs = tools.random(3, 4, 4, 2, dtype="float64")

        def loss():
            return keras.ops.sum(keras.ops.square(layer(inputs, training=False) - 0.1))

        (found,) = tools.gradients(loss, [layer.layer.kernel])
        expected = tools.finite_differences(loss, layer.layer.kernel, 1e-5)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


# Denormal numbers are zeros for TensorFlow and JAX.
@pytest.mark.parametrize("smallest", [1.2e-38, 1e-37, 1e-30, 1e30, 1e37, 1.6e38])
@pytest.mark.parametrize("norm", ["matrix", "bidirectional", "operator", "gram", "fourier"])
def test_kernels_of_any_size(norm, smallest):
    layer = SpectralNorm(layers.Conv2D(4, 3, padding="same", use_bias=False), norm=norm)
    layer.build((None, 6, 6, 3))
    random = tools.random(3, 3, 3, 4, seed=2)
    kernel = np.sign(random) * (1.0 + np.exp(-np.abs(random)))
    layer.layer.kernel.assign(kernel)
    expected = tools.array(layer.effective_kernels()["kernel"])
    layer.layer.kernel.assign(kernel * np.float32(smallest))
    used = tools.array(layer.effective_kernels()["kernel"])
    np.testing.assert_allclose(used, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("size", [1e-36, 1e37])
@pytest.mark.parametrize("wrapper", [SpectralNorm, WeightNorm])
def test_kernels_that_training_would_get_wrong_are_refused(wrapper, size):
    inner = layers.Dense(4, kernel_initializer=keras.initializers.Constant(size))
    with pytest.raises(ValueError, match="largest entry between"):
        wrapper(inner).build((None, 3))
    layer = wrapper(layers.Dense(4))
    layer.build((None, 3))
    layer.layer.kernel.assign(np.full((3, 4), size))
    with pytest.raises(ValueError, match="largest entry between"):
        layer.restart()


def test_mixed_precision():
    model = network(lambda layer: SpectralNorm(layer, dtype="mixed_bfloat16"))
    train(model, epochs=1)
    np.testing.assert_allclose(used_norms(model), 1.0, atol=WITHIN)


def test_a_grouped_model_measures_too():
    keras.utils.set_random_seed(0)
    model = tfspecnorm.group(network())
    train(model)
    wrapped = [part for part in model.layers if isinstance(part, SpectralNorm)]
    for wrapper in wrapped:
        wrapper.layer.kernel.assign(tools.random(*wrapper.layer.kernel.shape, seed=7))
    inputs = tools.random(16, 12, seed=9)
    expected = tfspecnorm.fold(model).predict(inputs, verbose=0)
    np.testing.assert_allclose(
        model.predict(inputs, verbose=0), expected, rtol=0, atol=1e-5 * np.abs(expected).max()
    )


def test_weight_normalization_with_averaged_weights():
    """It measures in every call; an average of its gains is what it says."""
    one, other, mean = (network(WeightNorm) for _ in range(3))
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    mean.set_weights([(first + second) / 2 for first, second in pairs])
    for wrapper in wrappers_of(mean):
        used = tools.array(wrapper.effective_kernels()["kernel"])
        gains = tools.array(wrapper.gains()["kernel"])
        np.testing.assert_allclose(np.linalg.norm(used, axis=0), np.abs(gains), rtol=1e-5)


# Keras exports to LiteRT since 3.13.
@pytest.mark.newest_keras
@pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="LiteRT and SavedModel are TensorFlow's")
@pytest.mark.parametrize("norm", tools.quick(["matrix", "operator"], ["matrix"]))
def test_a_model_that_is_not_folded_converts(tmp_path, norm):
    import tensorflow as tf

    model = images_network(lambda layer: SpectralNorm(layer, norm=norm))
    train(model, epochs=1)
    inputs = tools.random(1, 7, 7, 3)
    expected = model.predict(inputs, verbose=0)
    found = tools.litert_output(model, inputs, tmp_path / "model.tflite")
    np.testing.assert_allclose(found, expected, atol=1e-5)
    model.export(str(tmp_path / "saved"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(served.serve(inputs).numpy(), expected, atol=1e-5)
