"""The certified example: its table, its check, and mistakes on the command line."""

import csv

import numpy as np
import pytest
import robust_digits

import tfspecnorm


def rows_of(folder):
    with (folder / "radii.csv").open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def test_run_prints_and_writes_accuracies_that_agree(run, tmp_path):
    exit_code, output, error = run(robust_digits, "--smoke", "--seed", 3, "--output", tmp_path)
    assert (exit_code, error) == (0, "")
    assert "robust digits, seed 3\n" in output
    assert (
        f"command: python examples/robust_digits.py --smoke --seed 3 --output {tmp_path}" in output
    )
    assert "tensorflow " in output
    assert "Lipschitz bound of robust_digits" in output
    assert [path.name for path in tmp_path.iterdir()] == ["radii.csv"]
    rows = rows_of(tmp_path)
    assert [row["radius"] for row in rows] == list(robust_digits.RADII)
    assert rows[0]["certified_accuracy"] == rows[0]["attacked_accuracy"] > 0.5
    for name in ("certified_accuracy", "attacked_accuracy"):
        assert np.all(np.diff([row[name] for row in rows]) <= 0)
    assert all(row["certified_accuracy"] <= row["attacked_accuracy"] for row in rows)


def test_broken_certificate_is_one_line(run, tmp_path, monkeypatch):
    def too_large(*arguments):
        return 100 * tfspecnorm.analysis.certified_radius(*arguments)

    monkeypatch.setattr(tfspecnorm, "certified_radius", too_large)
    exit_code, _, error = run(robust_digits, "--smoke", "--output", tmp_path)
    assert exit_code == 1
    assert error.startswith("robust_digits.py: error: the certificate is broken at ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["--epochs", "0"], ["--seed", "-1"], ["--unknown"], ["--output", "/proc/none"]]
)
def test_mistakes_are_one_line(run, tmp_path, arguments):
    output = [] if "--output" in arguments else ["--output", tmp_path]
    exit_code, _, error = run(robust_digits, "--smoke", *output, *arguments)
    assert exit_code == 2
    assert error.startswith("robust_digits.py: error: ")
    assert error.count("\n") == 1


@pytest.mark.slow
def test_default_settings_reach_the_promised_accuracy(run, tmp_path):
    assert run(robust_digits, "--output", tmp_path)[0] == 0
    rows = {row["radius"]: row for row in rows_of(tmp_path)}
    assert rows[0.0]["attacked_accuracy"] >= 0.95
    assert rows[0.3]["certified_accuracy"] >= 0.5
