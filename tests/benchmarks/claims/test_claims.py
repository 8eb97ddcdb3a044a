"""What all claims have in common: statistics, files of runs, the page, a smoke run of each."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.claims import __main__ as runner
from benchmarks.claims import claim as claims
from benchmarks.claims import command, data, page, spread

ROOT = Path(__file__).parents[3]


def measured(setting, run):
    if run.options.get("broken"):
        raise RuntimeError("broken")
    return {"value": float(run.options["seed"]), "lost": float("nan"), "scale": setting.scale}


def example(**changed):
    made = claims.Claim(
        name="example",
        title="An example",
        source="Nobody.",
        setup="Nothing is done.",
        minutes=1,
        runs=lambda setting: [
            claims.Run(f"seed-{seed}", {"seed": seed}) for seed in setting.seeds_or(2)
        ],
        measure=measured,
        findings=lambda results: [
            claims.Finding("a | b", "1", f"{len(results)} runs", "holds" if results else "partly")
        ],
        details=lambda results: "details" * bool(results),
    )
    return dataclasses.replace(made, **changed)


def run_main(monkeypatch, claim, *words):
    monkeypatch.setattr(sys, "argv", ["example", *words])
    command.main(claim)


def test_spread():
    assert spread.spread([1.0, 2.0, 3.0]) == "2.00 ± 1.00 (3 seeds)"
    assert spread.spread([-1.234], 1, " %") == "−1.2 % (1 seed)"
    assert spread.spread([]) == "none"


def test_a_difference_inside_the_spread_is_none():
    """Deviations 1 and 1: the difference must be larger than √2."""
    assert spread.difference([2.4, 3.4, 4.4], [1.0, 2.0, 3.0]) == 0
    assert spread.difference([2.5, 3.5, 4.5], [1.0, 2.0, 3.0]) == 1
    assert spread.difference([1.0, 2.0, 3.0], [2.5, 3.5, 4.5]) == -1
    assert spread.difference([5.0], [1.0, 1.0]) is None
    assert spread.difference([1.0, 1.0], [1.0, 1.0]) == 0


@pytest.mark.parametrize(
    ("signs", "verdict"),
    [
        ([], "not measured yet"),
        ([1, 1], "holds"),
        ([0, 0], "no difference"),
        ([1, -1], "partly"),
        ([1, 0], "partly"),
        ([-1, 0], "does not hold"),
        ([None, 1], "not measured yet"),
        ([None], "not measured yet"),
    ],
)
def test_verdicts(signs, verdict):
    assert spread.judged(signs) == verdict
    assert verdict in claims.VERDICTS


def test_limits_and_margins():
    assert spread.judged([0, 0], even="undecided") == "undecided"
    assert spread.against([3.0, 4.0, 5.0], 2.9) == 1
    assert spread.against([3.0, 4.0, 5.0], 3.1) == 0
    assert spread.against([3.0, 4.0, 5.0], 5.1) == -1
    assert spread.difference([2.0, 2.0], [3.0, 3.0], margin=2.0) == 1
    assert spread.difference([2.0, 2.0], [3.0, 3.0], margin=0.5) == -1


def test_learned():
    assert data.learned(0.2, 10) and not data.learned(0.19, 10)
    assert data.learned(0.75, 2) and not data.learned(0.7, 2)


def test_unknown_verdict():
    with pytest.raises(ValueError, match="`verdict` must be one of.*'perhaps'"):
        claims.Finding("a", "b", "c", "perhaps")


def test_runs_are_made_once(tmp_path, monkeypatch, capsys):
    run_main(monkeypatch, example(), "--results", str(tmp_path), "--only", "seed-1")
    assert [path.name for path in tmp_path.iterdir()] == ["seed-1.json"]
    first = (tmp_path / "seed-1.json").stat().st_mtime_ns
    run_main(monkeypatch, example(), "--results", str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seed-0.json", "seed-1.json"]
    assert (tmp_path / "seed-1.json").stat().st_mtime_ns == first
    found = json.loads((tmp_path / "seed-1.json").read_text())
    assert found["figures"] == {"value": 1.0, "lost": None, "scale": "small"}
    assert found["options"] == {"seed": 1}
    assert found["command"].startswith("python -m benchmarks.claims.example ")
    assert {"keras", "numpy", "tfspecnorm", "python"} <= set(found["versions"])
    assert "2 runs" in capsys.readouterr().out


def test_a_broken_run_leaves_nothing(tmp_path, monkeypatch):
    claim = example(runs=lambda setting: [claims.Run("one", {"seed": 0, "broken": True})])
    with pytest.raises(RuntimeError, match="broken"):
        run_main(monkeypatch, claim, "--results", str(tmp_path))
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        run_main(monkeypatch, example(), "--results", str(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--only", "seed-7"), "argument --only: must name runs, see --list. Received: seed-7"),
        (("--seeds", "0"), "argument --seeds: must be an integer from 1. Received: '0'"),
        (("--scale", "huge"), "argument --scale: invalid choice: 'huge'"),
        (("--dataset", "mnist12"), "argument --dataset: invalid choice: 'mnist12'"),
        (("--dataset", "patches"), "argument --dataset: must be one of digits for this claim."),
    ],
)
def test_wrong_options(words, message, monkeypatch, capsys):
    with pytest.raises(SystemExit) as error:
        run_main(monkeypatch, example(), *words)
    assert error.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[0]


def test_only_the_setting_of_the_page_writes_into_the_repository():
    claim = example()
    assert command.folder_of(claim, claims.Setting()) == command.RESULTS / "example"
    for setting in (
        claims.Setting("smoke"),
        claims.Setting("paper", "cifar10"),
        claims.Setting(seeds=1),
    ):
        assert command.folder_of(claim, setting).parent == command.ELSEWHERE


def test_missing_runs_with_timed_ones_last(monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "folder_of", lambda claim, setting: tmp_path / claim.name)
    timed, other = example(name="timed", timed=True), example()
    (tmp_path / "example").mkdir()
    (tmp_path / "example" / "seed-0.json").write_text('{"options": {"seed": 0}}')
    (tmp_path / "example" / "seed-1.json").write_text('{"options": {"seed": 1, "steps": 5}}')
    found = [
        (claim.name, run.name) for claim, run in runner.missing([timed, other], claims.Setting())
    ]
    assert found == [("example", "seed-1"), ("timed", "seed-0"), ("timed", "seed-1")]


def test_failed_and_remaining_runs(monkeypatch, capsys):
    claim, setting = example(), claims.Setting("smoke")
    pairs = [(claim, run) for run in claim.runs(claims.Setting())]
    monkeypatch.setattr(
        runner,
        "command",
        lambda claim, run, setting: [sys.executable, "-c", f"exit('{run.name}' == 'seed-1')"],
    )
    assert runner.make(pairs, setting, 2, float("inf")) == (["example/seed-1"], 0)
    assert runner.make(pairs, setting, 1, 0.0) == ([], 2)


def test_commands_of_runs():
    claim, run = example(), claims.Run("seed-0", {})
    words = runner.command(claim, run, claims.Setting("paper", "cifar10", 5))
    assert words[1:] == [
        *("-m", "benchmarks.claims.example", "--only", "seed-0"),
        *("--scale", "paper", "--dataset", "cifar10", "--seeds", "5"),
    ]
    assert runner.command(claim, run, claims.Setting())[-2:] == ["--only", "seed-0"]
    words = runner.command(claim, run, claims.Setting("smoke", "patches"))
    assert words[-3:] == ["--smoke", "--dataset", "patches"]


def test_section_of_the_page():
    results = {
        "seed-1": {"versions": {"keras": "3"}, "options": {"seed": 1}, "seconds": 90, "figures": {}}
    }
    lines = page.section(example(), results).splitlines()
    assert lines[:3] == ['<a id="example"></a>', "", "## An example"]
    assert "| a \\| b | 1 | 1 runs | holds |  |" in lines
    assert "details" in lines
    assert lines[-1].endswith("1 of 2 runs, 2 minutes of a budget of 1; seeds 1; keras 3.")
    assert page.section(example(), {}).endswith("none of 2 runs is there yet.")


def test_split():
    """Every image is in one part, all are of one size, and the division is always the same."""
    found = data.split("digits", 8, training=300, validation=200)
    sizes = [len(labels) for _, labels in (found.training, found.validation, found.test)]
    assert sizes == [300, 200, 1297]
    images = np.concatenate([found.training[0], found.validation[0], found.test[0]])
    whole = data.load_images("digits", size=8)
    everything = np.concatenate([whole.train_images, whole.test_images])
    everything = whole.standardized(everything)
    assert images.shape[1:] == found.shape == (8, 8, 3)
    order = [np.lexsort(part.reshape(len(part), -1).T) for part in (images, everything)]
    np.testing.assert_array_equal(images[order[0]], everything[order[1]])
    again = data.split("digits", 8, training=300, validation=200)
    np.testing.assert_array_equal(found.test[0], again.test[0])
    kept = data.split("digits", 8)
    np.testing.assert_array_equal(kept.test[1], whole.test_labels)
    assert len(kept.validation[1]) == 143


@pytest.mark.parametrize("name", runner.NAMES)
def test_plans(name):
    """Runs have different names at every scale, and the page's take no more than a setting."""
    claim = runner.claim_of(name)
    assert claim.name == name
    for scale in claims.SCALES:
        runs = claim.runs(claims.Setting(scale))
        assert len({run.name for run in runs}) == len(runs) > 0
        assert all(json.loads(json.dumps(run.options)) for run in runs)
    assert claim.page_runs
    assert {"digits", "cifar10"} <= set(claim.datasets)


def test_hours():
    """The whole within eight hours."""
    assert sum(runner.claim_of(name).minutes for name in runner.NAMES) <= 480


def test_overview_counts_verdicts_and_links_to_the_sections():
    other = example(name="other", title="Another")
    lines = page.overview({example(): {"seed-0": {}}, other: {}}).splitlines()
    assert lines == [
        "| | holds | partly |",
        "|---|---|---|",
        "| [An example](#example) | 1 |  |",
        "| [Another](#other) |  | 1 |",
    ]


def test_the_page_is_what_the_results_say():
    assert page.PAGE.read_text() == page.written()
    text = page.PAGE.read_text()
    for name in runner.NAMES:
        if f"images/claims_{name}.png" in text:
            assert (page.PICTURES / f"claims_{name}.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", runner.NAMES)
def test_smoke_run(name, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.claims.{name}", "--smoke", "--results", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    claim = runner.claim_of(name)
    runs = claim.runs(claims.Setting("smoke"))
    assert {path.stem for path in tmp_path.glob("*.json")} == {run.name for run in runs}
    assert claim.title in done.stdout
    assert (tmp_path / f"{name}.png").exists() == (claim.draw is not None)
