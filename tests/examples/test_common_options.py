"""The options of the examples: defaults, ranges, one line for each mistake."""

import common
import pytest
from common import options


def parse(*arguments):
    return common.parse_options(
        "vgg7", "About.", ("none", "spectral"), ("digits", "mnist"), 7, 16, 0.5, arguments
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
    assert text.count("\n  --") == 10
