"""Starts of weight-normalized networks: the script is right, and what it finds is asserted."""

import json
import math
import sys

import keras
import numpy as np
import pytest

from benchmarks import start_digits, start_signals
from benchmarks import weight_norm_start as script
from benchmarks.rate import Rate
from tests import tools
from tfspecnorm import initializers, schedules
from tfspecnorm.layers import WeightNorm

SEEDS = 20


def unit_columns(matrix):
    return matrix / np.linalg.norm(matrix, axis=0)


def numpy_states(network, model, inputs):
    """Activations, and a function from the gradient of the last to those of all, by NumPy."""
    wrapped = [layer for layer in model.layers if isinstance(layer, WeightNorm)]
    kernels = [
        unit_columns(tools.array(part.layer.kernel).astype("float64"))
        * tools.array(part.gains()["kernel"])
        for part in wrapped
    ]
    states, slopes = [], []
    hidden = inputs.astype("float64")
    if network == "feed-forward":
        for kernel in kernels:
            before = hidden @ kernel
            hidden = np.maximum(before, 0)
            states.append(hidden)
            slopes.append(lambda top, on=before > 0, kernel=kernel: (top * on) @ kernel.T)
    else:
        for first, last in zip(kernels[::2], kernels[1::2], strict=True):
            before = hidden @ first
            hidden = hidden + np.maximum(before, 0) @ last
            states.append(hidden)
            slopes.append(
                lambda top, on=before > 0, first=first, last=last: (
                    top + ((top @ last.T) * on) @ first.T
                )
            )

    def gradients(top):
        found = [top]
        for slope in reversed(slopes[1:]):
            found.insert(0, slope(found[0]))
        return found

    return states, gradients


def mean_ratios(arrays, reference):
    lengths = np.linalg.norm(reference, axis=1)
    return [np.mean(np.linalg.norm(part, axis=1) / lengths) for part in arrays]


