"""The command line of a claim's script, and the files of its runs.

python -m benchmarks.claims.NAME --smoke
"""

import argparse
import json
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.claims.claim import PICTURES, SCALES, Claim, Results, Run, Setting
from benchmarks.command_line import Parser, command_of, listed, positive_integer, versions
from benchmarks.files import write_whole

RESULTS = Path(__file__).resolve().parent / "results"
ELSEWHERE = Path(__file__).resolve().parents[2] / "output" / "claims"


def folder_of(claim: Claim, setting: Setting) -> Path:
    """Where results go: in the repository if they are those of the page."""
    if setting == Setting():
        return RESULTS / claim.name
    parts = (claim.name, setting.scale, setting.dataset, f"{setting.seeds or 'default'}-seeds")
    return ELSEWHERE / "-".join(parts)


def loaded(folder: Path) -> Results:
    """What the finished runs of a folder have found, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def is_current(found: dict[str, Any], run: Run) -> bool:
    """Whether a file is of this run, not of one of the same name with other sizes."""
    return found["options"] == json.loads(json.dumps(run.options))


def finished(folder: Path, runs: Iterable[Run]) -> Results:
    """The results of those runs that have been made, by name."""
    found = loaded(folder)
    return {
        run.name: found[run.name]
        for run in runs
        if run.name in found and is_current(found[run.name], run)
    }


def finite(value: Any) -> Any:
    """The value with `None` for numbers that are not finite, which JSON does not have."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def execute(claim: Claim, setting: Setting, run: Run, folder: Path) -> None:
    """Make a run and write its file, which is there whole or not at all."""
    print(f"{claim.name}: {run.name}, {run.options}", flush=True)
    start = time.perf_counter()
    figures = claim.measure(setting, run)
    found = {
        "command": command_of(f"claims.{claim.name}"),
        "versions": versions(),
        "scale": setting.scale,
        "dataset": setting.dataset,
        "options": run.options,
        "seconds": round(time.perf_counter() - start, 1),
        "figures": finite(figures),
    }
    text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(folder / f"{run.name}.json", text)
    print(f"{claim.name}: {run.name} took {found['seconds']:.0f} s", flush=True)


def described(claim: Claim, results: Results) -> str:
    """Findings and details as text."""
    lines = [claim.title, ""]
    for finding in claim.findings(results):
        lines += [
            f"{finding.claim}",
            f"  paper: {finding.paper}",
            f"  here: {finding.ours}",
            f"  verdict: {finding.verdict}",
        ]
        lines += [f"  differs: {finding.differs}"] * bool(finding.differs)
    return "\n".join([*lines, "", claim.details(results)])


def add_setting(parser: argparse.ArgumentParser) -> None:
    """The options that a `Setting` is made from."""
    parser.add_argument("--scale", choices=SCALES[:2], default="small")
    parser.add_argument(
        "--dataset", choices=PICTURES, default="digits", help="claims without data ignore it"
    )
    parser.add_argument("--seeds", type=positive_integer, help="number of seeds, counted from 0")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to try the script")


def setting_of(options: argparse.Namespace) -> Setting:
    """The `Setting` that options name."""
    return Setting("smoke" if options.smoke else options.scale, options.dataset, options.seeds)


def main(claim: Claim) -> None:
    """Make the runs of a claim that are missing, and print what all of them say.

    Args:
        claim: The claim of the script.
    """
    parser = Parser(f"claims.{claim.name}", claim.title)
    add_setting(parser)
    parser.add_argument("--only", nargs="+", metavar="RUN", help="names of runs")
    parser.add_argument("--again", action="store_true", help="make runs that are there once more")
    parser.add_argument("--list", action="store_true", help="print the names of the runs")
    parser.add_argument("--results", type=Path, help="folder for the files of the runs")
    options = parser.parse_args()
    setting = setting_of(options)
    if setting.dataset not in claim.datasets:
        parser.error(
            f"argument --dataset: must be one of {', '.join(claim.datasets)} for this claim. "
            f"Received: {setting.dataset}"
        )
    runs = {run.name: run for run in claim.runs(setting)}
    for name in options.only or ():
        if name not in runs:
            parser.error(f"argument --only: must name runs, see --list. Received: {name}")
    if options.list:
        print("\n".join(runs))
        return
    folder = options.results or folder_of(claim, setting)
    print(listed(versions()))
    there = finished(folder, runs.values())
    for name in options.only or runs:
        if options.again or name not in there:
            execute(claim, setting, runs[name], folder)
    results = finished(folder, runs.values())
    print(described(claim, results))
    # The pictures of the page are drawn with it.
    if claim.draw is not None and results and folder.parent != RESULTS:
        claim.draw(results, folder / f"{claim.name}.png")
