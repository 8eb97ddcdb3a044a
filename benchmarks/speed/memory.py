"""The most memory that training needs, of one contender in a process of its own.

    python -m benchmarks.speed.memory --framework project --network vgg7

Counted is what the process occupies at its peak above what it occupied before the model was made
(Linux). The ratio is to the un-normalized network, of medians over repeats.
"""

import importlib
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.command_line import positive_integer
from benchmarks.speed import measure

STEPS = 5


def peak(options: Any, contender: str) -> int:
    """Bytes at the peak of training, above those before; resets the peak of this process."""
    framework = importlib.import_module(measure.FRAMEWORKS[options.framework])
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    made = framework.model(options.network, contender)
    step = framework.training_step(made, options.network, options.batch, options.compile)
    for _ in range(STEPS):
        step()
    return _status("VmHWM") - before


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def in_a_process(options: Any, contender: str) -> int:
    """`peak` in a new process."""
    command = [sys.executable, "-m", "benchmarks.speed.memory", *sys.argv[1:], "--only", contender]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1])


def main() -> None:
    parser = measure.parser("memory", __doc__)
    parser.add_argument("--repeats", type=positive_integer, default=3)
    parser.add_argument("--only", help="print the bytes of this contender, in this process")
    options = parser.parse_args()
    if options.only:
        print(peak(options, options.only))
        return
    measure.print_header("memory", options)
    framework = importlib.import_module(measure.FRAMEWORKS[options.framework])
    names = measure.contenders_of(framework, options)
    found: dict[str, list[int]] = {name: [] for name in names}
    for _ in range(options.repeats):
        for name in names:
            found[name].append(in_a_process(options, name))
    base = statistics.median(found[measure.BASELINE])
    figures = {
        name: {"mebibytes": statistics.median(own) / 2**20, "ratio": statistics.median(own) / base}
        for name, own in found.items()
    }
    print(json.dumps(figures, indent=1))
    measure.store(options, {"memory": figures})


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
