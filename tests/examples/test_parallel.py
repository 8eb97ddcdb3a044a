"""Several devices, and several processes, compute what one does."""

import csv
import json
import os
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

pytest.importorskip("PIL", reason="the examples are not installed")
from tests.examples.conftest import ROOT

pytestmark = pytest.mark.slow
BACKEND = keras.backend.backend()
# Each sample counts once whatever the number of replicas, so the same sums come out. The vectors
# of a normalization move alike as well; batch normalization has other statistics on each replica.
SMOKE = ("--smoke", "--epochs", "2", "--batch-size", "32")


def start(script, *arguments, **environment):
    """A script in a process of its own: devices are counted when a backend starts."""
    return subprocess.Popen(
        [sys.executable, ROOT / "examples" / script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": BACKEND} | environment,
    )


def finish(*processes):
    """Waits for processes; those of a group that fails wait for each other forever."""
    try:
        ends = [(process.communicate(timeout=240), process.returncode) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    # TensorFlow may say on standard error that processes part.
    assert [code for _, code in ends] == [0] * len(ends), ends
    assert not any("Traceback" in error or "error:" in error for (_, error), _ in ends), ends


def losses(folder):
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [[float(row[name]) for name in ("loss", "val_loss")] for row in rows]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    finish(start("small_cnn.py", *SMOKE, "--output", folder))
    return losses(folder)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras has no data parallelism on PyTorch")
def test_two_devices(alone, tmp_path):
    mirrored = ("--strategy", "mirrored", "--devices", "2")
    finish(start("small_cnn.py", *SMOKE, *mirrored, "--output", tmp_path))
    assert len(alone) == 2
    np.testing.assert_allclose(losses(tmp_path), alone, rtol=0.02)
    np.testing.assert_allclose(losses(tmp_path)[0][0], alone[0][0], rtol=2e-3)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for place in sockets:
        place.bind(("127.0.0.1", 0))
    ports = [place.getsockname()[1] for place in sockets]
    for place in sockets:
        place.close()
    return ports


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a strategy of TensorFlow")
def test_two_processes(alone, tmp_path):
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    workers = []
    for index in range(2):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        arguments = (*SMOKE, "--strategy", "multiworker", "--output", tmp_path)
        workers.append(start("small_cnn.py", *arguments, TF_CONFIG=json.dumps(config)))
    finish(*workers)
    np.testing.assert_allclose(losses(tmp_path), alone, rtol=0.02)
    np.testing.assert_allclose(losses(tmp_path)[0][0], alone[0][0], rtol=2e-3)
    # The second worker has left nothing of its own.
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert (tmp_path / "report.json").exists()


@pytest.mark.skipif(BACKEND == "torch", reason="Keras has no data parallelism on PyTorch")
def test_gan_on_two_devices(tmp_path):
    mirrored = ("--strategy", "mirrored", "--devices", "2")
    small = ("--smoke", "--epochs", "1", "--width", "0.25")
    finish(start("dcgan.py", *small, *mirrored, "--output", tmp_path))
    assert (tmp_path / "samples.png").exists()


def test_batches_are_a_multiple_of_the_replicas(tmp_path):
    mirrored = ("--strategy", "mirrored", "--devices", "2", "--batch-size", "31")
    process = start("small_cnn.py", "--smoke", *mirrored, "--output", tmp_path)
    _, error = process.communicate(timeout=240)
    assert process.returncode == 2
    if BACKEND == "torch":
        assert "argument --strategy: mirrored needs TensorFlow or JAX" in error
    else:
        assert "argument --batch-size: must be a multiple of the number of replicas, 2" in error
    assert error.count("\n") == 1
