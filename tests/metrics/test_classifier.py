"""The classifier of the data set: what it learns, what it leaves alone, and its file."""

import shutil
import zipfile

import keras
import numpy as np
import pytest

from tests.metrics.given import striped
from tests.tools import array
from tfspecnorm.metrics import FrechetDistance, InceptionScore, extractors

IMAGES, LABELS = striped(768)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("classifier") / "stripes.keras"
    keras.utils.set_random_seed(5)
    extractor = extractors.classifier(IMAGES, LABELS, path)
    return path, extractor


@pytest.fixture
def path(stored, tmp_path):
    return shutil.copy(stored[0], tmp_path / "stripes.keras")


def test_it_learns_the_classes(stored):
    images, labels = striped(300, seed=1)
    probabilities = stored[1].probabilities(images)
    assert np.mean(probabilities.argmax(1) == labels) > 0.97
    assert stored[1].features(images).shape == (300, 64)


def test_its_metrics_tell_good_from_bad(stored):
    _, extractor = stored
    good, _ = striped(300, seed=2)
    values = {}
    for name, generated in (("good", good), ("one class", good[::3]), ("grey", 0.1 * good)):
        distance, score = FrechetDistance(extractor), InceptionScore(extractor, splits=2)
        distance.update_state(real=IMAGES, generated=generated)
        score.update_state(generated=generated)
        values[name] = float(distance.result()), float(score.result())
    assert values["good"][0] < 0.1 * min(values["one class"][0], values["grey"][0])
    assert values["good"][1] > 2.5
    assert max(values["one class"][1], values["grey"][1]) < 1.5


def test_file_is_a_keras_model_without_an_optimizer(stored):
    path, extractor = stored
    model = keras.saving.load_model(path)
    assert not model.compiled
    for first, second in zip(model.variables, extractor.model.variables, strict=True):
        assert np.array_equal(array(first), array(second))


def test_loading_trains_nothing(stored, path, monkeypatch):
    monkeypatch.setattr(keras.Model, "train_on_batch", None)
    loaded = extractors.classifier(IMAGES, LABELS, str(path), name="stripes")
    assert loaded.name == "stripes"
    assert np.array_equal(loaded.features(IMAGES[:9]), stored[1].features(IMAGES[:9]))
    assert [part.name for part in path.parent.iterdir()] == ["stripes.keras"]


def test_seed_decides_and_the_random_state_does_not():
    def weights(seed, state):
        keras.utils.set_random_seed(state)
        expected = np.random.RandomState(state).uniform()
        model = extractors.classifier(IMAGES[:192], LABELS[:192], epochs=1, seed=seed).model
        assert np.random.uniform() == expected
        return np.concatenate([array(v).ravel() for v in model.variables])

    first = weights(0, 1)
    np.testing.assert_allclose(weights(0, 2), first, atol=1e-5)
    assert np.abs(weights(1, 1) - first).max() > 0.1


def test_file_of_other_training(path):
    others = {
        "data": {"images": IMAGES[::-1].copy()},
        "epochs": {"epochs": 2},
        "seed": {"seed": 1},
    }
    for what, arguments in others.items():
        with pytest.raises(ValueError, match=f"`path` must.*same images.*with {{'{what}'"):
            extractors.classifier(**({"images": IMAGES, "labels": LABELS} | arguments), path=path)
    with pytest.raises(ValueError, match="`path` must be.*same images"):
        extractors.classifier(IMAGES, np.roll(LABELS, 1), path)


def test_damaged_file(path):
    whole = path.read_bytes()
    middle = len(whole) // 2
    damaged = (b"", b"nothing", whole[:middle], whole[:middle] + b"\0" * 99 + whole[middle + 99 :])
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match="`path` must.*remove it.*cannot be read"):
            extractors.classifier(IMAGES, LABELS, path)
        assert path.read_bytes() == content


def test_file_of_another_model(tmp_path):
    path = tmp_path / "other.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path)
    with pytest.raises(ValueError, match="`path` must.*that `classifier` wrote.*cannot be read"):
        extractors.classifier(IMAGES, LABELS, path)


def test_failure_leaves_no_file(tmp_path, monkeypatch):
    def full_disk(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full_disk)
    with pytest.raises(OSError, match="no space left"):
        extractors.classifier(IMAGES[:60], LABELS[:60], tmp_path / "file.keras", epochs=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"images": np.zeros((768, 8, 8, 1), "uint8")}, ValueError, "`images` must be a float"),
        ({"labels": LABELS[:5]}, ValueError, r"`labels` must be integers of the shape \(768,\)"),
        ({"labels": LABELS.astype("float32")}, ValueError, "`labels` must be integers"),
        ({"labels": LABELS - 1}, ValueError, "at least two classes.*from -1 to 1"),
        ({"labels": LABELS * 0}, ValueError, "at least two classes.*from 0 to 0"),
        ({"epochs": 0}, ValueError, "`epochs` must be a positive integer"),
        ({"path": "classifier.h5"}, ValueError, "`path` must end in .keras"),
        ({"path": "/nowhere/classifier.keras"}, FileNotFoundError, "`path` must be"),
    ],
)
def test_what_is_refused_before_training(arguments, error, message, monkeypatch):
    monkeypatch.setattr(keras.Model, "train_on_batch", None)
    with pytest.raises(error, match=message):
        extractors.classifier(**({"images": IMAGES, "labels": LABELS} | arguments))
