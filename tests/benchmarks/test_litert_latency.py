"""Paired latencies of files: the script runs, and compares what it says it compares."""

import sys

import pytest

pytest.importorskip("ai_edge_litert")
from benchmarks import litert_latency as script


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["litert_latency.py", *arguments])
    script.main()


@pytest.mark.slow
def test_table_has_every_normalization(monkeypatch, capsys):
    run(monkeypatch, "--networks", "small_cnn", "--runs", "3")
    output = capsys.readouterr().out
    assert "seed 0, command: python -m benchmarks.litert_latency --networks small_cnn" in output
    table = [line for line in output.splitlines() if line.startswith("| small_cnn")]
    assert len(table) == 8
    for line in table:
        _, _, _, operators, plain, more_bytes, *_ = (part.strip() for part in line.split("|"))
        assert operators == plain
        assert abs(int(more_bytes)) <= 256
    assert "files with the same operators: 8 of 8" in output


@pytest.mark.slow
def test_what_cannot_be_folded_is_not_called_the_same():
    row = script.measured("densenet_bc", "batch", 2, 0)
    more, plain = row.operators
    assert more > plain
    assert len(row.ratios) == 2


@pytest.mark.parametrize("mistake", [("--runs", "0"), ("--networks", "vgg8"), ("--seed", "-1")])
def test_mistakes_are_one_line(monkeypatch, capsys, mistake):
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, *mistake)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
