"""The data of the examples: offline digits, and tensorflow-datasets from files and mocked."""

import dataclasses
import socket
import sys

import common
import numpy as np
import pytest
from common import datasets, download, resizing


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
def tfds(monkeypatch):
    import tensorflow_datasets

    # What is mocked is not downloaded.
    monkeypatch.setattr(download, "check_network", lambda addresses: None)
    return tensorflow_datasets


@pytest.mark.parametrize("name", [name for name in common.DATASETS if name != "digits"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_set_is_read_by_tensorflow_datasets(name, tfds):
    with tfds.testing.mock_data(num_examples=20):
        images = common.load_images(name)
    for array in (images.train_images, images.test_images):
        assert array.shape == (20, 32, 32, 3)
        assert array.dtype == np.uint8
    source = download.SOURCES[name]
    assert images.classes == source.classes == (100 if name == "cifar100" else 10)
    assert images.train_labels.max() < images.classes
    assert images.mirrored == (name in ("fashion_mnist", "cifar10", "cifar100"))
    if "mnist" in name:
        border = images.train_images.copy()
        border[:, 2:-2, 2:-2] = 0
        assert not border.any()
        assert images.train_images.any()


@pytest.mark.parametrize("name", ["stl10", "celeb_a", "mnist"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_sets_for_generators_may_have_no_labels_and_any_size(name, tfds):
    with tfds.testing.mock_data(num_examples=20):
        images = common.load_images(name, size=48, repeat_grey=False)
    channels = 1 if name == "mnist" else 3
    for array in (images.train_images, images.test_images):
        assert array.shape == (20, 48, 48, channels)
        assert array.dtype == np.uint8
    assert images.classes == (10 if name == "mnist" else 0)


def test_a_tenth_is_held_back_where_there_is_no_test_set(tfds, monkeypatch):
    source = dataclasses.replace(download.SOURCES["mnist"], splits=("train", None))
    with tfds.testing.mock_data(num_examples=20):
        train, train_labels, test, test_labels = download.read(source, None, lambda pixels: pixels)
    assert (len(train), len(train_labels), len(test), len(test_labels)) == (18, 18, 2, 2)


def test_patches_are_parts_of_the_photographs_and_test_patches_of_others():
    from sklearn.datasets import load_sample_image

    images = common.load_images("patches", size=16)
    assert images.train_images.shape == (8000, 16, 16, 3)
    assert images.test_images.shape == (2000, 16, 16, 3)
    assert images.shape == (16, 16, 3)
    again = common.load_images("patches", size=16, smoke=True)
    assert np.array_equal(again.train_images, images.train_images[: len(again.train_images)])
    # Every second pixel of a photograph, averaged with its neighbours, starting at any pixel.
    photograph = load_sample_image("flower.jpg").astype("float64")
    mean = (
        photograph[1:, 1:] + photograph[1:, :-1] + photograph[:-1, 1:] + photograph[:-1, :-1]
    ) / 4
    boundary = 3 * photograph.shape[1] // 4
    for patch, test in ((images.train_images[1], False), (images.test_images[1], True)):
        near = np.abs(mean - patch[0, 0]).max(axis=-1) <= 0.5
        places = [
            column
            for row, column in np.argwhere(near)
            if row + 31 <= mean.shape[0]
            and column + 31 <= mean.shape[1]
            and np.abs(mean[row : row + 31 : 2, column : column + 31 : 2] - patch).max() <= 0.5
        ]
        assert len(places) == 1
        assert (places[0] >= boundary) == test


def test_patches_larger_than_the_photographs_are_refused():
    with pytest.raises(common.UsageError) as caught:
        common.load_images("patches", size=128)
    assert "argument --image-size: must be at most 80" in str(caught.value)


def test_images_keep_their_own_channels_on_request():
    assert common.load_images("digits", repeat_grey=False).shape == (32, 32, 1)
    assert common.load_images("digits", size=8, repeat_grey=False).shape == (8, 8, 1)


@pytest.mark.parametrize(("size", "wanted", "border"), [(28, 32, 2), (28, 28, 0), (7, 8, 0)])
def test_images_that_are_little_smaller_get_a_border(size, wanted, border):
    pixels = np.random.default_rng(0).integers(1, 256, (3, size, size, 1), "uint8")
    found = resizing.resized(pixels, wanted)
    assert found.shape == (3, wanted, wanted, 1)
    inner = slice(border, border + size)
    assert np.array_equal(found[:, inner, inner], pixels)
    assert (found == 0).sum() == 3 * (wanted**2 - size**2)


def test_resizing_is_bicubic():
    import tensorflow as tf

    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("float32")
    expected = np.clip(tf.image.resize(pixels, (32, 32), "bicubic"), 0, 255)
    assert np.abs(resizing.resampled(pixels, 32) - expected)[:, 8:-8, 8:-8].max() < 0.51


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


def test_no_network_is_one_line_at_once(monkeypatch, tmp_path):
    def unknown(*arguments):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(common.UsageError) as caught:
        common.load_images("cifar10", tmp_path)
    assert str(caught.value).startswith(f"cannot load the data set cifar10 in {tmp_path}: no netw")
    assert "\n" not in str(caught.value)


def test_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(common.UsageError) as caught:
        common.load_images("mnist")
    assert "pip install tensorflow-cpu tensorflow-datasets importlib_resources" in str(caught.value)
