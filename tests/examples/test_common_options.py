"""The options of the examples: defaults, ranges, one line for each mistake."""

import common
import keras
import pytest
from common import options


def parse(*arguments, **settings):
    return common.parse_options(
        "vgg7", "About.", ("digits", "mnist"), 7, 16, 0.5, arguments=arguments, **settings
    )


def test_defaults_are_those_of_the_script():
    found = parse()
    assert (found.epochs, found.batch_size, found.learning_rate) == (7, 16, 0.5)
    assert (found.normalization, found.dataset, found.seed) == ("spectral", "digits", 0)
    assert (found.smoke, found.restart, found.data_dir) == (False, False, None)


def test_default_folder_tells_the_runs_apart():
    assert parse().output == options.OUTPUTS / "vgg7-digits-spectral"
    assert parse("--dataset", "mnist", "--normalization", "none", "--smoke").output.name == (
        "vgg7-mnist-none-smoke"
    )
    assert options.OUTPUTS.parts[-2:] == ("savedmodels", "demo")


def test_smoke_is_short_unless_epochs_are_given():
    assert parse("--smoke").epochs < parse().epochs
    assert parse("--smoke", "--epochs", "30").epochs == 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "argument --epochs: must be a positive integer. Received: '0'"),
        (["--epochs", "2.5"], "argument --epochs: must be a positive integer. Received: '2.5'"),
        (["--batch-size", "-4"], "argument --batch-size: must be a positive integer."),
        (["--learning-rate", "-1"], "argument --learning-rate: must be a positive finite number."),
        (["--learning-rate", "0"], "Received: '0'"),
        (["--learning-rate", "nan"], "Received: 'nan'"),
        (["--learning-rate", "inf"], "Received: 'inf'"),
        (["--learning-rate", "fast"], "Received: 'fast'"),
        (["--seed", "-1"], "argument --seed: must be an integer in [0, 2**31). Received: '-1'"),
        (["--seed", str(2**31)], "argument --seed"),
        (["--dataset", "imagenet"], "invalid choice: 'imagenet'"),
        (["--normalization", "layer"], "invalid choice: 'layer'"),
        (["--scale", "2"], "argument --scale: applies to scaled-spectral, bidirectional-scaled"),
        (["--scale", "0"], "argument --scale: must be a positive finite number."),
        (["--image-size", "0"], "argument --image-size: must be a positive integer."),
        (["--strategy", "all"], "invalid choice: 'all'"),
        (["--epoch", "3"], "unrecognized arguments: --epoch 3"),
        (["--output"], "argument --output: expected one argument"),
    ],
)
def test_mistakes_are_named_in_one_line(arguments, message):
    with pytest.raises(common.UsageError) as caught:
        parse(*arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit) as caught:
        parse("--help")
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert text.count("\n  --") == 16


def test_scale_goes_to_the_normalizations_that_take_one():
    assert parse("--normalization", "mean-spectral", scale=3.0).scale == 3.0
    assert parse("--normalization", "batch", scale=3.0).scale is None
    arguments = ("--normalization", "scaled-spectral", "--scale", "1.5")
    wrapped = common.chosen_normalization(parse(*arguments)).wrap(keras.layers.Dense(2))
    assert wrapped.scale.value == 1.5


def test_examples_add_options_of_their_own():
    extra = (("--depth", {"type": common.positive_integer, "default": 10, "help": "layers"}),)
    assert parse(extra=extra).depth == 10
    assert parse("--depth", "4", extra=extra).depth == 4
