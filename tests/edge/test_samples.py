"""Samples from arrays, data sets, loaders and generators, and what does not fit."""

import keras
import numpy as np
import pytest

from tfspecnorm.edge._samples import read_samples
from tfspecnorm.edge._signature import Input, functional, inputs_of

ONE = [Input("image", (2, 3), "float32")]
TWO = [Input("left", (2,), "float32"), Input("right", (3,), "int32")]
DATA = np.arange(30, dtype="float64").reshape(5, 2, 3)
LABELS = np.array([3, 1, 4, 1, 5])


class Batches(keras.utils.PyDataset):
    """A data set that would go on for ever if it were iterated."""

    num_batches = 2

    def __getitem__(self, index):
        part = slice(3 * (index % 2), 3 * (index % 2) + 3)
        return DATA[part], LABELS[part]


def one_by_one():
    return iter(DATA)


@pytest.mark.parametrize(
    ("data", "labeled"),
    [
        (DATA, False),
        (keras.ops.convert_to_tensor(DATA), False),
        ([DATA], False),
        ({"image": DATA}, False),
        ((DATA, LABELS), True),
        (({"image": DATA}, LABELS), True),
        ([DATA[:2], DATA[2:]], False),
        (one_by_one, False),
        (lambda: ([sample[np.newaxis]] for sample in DATA), False),
        (lambda: zip(DATA, LABELS, strict=True), True),
        (lambda: Batches(), True),
    ],
    ids=[
        *("array", "tensor", "list", "dict", "labels", "dict-labels"),
        *("batches", "samples", "representative", "pairs", "PyDataset"),
    ],
)
def test_forms_of_one_input(data, labeled):
    if isinstance(data, list) and len(data) == 2:
        data = iter(data)
    (found,), labels = read_samples("calibration", data, ONE)
    np.testing.assert_array_equal(found, DATA.astype("float32"))
    assert found.dtype == "float32"
    if labeled:
        np.testing.assert_array_equal(labels, LABELS)
    else:
        assert labels is None


def test_tf_data():
    tf = pytest.importorskip("tensorflow")
    dataset = tf.data.Dataset.from_tensor_slices((DATA, LABELS)).batch(2)
    (found,), labels = read_samples("calibration", dataset, ONE)
    np.testing.assert_array_equal(found, DATA.astype("float32"))
    np.testing.assert_array_equal(labels, LABELS)


def test_data_loader():
    torch = pytest.importorskip("torch")
    dataset = torch.utils.data.TensorDataset(torch.tensor(DATA), torch.tensor(LABELS))
    loader = torch.utils.data.DataLoader(dataset, batch_size=2)
    (found,), labels = read_samples("calibration", loader, ONE)
    np.testing.assert_array_equal(found, DATA.astype("float32"))
    np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize("labels", [None, LABELS])
def test_forms_of_two_inputs(labels):
    left, right = DATA[:, :, 0], DATA[:, 0].astype("int64")
    for given in ([left, right], {"right": right, "left": left}):
        data = given if labels is None else (given, labels)
        found, found_labels = read_samples("calibration", data, TWO)
        np.testing.assert_array_equal(found[0], left)
        np.testing.assert_array_equal(found[1], right)
        assert [part.dtype for part in found] == ["float32", "int32"]
        assert (found_labels is None) == (labels is None)


def test_reading_ends_at_the_limit():
    def endless():
        while True:
            yield DATA[:3], LABELS[:3]

    (found,), labels = read_samples("calibration", endless(), ONE, limit=7)
    assert len(found) == len(labels) == 7


