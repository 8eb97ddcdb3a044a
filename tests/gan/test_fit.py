"""Training as a user starts it: kinds of data, logs, images, and what is refused."""

import re

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import tools
from tests.gan import networks
from tfspecnorm.gan import GAN, _updates


class Batches(keras.utils.PyDataset):
    def __init__(self, images, labelled):
        super().__init__()
        self.images, self.labelled = images, labelled

    def __len__(self):
        return 2

    def __getitem__(self, place):
        part = self.images[4 * place : 4 * place + 4]
        return (part, np.zeros(len(part))) if self.labelled else (part,)


def kinds():
    images = networks.data()
    yield "array", (images,), {"batch_size": 4}
    yield "array with labels", (images, np.zeros(8)), {"batch_size": 4}
    yield "PyDataset", (Batches(images, False),), {}
    yield "PyDataset with labels", (Batches(images, True),), {}
    if tools.BACKEND == "tensorflow":
        import tensorflow as tf

        yield "tf.data", (tf.data.Dataset.from_tensor_slices(images).batch(4),), {}
    if tools.BACKEND == "torch":
        import torch

        dataset = torch.utils.data.TensorDataset(torch.from_numpy(images))
        yield "DataLoader", (torch.utils.data.DataLoader(dataset, batch_size=4),), {}


def test_kinds_of_data_give_the_same_training():
    found = {}
    for name, arguments, options in kinds():
        keras.utils.set_random_seed(0)
        gan = networks.compiled(networks.linear_pair(), average_momentum=None)
        gan.fit(*arguments, **options, epochs=2, shuffle=False, verbose=0)
        found[name] = networks.values(gan.variables)
    for name, values in found.items():
        for one, other in zip(values, found["array"], strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)


@pytest.mark.parametrize("number", [1, 3])
def test_batches_of_every_size(number):
    """10 images in batches of 8: 3 does not divide 8, and is more than the 2 of the last one."""
    gan = networks.compiled(networks.linear_pair(), n_discriminator=number)
    logs = networks.fit(gan, networks.data(10), batch_size=8, epochs=2)
    assert all(np.isfinite(logs[name]).all() for name in logs)
    iterations = [
        int(tools.array(part.iterations))
        for part in (gan.optimizer.generator_optimizer, gan.optimizer.discriminator_optimizer)
    ]
    assert iterations == [4, 4 * number]


@pytest.mark.parametrize(
    ("count", "number", "expected"),
    [
        (6, 3, [[0, 1], [2, 3], [4, 5]]),
        (5, 2, [[0, 1, 2], [2, 3, 4]]),
        (7, 3, [[0, 1, 2], [2, 3, 4], [4, 5, 6]]),
        (2, 3, [[0], [0], [1]]),
        (3, 1, [[0, 1, 2]]),
    ],
)
def test_parts_of_a_batch(count, number, expected):
    found = _updates._parts(ops.arange(count), number)
    assert [tools.array(part).tolist() for part in found] == expected


def test_logs_of_each_epoch():
    gan = networks.compiled(networks.linear_pair(), (0.0, 0.0), loss="wasserstein")
    logs = networks.fit(gan, networks.data(), epochs=2, validation_data=networks.data(4))
    names = ["generator_loss", "discriminator_loss", "real_logits", "fake_logits"]
    assert sorted(logs) == sorted(names + [f"val_{name}" for name in names])
    assert gan.metrics_names == names
    np.testing.assert_allclose(
        logs["discriminator_loss"],
        np.subtract(logs["fake_logits"], logs["real_logits"]),
        rtol=1e-5,
        atol=1e-6,
    )
    # The mean over one epoch alone, in which nothing moves.
    np.testing.assert_allclose(logs["real_logits"][1], logs["real_logits"][0], rtol=1e-5)
    gan.compile("sgd", "sgd", r1=1.0)
    assert gan.metrics_names == [*names, "penalty"]


def test_evaluation_changes_nothing():
    gan = networks.compiled(networks.small_pair(dropout=0.5))
    networks.fit(gan, networks.data())
    before = networks.values([*gan.variables, *gan.optimizer.variables])
    first = gan.evaluate(networks.data(), batch_size=3, verbose=0, return_dict=True)
    again = gan.evaluate(networks.data(), batch_size=3, verbose=0, return_dict=True)
    assert first == again
    assert first["generator_loss"] == pytest.approx(-first["fake_logits"], abs=1e-6)
    real = tools.array(gan.discriminator(networks.data(), training=False))
    assert first["real_logits"] == pytest.approx(real.mean(), rel=1e-4)
    after = networks.values([*gan.variables, *gan.optimizer.variables])
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_learning_rate_of_both_through_a_callback():
    gan = networks.compiled(networks.linear_pair(), (0.1, 0.2))
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    networks.fit(gan, networks.data(), epochs=2, callbacks=[schedule])
    rates = [
        float(tools.array(part.learning_rate))
        for part in (gan.optimizer.generator_optimizer, gan.optimizer.discriminator_optimizer)
    ]
    np.testing.assert_allclose(rates, [0.025, 0.05], rtol=1e-6)


