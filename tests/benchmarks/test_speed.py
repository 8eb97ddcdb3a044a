"""The benchmark of speed: its statistics, its networks, its plan, and the page that it writes."""

import importlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from benchmarks.speed import (
    accelerator,
    composites,
    depth,
    isolated,
    measure,
    memory,
    norm_times,
    page,
    pairing,
    plan,
    project,
    step_tables,
)
from benchmarks.speed import networks as speed_networks
from tests import tools
from tfspecnorm import layers, models
from tfspecnorm.surgery.group import is_grouped

ROOT = Path(__file__).parents[2]
MODULES = {
    "accelerator": accelerator,
    "composites": composites,
    "depth": depth,
    "isolated": isolated,
    "measure": measure,
    "memory": memory,
    "norm_times": norm_times,
}


def test_ratios_are_taken_round_by_round():
    """A machine that becomes slower in the middle does not move a ratio."""
    times = {"none": [1.0, 2.0, 4.0, 8.0], "twice": [2.0, 4.0, 8.0, 16.0]}
    found = pairing.compared(times, "none")["twice"]
    assert found["ratio"] == found["lower_quartile"] == found["upper_quartile"] == 2.0
    assert found["milliseconds"] == pytest.approx(6000.0)
    assert pairing.compared({"none": [3.0], "one": [6.0]}, "none")["one"]["ratio"] == 2.0


def test_every_contender_is_called_equally_often_in_changing_order():
    calls = []
    contenders = {name: lambda name=name: calls.append(name) for name in "abc"}
    times = pairing.interleaved(contenders, rounds=6, calls=2)
    assert all(len(own) == 6 and min(own) >= 0 for own in times.values())
    rounds = [calls[place : place + 6] for place in range(0, 36, 6)]
    assert all(sorted(order) == ["a", "a", "b", "b", "c", "c"] for order in rounds)
    assert len({tuple(order) for order in rounds}) > 1


def test_exponent_of_growth():
    assert depth.slope([10, 20, 40], [1.0, 4.0, 16.0]) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("network", "build"),
    [
        ("mobilenet_v2_full", lambda: models.mobilenet_v2(normalization="none")),
        ("densenet_bc", lambda: models.densenet_bc(normalization="none")),
    ],
)
def test_networks_have_the_kernels_of_the_models(network, build):
    def kernels(model):
        return sorted(tuple(v.shape) for v in model.trainable_variables if len(v.shape) > 2)

    assert kernels(project.model(network, "none")) == kernels(build())


# One for each of the numbers below; what the others are made of is alike.
QUICK = ("none", "SN", "SN, depthwise only", "SN, not depthwise", "SN, grouped")


@pytest.mark.parametrize("contender", tools.quick(project.CONTENDERS, QUICK))
def test_contenders_wrap_what_their_name_says(contender):
    made = project.model("mobilenet_v2", contender)
    wrapped = [layer for layer in made.layers if isinstance(layer, keras.layers.Wrapper)]
    depthwise = [
        layer for layer in wrapped if isinstance(layer.layer, keras.layers.DepthwiseConv2D)
    ]
    expected = {"none": (0, 0), "batch normalization": (0, 0), "SN, depthwise only": (17, 17)}
    if contender.endswith("not depthwise") or contender in ("division alone", "vectors held"):
        expected[contender] = (36, 0)
    assert (len(wrapped), len(depthwise)) == expected.get(contender, (53, 17))


@pytest.mark.parametrize(
    ("contender", "once"),
    [("SN", False), ("SN, grouped", False), *((name, True) for name in project.OF_A_GAN)],
)
def test_gan_is_measured_as_its_name_says(contender, once):
    made = project.model(project.GAN, contender)
    assert made.measure_once is once
    grouped = is_grouped(made.discriminator)
    assert grouped is contender.endswith("grouped")
    first = next(layer for layer in made.discriminator.layers if hasattr(layer, "layer"))
    kind = layers.WeightNorm if contender.startswith("WN") else layers.SpectralNorm
    assert isinstance(first, kind)


@pytest.mark.parametrize("part", plan.RUNS, ids=lambda part: part.name)
def test_the_plan_names_what_there_is(part):
    assert part.name in {each.name for each in plan.RUNS}
    assert sum(each.name == part.name for each in plan.RUNS) == 1
    assert part.module in MODULES
    options = list(part.options)
    if "--contenders" in options:
        names = options[options.index("--contenders") + 1 :]
        names = [name for name in names if not name.startswith("--")]
        own = set(project.OF_A_GAN) if project.GAN in options else set()
        assert set(names) <= set(project.CONTENDERS) | own
    if "--network" in options:
        network = options[options.index("--network") + 1]
        assert network in speed_networks.NETWORKS or network == project.GAN


def run(monkeypatch, module, command):
    monkeypatch.setattr(sys, "argv", [f"{module}.py", *shlex.split(command)])
    MODULES[module].main()


