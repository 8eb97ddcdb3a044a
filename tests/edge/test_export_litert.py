"""LiteRT files: every number of the report against the interpreter and against Keras."""

import os

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tests.edge.conftest import SHAPE, small_model
from tfspecnorm import edge

pytestmark = pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="needs TensorFlow")
litert = pytest.importorskip("ai_edge_litert.interpreter")

OPERATORS = ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MEAN"]


def interpreter(path):
    made = litert.Interpreter(
        os.fspath(path),
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    made.allocate_tensors()
    return made


def run(path, samples):
    """Outputs of a file by hand; quantized ones by the formula of the format."""
    made = interpreter(path)
    (given,), (out,) = made.get_input_details(), made.get_output_details()
    rows = []
    for sample in samples:
        value = sample[np.newaxis]
        if given["dtype"] != np.float32:
            scale, zero_point = given["quantization"]
            limits = np.iinfo(given["dtype"])
            value = np.clip(np.rint(value / scale) + zero_point, limits.min, limits.max)
        made.set_tensor(given["index"], value.astype(given["dtype"]))
        made.invoke()
        rows.append(made.get_tensor(out["index"])[0].astype("float32"))
    rows = np.stack(rows)
    if out["dtype"] != np.float32:
        scale, zero_point = out["quantization"]
        rows = (rows - zero_point) * scale
    return rows


@pytest.mark.parametrize("quantize", [None, "float16", "dynamic", "int8"])
def test_report_says_what_the_file_does(model, samples, quantize, tmp_path):
    expected = tools.array(model(samples, training=False))
    labels = expected.argmax(axis=1)
    labels[:8] = (labels[:8] + 1) % 5
    path = tmp_path / "model.tflite"
    report = tfspecnorm.export(
        model, path, quantize, samples, (samples, labels), micro=False, runs=7
    )
    outputs = run(path, samples)
    difference = np.abs(outputs - expected)
    # XNNPACK and the plain kernels of LiteRT round to different sides.
    step = report.outputs[0].scale or 1e-5
    assert report.largest_difference == pytest.approx(difference.max(), abs=1.5 * step)
    assert report.mean_difference == pytest.approx(difference.mean(), abs=0.2 * step)
    noise = 10 * np.log10(np.sum(expected**2) / np.sum((outputs - expected) ** 2))
    if noise < 100:
        assert report.signal_to_noise_db == pytest.approx(noise, abs=2)
    else:
        # Rounding alone, which is the kernels' own.
        assert report.signal_to_noise_db > 120
    limits = {None: 1e-5, "float16": 1e-2, "dynamic": 0.1, "int8": 0.2}
    assert report.largest_difference < limits[quantize] * np.abs(expected).max()
    assert report.accuracy_model == 56 / 64
    accuracy = np.mean(outputs.argmax(axis=1) == labels)
    assert report.accuracy_file == pytest.approx(accuracy, abs=1 / 64)
    assert report.accuracy_drop == report.accuracy_model - report.accuracy_file
    assert report.agreement >= 0.9
    assert (report.samples, report.runs, report.threads) == (64, 7, 1)
    low, high = report.latency_range_ms
    assert 0 < low <= report.latency_ms <= high
    assert report.file_bytes == path.stat().st_size
    assert report.parameters == 3 * 9 * 8 + 8 + 9 * 8 + 8 + 8 * 5 + 5
    assert (report.format, report.quantize, report.path) == ("LiteRT", quantize, str(path))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_operators_are_those_of_the_interpreter(model, samples, quantize, tmp_path):
    path = tmp_path / "model.tflite"
    report = tfspecnorm.export(model, path, quantize, samples, micro=False)
    names = sorted(details["op_name"] for details in interpreter(path)._get_ops_details())
    assert sorted(name for name, count in report.operators.items() for _ in range(count)) == names
    assert names == OPERATORS


def test_int8_is_integers_only(model, samples, tmp_path):
    path = tmp_path / "model.tflite"
    report = tfspecnorm.export(model, path, "int8", samples, micro=False)
    assert report.is_integer
    kinds = {details["dtype"] for details in interpreter(path).get_tensor_details()}
    assert kinds == {np.int8, np.int32}
    (given,), (made,) = report.inputs, report.outputs
    assert (given.name, given.shape, given.dtype) == ("image", (1, *SHAPE), "int8")
    assert (made.shape, made.dtype) == ((1, 5), "int8")
    (details,) = interpreter(path).get_input_details()
    assert details["quantization"] == (pytest.approx(given.scale), given.zero_point)
    back = given.floating(given.quantized(samples))
    assert np.abs(back - samples).max() <= given.scale / 2 * 1.001


def test_smaller_with_fewer_bits(tmp_path):
    # Dynamic quantization leaves weights of less than a thousand entries as they are.
    model = keras.Sequential([keras.Input((64,)), layers.Dense(64), layers.Dense(64)])
    samples = tools.random(20, 64)
    sizes = [
        tfspecnorm.export(
            model, tmp_path / "model.tflite", quantize, samples, micro=False
        ).file_bytes
        for quantize in (None, "float16", "dynamic", "int8")
    ]
    weights = [4 * 8192, 2 * 8192, 8192, 8192]
    for size, least in zip(sizes, weights, strict=True):
        assert least < size < least + 4096


def test_what_was_there_is_replaced(model, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_text("old")
    tfspecnorm.export(model, path)
    assert edge.inspect(path).operators == dict.fromkeys(OPERATORS, 1)


def test_the_same_arguments_give_the_same_file(model, samples, tmp_path):
    for name in ("one", "two"):
        tfspecnorm.export(model, tmp_path / f"{name}.tflite", "int8", samples, micro=False)
    assert (tmp_path / "one.tflite").read_bytes() == (tmp_path / "two.tflite").read_bytes()


def test_the_given_model_is_unchanged(model, samples, tmp_path):
    before = [tools.array(variable) for variable in model.weights]
    tfspecnorm.export(model, tmp_path / "model.tflite", "int8", samples, micro=False)
    for variable, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(tools.array(variable), value)


def test_several_inputs_and_outputs_keep_their_order(tmp_path):
    left, right = keras.Input((4,), name="left"), keras.Input((6,), name="right")
    hidden = layers.Concatenate()([layers.Dense(5)(left), layers.Dense(5)(right)])
    outputs = [layers.Dense(3)(hidden), layers.Dense(2)(hidden)]
    model = keras.Model([right, left], outputs)
    data = [tools.random(40, 6), tools.random(40, 4, seed=1)]
    report = tfspecnorm.export(model, tmp_path / "model.tflite", evaluation=data)
    assert [part.name for part in report.inputs] == ["right", "left"]
    assert [part.shape for part in report.outputs] == [(1, 3), (1, 2)]
    assert report.largest_difference < 1e-5
    named = {"left": data[1], "right": data[0]}
    report = tfspecnorm.export(model, tmp_path / "model.tflite", "int8", named, micro=False)
    assert report.is_integer
    assert report.largest_difference < 0.2


def test_batch_normalization_is_folded_unless_it_is_to_stay(tmp_path):
    parts = [layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization()]
    followed = [layers.Conv2D(4, 3), layers.BatchNormalization()]
    model = keras.Sequential([keras.Input(SHAPE), *parts, *followed])
    for variable in model.weights:
        variable.assign(np.random.default_rng(0).uniform(0.5, 1.5, variable.shape))
    counts = {}
    for batch_norm in (True, False):
        report = tfspecnorm.export(model, tmp_path / "model.keras", batch_norm=batch_norm)
        counts[batch_norm] = report.operators["BatchNormalization"]
        assert report.largest_difference < 1e-3 * 100
        assert report.signal_to_noise_db > 100
    assert counts == {True: 1, False: 2}


def test_half_precision_training_leaves_no_casts(samples, tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    model = small_model()
    keras.config.set_dtype_policy("float32")
    report = tfspecnorm.export(model, tmp_path / "model.tflite", evaluation=samples)
    assert sorted(report.operators) == OPERATORS
    assert report.largest_difference < 0.02 * np.abs(tools.array(model(samples))).max()


def test_integer_inputs_and_open_sizes(tmp_path):
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    hidden = layers.GlobalAveragePooling1D()(layers.Embedding(11, 4)(tokens))
    model = keras.Model(tokens, layers.Dense(3)(hidden))
    path = tmp_path / "model.tflite"
    with pytest.raises(ValueError, match="`input_shape` must be given"):
        tfspecnorm.export(model, path)
    data = np.random.default_rng(0).integers(0, 11, (20, 7))
    report = tfspecnorm.export(model, path, evaluation=data, input_shape=(7,))
    assert report.inputs[0].dtype == "int32"
    assert report.largest_difference < 1e-5


def test_single_numbers_have_no_predictions(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    report = tfspecnorm.export(model, tmp_path / "model.tflite")
    assert report.agreement is None
    assert report.accuracy_drop is None
    with pytest.raises(ValueError, match="`evaluation` must have no labels.*(20, 1)"):
        data = tools.random(20, 4), np.zeros(20, int)
        tfspecnorm.export(model, tmp_path / "model.tflite", evaluation=data)


@pytest.mark.parametrize("labels", ["integers", "column", "one-hot"])
def test_forms_of_labels(model, samples, labels, tmp_path):
    classes = tools.array(model(samples)).argmax(axis=1)
    given = {
        "integers": classes,
        "column": classes[:, np.newaxis],
        "one-hot": np.eye(5, dtype="float32")[classes],
    }[labels]
    report = tfspecnorm.export(model, tmp_path / "model.tflite", evaluation=(samples, given))
    assert report.accuracy_model == 1.0


def test_loops(tmp_path):
    data = tools.random(20, 5, 4)
    for unroll in (False, True):
        parts = [layers.LSTM(3, unroll=unroll), layers.Dense(2)]
        model = keras.Sequential([keras.Input((5, 4)), *parts])
        path = tmp_path / "model.tflite"
        assert tfspecnorm.export(model, path, evaluation=data).largest_difference < 1e-5
        if unroll:
            report = tfspecnorm.export(model, path, "int8", data, micro=False)
            # The converter may compute the split of the first step with floating numbers: it
            # depends on the ranges that it found.
            assert report.inputs[0].dtype == report.outputs[0].dtype == "int8"
            assert report.operators["FULLY_CONNECTED"] == 10
            assert report.largest_difference < 0.05
            assert report.is_integer == ("DEQUANTIZE" not in report.operators)
            continue
        with pytest.raises(ValueError, match="unroll=True.*quantize='int8'"):
            tfspecnorm.export(model, path, "int8", data)


def test_a_layer_that_is_always_zero(tmp_path):
    """The faster kernels of the interpreter refuse the mean of zeros."""
    parts = [layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input(SHAPE), *parts, layers.Dense(3)])
    model.layers[0].bias.assign(np.full(4, -1000.0))
    model.layers[-1].bias.assign([1.0, 2.0, -3.0])
    report = tfspecnorm.export(model, tmp_path / "model.tflite", "int8", tools.random(20, *SHAPE))
    assert report.is_integer
    assert report.largest_difference < 0.02


def test_weights_that_are_not_finite(model, tmp_path):
    broken = keras.models.clone_model(model)
    broken.layers[-1].layer.bias.assign([0.0, np.nan, 0.0, 0.0, 0.0])
    with pytest.raises(ValueError, match=r"`model` must have finite weights.*\['bias'\]"):
        tfspecnorm.export(broken, tmp_path / "model.tflite")
    assert list(tmp_path.iterdir()) == []