def test_training_brings_the_images_to_the_data():
    random = np.random.default_rng(0)
    data = (random.standard_normal((512, 2)) * 0.5 + [2, -1]).astype("float32")
    gan = GAN(*networks.small_pair(batch=False), average_momentum=0.8, seed=0)
    gan.compile(
        keras.optimizers.Adam(0.01, 0.5), keras.optimizers.Adam(0.02, 0.5), loss="non-saturating"
    )
    before = np.linalg.norm(gan.generate(512, seed=0).mean(axis=0) - [2, -1])
    gan.fit(data, batch_size=64, epochs=15, verbose=0)
    images = gan.generate(512, seed=0)
    after = np.linalg.norm(images.mean(axis=0) - [2, -1])
    assert before > 1.2 and after < 0.7
    assert 0.1 < images.std(axis=0).min() < 1.5


def test_fit_needs_compile():
    with pytest.raises(ValueError, match="call `compile"):
        GAN(*networks.small_pair()).fit(networks.data(), verbose=0)


@pytest.mark.parametrize("shape", [(8, 3), (8, 2, 1)])
def test_images_of_another_shape_are_named(shape):
    gan = networks.compiled(networks.small_pair())
    with pytest.raises(ValueError) as caught:
        gan.fit(np.zeros(shape, "float32"), batch_size=8, verbose=0)
    wanted = r"Argument `x` must be images of the shape \(batch, 2\).*Received: x of shape"
    assert re.search(wanted, str(caught.value), re.DOTALL)


def test_networks_that_do_not_fit_are_named():
    generator, discriminator = networks.small_pair()
    other = keras.Sequential([keras.Input((5,)), layers.Dense(1)])
    unbuilt = keras.Sequential([layers.Dense(2)])
    image = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2)])
    for pair, message in (
        ((generator, other), r"`discriminator` must take.*input_shape=\(None, 5\)"),
        ((unbuilt, discriminator), "`generator` must be a Functional or a built Sequential"),
        ((layers.Dense(2), discriminator), "`generator` must be.*Received: generator=<Dense"),
        ((generator, unbuilt), "`discriminator` must be.*Received: discriminator=<Sequential"),
        ((image, discriminator), r"`generator` must take vectors.*\(None, 4, 4, 1\)"),
        ((other, other), "`discriminator` must be another model"),
    ):
        with pytest.raises(ValueError, match=message):
            GAN(*pair)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"latent_size": 4}, "`latent_size` must be.* 3, or `None`. Received: latent_size=4"),
        ({"n_discriminator": 0}, "`n_discriminator`.*Received: n_discriminator=0"),
        ({"n_discriminator": 1.5}, r"Received: n_discriminator=1\.5"),
        ({"average_momentum": 1}, r"`average_momentum` must be in \[0, 1\).*average_momentum=1"),
        ({"average_momentum": "slow"}, "Received: average_momentum='slow'"),
        ({"seed": -1}, "`seed`.*Received: seed=-1"),
        ({"measure_once": 1}, "`measure_once` must be `True` or `False`.*measure_once=1"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        GAN(*networks.small_pair(), **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "mse"}, "`loss` must be one of.*Received: loss='mse'"),
        ({"r1": -1}, "`r1`.*Received: r1=-1"),
        ({"gradient_penalty": float("nan")}, "`gradient_penalty`.*gradient_penalty=nan"),
        ({"generator_optimizer": "fast"}, "`generator_optimizer` must be.*'fast'"),
        ({"discriminator_optimizer": 3}, "Received: discriminator_optimizer=3"),
    ],
)
def test_wrong_arguments_of_compile_are_named(arguments, message):
    gan = GAN(*networks.small_pair())
    optimizers = {"generator_optimizer": "sgd", "discriminator_optimizer": "sgd"}
    with pytest.raises(ValueError, match=message):
        gan.compile(**optimizers | arguments)


def test_one_optimizer_for_both_is_an_error():
    gan, optimizer = GAN(*networks.small_pair()), keras.optimizers.SGD()
    with pytest.raises(ValueError, match="`discriminator_optimizer` must be another object"):
        gan.compile(optimizer, optimizer)
