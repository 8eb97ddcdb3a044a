"""Training batches: every image once, moved as promised, the same for the same seed."""

import dataclasses

import common
import keras
import numpy as np
import pytest
from common import batches, datasets


def numbered(count=20, size=32, mirrored=False):
    """Images of one bright pixel in the middle, told apart by their labels."""
    pixels = np.zeros((count, size, size, 3), "uint8")
    pixels[:, size // 2, size // 2] = 255
    labels = np.arange(count)
    return datasets.Images("numbered", count, pixels, labels, pixels, labels, mirrored)


def collect(images, batch_size=5, seed=0, first_epoch=0, epochs=1, kind=common.TrainingBatches):
    """The batches of the epochs from one on, as `fit` asks for them."""
    batches = kind(images, batch_size, seed, first_epoch)
    found = []
    for epoch in range(first_epoch, epochs):
        batches.begin(epoch)
        found += [batches[number] for number in range(len(batches))]
    return found


def labels_of(found):
    return np.concatenate([labels for _, labels in found])


def bright(found):
    """Rows and columns of the bright pixels."""
    pixels = np.concatenate([pixels for pixels, _ in found])[..., 0]
    flat = pixels.reshape(len(pixels), -1).argmax(axis=1)
    return flat // pixels.shape[2], flat % pixels.shape[2]


def test_an_epoch_has_every_image_once():
    found = labels_of(collect(numbered()))
    assert sorted(found) == list(range(20))
    assert list(found) != list(range(20))


def test_epochs_and_seeds_have_their_own_order():
    first, second = np.split(labels_of(collect(numbered(), epochs=2)), 2)
    assert sorted(first) == sorted(second)
    assert list(first) != list(second)
    assert list(first) != list(labels_of(collect(numbered(), seed=1)))


def test_resumed_epochs_are_those_of_the_whole_training():
    images = numbered(mirrored=True)
    whole = collect(images, epochs=3, seed=7)
    rest = collect(images, epochs=3, seed=7, first_epoch=2)
    assert len(rest) == 4
    for (pixels, labels), (expected_pixels, expected_labels) in zip(rest, whole[8:], strict=True):
        assert np.array_equal(pixels, expected_pixels)
        assert np.array_equal(labels, expected_labels)


def test_fit_sees_every_epoch_as_it_is_counted():
    images, seen = numbered(), []

    class Recorder(common.TrainingBatches):
        def __getitem__(self, index):
            found = super().__getitem__(index)
            seen.append((self.epoch, index, tuple(found[1])))
            return found

    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(20, activation="softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy")
    batches = Recorder(images, 5, 0, first_epoch=2)
    callbacks = [batches.callback]
    model.fit(batches, initial_epoch=2, epochs=5, shuffle=False, verbose=0, callbacks=callbacks)
    expected = {
        (epoch, index, tuple(labels))
        for epoch in range(2, 5)
        for index, (_, labels) in enumerate(collect(images, first_epoch=epoch, epochs=epoch + 1))
    }
    assert expected <= set(seen)
    assert {epoch for epoch, _, _ in seen} == {2, 3, 4}


def test_generative_batches_are_images_in_the_range_of_a_generator():
    found = collect(numbered(), kind=common.GenerativeBatches)
    assert len(found) == 4
    assert {float(value) for pixels in found for value in np.unique(pixels)} == {-1.0, 1.0}
    rows, columns = bright([(pixels, None) for pixels in found])
    assert set(rows) == set(columns) == {16}


def test_what_fills_no_batch_is_left_out():
    images = numbered(23)
    assert common.steps_per_epoch(images, 5) == 4
    assert [len(labels) for _, labels in collect(images)] == [5] * 4
    assert len(set(labels_of(collect(images, epochs=20)))) == 23


def test_batch_larger_than_the_data_is_refused():
    with pytest.raises(common.UsageError) as caught:
        common.steps_per_epoch(numbered(4), 5)
    assert "--batch-size: must be at most 4" in str(caught.value)
    assert common.steps_per_epoch(numbered(4), 4) == 1


def test_shifts_reach_two_pixels_each_way():
    rows, columns = bright(collect(numbered(200), batch_size=50))
    assert set(rows) == set(columns) == set(range(14, 19))
    counts = np.histogram2d(rows, columns, bins=5)[0]
    assert (counts > 0).sum() > 20, "rows and columns move independently"


def test_only_some_sets_are_mirrored():
    images = numbered(200)
    images.train_images[...] = 0
    images.train_images[:, 16, 8] = 255
    assert bright(collect(images, batch_size=50))[1].max() <= 8 + batches.LARGEST_SHIFT
    mirrored = dataclasses.replace(images, mirrored=True)
    right = bright(collect(mirrored, batch_size=50))[1] > 16
    assert 0.35 < right.mean() < 0.65


def test_pixels_are_standardized():
    images = numbered()
    pixels = collect(images)[0][0]
    assert pixels.dtype == np.float32
    expected = (np.array([0, 255], "float32") - images.mean[0]) / images.deviation[0]
    assert np.allclose(np.unique(pixels), expected)
