"""What goes wrong becomes one line and an exit code."""

import errno

import common
import pytest
from common import command


def raising(error):
    def main():
        raise error

    return main


def test_success():
    assert common.run_script(lambda: None) == 0


@pytest.mark.parametrize(
    ("error", "exit_code", "text"),
    [
        (common.UsageError("no such thing"), 2, "error: no such thing"),
        (common.CheckError("they differ"), 1, "error: they differ"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/full/file"),
            2,
            "error: No space left on device: /full/file",
        ),
        (OSError("a text\nof two lines"), 2, "error: a text of two lines"),
    ],
)
def test_errors_are_one_line(error, exit_code, text, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["examples/vgg7.py"])
    assert common.run_script(raising(error)) == exit_code
    assert capsys.readouterr().err == f"vgg7.py: {text}\n"


def test_interrupt_says_how_to_go_on(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["examples/vgg7.py", "--output", "a folder"])
    assert common.run_script(raising(KeyboardInterrupt())) == 130
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert text.endswith(
        "resume after the last finished epoch with: python examples/vgg7.py --output 'a folder'\n"
    )


def test_mistakes_of_the_script_itself_keep_their_traceback():
    with pytest.raises(ZeroDivisionError) as caught:
        common.run_script(lambda: 1 / 0)
    assert caught.value.__traceback__ is not None


def test_description_has_no_place_in_a_graph():
    error = ValueError("{{function_node a/b:c}} corrupted\n record")
    assert command.describe(error) == "corrupted record"
    assert command.describe(ValueError()) == "ValueError"
