"""Makes every run of every claim that is missing, then writes the page.

    make claims

It stops at any point and goes on where it stopped: each finished run is a file.
"""

import argparse
import importlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.claims.claim import Claim, Run, Setting
from benchmarks.claims.command import add_setting, finished, folder_of, setting_of
from benchmarks.command_line import Parser

ROOT = Path(__file__).resolve().parents[2]
# In the order of the page.
NAMES: tuple[str, ...] = (
    "variance",
    "gradients",
    "distance",
    "drift",
    "accuracy",
    "cost",
    "depthwise",
    "starts",
    "int8",
)


def claim_of(name: str) -> Claim:
    """The claim of a script."""
    return importlib.import_module(f"benchmarks.claims.{name}").CLAIM


def missing(claims: list[Claim], setting: Setting) -> list[tuple[Claim, Run]]:
    """Runs without a file, those of timed claims last."""
    found = []
    for claim in claims:
        runs = claim.runs(setting)
        there = finished(folder_of(claim, setting), runs)
        found += [(claim, run) for run in runs if run.name not in there]
    return sorted(found, key=lambda pair: pair[0].timed)


def command(claim: Claim, run: Run, setting: Setting) -> list[str]:
    """The command of one run, in a process of its own."""
    words = [sys.executable, "-m", f"benchmarks.claims.{claim.name}", "--only", run.name]
    if setting == Setting():
        return words
    words += ["--smoke"] if setting.scale == "smoke" else ["--scale", setting.scale]
    words += ["--dataset", setting.dataset]
    return [*words, "--seeds", str(setting.seeds)] if setting.seeds else words


def make(
    pairs: list[tuple[Claim, Run]], setting: Setting, jobs: int, until: float
) -> tuple[list[str], int]:
    """Make runs side by side; the names of those that failed, and the number of those left."""
    failed: list[str] = []
    left = 0
    # Processes side by side share the cores: threads of their own would wait for one another.
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if jobs > 1:
        environment |= {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}

    def one(pair: tuple[Claim, Run]) -> None:
        nonlocal left
        claim, run = pair
        if time.monotonic() > until:
            left += 1
            return
        start = time.monotonic()
        done = subprocess.run(
            command(claim, run, setting),
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        passed = f"{time.monotonic() - start:.0f} s"
        print(f"{claim.name}/{run.name}: {passed}, exit code {done.returncode}", flush=True)
        if done.returncode:
            failed.append(f"{claim.name}/{run.name}")
            print(done.stderr[-2000:], file=sys.stderr, flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        try:
            list(pool.map(one, pairs))
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    return failed, left


def main() -> None:
    parser = Parser("claims", __doc__)
    add_setting(parser)
    parser.add_argument("--claims", nargs="+", choices=NAMES, default=NAMES, metavar="NAME")
    parser.add_argument("--jobs", type=int, choices=range(1, 65), default=1, metavar="N")
    parser.add_argument("--hours", type=float, help="begin no run after so many hours")
    parser.add_argument("--list", action="store_true", help="print the runs that are missing")
    options: argparse.Namespace = parser.parse_args()
    setting = setting_of(options)
    claims = [claim_of(name) for name in options.claims]
    pairs = missing([own for own in claims if setting.dataset in own.datasets], setting)
    if options.list:
        print("\n".join(f"{claim.name}/{run.name}" for claim, run in pairs))
        return
    until = time.monotonic() + 3600 * options.hours if options.hours else float("inf")
    side_by_side = [pair for pair in pairs if not pair[0].timed]
    alone = [pair for pair in pairs if pair[0].timed]
    try:
        failed, left = make(side_by_side, setting, options.jobs, until)
        more_failed, more_left = make(alone, setting, 1, until)
    except KeyboardInterrupt:
        sys.exit(130)
    if left + more_left:
        print(f"{left + more_left} runs are left")
    if failed + more_failed:
        sys.exit(f"These runs failed: {', '.join(failed + more_failed)}")


if __name__ == "__main__":
    main()
