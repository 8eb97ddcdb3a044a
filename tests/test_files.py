import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfspecnorm._util.files import check_writable, writing, writing_folder

ROOT = Path(__file__).parents[1]


def test_a_new_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    with writing(path) as partial:
        assert partial.parent == tmp_path
        assert partial.suffix == ".csv"
        partial.write_text("all of it")
        assert not path.exists()
    assert path.read_text() == "all of it"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_file_is_exchanged_in_one_step(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with writing(str(path)) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_the_old_file_is_there(tmp_path, error):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(error), writing(path) as partial:
        partial.write_text("half of")
        raise error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_after_an_error_before_anything_was_written(tmp_path):
    with pytest.raises(ValueError), writing(tmp_path / "table.csv"):
        raise ValueError
    assert os.listdir(tmp_path) == []


def test_two_at_a_time_do_not_meet(tmp_path):
    path = tmp_path / "table.csv"
    with writing(path) as first, writing(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" / "table.csv"
    target.write_text("old")
    link = tmp_path / "link.csv"
    link.symlink_to(target)
    with writing(link) as partial:
        partial.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_paths_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    for path, error, message in [
        (tmp_path / "none" / "x.csv", FileNotFoundError, "`csv` must be.*a folder that exists"),
        (tmp_path / "file" / "x.csv", NotADirectoryError, "`csv` must be.*not in a file"),
        (tmp_path, IsADirectoryError, "`csv` must be.*not of a folder"),
    ]:
        with pytest.raises(error, match=f"{message}.*Received: csv="):
            check_writable(path, "csv")
        with pytest.raises(error), writing(path):
            raise AssertionError("no work is done")


def test_a_folder_that_is_read_only(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="`path` must be.*can be written.*Received: path="):
        check_writable(tmp_path / "x.csv")


KILLED = """
import os, signal, sys
from pathlib import Path
from tfspecnorm._util import files as _files

path, step = Path(sys.argv[1]), sys.argv[2]
is_folder = step != "file"
if step == "between":
    # The old folder has left its place, and the new one is not there yet.
    move = os.replace
    os.replace = lambda *paths: move(*paths) if path == paths[0] else os.kill(os.getpid(), 9)
with (_files.writing_folder if is_folder else _files.writing)(path) as partial:
    if is_folder:
        partial.mkdir()
    (partial / "saved_model.pb" if is_folder else partial).write_text("half of")
    if step != "between":
        os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_while_writing(path, step):
    done = subprocess.run([sys.executable, "-c", KILLED, path, step], cwd=ROOT, capture_output=True)
    assert done.returncode == -9, done.stderr


@pytest.mark.skipif(os.name != "posix", reason="processes are told apart by signals")
def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path):
    path = tmp_path / "table.csv"
    kill_while_writing(path, "file")
    (left,) = tmp_path.iterdir()
    with writing(tmp_path / "other.csv") as partial:
        partial.write_text("another target")
    assert left.exists()
    with writing(path) as partial:
        partial.write_text("all of it")
    assert sorted(os.listdir(tmp_path)) == ["other.csv", "table.csv"]


@pytest.mark.skipif(os.name != "posix", reason="processes are told apart by signals")
@pytest.mark.parametrize("step", ["folder", "between"])
def test_a_killed_process_costs_no_folder(tmp_path, step):
    path = tmp_path / "saved"
    path.mkdir()
    (path / "saved_model.pb").write_text("old")
    kill_while_writing(path, step)
    assert len(os.listdir(tmp_path)) == 2
    assert path.exists() == (step == "folder")
    # The next write fails, and the old folder is there again.
    with pytest.raises(RuntimeError), writing_folder(path):
        raise RuntimeError
    assert (path / "saved_model.pb").read_text() == "old"
    assert os.listdir(tmp_path) == ["saved"]


@pytest.mark.skipif(os.name != "posix", reason="processes are told apart by signals")
def test_a_file_that_another_process_writes_stays(tmp_path):
    path = tmp_path / "table.csv"
    waiting = KILLED.replace(
        "os.kill(os.getpid(), signal.SIGKILL)", "print(1, flush=True); input()"
    )
    words = [sys.executable, "-c", waiting, path, "file"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, cwd=ROOT, **pipes) as other:
        assert other.stdout.readline()
        with writing(path) as partial:
            partial.write_text("first")
        assert len(os.listdir(tmp_path)) == 2
        other.communicate(b"\n")
    assert other.returncode == 0
    assert path.read_text() == "half of"
    assert os.listdir(tmp_path) == ["table.csv"]
