"""InceptionV3 without a network: which weights are asked for, and what a failure says."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.metrics.given import striped
from tfspecnorm.metrics import extractors

IMAGES, LABELS = striped(60)


def stand_in(asked):
    """A model of the form that `keras.applications` has, with 8 features and 4 classes."""

    def build(weights):
        asked.append(weights)
        return keras.Sequential(
            [
                keras.Input((75, 75, 3)),
                layers.Conv2D(8, 5, 5),
                layers.GlobalAveragePooling2D(name="avg_pool"),
                layers.Dense(4, "softmax", name="predictions"),
            ]
        )

    return build


def no_network(weights):
    raise Exception("URL fetch failure on https://storage.googleapis.com/...: None")


def test_weights_and_names(monkeypatch, tmp_path):
    asked, path = [], tmp_path / "mine.weights.h5"
    path.touch()
    monkeypatch.setattr(keras.applications, "InceptionV3", stand_in(asked))
    names = [extractors.inception_v3(*given).name for given in ((), (path,), (None,))]
    assert names == ["inception_v3", "inception_v3-mine.weights.h5", "inception_v3-random"]
    assert asked == ["imagenet", str(path), None]


def test_features_and_probabilities(monkeypatch):
    monkeypatch.setattr(keras.applications, "InceptionV3", stand_in([]))
    extractor = extractors.inception_v3()
    assert extractor.features(IMAGES[:5]).shape == (5, 8)
    np.testing.assert_allclose(extractor.probabilities(IMAGES[:5]).sum(1), np.ones(5), rtol=1e-6)


def test_no_network_says_what_to_do(monkeypatch):
    monkeypatch.setattr(keras.applications, "InceptionV3", no_network)
    with pytest.raises(OSError, match="save_weights.*`weights`.*classifier.*Received: .*imagenet"):
        extractors.inception_v3()


def test_file_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setattr(keras.applications, "InceptionV3", None)
    with pytest.raises(FileNotFoundError, match="`weights` must.*Received: weights='.*none.h5'"):
        extractors.inception_v3(tmp_path / "none.h5")


def test_channels_first(monkeypatch):
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    with pytest.raises(ValueError, match="channels_last.*Received: .*'channels_first'"):
        extractors.inception_v3()


def test_default_takes_inception_where_it_can(monkeypatch, tmp_path):
    path = tmp_path / "classifier.keras"
    monkeypatch.setattr(keras.applications, "InceptionV3", stand_in([]))
    assert extractors.default(IMAGES, LABELS, path).name == "inception_v3"
    assert not path.exists()


def test_default_takes_the_classifier_otherwise(monkeypatch, tmp_path):
    path = tmp_path / "classifier.keras"
    monkeypatch.setattr(keras.applications, "InceptionV3", no_network)
    extractor = extractors.default(IMAGES, LABELS, path, epochs=1)
    assert extractor.name == "classifier"
    assert path.exists()
    again = extractors.default(IMAGES, LABELS, path, epochs=1)
    assert np.array_equal(again.features(IMAGES[:3]), extractor.features(IMAGES[:3]))


@pytest.mark.slow
def test_real_network_with_weights_from_a_file(tmp_path):
    path = tmp_path / "random.weights.h5"
    model = keras.applications.InceptionV3(weights=None)
    model.save_weights(path)
    extractor = extractors.inception_v3(path)
    images = IMAGES[:2]
    features, probabilities = extractor.features(images), extractor.probabilities(images)
    assert features.shape == (2, 2048)
    assert probabilities.shape == (2, 1000)
    pooled = keras.Model(model.inputs[0], model.get_layer("avg_pool").output)
    whole = Resized()(images)
    np.testing.assert_allclose(features, pooled.predict(whole, verbose=0), rtol=1e-3, atol=1e-5)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="`weights` must be a file of weights.*Received: weights="):
        extractors.inception_v3(path)


class Resized:
    """To 299×299 by Keras; images that grow need no antialias."""

    def __call__(self, images):
        images = keras.ops.convert_to_tensor(np.repeat(images, 3, -1))
        return keras.ops.convert_to_numpy(
            keras.ops.image.resize(images, (299, 299), data_format="channels_last")
        )
