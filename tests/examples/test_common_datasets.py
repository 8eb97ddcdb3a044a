"""The data of the examples: offline digits, and tensorflow-datasets from files and mocked."""

import sys

import common
import numpy as np
import pytest
from common import datasets


@pytest.fixture(scope="module")
def digits():
    return common.load_images("digits")


def test_digits_are_split_evenly_by_class(digits):
    assert digits.train_images.shape == (1437, 32, 32, 3)
    assert digits.test_images.shape == (360, 32, 32, 3)
    assert digits.train_images.dtype == digits.test_images.dtype == np.uint8
    shares = np.bincount(digits.train_labels) / np.bincount(digits.test_labels)
    assert np.abs(shares / (1437 / 360) - 1).max() < 0.03


def test_digits_are_the_scans(digits):
    from sklearn.datasets import load_digits

    scans, labels = load_digits(return_X_y=True)
    centres = digits.test_images[:, 2::4, 2::4, 0].reshape(-1, 64).astype(float)
    # Every enlarged image is nearest to its own scan, and carries that scan's label.
    distance = ((centres[:, None] - scans[None] * 255 / 16) ** 2).sum(axis=-1)
    nearest = distance.argmin(axis=1)
    assert len(set(nearest)) == 360
    assert np.array_equal(labels[nearest], digits.test_labels)


def test_split_is_the_same_always(digits):
    again = common.load_images("digits")
    assert np.array_equal(again.test_images, digits.test_images)
    together = np.concatenate([digits.train_images, digits.test_images])
    assert len(np.unique(together.reshape(len(together), -1), axis=0)) == 1797


def test_grey_is_repeated(digits):
    assert np.array_equal(digits.train_images[..., 0], digits.train_images[..., 2])


def test_standardization_uses_the_training_images(digits):
    train = (digits.train_images.astype("float64") - digits.mean) / digits.deviation
    assert np.abs(train.mean(axis=(0, 1, 2))).max() < 1e-4
    assert np.abs(train.std(axis=(0, 1, 2)) - 1).max() < 1e-4
    tests = digits.standardized_test_images()
    assert tests.dtype == np.float32
    assert np.allclose(tests, (digits.test_images - digits.mean) / digits.deviation)


def test_images_of_one_level_are_standardized_too(digits):
    black = np.zeros((5, 32, 32, 3), "uint8")
    images = datasets.Images("black", 10, black, np.zeros(5), black, np.zeros(5))
    assert np.array_equal(images.standardized_test_images(), np.zeros((5, 32, 32, 3)))


def test_smoke_keeps_a_part_with_all_classes(digits):
    smoke = common.load_images("digits", smoke=True)
    assert len(smoke.train_images) == len(smoke.train_labels) < len(digits.train_images)
    assert len(smoke.test_images) == len(smoke.test_labels) < len(digits.test_images)
    assert set(smoke.train_labels) == set(smoke.test_labels) == set(range(10))


@pytest.fixture
def tfds():
    import tensorflow_datasets

    return tensorflow_datasets


@pytest.mark.parametrize("name", list(datasets.SOURCES))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_set_is_read_by_tensorflow_datasets(name, tfds):
    with tfds.testing.mock_data(num_examples=20):
        images = common.load_images(name)
    for array in (images.train_images, images.test_images):
        assert array.shape == (20, 32, 32, 3)
        assert array.dtype == np.uint8
    source = datasets.SOURCES[name]
    assert images.classes == source.classes == (100 if name == "cifar100" else 10)
    assert images.train_labels.max() < images.classes
    assert images.mirrored == (name in ("fashion_mnist", "cifar10", "cifar100"))
    if "mnist" in name:
        border = images.train_images.copy()
        border[:, 2:-2, 2:-2] = 0
        assert not border.any()
        assert images.train_images.any()


@pytest.fixture
def prepared(tfds, tmp_path):
    """A folder in which an MNIST of 60 and 20 random images lies, as after a download."""
    builder = tfds.builder("mnist", data_dir=tmp_path)
    folder = tmp_path / "mnist" / str(builder.version)
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    examples = [
        {"image": random.integers(0, 256, (28, 28, 1), dtype="uint8"), "label": number % 10}
        for number in range(60)
    ]
    writer = tfds.core.SequentialWriter(builder.info, max_examples_per_shard=50)
    writer.initialize_splits(["train", "test"])
    writer.add_examples({"train": examples, "test": examples[:20]})
    writer.close_all()
    return tmp_path, folder, examples


def test_files_of_tensorflow_datasets_are_read(prepared):
    data_dir, _, examples = prepared
    images = common.load_images("mnist", data_dir)
    pairs = {
        (image.tobytes(), int(label))
        for image, label in zip(
            images.train_images[:, 2:-2, 2:-2, :1], images.train_labels, strict=True
        )
    }
    assert pairs == {(example["image"].tobytes(), example["label"]) for example in examples}
    assert len(images.test_images) == 20


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty"])
@pytest.mark.parametrize("pattern", ["dataset_info.json", "mnist-train*0", "mnist-test*0"])
def test_damaged_files_are_one_line(prepared, pattern, damage):
    data_dir, folder, _ = prepared
    (path,) = folder.glob(pattern)
    content = path.read_bytes()
    damaged = {"truncated": content[: len(content) // 2], "garbage": b"\xff\0" * 99, "empty": b""}
    path.write_bytes(damaged[damage])
    with pytest.raises(common.UsageError) as caught:
        common.load_images("mnist", data_dir)
    assert str(caught.value).startswith(f"cannot load the data set mnist in {data_dir}: ")
    assert "\n" not in str(caught.value)


def test_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(common.UsageError) as caught:
        common.load_images("mnist")
    assert "pip install tensorflow-datasets importlib_resources" in str(caught.value)
