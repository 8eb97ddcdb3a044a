"""Time against tightness of the norms: the script runs, and what it calls a bound is one."""

import sys

import numpy as np
import pytest

from benchmarks import norm_methods as script


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["norm_methods.py", *arguments])
    script.main()


def test_table_has_every_method_and_the_verdicts(monkeypatch, capsys):
    run(monkeypatch, "--channels", "4", "--size", "6", "--repeats", "2")
    output = capsys.readouterr().out
    assert "seed 0, command: python -m benchmarks.norm_methods --channels 4 --size 6" in output
    assert "numpy " in output
    table = [line for line in output.splitlines() if line.startswith("| ")]
    assert len(table) == 1 + 13
    assert output.count("(wanted: ") == 2


@pytest.mark.parametrize("taps", [2, 3])
def test_upper_bounds_are_not_below_the_reference(taps):
    kernel = np.random.default_rng(1).standard_normal((taps, taps, 4, 4))
    rows = script.measured(script.all_methods(kernel, 6), 1)
    values = {row.method.name: row.value for row in rows}
    reference = values[script.REFERENCE]
    bounds = [row for row in rows if row.method.meaning == script.UPPER_BOUND]
    assert len(bounds) == 7
    for row in bounds:
        assert row.value >= reference * (1 - 1e-9), row
    assert values[script.OPERATOR] == pytest.approx(reference, rel=1e-3)
    assert all(row.seconds > 0 for row in rows)


def test_circular_reference_is_the_norm_on_a_circle():
    kernel = np.random.default_rng(2).standard_normal((3, 3, 2, 2))
    matrix = np.zeros((5, 5, 2, 5, 5, 2))
    for row, column, tap, other in np.ndindex(5, 5, 3, 3):
        matrix[(row + tap) % 5, (column + other) % 5, :, row, column] += kernel[tap, other]
    wanted = np.linalg.norm(matrix.reshape(50, 50), 2)
    assert script.circular_norm(kernel, 5) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("mistake", [("--channels", "0"), ("--seed", "-1"), ("--unknown",)])
def test_mistakes_are_one_line(monkeypatch, capsys, mistake):
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, *mistake)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
