"""A file in an output folder is whole or not there."""

import os

import common
import pytest
from common.output import OutputFolder
from common.quiet import native_log_hidden


@pytest.fixture
def folder(tmp_path):
    folder = OutputFolder(tmp_path / "a" / "b")
    yield folder
    folder.release()


def names(folder):
    return sorted(path.name for path in folder.path.iterdir())


def test_file_appears_when_it_is_whole(folder):
    with folder.writing("file.txt") as path:
        path.write_text("half")
        assert path.suffix == ".txt"
        assert path.parent == folder.path
        assert not (folder / "file.txt").exists()
        path.write_text("whole")
    assert names(folder) == ["file.txt"]
    assert (folder / "file.txt").read_text() == "whole"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_keeps_the_old_file_and_leaves_nothing(folder, error):
    (folder / "file.txt").write_text("old")
    with pytest.raises(error), folder.writing("file.txt") as path:
        path.write_text("half")
        raise error
    assert names(folder) == ["file.txt"]
    assert (folder / "file.txt").read_text() == "old"


def test_leftovers_of_a_killed_run_go(tmp_path):
    (tmp_path / ".partial-model.keras").write_text("half")
    (tmp_path / "model.keras").write_text("whole")
    folder = OutputFolder(tmp_path)
    folder.release()
    assert names(folder) == ["model.keras"]


def test_one_run_at_a_time(folder):
    with pytest.raises(common.UsageError) as caught:
        OutputFolder(folder.path)
    assert f"another run is writing to {folder.path}" in str(caught.value)
    folder.release()
    OutputFolder(folder.path).release()


def test_refused_run_leaves_the_files_of_the_other_alone(folder):
    with folder.writing("file.txt") as path:
        path.write_text("half")
        with pytest.raises(common.UsageError):
            OutputFolder(folder.path)
        assert path.read_text() == "half"
    assert names(folder) == ["file.txt"]


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/none"])
def test_folder_that_cannot_be_written(tmp_path, place):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(common.UsageError) as caught:
        OutputFolder(tmp_path / place)
    assert str(caught.value).startswith("cannot write to the output folder: ")
    assert "\n" not in str(caught.value)


def test_native_log_is_shown_if_an_error_follows(capfd):
    with native_log_hidden():
        os.write(2, b"chatter\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(ValueError), native_log_hidden():
        os.write(2, b"reason\n")
        raise ValueError
    assert capfd.readouterr().err == "reason\n"