NAN = np.where(DATA == 4, np.nan, DATA)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DATA[:0], "at least one sample"),
        (iter([]), "at least one sample"),
        (lambda: iter(()), "at least one sample"),
        ([], "at least one sample"),
        (DATA[:, :1], r"samples of shape \(2, 3\) for input 'image'.*\(5, 1, 3\)"),
        (iter([DATA, DATA.ravel()]), r"samples of shape.*Received: an array of shape \(30,\)"),
        (NAN, "finite numbers"),
        (np.full((2, 2, 3), "a"), "arrays of numbers"),
        ("samples.npz", "array, a dataset, or a generator"),
        (3, "array, a dataset, or a generator"),
        (None, "array, a dataset, or a generator"),
        ({"picture": DATA}, r"name every input.*without \['image'\]"),
        (iter([[DATA] * 3]), "an array for each of the 1 inputs.*Received: 3 arrays"),
        ((DATA, LABELS[:3]), "one label for each sample.*3 labels for 5"),
        (iter([(DATA, LABELS), DATA]), "labels of one form for all samples, or for none"),
        (iter([(DATA, LABELS), (DATA, np.eye(5))]), "labels of one form for all samples"),
        (np.full((2, 2, 3), 1e300), "finite numbers"),
        ((DATA, ["a"] * 5), "arrays of numbers"),
    ],
)
def test_what_does_not_fit(data, message):
    with pytest.raises(ValueError, match=f"(?s)Argument `calibration` must.*{message}"):
        read_samples("calibration", data, ONE)


def test_lists_are_batches_of_one_input_and_arrays_of_several():
    for given in ([DATA[:3], DATA[3:]], list(DATA), (DATA, None)):
        (found,), labels = read_samples("calibration", given, ONE)
        np.testing.assert_array_equal(found, DATA.astype("float32"))
        assert labels is None
    for labels in (LABELS.tolist(), tuple(LABELS)):
        (found,), found_labels = read_samples("calibration", (DATA, labels), ONE)
        assert len(found) == 5
        np.testing.assert_array_equal(found_labels, LABELS)


def test_one_by_one_with_rows_as_labels():
    rows = np.eye(6)[LABELS]
    for given in ((DATA[0], rows[0]), zip(DATA, rows, strict=True)):
        (found,), labels = read_samples("calibration", given, ONE)
        np.testing.assert_array_equal(labels, rows[: len(found)])


def test_data_sets_without_an_end():
    class Endless(Batches):
        num_batches = None

    (found,), _ = read_samples("calibration", Endless(), ONE, limit=4)
    assert len(found) == 4


def test_numbers_that_an_integer_input_does_not_take():
    pixels = [Input("pixels", (2,), "uint8")]
    (found,), _ = read_samples("calibration", np.array([[0.0, 255.0]]), pixels)
    assert found.dtype == "uint8"
    for wrong in (-1, 256, 0.5):
        with pytest.raises(ValueError, match="numbers of type uint8 for input 'pixels'"):
            read_samples("calibration", np.array([[0.0, wrong]]), pixels)


def test_two_inputs_of_different_lengths():
    with pytest.raises(ValueError, match=r"as many samples for each input.*\[5, 4\]"):
        read_samples("calibration", [DATA[:, :, 0], DATA[:4, 0]], TWO)
    with pytest.raises(ValueError, match="each of the 2 inputs.*Received: 1 arrays"):
        read_samples("calibration", DATA[:, :, 0], TWO)


def test_inputs_of_a_model():
    left, right = keras.Input((2,), name="left"), keras.Input((3,), dtype="int32", name="right")
    outputs = keras.layers.Dense(2)(left) + keras.layers.Dense(2)(keras.ops.cast(right, "float32"))
    assert inputs_of(keras.Model([left, right], outputs)) == TWO


def test_open_sizes():
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 3)])
    with pytest.raises(ValueError, match="`input_shape` must be given.*input_shape=None"):
        inputs_of(model)
    assert inputs_of(model, (8, 6, 3))[0].shape == (8, 6, 3)
    for wrong in ((8, 6, 4), (8, 6), (0, 6, 3), "large", 8, (8, None, 3)):
        with pytest.raises(ValueError, match="`input_shape` must be a shape of one sample"):
            inputs_of(model, wrong)


def test_inputs_of_subclassed_models():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs[0] if isinstance(inputs, list) else inputs

    model = Own()
    model(np.zeros((1, 2)))
    (found,) = inputs_of(functional(model))
    assert (found.shape, found.dtype) == ((2,), "float32")
    with pytest.raises(ValueError, match="`input_shape` must be a shape of one sample that fits"):
        functional(model, (3,))
    several = Own()
    several([np.zeros((1, 2)), np.zeros((1, 3))])
    with pytest.raises(ValueError, match="`model` must be .* a model of one input"):
        functional(several)
