"""Training steps on a GPU, with the JAX backend.

    python -m benchmarks.speed.accelerator

Runs a process for each network, batch size and precision. All compile at once, and are then timed
one after the other. A call is a run of compiled steps, from the first dispatched to the last done;
memory is what the compiled step needs, as XLA states it.
"""

import argparse
import contextlib
import fcntl
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.speed import measure, pairing, plan

RESULTS = Path(__file__).resolve().parent / "results"
CONTENDERS = ("none", "batch normalization", "keras SN", "SN", "SN, grouped", "MSN", "WN")
_PRECISIONS = ("float32", "mixed_bfloat16")
# Network, batch size, precision.
RUNS = [
    *itertools.product(("mobilenet_v2", "densenet_bc"), (128, 512), _PRECISIONS),
    *itertools.product(("sn_dcgan",), (128,), _PRECISIONS),
]


@contextlib.contextmanager
def _locked(path: Path, kind: int) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, kind)
        yield


def lowered(network: str, contender: str, batch: int) -> tuple[Any, Any, Any]:
    """The traced training step of a contender, the state it starts from, and a batch."""
    from benchmarks.speed import project, with_jax

    made = project.model(network, contender)
    step, state, data = with_jax.step_of(made, project.compile_for(made, network, batch))
    return step.lower(state, data), state, data


def bytes_of(step: Any) -> int:
    """What a compiled step occupies while it runs; its state is given back in place."""
    found = step.memory_analysis()
    return (
        found.argument_size_in_bytes
        + found.output_size_in_bytes
        - found.alias_size_in_bytes
        + found.temp_size_in_bytes
    )


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Ratios to the un-normalized network, of time and of memory."""
    import jax
    import keras

    from benchmarks.speed import with_jax

    keras.config.set_dtype_policy(options.precision)
    names = plan.GAN if options.network == "sn_dcgan" else CONTENDERS
    names = list(options.contenders or names)
    with _locked(options.lock, fcntl.LOCK_SH):
        start = time.perf_counter()
        traced = {name: lowered(options.network, name, options.batch) for name in names}
        print(f"traced after {time.perf_counter() - start:.0f} s", flush=True)

        def compiled_step(name: str) -> Any:
            step = traced[name][0].compile()
            print(f"{name} compiled after {time.perf_counter() - start:.0f} s", flush=True)
            return step

        # The baseline first: what it finds out about its convolutions the others reuse.
        first = compiled_step(names[0])
        with ThreadPoolExecutor() as pool:
            rest = list(pool.map(compiled_step, names[1:]))
    compiled = dict(zip(names, [first, *rest], strict=True))
    memory = {name: bytes_of(step) for name, step in compiled.items()}
    with _locked(options.lock, fcntl.LOCK_EX):
        runs = {
            name: with_jax.run_of(compiled[name], state, data, options.calls)
            for name, (_, state, data) in traced.items()
        }
        measure.warm_up(runs)
        times = pairing.interleaved(runs, options.rounds, 1, options.seed)
    times = {name: [value / options.calls for value in own] for name, own in times.items()}
    figures = {
        "training step": pairing.compared(times, measure.BASELINE),
        "memory": {
            name: {"mebibytes": value / 2**20, "ratio": value / memory[measure.BASELINE]}
            for name, value in memory.items()
        },
        "device": jax.devices()[0].device_kind,
    }
    measure.report(figures, "training step")
    return figures


def name_of(network: str, batch: int, precision: str) -> str:
    """The name of a run's file of figures."""
    return f"gpu-{network}-{batch}-{precision.removeprefix('mixed_')}"


def run_all(options: argparse.Namespace) -> None:
    """The runs asked for, in processes of their own.

    Raises:
        SystemExit: If one of them failed, after the others have ended.
    """
    environment = {
        "KERAS_BACKEND": "jax",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        **os.environ,
    }
    with tempfile.TemporaryDirectory() as folder:
        processes = []
        for network, batch, precision in RUNS:
            name = name_of(network, batch, precision)
            if options.only and name not in options.only:
                continue
            command = [sys.executable, "-m", "benchmarks.speed.accelerator", "--network", network]
            command += ["--batch", str(batch), "--precision", precision]
            command += ["--rounds", str(options.rounds), "--calls", str(options.calls)]
            command += ["--lock", str(Path(folder) / "lock")]
            if options.contenders:
                command += ["--contenders", *options.contenders]
            command += ["--json", str(options.results / f"{name}.json")]
            processes.append(subprocess.Popen(command, env=environment))
        failed = sum(process.wait() != 0 for process in processes)
    if failed:
        sys.exit(f"{failed} of {len(processes)} runs failed")


def main() -> None:
    parser = measure.parser("accelerator", __doc__, network=False)
    add = parser.add_argument
    networks = sorted({network for network, _, _ in RUNS})
    add("--network", choices=networks, help="all runs if not given")
    names = [name_of(*run) for run in RUNS]
    add("--only", nargs="+", choices=names, metavar="RUN", help=f"of {', '.join(names)}")
    add("--precision", choices=_PRECISIONS, default="float32")
    add("--lock", type=Path, default=Path(os.devnull), help="file that processes share")
    add("--results", type=Path, default=RESULTS, help="folder for the files of all runs")
    parser.set_defaults(rounds=15, calls=10)
    options = parser.parse_args()
    if options.network is None:
        return run_all(options)
    measure.print_header("accelerator", options)
    figures = measured(options)
    del options.lock, options.only, options.results
    measure.store(options, figures)


if __name__ == "__main__":
    main()
