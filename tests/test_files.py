import os

import pytest

from tfspecnorm._files import check_writable, writing


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
