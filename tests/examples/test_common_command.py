"""What goes wrong becomes one line and an exit code."""

import errno
import os
import signal

import common
import pytest
from common import command, quiet
from common.output import OutputFolder


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


@pytest.fixture
def interrupted(monkeypatch, capfd):
    """Calls a script that interrupts itself: its exit code and what it wrote as an error."""

    class Exit(BaseException):
        pass

    def leave(exit_code):
        raise Exit(exit_code)

    def interrupted(main):
        monkeypatch.setattr(os, "_exit", leave)
        monkeypatch.setattr("sys.argv", ["examples/vgg7.py", "--output", "a folder"])
        with pytest.raises(Exit) as caught:
            common.run_script(main)
        return caught.value.args[0], capfd.readouterr().err

    # Tests that run in the background ignore interrupts from the start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield interrupted
    signal.signal(signal.SIGINT, before)


HOW_TO_GO_ON = (
    "vgg7.py: interrupted; resume after the last finished epoch with: "
    "python examples/vgg7.py --output 'a folder'\n"
)


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def test_interrupt_says_how_to_go_on(interrupted):
    before = signal.getsignal(signal.SIGINT)
    assert interrupted(interrupt) == (130, HOW_TO_GO_ON)
    assert signal.getsignal(signal.SIGINT) == before


def test_interrupt_is_seen_while_native_output_is_hidden(interrupted):
    def main():
        with quiet.native_log_hidden():
            os.write(2, b"chatter\n")
            interrupt()

    assert interrupted(main) == (130, HOW_TO_GO_ON)


def test_interrupt_leaves_no_half_file(interrupted, tmp_path):
    folder = OutputFolder(tmp_path)
    seen = []

    def look(*arguments):
        seen.append(sorted(path.name for path in tmp_path.iterdir()))

    def main():
        with folder.writing("whole.txt") as path:
            path.write_text("whole")
        with folder.writing("half.txt") as path:
            path.write_text("half")
            # After the clean-up, when the process would be gone.
            command.cleanups.append(look)
            interrupt()

    try:
        assert interrupted(main)[0] == 130
    finally:
        command.cleanups.remove(look)
        folder.release()
    assert seen == [["whole.txt"]]


def test_job_in_the_background_goes_on_ignoring_interrupts():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert common.run_script(interrupt) == 0
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_missing_package_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["examples/vgg7.py"])
    assert command.missing_package(ModuleNotFoundError(name="rich")) == 2
    text = capsys.readouterr().err
    assert text.startswith("vgg7.py: error: the package rich is not installed; ")
    assert text.count("\n") == 1


def test_mistakes_of_the_script_itself_keep_their_traceback():
    with pytest.raises(ZeroDivisionError) as caught:
        common.run_script(lambda: 1 / 0)
    assert caught.value.__traceback__ is not None


def test_description_has_no_place_in_a_graph():
    error = ValueError("{{function_node a/b:c}} corrupted\n record")
    assert command.describe(error) == "corrupted record"
    assert command.describe(ValueError()) == "ValueError"
