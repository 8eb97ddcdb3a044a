"""The VGG7 example from the command line to its files, through interruptions and mistakes."""

import csv
import json
import signal
import time

import common
import numpy as np
import pytest
import vgg7

EPOCHS = 3
FILES = [
    "curves.png",
    "folded.keras",
    "history.csv",
    "report.json",
    "trained.keras",
    "training.npz",
    "training.previous.npz",
    "vgg7.tflite",
]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def history(folder):
    with (folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


def result(folder):
    return json.loads((folder / "report.json").read_text())["result"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The folder of a smoke run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", smoke(folder))
        assert common.run_script(vgg7.main) == 0
    return folder


def smoke(folder):
    return ["examples/vgg7.py", "--smoke", "--epochs", str(EPOCHS), "--output", str(folder)]


def wait_for(path, process):
    """Waits until a process has written a file."""
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_run_leaves_whole_files(uninterrupted):
    assert names(uninterrupted) == FILES
    rows = history(uninterrupted)
    assert [row["epoch"] for row in rows] == [str(epoch + 1) for epoch in range(EPOCHS)]
    assert all(float(row["sigma/conv6"]) > 0 for row in rows)


def test_run_learns_and_its_file_agrees(uninterrupted):
    found = result(uninterrupted)
    assert found["parameters"] == 437_162
    assert found["accuracy_keras"] > 0.4
    assert found["accuracy_keras"] == found["accuracy_folded"] == found["accuracy_litert"]
    assert found["largest_difference"] <= 1e-4


@pytest.mark.slow
def test_killed_run_goes_on_with_the_same_numbers(uninterrupted, start, run, tmp_path):
    process = start("vgg7.py", *smoke(tmp_path)[1:])
    wait_for(tmp_path / "training.npz", process)
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL
    with np.load(tmp_path / "training.npz") as stored:
        finished = len(json.loads(str(stored["record"]))["history"]["loss"])
    assert 1 <= finished < EPOCHS
    # What the kill may have cut off.
    (tmp_path / ".partial-training.npz").write_bytes(b"PK half")

    exit_code, output, error = run(vgg7, *smoke(tmp_path)[1:])
    assert (exit_code, error) == (0, "")
    assert f"Epoch {EPOCHS}/{EPOCHS}" in output
    assert f"Epoch {finished}/{EPOCHS}" not in output
    assert names(tmp_path) == FILES
    rows, expected = history(tmp_path), history(uninterrupted)
    assert [row["epoch"] for row in rows] == [row["epoch"] for row in expected]
    for column in ("learning_rate", "loss", "val_loss", "sigma/conv3"):
        values, wanted = ([float(row[column]) for row in table] for table in (rows, expected))
        assert np.allclose(values, wanted, rtol=1e-3), column


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(start, tmp_path):
    process = start("vgg7.py", *smoke(tmp_path)[1:])
    wait_for(tmp_path / "training.npz", process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.count("\n") == 1
    assert "interrupted; resume after the last finished epoch with: python " in error
    assert str(tmp_path) in error
    assert set(names(tmp_path)) <= {"history.csv", "training.npz"}


def test_finished_run_repeats_only_the_export(uninterrupted, run):
    before = history(uninterrupted)
    exit_code, output, error = run(vgg7, *smoke(uninterrupted)[1:])
    assert (exit_code, error) == (0, "")
    assert "Epoch" not in output
    assert history(uninterrupted) == before


def test_other_settings_in_the_same_folder_are_refused(uninterrupted, run):
    before = (uninterrupted / "training.npz").read_bytes()
    exit_code, _, error = run(vgg7, *smoke(uninterrupted)[1:], "--learning-rate", "0.01")
    assert exit_code == 2
    assert error.startswith("vgg7.py: error: ")
    assert "holds a training with learning_rate=0.001; choose another --output" in error
    assert error.count("\n") == 1
    assert (uninterrupted / "training.npz").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("normalization", ["batch", "none"])
def test_other_normalizations_run_too(normalization, run, tmp_path):
    arguments = ["--smoke", "--epochs", 1, "--normalization", normalization, "--output", tmp_path]
    exit_code, output, error = run(vgg7, *arguments)
    assert (exit_code, error) == (0, "")
    assert f"normalization {normalization}, seed 0" in output
    assert names(tmp_path) == [name for name in FILES if name != "training.previous.npz"]
    assert result(tmp_path)["parameters"] == 437_162


def test_start_prints_what_repeats_the_run(run, tmp_path):
    (tmp_path / "training.npz").write_bytes(b"garbage")
    _, output, _ = run(vgg7, "--smoke", "--seed", 5, "--output", tmp_path)
    assert "vgg7 on digits, normalization spectral, seed 5\n" in output
    assert f"command: python examples/vgg7.py --smoke --seed 5 --output {tmp_path}\n" in output
    for package in ("python", "tfspecnorm", "keras", "tensorflow"):
        assert f"{package} " in output


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 cut off"])
def test_damaged_state_is_one_line(run, tmp_path, content):
    (tmp_path / "training.npz").write_bytes(content)
    exit_code, _, error = run(vgg7, "--smoke", "--output", tmp_path)
    assert exit_code == 2
    assert error.startswith("vgg7.py: error: cannot read the training state ")
    assert error.count("\n") == 1
    assert names(tmp_path) == ["training.npz"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--epochs", "0"],
        ["--learning-rate", "-0.1"],
        ["--batch-size", "100000"],
        ["--dataset", "imagenet"],
        ["--output", "/proc/none"],
    ],
)
def test_mistakes_are_one_line(run, arguments, tmp_path):
    output = [] if "--output" in arguments else ["--output", tmp_path]
    exit_code, _, error = run(vgg7, "--smoke", *output, *arguments)
    assert exit_code == 2
    assert error.startswith("vgg7.py: error: ")
    assert error.count("\n") == 1
    assert names(tmp_path) == []


def test_output_that_is_a_file_is_kept(run, tmp_path):
    (tmp_path / "file").write_text("kept")
    exit_code, _, error = run(vgg7, "--smoke", "--output", tmp_path / "file")
    assert exit_code == 2
    assert error.count("\n") == 1
    assert (tmp_path / "file").read_text() == "kept"


def test_loss_that_diverges_is_one_line(run, tmp_path):
    arguments = ["--normalization", "none", "--learning-rate", "1e12", "--output", tmp_path]
    exit_code, _, error = run(vgg7, "--smoke", *arguments)
    assert exit_code == 1
    assert "try a smaller --learning-rate" in error
    assert error.count("\n") == 1
    assert names(tmp_path) == []


@pytest.mark.slow
def test_default_settings_reach_the_promised_accuracy(run, tmp_path):
    accuracies = []
    for seed in range(3):
        folder = tmp_path / str(seed)
        assert run(vgg7, "--seed", seed, "--output", folder)[0] == 0
        accuracies.append(result(folder)["accuracy_litert"])
    assert np.mean(accuracies) >= 0.985
