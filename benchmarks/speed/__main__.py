"""Runs the whole benchmark, one process for each part, and goes on where it was stopped.

    make bench

Every finished part is a file in `benchmarks/speed/results`; what is there is not measured again.
Then `python -m benchmarks.speed.page` writes the tables of `docs/performance.md`.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.command_line import Parser
from benchmarks.speed.plan import RUNS, Run

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).resolve().parent / "results"


def run(part: Run, folder: Path) -> int:
    """Run a part in its environment; its exit code."""
    python = ROOT / part.environment / "bin" / "python"
    if not python.exists():
        print(f"{part.name}: skipped, there is no {part.environment}", flush=True)
        return 0
    command = [str(python), "-m", f"benchmarks.speed.{part.module}", *part.options]
    command += ["--json", str(folder / f"{part.name}.json")]
    environment = {**os.environ, "KERAS_BACKEND": part.backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    print(f"\n{part.name}", flush=True)
    start = time.perf_counter()
    code = subprocess.run(command, cwd=ROOT, env=environment).returncode
    print(f"{part.name}: {time.perf_counter() - start:.0f} s, exit code {code}", flush=True)
    return code


def main() -> None:
    parser = Parser("speed", __doc__)
    names = [part.name for part in RUNS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--again", action="store_true", help="measure what is there once more")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the files")
    parser.add_argument("--list", action="store_true", help="print the names of the parts")
    options: argparse.Namespace = parser.parse_args()
    if options.list:
        print("\n".join(names))
        return
    failed = []
    for part in RUNS:
        there = (options.results / f"{part.name}.json").exists()
        if part.name in options.only and (options.again or not there):
            if run(part, options.results):
                failed.append(part.name)
    if failed:
        sys.exit(f"These parts failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
