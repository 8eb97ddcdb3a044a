"""What `fit` refuses before it trains: integers, weights, networks frozen since `compile`."""

import keras
import numpy as np
import pytest

from tests import tools
from tests.gan import networks


def assert_refused(gan, message, *arguments, **options):
    before = networks.values(gan.trainable_variables)
    with pytest.raises(ValueError, match=message):
        gan.fit(*arguments, **{"batch_size": 4, "verbose": 0, **options})
    for one, other in zip(before, networks.values(gan.trainable_variables), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool"])
def test_images_of_integers(dtype):
    gan = networks.compiled(networks.small_pair())
    message = f"(?s)`x` must be images of a floating type.*Received: x of type {dtype}"
    assert_refused(gan, message, np.ones((8, networks.SIZE), dtype))


def test_images_of_integers_in_batches():
    class Images(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, place):
            return (np.ones((4, networks.SIZE), "uint8"),)

    gan = networks.compiled(networks.small_pair())
    with pytest.raises(ValueError, match="(?s)floating type.*Received: x of type uint8"):
        gan.fit(Images(), verbose=0)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_images_of_other_floats_are_trained_on(dtype):
    gan = networks.compiled(networks.small_pair())
    logs = networks.fit(gan, networks.data().astype(dtype))
    assert all(np.isfinite(logs[name]).all() for name in logs)


@pytest.mark.parametrize("labels", [None, np.arange(8) % 2])
@pytest.mark.parametrize(
    "weights", [{"sample_weight": np.ones(8, "float32")}, {"class_weight": {0: 1.0, 1: 2.0}}]
)
def test_weights(weights, labels):
    """Without labels Keras drops weights before a step sees them."""
    gan, (name,) = networks.compiled(networks.small_pair()), weights
    message = f"(?s)`{name}` must be `None`.*Received: {name}="
    assert_refused(gan, message, networks.data(), labels, **weights)
    if name == "sample_weight":
        with pytest.raises(ValueError, match=message):
            gan.evaluate(networks.data(), labels, batch_size=4, verbose=0, **weights)


def test_weights_in_the_data():
    class Weighted(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, place):
            return networks.data(4), np.zeros(4), np.ones(4)

    gan = networks.compiled(networks.small_pair())
    with pytest.raises(ValueError, match="`sample_weight` must be `None`"):
        gan.fit(Weighted(), verbose=0)


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_network_frozen_since_compile(name, trained):
    gan = networks.compiled(networks.small_pair(batch=False))
    if trained:
        networks.fit(gan, networks.data())
    getattr(gan, name).trainable = False
    message = f"variables of the {name} must be those at `compile`.*{name} with 0 .* 4 at `compile`"
    assert_refused(gan, message, networks.data())
    with pytest.raises(ValueError, match="must be those at `compile`"):
        gan.train_on_batch(networks.data())
    getattr(gan, name).trainable = True
    networks.fit(gan, networks.data())


def test_layer_frozen_before_compile():
    gan = networks.compiled(networks.small_pair())
    first = gan.discriminator.layers[0]
    first.trainable = False
    with pytest.raises(ValueError, match="discriminator with 2 .* 4 at `compile`"):
        networks.fit(gan, networks.data())
    gan.compile("sgd", keras.optimizers.SGD(0.1))
    before = tools.array(first.layer.kernel).copy()
    networks.fit(gan, networks.data())
    np.testing.assert_array_equal(tools.array(first.layer.kernel), before)
