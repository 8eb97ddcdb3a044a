"""Starts of weight-normalized networks."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import tools
from tfspecnorm import initializers
from tfspecnorm.initializers import ResidualBlock
from tfspecnorm.layers import SpectralNorm, WeightNorm


def model_of(*parts, shape=(8, 8, 4)):
    return keras.Sequential([keras.Input(shape), *parts])


def gain_of(wrapper):
    (gain,) = wrapper.gains().values()
    return tools.array(gain)


def snapshot(model):
    return [tools.array(variable).copy() for variable in model.variables]


def assert_unchanged(model, before):
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(tools.array(variable), value)


# Layer, the matrices of output units in its kernel, and inputs over outputs of a channel.
CASES = {
    "dense": (lambda: layers.Dense(5), (9,), lambda k: [k], 9 / 5),
    "wider": (lambda: layers.Dense(12), (5,), lambda k: [k], 5 / 12),
    "conv2d": (
        lambda: layers.Conv2D(6, 3, strides=2), (8, 8, 4), lambda k: [k.reshape(36, 6)], 4 / 6,
    ),
    "grouped": (
        lambda: layers.Conv2D(6, 3, groups=2), (8, 8, 4),
        lambda k: [part.reshape(18, 3) for part in np.split(k, 2, axis=-1)], 2 / 3,
    ),
    "transposed": (
        lambda: layers.Conv2DTranspose(6, 3), (8, 8, 4),
        lambda k: [k.transpose(0, 1, 3, 2).reshape(36, 6)], 4 / 6,
    ),
    "depthwise": (
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2), (8, 8, 4),
        lambda k: [k[:, :, channel].reshape(9, 2) for channel in range(4)], 1 / 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_robust_start_of_a_layer(name):
    make, shape, matrices, fan_ratio = CASES[name]
    wrapper = WeightNorm(make())
    model = model_of(wrapper, shape=shape)
    wrapper.layer.bias.assign(np.ones(wrapper.layer.bias.shape))
    initializers.robust(model, seed=0)
    kernel = wrapper.kernels[0].variable
    for matrix in matrices(tools.array(kernel).astype("float64")):
        few = matrix.T if matrix.shape[0] >= matrix.shape[1] else matrix
        np.testing.assert_allclose(few @ few.T, np.eye(len(few)), atol=1e-5)
    np.testing.assert_allclose(gain_of(wrapper), np.sqrt(2 * fan_ratio), rtol=1e-6)
    np.testing.assert_array_equal(tools.array(wrapper.layer.bias), 0.0)


def test_directions_follow_the_seed_and_differ_between_layers():
    model = model_of(WeightNorm(layers.Dense(6)), WeightNorm(layers.Dense(6)), shape=(6,))
    found = []
    for seed in (0, 0, 1, None, None):
        initializers.robust(model, seed=seed)
        found.append([tools.array(part.layer.kernel).copy() for part in model.layers])
    np.testing.assert_array_equal(found[0], found[1])
    for first, second in ((0, 2), (3, 4)):
        assert np.abs(found[first][0] - found[second][0]).max() > 0.1
    assert np.abs(found[0][0] - found[0][1]).max() > 0.1


def residual_model(blocks=(2, 3), width=6):
    inputs = hidden = keras.Input((width,))
    stages = []
    for stage, count in enumerate(blocks):
        stages.append([])
        for block in range(count):
            name = f"stage{stage}_block{block}"
            shortcut = f"{name}_shortcut" if block == 0 else None
            branch = layers.ReLU()(WeightNorm(layers.Dense(width, name=f"{name}_a"))(hidden))
            branch = WeightNorm(layers.Dense(width, name=f"{name}_b"), name=f"{name}_wn")(branch)
            if shortcut:
                hidden = WeightNorm(layers.Dense(width, name=shortcut))(hidden)
            hidden = layers.Add()([hidden, branch])
            stages[-1].append(ResidualBlock(f"{name}_b", shortcut))
    return keras.Model(inputs, layers.Dense(2, name="head")(hidden)), stages


def test_robust_start_of_a_residual_network():
    model, stages = residual_model()
    initializers.robust(model, stages, gammas={"stage0_block0_a": 1.0}, seed=0)
    gains = {
        layer.layer.name: gain_of(layer)[0] ** 2
        for layer in model.layers
        if isinstance(layer, WeightNorm)
    }
    np.testing.assert_allclose(gains["stage0_block0_a"], 1.0, rtol=1e-5)
    np.testing.assert_allclose(gains["stage0_block1_a"], 2.0, rtol=1e-5)
    np.testing.assert_allclose(gains["stage0_block1_b"], 1 / 2, rtol=1e-5)
    np.testing.assert_allclose(gains["stage1_block2_b"], 1 / 3, rtol=1e-5)
    np.testing.assert_allclose(gains["stage1_block0_shortcut"], 1.0, rtol=1e-5)


def test_a_name_of_the_wrapper_and_a_layer_that_is_left():
    model, stages = residual_model()
    before = tools.array(model.get_layer("stage1_block1_wn").layer.kernel).copy()
    initializers.robust(model, gammas={"stage1_block1_wn": None, "stage0_block0_wn": 0.5}, seed=0)
    np.testing.assert_array_equal(
        tools.array(model.get_layer("stage1_block1_wn").layer.kernel), before
    )
    np.testing.assert_allclose(
        gain_of(model.get_layer("stage0_block0_wn")), np.sqrt(0.5), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gammas": {"unknown": 1.0}}, "`gammas` must name.*'unknown', which 0 layers"),
        ({"gammas": {"head": 1.0}}, "`gammas` must name.*'head', which 0 layers"),
        ({"stages": [[ResidualBlock("nowhere")]]}, "`stages` must name.*'nowhere'"),
        (
            {"stages": [[ResidualBlock("stage0_block0_b"), ResidualBlock("stage0_block0_wn")]]},
            "`stages` must name.*each of them once",
        ),
        ({"gammas": {"stage0_block0_a": 0}}, "`gammas` must have positive.*'stage0_block0_a': 0"),
        ({"gammas": {"stage0_block0_a": "2"}}, "`gammas` must have positive"),
        ({"gammas": ["stage0_block0_a"]}, "`gammas` must be a dict.*=.'stage0_block0_a'"),
        ({"stages": [ResidualBlock("stage0_block0_b")]}, "`stages` must be a sequence of stages"),
        ({"stages": [[]]}, "`stages` must be .* at least one `ResidualBlock`.*stages=...."),
        ({"stages": [[ResidualBlock(["stage0_block0_b"])]]}, "`stages` must name.*which 0"),
        ({"seed": -1}, "`seed` must be an integer of at least 0.*seed=-1"),
        ({"seed": 0.5}, "`seed` must be.*seed=0.5"),
    ],
)
def test_bad_rules(arguments, message):
    model, _ = residual_model()
    before = snapshot(model)
    with pytest.raises(ValueError, match=message):
        initializers.robust(model, **arguments)
    assert_unchanged(model, before)


def test_layers_without_a_rule_must_be_named():
    model = model_of(
        WeightNorm(layers.Embedding(9, 4, name="words")),
        WeightNorm(layers.LSTM(3, name="steps")),
        WeightNorm(layers.Dense(2)),
        shape=(5,),
    )
    with pytest.raises(ValueError, match=r"`gammas` must name.*without \['words', 'steps'\]"):
        initializers.robust(model)
    cell = model.layers[1].layer.cell
    initializers.robust(model, gammas={"words": None, "steps": 1.0}, seed=0)
    np.testing.assert_allclose(gain_of(model.layers[2]), np.sqrt(2 * 3 / 2), rtol=1e-6)
    for kernel, ratio in (("kernel", 4 / 12), ("recurrent_kernel", 3 / 12)):
        gain = tools.array(model.layers[1].gains()[kernel])
        np.testing.assert_allclose(gain, np.sqrt(ratio), rtol=1e-6)
    # The forget gate stays open.
    np.testing.assert_array_equal(tools.array(cell.bias)[3:6], 1.0)


def test_attention_has_no_rule():
    inputs = keras.Input((5, 4))
    attention = WeightNorm(layers.MultiHeadAttention(2, 3, name="attention"))
    model = keras.Model(inputs, attention(inputs, inputs))
    with pytest.raises(ValueError, match=r"`gammas` must name.*attention.*without \['attention'"):
        initializers.robust(model)


def test_separable_convolution_keeps_the_size_of_its_inputs():
    wrapper = WeightNorm(layers.SeparableConv2D(48, 3, padding="same", activation="relu"))
    model = model_of(wrapper, shape=(16, 16, 48))
    initializers.robust(model, seed=0)
    np.testing.assert_allclose(tools.array(wrapper.gains()["depthwise_kernel"]), 1.0)
    inputs = tools.random(4, 16, 16, 48)
    ratio = np.linalg.norm(tools.array(model(inputs))) / np.linalg.norm(inputs)
    assert 0.9 < ratio < 1.05


def test_a_frozen_layer_is_started_whole():
    wrapper = WeightNorm(layers.Dense(3, bias_initializer="ones"))
    model = model_of(wrapper, shape=(4,))
    wrapper.trainable = False
    initializers.robust(model, seed=0)
    np.testing.assert_array_equal(tools.array(wrapper.layer.bias), 0.0)


@pytest.mark.parametrize(
    "start", [initializers.robust, lambda m: initializers.data_dependent(m, np.zeros((2, 4)))]
)
def test_bad_models(start):
    with pytest.raises(ValueError, match="`model` must be a Keras model"):
        start(layers.Dense(3))
    with pytest.raises(ValueError, match="`model` must be built"):
        start(keras.Sequential([WeightNorm(layers.Dense(3))]))
    with pytest.raises(ValueError, match="must hold a layer wrapped in.*WeightNorm"):
        start(model_of(SpectralNorm(layers.Dense(3)), shape=(4,)))


class Own(keras.Model):
    """A model whose graph Keras does not know."""

    def __init__(self):
        super().__init__()
        self.first = WeightNorm(layers.Dense(6, activation="relu"))
        self.second = WeightNorm(layers.Dense(3))

    def call(self, inputs):
        return self.second(self.first(inputs))


def test_every_layer_sees_a_normalized_batch():
    model = model_of(
        WeightNorm(layers.Conv2D(6, 3)),
        layers.ReLU(),
        WeightNorm(layers.Conv2D(5, 3, strides=2)),
        layers.BatchNormalization(),
        keras.Sequential([layers.Flatten(), WeightNorm(layers.Dense(4))]),
    )
    batch = 3 * tools.random(16, 8, 8, 4) + 1
    statistics = snapshot(model.layers[3])
    directions = tools.array(model.layers[0].layer.kernel).copy()
    initializers.data_dependent(model, batch)
    for position, axes in ((0, (0, 1, 2)), (2, (0, 1, 2)), (4, (0,))):
        part = keras.Sequential(model.layers[: position + 1])
        outputs = tools.array(part(batch))
        np.testing.assert_allclose(outputs.mean(axis=axes), 0, atol=1e-4)
        np.testing.assert_allclose(outputs.std(axis=axes), 1, atol=1e-4)
    assert_unchanged(model.layers[3], statistics)
    np.testing.assert_array_equal(tools.array(model.layers[0].layer.kernel), directions)


def test_a_model_in_code_with_activations_inside_the_layers():
    model, batch = Own(), tools.random(32, 5)
    model(batch)
    initializers.data_dependent(model, batch)
    first = tools.array(batch @ tools.array(model.first.effective_kernels()["kernel"]))
    first = first + tools.array(model.first.layer.bias)
    np.testing.assert_allclose(first.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(first.std(axis=0), 1, atol=1e-5)
    outputs = tools.array(model(batch))
    np.testing.assert_allclose(outputs.std(axis=0), 1, atol=1e-5)
    assert model.first.layer.activation is keras.activations.relu


def test_nothing_is_left_in_the_layers(tmp_path):
    model = model_of(WeightNorm(layers.Dense(3)), shape=(4,))
    batch = tools.random(16, 4)
    initializers.data_dependent(model, batch)
    assert "call" not in vars(model.layers[0])
    gains = gain_of(model.layers[0]).copy()
    tools.fit_steps(model, 5 * batch, np.zeros((16, 3)), learning_rate=0.0)
    np.testing.assert_array_equal(gain_of(model.layers[0]), gains)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(tools.array(loaded(batch)), tools.array(model(batch)))


def test_without_a_bias_the_gain_alone_is_set():
    model = model_of(WeightNorm(layers.Dense(3, use_bias=False)), shape=(4,))
    batch = tools.random(64, 4) + 2
    initializers.data_dependent(model, batch)
    outputs = tools.array(model(batch))
    np.testing.assert_allclose(outputs.std(axis=0), 1, atol=1e-5)
    assert np.abs(outputs.mean(axis=0)).max() > 0.1


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize(
    ("equation", "output", "bias_axes"),
    [
        ("abc,cde->abde", (None, 2, 3), "de"),
        ("abc,cde->abed", (None, 3, 2), "ed"),
        ("abc,bcd->adb", (5, 4), "db"),
    ],
)
def test_einsum_with_channels_in_another_order(equation, output, bias_axes, with_bias):
    layer = layers.EinsumDense(equation, output, bias_axes=bias_axes if with_bias else None)
    model = model_of(WeightNorm(layer), shape=(4, 6))
    batch = tools.random(32, 4, 6) * np.linspace(0.1, 5, 24, dtype="float32").reshape(4, 6)
    initializers.data_dependent(model, batch)
    outputs = tools.array(model(batch))
    axes = (0, 1) if "b" in equation.split("->")[1][:2] else (0,)
    np.testing.assert_allclose(outputs.std(axis=axes), 1, atol=1e-4)
    if with_bias:
        np.testing.assert_allclose(outputs.mean(axis=axes), 0, atol=1e-4)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_channels_of_both_formats_inside_time_steps(data_format):
    if tools.BACKEND == "tensorflow" and data_format == "channels_first":
        pytest.skip("TensorFlow has no such convolution on a CPU")
    layer = layers.TimeDistributed(layers.Conv2D(3, 2, data_format=data_format))
    model = model_of(WeightNorm(layer), shape=(4, 6, 6, 6))
    batch = tools.random(8, 4, 6, 6, 6) + 1
    initializers.data_dependent(model, batch)
    outputs = tools.array(model(batch))
    axes = (0, 1, 3, 4) if data_format == "channels_first" else (0, 1, 2, 3)
    np.testing.assert_allclose(outputs.mean(axis=axes), 0, atol=1e-4)
    np.testing.assert_allclose(outputs.std(axis=axes), 1, atol=1e-4)


def test_states_of_recurrent_layers_stay():
    recurrent = layers.LSTM(3, stateful=True)
    inputs = keras.Input((5, 4), batch_size=8)
    model = keras.Model(inputs, WeightNorm(layers.Dense(2))(recurrent(inputs)))
    initializers.data_dependent(model, tools.random(8, 5, 4))
    for state in recurrent.states:
        np.testing.assert_array_equal(tools.array(state), 0.0)


def test_one_layer_in_two_wrappers_is_refused():
    inputs, dense = keras.Input((4,)), layers.Dense(4, name="shared")
    model = keras.Model(inputs, WeightNorm(dense)(WeightNorm(dense)(inputs)))
    before = snapshot(model)
    with pytest.raises(ValueError, match=r"each layer in one wrapper.*\['shared'\]"):
        initializers.data_dependent(model, tools.random(8, 4))
    assert_unchanged(model, before)


def test_separable_convolution():
    model = model_of(WeightNorm(layers.SeparableConv2D(5, 3)))
    initializers.data_dependent(model, tools.random(8, 8, 8, 4))
    gains = model.layers[0].gains()
    np.testing.assert_array_equal(tools.array(gains["depthwise_kernel"]), 1.0)
    outputs = tools.array(model(tools.random(8, 8, 8, 4)))
    np.testing.assert_allclose(outputs.std(axis=(0, 1, 2)), 1, atol=1e-4)


def zero_unit(model):
    kernel = tools.array(model.layers[2].layer.kernel).copy()
    kernel[:, 1] = 0
    model.layers[2].layer.kernel.assign(kernel)


NOTHING = lambda model: None  # noqa: E731


@pytest.mark.parametrize(
    ("change", "batch", "message"),
    [
        (NOTHING, np.ones((1, 4), "float32"), "at least two values for each channel.*'first'"),
        (NOTHING, np.full((8, 4), np.nan, "float32"), "`batch` must be finite"),
        (NOTHING, np.full((8, 4), np.inf, "float32"), "`batch` must be finite"),
        (NOTHING, np.ones((8, 4), "float32"), "constant.*'first', 6 of 6 channels"),
        (zero_unit, tools.random(8, 4), "not zero.*'last', where 1 of 3 units of 'kernel'"),
    ],
    ids=["one-value", "nan", "infinite", "constant", "zero-direction"],
)
def test_bad_batches_change_nothing(change, batch, message):
    model = model_of(
        WeightNorm(layers.Dense(6, name="first")),
        layers.ReLU(),
        WeightNorm(layers.Dense(3, name="last")),
        shape=(4,),
    )
    change(model)
    before = snapshot(model)
    with pytest.raises(ValueError, match=message):
        initializers.data_dependent(model, batch)
    assert_unchanged(model, before)
    assert "call" not in vars(model.layers[0])


def test_failure_in_the_middle_changes_nothing():
    model = model_of(
        WeightNorm(layers.Dense(6, name="first")),
        layers.Lambda(lambda hidden: 0 * hidden),
        WeightNorm(layers.Dense(3, name="last", activation="relu")),
        shape=(4,),
    )
    before = snapshot(model)
    with pytest.raises(ValueError, match="constant.*'last', 3 of 3 channels constant"):
        initializers.data_dependent(model, tools.random(8, 4))
    assert_unchanged(model, before)
    assert model.layers[2].layer.activation is keras.activations.relu


@pytest.mark.parametrize("make", [lambda: layers.LSTM(3), lambda: layers.MultiHeadAttention(2, 3)])
def test_layers_of_other_kinds_are_refused(make):
    inputs = keras.Input((5, 4))
    layer = WeightNorm(make())
    outputs = layer(inputs) if "LSTM" in type(layer.layer).__name__ else layer(inputs, inputs)
    with pytest.raises(ValueError, match="one bias for each output unit: .*Dense"):
        initializers.data_dependent(keras.Model(inputs, outputs), tools.random(8, 5, 4))


def test_a_layer_that_runs_twice_takes_its_first_run():
    shared = WeightNorm(layers.Dense(4))
    inputs = keras.Input((4,))
    model = keras.Model(inputs, ops.tanh(shared(shared(inputs))))
    batch = tools.random(32, 4)
    initializers.data_dependent(model, batch)
    np.testing.assert_allclose(tools.array(shared(batch)).std(axis=0), 1, atol=1e-5)


def test_a_wrapper_inside_a_time_distributed_layer_is_refused():
    model = model_of(layers.TimeDistributed(WeightNorm(layers.Dense(3))), shape=(5, 4))
    with pytest.raises(ValueError, match="wrappers around a TimeDistributed, not in it"):
        initializers.data_dependent(model, tools.random(8, 5, 4))


def test_a_wrapper_around_a_time_distributed_layer():
    model = model_of(WeightNorm(layers.TimeDistributed(layers.Dense(3))), shape=(5, 4))
    batch = tools.random(8, 5, 4) * np.arange(1.0, 6.0, dtype="float32")[:, None]
    initializers.data_dependent(model, batch)
    outputs = tools.array(model(batch))
    np.testing.assert_allclose(outputs.std(axis=(0, 1)), 1, atol=1e-5)
    np.testing.assert_allclose(outputs.mean(axis=(0, 1)), 0, atol=1e-5)