@pytest.mark.slow
def test_measures_and_stores(monkeypatch, tmp_path, capsys):
    command = "--framework project --network vgg7 --contenders SN --batch 2 --rounds 2 --calls 1"
    command += f" --first-steps 1 --inference 2 --json {tmp_path / 'found.json'}"
    run(monkeypatch, "measure", command)
    output = capsys.readouterr().out
    assert f"command: python -m benchmarks.speed.measure {command}" in output
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["seed"] == 0 and "keras" in found["versions"]
    figures = found["figures"]
    assert set(figures["training step"]) == {"none", "SN"}
    assert set(figures["inference"]) == {"none", "none, folded", "SN", "SN, folded"}
    assert figures["first step"]["none"]["ratio"] == 1.0
    assert all(own["milliseconds"] > 0 for part in figures.values() for own in part.values())
    assert [path.name for path in tmp_path.iterdir()] == ["found.json"]


def test_times_of_norms(monkeypatch, tmp_path):
    run(monkeypatch, "norm_times", f"--sizes 3x4 --json {tmp_path / 'norm_times.json'}")
    results = page.loaded(tmp_path)
    lines = page.TABLES["norms to a tolerance"](results)
    assert len(lines) == 2 + 2 * 7
    assert any("not reached" in line for line in lines)


@pytest.mark.slow
def test_memory_counts_small_tensors_too():
    """In a process of its own: which allocator there is depends on its environment."""
    script = (
        "import tensorflow as tf\n"
        "from benchmarks.speed import memory\n"
        "kept = []\n"
        "def step():\n"
        "    parts = [tf.zeros((1024,)) + 1 for _ in range(100)]\n"
        "    kept.append(parts.pop())\n"
        "memory._training_step = lambda *_: step\n"
        "print(memory.tensors_peak(None, None, None))\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", **memory.COUNTING}
    found = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, check=True, cwd=ROOT
    )
    # 100 tensors of 4 KiB, in the median step five more that were kept; a few numbers beside them.
    assert 105 * 4096 <= int(found.stdout) <= 107 * 4096


@pytest.mark.slow
def test_memory_of_contenders(monkeypatch, tmp_path):
    command = "--framework project --network vgg7 --contenders SN --batch 1 --repeats 1"
    found = {}
    for count in memory.PEAKS:
        run(monkeypatch, "memory", f"{command} --count {count} --json {tmp_path / 'found.json'}")
        figures = json.loads((tmp_path / "found.json").read_text())["figures"]["memory"]
        found[count] = {name: 2**20 * own["mebibytes"] for name, own in figures.items()}
    variables = project.model("vgg7", "none").trainable_variables
    kernels = 4 * sum(int(np.prod(v.shape)) for v in variables if len(v.shape) > 1)
    tensors = found["tensors"]
    assert kernels < tensors["none"]
    # The normalized kernels, too, and some of what their gradients are computed from.
    assert max(2 * kernels, tensors["none"]) < tensors["SN"] < tensors["none"] + 3 * kernels
    # Python and TensorFlow take more than the tensors do.
    assert all(found["process"][name] > tensors[name] for name in tensors)


@pytest.mark.parametrize(
    "mistake", ["--network vgg7", "--framework project --network vgg7 --rounds -1"]
)
def test_mistakes_are_one_line(monkeypatch, capsys, mistake):
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, "measure", mistake)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_tensors_are_counted_with_tensorflow_alone(monkeypatch, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, "memory", "--framework torch --network vgg7")
    assert stopped.value.code == 2
    assert "Argument `count` must be 'process'" in capsys.readouterr().err


def test_a_part_without_a_figure_has_no_column():
    found = {"milliseconds": 2.0, "ratio": 1.5, "lower_quartile": 1.4, "upper_quartile": 1.6}
    figures = {"training step": {"none": {**found, "ratio": 1.0}, "SN": found}}
    results = {"tensorflow-vgg7": {"figures": figures}, "tensorflow-transformer": {"figures": {}}}
    assert page.TABLES["training step"](results) == [
        "| contender | VGG7 |",
        "| --- | --- |",
        "| none, ms | 2.0 |",
        "| SN | 1.500 (1.400 to 1.600) |",
    ]


def test_the_page_has_the_figures_of_the_files():
    text = page.PAGE.read_text()
    assert page.written(text, page.loaded()) == text
    assert {block["name"] for block in page._BLOCK.finditer(text)} == set(page.TABLES)


def test_what_was_measured_on_a_gpu_are_runs_of_the_script():
    planned = {accelerator.name_of(*run) for run in accelerator.RUNS}
    found = {path.stem for path in accelerator.RESULTS.glob("gpu-*.json")}
    assert found and found <= planned
    columns = {name for parts in step_tables.GPU.values() for name in parts}
    assert columns == planned


def test_runs_of_steps_go_on_from_the_state_that_the_last_one_left(monkeypatch):
    class Jax:
        @staticmethod
        def block_until_ready(found):
            blocked.append(found)

    blocked, seen = [], []
    monkeypatch.setitem(sys.modules, "jax", Jax)
    monkeypatch.delitem(sys.modules, "benchmarks.speed.with_jax", raising=False)
    with_jax = importlib.import_module("benchmarks.speed.with_jax")
    monkeypatch.delitem(sys.modules, "benchmarks.speed.with_jax")

    def step(state, data):
        seen.append((state, data))
        return "logs", state + 1

    run = with_jax.run_of(step, 0, "data", 3)
    run()
    run()
    assert seen == [(number, "data") for number in range(6)]
    assert blocked == [("logs", 3), ("logs", 6)]
