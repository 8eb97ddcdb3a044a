"""What holds for every classifier with every normalization."""

import dataclasses
import re

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tests.models import networks
from tfspecnorm.layers import SpectralNorm
from tfspecnorm.models import Normalization, normalizations

BUILDERS = sorted(networks.SMALL)
PLACES = {name: place for place, name in enumerate(normalizations.NAMES)}
WRAPPERS = [name for name in normalizations.NAMES if name not in ("none", "batch")]


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network after one step of training."""

    builder: str
    normalization: str
    model: keras.Model
    loss: float
    unchanged: list[str]


def each_builder(names):
    """Every builder with each of some normalizations, trained once for all tests.

    The quick run takes two of them for each builder, and all of them between the builders.
    """
    return pytest.mark.parametrize(
        "trained",
        [
            pytest.param(
                (builder, name),
                marks=() if (position - PLACES[name]) % 4 == 0 else pytest.mark.crossed,
                id=f"{builder}-{name}",
            )
            for position, builder in enumerate(BUILDERS)
            for name in names
        ],
        indirect=True,
        scope="module",
    )


@pytest.fixture(scope="module")
def trained(request):
    builder, normalization = request.param
    keras.utils.set_random_seed(0)
    model = networks.small(builder, normalization)
    before = [tools.array(variable) for variable in model.trainable_variables]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1.0), loss, run_eagerly=True)
    found = float(model.train_on_batch(networks.inputs_of(model), np.arange(8) % 5))
    unchanged = [
        variable.path
        for variable, value in zip(model.trainable_variables, before, strict=True)
        if np.array_equal(tools.array(variable), value)
    ]
    return Trained(builder, normalization, model, found, unchanged)


def twin_of(trained):
    """The same network without wrappers."""
    arguments = {}
    if trained.builder not in networks.WITHOUT_SLOPE:
        arguments["negative_slope"] = normalizations.get(trained.normalization).negative_slope
    return networks.small(trained.builder, "none", **arguments)


@each_builder(normalizations.NAMES)
def test_a_step_of_training_changes_every_trained_variable(trained):
    assert np.isfinite(trained.loss)
    assert trained.unchanged == []
    assert all(np.isfinite(tools.array(variable)).all() for variable in trained.model.weights)


@each_builder(WRAPPERS)
def test_folded_network_is_the_plain_one(trained):
    folded, twin = tfspecnorm.fold(trained.model), twin_of(trained)
    assert [(type(a), a.name) for a in folded.layers] == [(type(b), b.name) for b in twin.layers]
    twin.set_weights(folded.get_weights())
    inputs = networks.inputs_of(twin)
    expected = networks.outputs_of(trained.model, inputs)
    assert expected.shape == (8, 5)
    np.testing.assert_allclose(networks.outputs_of(twin, inputs), expected, rtol=1e-4, atol=1e-4)


@each_builder(["batch", "bidirectional-scaled", "mean-spectral", "weight"])
def test_saved_network_loads_with_equal_outputs(trained, tmp_path):
    trained.model.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    inputs = networks.inputs_of(loaded)
    expected = networks.outputs_of(trained.model, inputs)
    np.testing.assert_allclose(networks.outputs_of(loaded, inputs), expected, rtol=1e-6)


@each_builder(normalizations.NAMES)
def test_normalization_stands_where_it_should(trained):
    found = networks.wrapped(trained.model)
    expected = normalizations.get(trained.normalization)
    classes = {
        type(wrap(layers.Dense(1))).__name__
        for wrap in (expected.wrap, expected.wrap_linear, expected.wrap_unscaled)
    }
    assert set(found.values()) <= classes
    followed = any(isinstance(part, layers.BatchNormalization) for part in trained.model.layers)
    assert followed == (trained.normalization == "batch")
    if trained.normalization in WRAPPERS:
        assert set(networks.kernel_layers(trained.model)) - set(found) <= {"head"}


@pytest.mark.parametrize("builder", BUILDERS)
def test_batch_normalization_takes_the_place_of_biases_of_the_same_layers(builder):
    batch, plain = networks.small(builder, "batch"), networks.small(builder, "none")
    names = networks.kernel_layers(batch)
    assert names == networks.kernel_layers(plain)
    assert [name for name in names if batch.get_layer(name).use_bias] == ["head"]
    assert batch.name == builder


@pytest.mark.parametrize("builder", BUILDERS)
def test_callable_normalization_wraps_what_it_is_given(builder):
    model = networks.small(builder, lambda layer: SpectralNorm(layer, power_iterations=3))
    wrappers = [layer for layer in model.layers if isinstance(layer, SpectralNorm)]
    assert wrappers and all(wrapper.power_iterations == 3 for wrapper in wrappers)


@pytest.mark.parametrize("builder", BUILDERS)
def test_normalization_of_a_users_own(builder):
    own = Normalization("own", batch=True, negative_slope=0.3)
    model = networks.small(builder, own)
    assert any(isinstance(layer, layers.BatchNormalization) for layer in model.layers)
    slopes = {part.negative_slope for part in model.layers if isinstance(part, layers.LeakyReLU)}
    assert slopes == (set() if builder in networks.WITHOUT_SLOPE else {0.3})


# The filters of a small MobileNetV2 are at the least that there can be.
@pytest.mark.parametrize("builder", [name for name in BUILDERS if name != "mobilenet_v2"])
def test_width_multiplies_weights(builder):
    wide, narrow = (networks.small(builder, "none", width=width) for width in (1.0, 0.5))
    assert networks.trainable_parameters(narrow) < 0.7 * networks.trainable_parameters(wide)


@pytest.mark.parametrize("builder", BUILDERS)
def test_integers_of_numpy_are_integers(builder):
    shape = np.array(networks.SMALL[builder]["input_shape"])
    model = networks.small(builder, "none", input_shape=shape, classes=np.int64(7), name="other")
    assert model.output_shape == (None, 7)
    assert model.name == "other"


ARGUMENTS = [
    ({"input_shape": 8}, "`input_shape`.*Received: input_shape=8"),
    ({"input_shape": (32, 0, 3)}, r"`input_shape`.*Received: input_shape=\(32, 0, 3\)"),
    ({"input_shape": (None,)}, r"`input_shape`.*Received: input_shape=\(None,\)"),
    ({"classes": 0}, "`classes` must be a positive integer.*Received: classes=0"),
    ({"classes": True}, "`classes`.*Received: classes=True"),
    ({"normalization": "layer"}, "`normalization`.*Received: normalization='layer'"),
    ({"width": 0}, "`width`.*Received: width=0"),
    ({"width": "wide"}, "`width`.*Received: width='wide'"),
    ({"negative_slope": -0.1}, r"`negative_slope`.*Received: negative_slope=-0\.1"),
    ({"negative_slope": 1.0}, r"`negative_slope`.*Received: negative_slope=1\.0"),
]


@pytest.mark.parametrize(
    ("builder", "arguments", "message"),
    [
        (builder, *case)
        for builder in BUILDERS
        for case in ARGUMENTS
        if not (builder in networks.WITHOUT_SLOPE and "negative_slope" in case[0])
    ],
)
def test_wrong_arguments_are_named(builder, arguments, message):
    with pytest.raises(ValueError) as caught:
        networks.small(builder, **{"normalization": "none", **arguments})
    assert re.search(message, str(caught.value))
