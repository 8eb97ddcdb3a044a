"""One step against formulas: updates, penalties, the average, and whose state moves."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import tools
from tests.gan import networks
from tfspecnorm.gan import _penalties
from tfspecnorm.layers import SpectralNorm


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


# Derivatives of each loss: in the real logits, in the generated ones, and for the generator.
DERIVATIVES = {
    "hinge": (
        lambda logits: -1.0 * (logits < 1),
        lambda logits: 1.0 * (logits > -1),
        lambda logits: -np.ones_like(logits),
    ),
    "non-saturating": (
        lambda logits: -sigmoid(-logits),
        sigmoid,
        lambda logits: -sigmoid(-logits),
    ),
    "wasserstein": (
        lambda logits: -np.ones_like(logits),
        np.ones_like,
        lambda logits: -np.ones_like(logits),
    ),
}


def linear_step(weights, images, loss, number, rates, r1=0.0, penalty=0.0, decay=0.0):
    """Weights of the linear pair after one step of gradient descent."""
    A, b, w, c = (weight.astype("float64") for weight in weights)
    real_slope, fake_slope, own_slope = DERIVATIVES[loss]
    draws = networks.Draws()
    part = len(images) // number
    for place in range(number):
        real = images[place * part : (place + 1) * part]
        fake = draws.latents(part) @ A + b
        on_real = real_slope(real @ w + c) / part
        on_fake = fake_slope(fake @ w + c) / part
        slope = real.T @ on_real + fake.T @ on_fake + r1 * w + 2 * decay * w
        if penalty:
            draws.fractions(part)
            length = np.linalg.norm(w)
            slope += 2 * penalty * (length - 1) * w / length
        w, c = w - rates[1] * slope, c - rates[1] * (on_real.sum(0) + on_fake.sum(0))
    latents = draws.latents(part)
    on_fake = own_slope((latents @ A + b) @ w + c) / part
    A, b = A - rates[0] * latents.T @ on_fake @ w.T, b - rates[0] * (on_fake @ w.T).sum(0)
    return A, b, w, c


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("loss", list(DERIVATIVES))
def test_step_of_a_linear_pair_is_the_formula(loss, number):
    rates = (0.1, 0.2)
    gan = networks.compiled(networks.linear_pair(), rates, loss=loss, n_discriminator=number)
    images = networks.data()
    expected = linear_step(
        gan.generator.get_weights() + gan.discriminator.get_weights(), images, loss, number, rates
    )
    networks.fit(gan, images)
    found = gan.generator.get_weights() + gan.discriminator.get_weights()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_penalties_and_regularization_count_once():
    extra = {"r1": 0.7, "gradient_penalty": 0.3}
    pair = networks.linear_pair(kernel_regularizer=keras.regularizers.L2(0.05))
    gan = networks.compiled(pair, (0.1, 0.2), loss="non-saturating", n_discriminator=2, **extra)
    images = networks.data()
    weights = gan.generator.get_weights() + gan.discriminator.get_weights()
    expected = linear_step(
        weights, images, "non-saturating", 2, (0.1, 0.2), r1=0.7, penalty=0.3, decay=0.05
    )
    logs = networks.fit(gan, images)
    found = gan.generator.get_weights() + gan.discriminator.get_weights()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    lengths = [np.linalg.norm(w) for w in (weights[2], expected[2])]
    first = 0.35 * lengths[0] ** 2 + 0.3 * (lengths[0] - 1) ** 2
    assert min(logs["penalty"]) > 0 and abs(logs["penalty"][0] - first) < 0.5 * first


def test_activity_losses_of_the_network_that_is_updated_count():
    def step(**arguments):
        gan = networks.compiled(networks.linear_pair(**arguments), loss="wasserstein")
        networks.fit(gan, networks.data())
        return gan.generator.get_weights(), gan.discriminator.get_weights()

    plain, active = step(), step(activity_regularizer=keras.regularizers.L2(0.5))
    assert np.abs(plain[1][0] - active[1][0]).max() > 1e-2


@pytest.mark.parametrize("name", ["r1", "one_centred"])
def test_penalties_against_finite_differences(name):
    with tools.double_precision():
        first = SpectralNorm(layers.Dense(4, activation="tanh", dtype="float64"))
        second = SpectralNorm(layers.Dense(1, dtype="float64"))

        def network(inputs):
            return second(first(ops.convert_to_tensor(inputs, "float64")))

        network(np.zeros((1, 2)))
        kernel = first.layer.kernel
        real, fake = (tools.random(3, 2, seed=seed, dtype="float64") for seed in (1, 2))
        fraction = np.array([[0.2], [0.5], [0.9]])
        points = real if name == "r1" else fraction * real + (1 - fraction) * fake

        def penalty():
            tensors = [ops.convert_to_tensor(p, "float64") for p in (real, fake, fraction)]
            taken = tensors[:1] if name == "r1" else tensors
            return getattr(_penalties, name)(network, *taken)

        # Keras rounds products on PyTorch and tanh on JAX to 32 bits.
        step, error = (1e-5, 1e-7) if tools.BACKEND == "tensorflow" else (3e-3, 1e-3)
        moves = [(points + step * e, points - step * e) for e in np.eye(2)]
        sides = [tools.array(network(one) - network(other))[:, 0] for one, other in moves]
        lengths = np.linalg.norm(np.stack(sides, axis=1) / (2 * step), axis=1)
        expected = 0.5 * np.mean(lengths**2) if name == "r1" else np.mean((lengths - 1) ** 2)
        assert float(tools.array(penalty())) == pytest.approx(expected, rel=10 * error)
        (found,) = tools.gradients(penalty, [kernel])
        numeric = tools.finite_differences(penalty, kernel, step)
        assert found == pytest.approx(numeric, abs=error)


def test_average_is_the_formula():
    gan = networks.compiled(networks.small_pair(), average_momentum=0.75)
    average = gan.averaged_generator
    expected = gan.generator.get_weights()
    for _ in range(3):
        networks.fit(gan, networks.data())
        for place, weight in enumerate(gan.generator.weights):
            now = networks.values([weight])[0]
            if weight.trainable:
                now = 0.75 * expected[place] + 0.25 * now
            expected[place] = now
        for one, other in zip(average.get_weights(), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
    assert average.trainable_variables == []


def test_each_optimizer_moves_its_own_network():
    for moving, rates in (("generator", (0.1, 0.0)), ("discriminator", (0.0, 0.1))):
        gan = networks.compiled(networks.linear_pair(), rates)
        before = {
            name: networks.values(getattr(gan, name).trainable_variables)
            for name in ("generator", "discriminator")
        }
        networks.fit(gan, networks.data())
        for name, start in before.items():
            after = networks.values(getattr(gan, name).trainable_variables)
            same = [np.array_equal(*pair) for pair in zip(start, after, strict=True)]
            assert all(same) if name != moving else not any(same[:1])


def with_statistics():
    """Both networks with batch normalization, whose discriminator drops as well."""
    generator, _ = networks.small_pair()
    discriminator = keras.Sequential(
        [
            keras.Input((networks.SIZE,)),
            SpectralNorm(layers.Dense(8)),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.1),
            SpectralNorm(layers.Dense(1)),
        ]
    )
    return generator, discriminator


def test_state_moves_in_the_updates_of_ones_own_network():
    """With weights at rest, the other state is that after calls of one's own, one by one."""
    pair = with_statistics()
    generator, discriminator = (keras.models.clone_model(network) for network in pair)
    generator.set_weights(pair[0].get_weights())
    discriminator.set_weights(pair[1].get_weights())
    gan = networks.compiled(pair, (0.0, 0.0), n_discriminator=2, r1=1.0, gradient_penalty=1.0)
    images, draws = networks.data(), networks.Draws()
    networks.fit(gan, images)

    start = generator.get_weights()
    for real in (images[:4], images[4:]):
        fake = generator(draws.latents(4), training=True)
        generator.set_weights(start)
        discriminator(real, training=True)
        discriminator(fake, training=True)
        draws.fractions(4)
    generator(draws.latents(4), training=True)
    for one, other in ((gan.generator, generator), (gan.discriminator, discriminator)):
        for found, expected in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_half_precision_scales_the_loss():
    gan = networks.compiled(networks.small_pair(dtype="mixed_float16"), (0.01, 0.01))
    assert "LossScale" not in type(gan.optimizer.generator_optimizer).__name__
    keras.config.set_dtype_policy("mixed_float16")
    pair = networks.small_pair()
    gan = networks.compiled(pair, (0.01, 0.01), optimizer=keras.optimizers.Adam)
    before = networks.values(gan.trainable_variables)
    assert isinstance(gan.optimizer.generator_optimizer, keras.optimizers.LossScaleOptimizer)
    logs = networks.fit(gan, networks.data(), epochs=2)
    assert all(np.isfinite(logs[name]).all() for name in logs)
    after = networks.values(gan.trainable_variables)
    assert not np.array_equal(before[0], after[0])
    assert all(np.isfinite(value).all() for value in after)
