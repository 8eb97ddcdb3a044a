"""The scripts that stand alone: their command lines, and what the small ones write."""

import importlib
import json
import re
import sys

import pytest

from benchmarks import command_line

NAMES = (
    "compare_keras",
    "compare_runs",
    "jit_compile",
    "norm_methods",
    "power_iteration_xla",
    "results",
    "weight_norm_start",
)


def run(monkeypatch, name, *arguments):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
    importlib.import_module(f"benchmarks.{name}").main()


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_is_one_line(monkeypatch, capsys, name):
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, name, "--nonsense", "word", "word", "word")
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith(f"python -m benchmarks.{name}: error: ")


@pytest.mark.parametrize(
    ("number", "text", "message"),
    [
        (command_line.whole_number, "-1", "an integer from 0. Received: '-1'"),
        (command_line.positive_integer, "0", "an integer from 1. Received: '0'"),
        (command_line.positive_integer, "1.5", "an integer from 1. Received: '1.5'"),
    ],
)
def test_numbers(number, text, message):
    assert number("7") == 7
    with pytest.raises(command_line.argparse.ArgumentTypeError, match=re.escape(message)):
        number(text)


def test_versions_are_those_of_packages_that_are_there():
    found = command_line.versions(("numpy", "no-such-package"))
    assert list(found) == ["python", "numpy"]
    assert command_line.listed({"a": "1", "b": "2"}) == "a 1, b 2"


@pytest.fixture
def run_of_an_example(tmp_path):
    accuracies = {f"accuracy_{kind}": 0.5 for kind in ("keras", "folded", "litert")}
    report = {
        "command": "python /somewhere/examples/digits.py --restart --output there --epochs 2",
        "settings": {"normalization": "spectral", "seed": 3},
        "result": {"parameters": 1234, "litert_bytes": 5678, "training_seconds": 9.4, **accuracies},
        "versions": {"keras": "3"},
    }
    (tmp_path / "report.json").write_text(json.dumps(report))
    (tmp_path / "history.csv").write_text("epoch,distance\n1,4.0\n2,nan\n3,2.0\n")
    return tmp_path


def test_results_are_a_table(monkeypatch, capsys, run_of_an_example):
    run(monkeypatch, "results", run_of_an_example / "report.json")
    lines = capsys.readouterr().out.splitlines()
    command = "python examples/digits.py --epochs 2"
    assert lines[2] == f"| `{command}` | 3 | 1,234 | 50.00% | 50.00% | 50.00% | 5,678 | 9 |"
    assert lines[-1] == "Versions: keras 3."


def test_runs_are_drawn_into_one_picture(monkeypatch, run_of_an_example):
    picture = run_of_an_example / "curves.png"
    run(monkeypatch, "compare_runs", picture, "distance", run_of_an_example, run_of_an_example)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_both_wrappers_are_compared(monkeypatch, capsys, tmp_path):
    path = tmp_path / "found.json"
    run(monkeypatch, "compare_keras", "--rounds", 2, "--steps", 1, "--json", path)
    found = json.loads(path.read_text())
    assert found["command"].startswith("python -m benchmarks.compare_keras --rounds 2")
    for results in found["results"].values():
        assert set(results) == {
            "keras.layers.SpectralNormalization",
            "tfspecnorm.layers.SpectralNorm",
        }
    assert found["step_time"]["plain"]["ratio"] == 1.0
    assert capsys.readouterr().out.count("\n| ") == len(found["results"]) + 2


@pytest.mark.slow
def test_times_with_and_without_xla(monkeypatch, capsys):
    run(monkeypatch, "jit_compile", "--rounds", 2, "--steps", 1)
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in table[1:]] == [
        "| plain",
        "| jit_compile=False",
        "| jit_compile=True",
    ]


@pytest.mark.slow
def test_times_of_the_power_iteration_with_xla(monkeypatch, capsys):
    run(monkeypatch, "power_iteration_xla", "--rounds", 2, "--calls", 1, "--iterations", 1)
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(table) == 4
    assert all(re.search(r"\| 1 \| \d.* \| \d.* \| \d+\.\d \|$", line) for line in table[1:])
