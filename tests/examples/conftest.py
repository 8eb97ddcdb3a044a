"""Running the examples as a user does, in this process or in one of their own."""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _same_start():
    """Takes the place of the general one, which costs more time than most of these tests."""
    keras.utils.set_random_seed(0)


OPTIONS = {
    "normalization": "none",
    "dataset": "digits",
    "image_size": 32,
    "epochs": 4,
    "batch_size": 8,
    "learning_rate": 0.1,
    "seed": 0,
    "strategy": "none",
    "devices": 2,
    "tensorboard": False,
    "smoke": False,
    "restart": False,
}


@pytest.fixture
def new_run(tmp_path):
    """Makes a `common.Run` in the test's folder, after the end of the one before."""
    import common

    runs = []

    def new_run(**changes):
        for run in runs:
            run.folder.release()
        options = argparse.Namespace(**{"output": tmp_path, **OPTIONS, **changes})
        runs.append(common.Run("net", options))
        return runs[-1]

    yield new_run
    for run in runs:
        run.folder.release()


@pytest.fixture
def run(monkeypatch, capfd):
    """Runs a script's `main` here: exit code, standard output, standard error."""
    import common

    def run(script, *arguments):
        monkeypatch.setattr(sys, "argv", [f"examples/{script.__name__}.py", *map(str, arguments)])
        capfd.readouterr()
        exit_code = common.run_script(script.main)
        return exit_code, *capfd.readouterr()

    return run


@pytest.fixture
def start():
    """Starts a script as a process, which the end of the test kills."""
    processes = []

    def start(script, *arguments):
        # A suite that runs in the background would hand on that it ignores Ctrl-C. Not by
        # `preexec_fn`, which forks: JAX warns of that.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            process = subprocess.Popen(
                [sys.executable, ROOT / "examples" / script, *map(str, arguments)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
        finally:
            signal.signal(signal.SIGINT, before)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()