@pytest.mark.parametrize("network", start_signals.NETWORKS)
def test_ratios_against_numpy(network):
    sizes, random = start_signals.SMOKE_SIGNALS, np.random.default_rng(0)
    if network == "residual":
        model, stages = start_signals.residual(sizes, random)
    else:
        model, stages = start_signals.feed_forward(sizes, random), []
    initializers.robust(model, stages=stages, seed=0)
    inputs = tools.random(sizes.samples, sizes.inputs)
    found = start_signals.signal_ratios(model, inputs, np.random.default_rng(1))
    states, gradients = numpy_states(network, model, inputs)
    top = np.random.default_rng(1).standard_normal(states[-1].shape).astype("float32")
    np.testing.assert_allclose(found["forward"], mean_ratios(states, inputs), rtol=1e-4)
    np.testing.assert_allclose(found["backward"], mean_ratios(gradients(top), top), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("network", start_signals.NETWORKS)
def test_signals_of_both_starts_and_of_a_seed(network):
    first, again, other = (
        start_signals.signals(network, start_signals.SMOKE_SIGNALS, s) for s in (0, 0, 1)
    )
    assert tuple(first) == start_signals.STARTS
    assert first == again
    assert first != other
    assert len(first["robust"]["forward"]) == 4
    assert first["robust"]["backward"][-1] == 1.0
    gap = np.abs(np.log([first[start]["forward"][-1] for start in start_signals.STARTS]))
    assert gap[0] < gap[1]


@pytest.fixture(scope="module")
def network():
    return start_digits.DigitsNetwork(start_digits.SMOKE_DIGITS)


def test_runs_on_digits_start_anew(network):
    first = network.losses("robust", 0.03, seed=0)
    assert len(first) == start_digits.SMOKE_DIGITS.epochs
    assert network.losses("data-dependent", 0.03, seed=0, warm_up=False) != first
    assert network.losses("robust", 0.03, seed=0) == first
    assert len(network.losses("robust", 0.03, seed=0, below=math.inf)) == 1
    network.start("data-dependent", seed=0)
    first, batch = network.model.layers[0], network.pixels[: start_digits.SMOKE_DIGITS.batch_size]
    outputs = batch @ tools.array(first.effective_kernels()["kernel"])
    np.testing.assert_allclose(outputs.std(axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(outputs.mean(axis=0), -tools.array(first.layer.bias), atol=1e-5)


def test_the_rate_of_each_step_is_that_of_the_schedule(network):
    rates = []
    network.start("robust", seed=0)

    class Recorder(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            rates.append(float(tools.array(self.model.optimizer.learning_rate)))

    schedule = schedules.QuadraticWarmUp(0.1, 4)
    network.model.fit(
        network.pixels[:96],
        network.labels[:96],
        batch_size=16,
        verbose=0,
        callbacks=[Rate(schedule), Recorder()],
    )
    np.testing.assert_allclose(rates, [0.1 * (min(t, 4) / 4) ** 2 for t in range(1, 7)], rtol=1e-6)


@pytest.mark.slow
def test_the_script_prints_tables_and_writes_numbers(tmp_path, monkeypatch, capsys):
    path = tmp_path / "new" / "found.json"
    monkeypatch.setattr(sys, "argv", ["weight_norm_start.py", "--smoke", "--output", str(path)])
    script.main()
    report, printed = json.loads(path.read_text()), capsys.readouterr().out
    assert {"versions", "command", "signals", "digits"} <= report.keys()
    assert report["command"] in printed
    assert set(report["signals"]) == {"seeds", "sizes", *start_signals.NETWORKS}
    assert len(report["digits"]["runs"]) == len(start_digits.RUNS)
    assert "| robust |" in printed
    assert "| data-dependent | no | 0.03 | 0 |" in printed


@pytest.mark.slow
def test_feed_forward_networks_keep_or_lose_their_signals():
    """Widths about 1000: proposed gains keep the norm, gains of 1 lose √2 in each layer."""
    sizes = start_signals.Signals()
    found = start_signals.mean_signals("feed-forward", sizes, SEEDS)
    for way in ("forward", "backward"):
        assert min(found["robust"][way]) >= 0.8
        assert max(found["robust"][way]) <= 1.25
    lost = found["gain 1"]["forward"][-1]
    # ‖hˡ‖²/‖x‖² = 2⁻ˡ·nˡ/n⁰, to which also a larger last layer adds: 1.4e-3.
    expected = 2 ** (-sizes.layers / 2) * math.sqrt(sizes.width / sizes.inputs)
    assert lost == pytest.approx(expected, rel=0.1)
    assert found["gain 1"]["backward"][0] < 2e-3


@pytest.mark.slow
def test_narrower_feed_forward_networks_lose_their_signals():
    found = start_signals.mean_signals("feed-forward", start_signals.Signals(width=200), SEEDS)
    assert found["gain 1"]["forward"][-1] < 1e-3


@pytest.mark.slow
def test_residual_networks_keep_their_signals_or_explode():
    found = start_signals.mean_signals("residual", start_signals.Signals(), SEEDS)
    assert 1.5 <= found["robust"]["forward"][-1] <= 1.7
    assert 1.5 <= found["robust"]["backward"][0] <= 1.7
    assert max(found["robust"]["forward"]) <= 1.7
    assert found["gain 1"]["forward"][-1] > 1e3
    assert found["gain 1"]["backward"][0] > 1e3


@pytest.mark.slow
def test_two_hundred_layers_learn_from_the_robust_start_alone():
    network = start_digits.DigitsNetwork(start_digits.Digits())
    rates = network.settings.rates
    learned = [network.losses("robust", rate, seed=0, below=1.6) for rate in (0.01, 0.003)]
    assert min(min(losses) for losses in learned) < 1.6
    for rate in rates:
        losses = network.losses("data-dependent", rate, seed=0)
        assert not math.isfinite(losses[-1]) or min(losses) > 2.2, rate
