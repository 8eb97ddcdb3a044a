"""The most memory that training needs, of each contender in processes of its own.

    python -m benchmarks.speed.memory --framework project --network vgg7 --count tensors

Counted is what TensorFlow's tensors take at the peak of a step, the median step; or, with
`--count process`, what the process occupies at its peak above what it occupied before the model was
made (Linux), with Python's and TensorFlow's graphs. The ratio is to the un-normalized network, of
medians over repeats.
"""

import importlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.command_line import positive_integer
from benchmarks.speed import measure

STEPS = {"process": 5, "tensors": 9}
# TensorFlow's usual allocator on CPUs counts no tensor of less than 256 KiB, this one counts all.
COUNTING = {"TF_CPU_ALLOCATOR_USE_BFC": "1"}


def _training_step(framework: Any, options: Any, contender: str) -> Callable[[], Any]:
    made = framework.model(options.network, contender)
    return framework.training_step(made, options.network, options.batch, options.compile)


def process_peak(framework: Any, options: Any, contender: str) -> int:
    """Bytes at the peak of training, above those before; resets the peak of this process."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    step = _training_step(framework, options, contender)
    for _ in range(STEPS["process"]):
        step()
    return _status("VmHWM") - before


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def tensors_peak(framework: Any, options: Any, contender: str) -> int:
    """Bytes of all tensors at the peak of a step, variables included: the median step.

    Steps differ: which of two operations frees its inputs first is a matter of threads.
    """
    import tensorflow as tf

    step = _training_step(framework, options, contender)
    step()
    peaks = []
    for _ in range(STEPS["tensors"]):
        tf.config.experimental.reset_memory_stats("CPU:0")
        step()
        peaks.append(tf.config.experimental.get_memory_info("CPU:0")["peak"])
    return int(statistics.median(peaks))


PEAKS = {"process": process_peak, "tensors": tensors_peak}


def in_a_process(contender: str) -> int:
    """The peak in a new process."""
    command = [sys.executable, "-m", "benchmarks.speed.memory", *sys.argv[1:], "--only", contender]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1])


def main() -> None:
    parser = measure.parser("memory", __doc__)
    parser.add_argument("--count", choices=PEAKS, default="tensors", help="what is counted")
    parser.add_argument("--repeats", type=positive_integer, default=3)
    parser.add_argument("--processes", type=positive_integer, default=2, help="at the same time")
    parser.add_argument("--only", help="print the bytes of this contender, in this process")
    options = parser.parse_args()
    if options.count == "tensors" and not measure.on_tensorflow(options.framework):
        parser.error(
            "Argument `count` must be 'process' without TensorFlow. "
            f"Received: framework={options.framework!r}, backend={measure.backend()!r}"
        )
    if options.only and options.count == "tensors":
        # Before TensorFlow is there.
        os.environ.update(COUNTING)
    framework = importlib.import_module(measure.FRAMEWORKS[options.framework])
    if options.only:
        print(PEAKS[options.count](framework, options, options.only))
        return
    measure.print_header("memory", options)
    names = measure.contenders_of(framework, options)
    with ThreadPoolExecutor(options.processes) as pool:
        found = list(pool.map(in_a_process, names * options.repeats))
    medians = {
        name: statistics.median(found[place :: len(names)]) for place, name in enumerate(names)
    }
    figures = {
        name: {"mebibytes": own / 2**20, "ratio": own / medians[measure.BASELINE]}
        for name, own in medians.items()
    }
    print(json.dumps(figures, indent=1))
    measure.store(options, {"memory": figures})


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
