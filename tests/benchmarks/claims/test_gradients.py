"""The claim about a discriminator's gradients: what is measured, and what is said of it."""

import functools

import keras
import numpy as np
import pytest

import tfspecnorm
from benchmarks.claims import gan_setup, gradient_curves, gradients
from benchmarks.claims.claim import Setting
from benchmarks.claims.gradient_slopes import Slopes
from tests import tools
from tfspecnorm.layers import SpectralNorm


def _images(seed, shape=(6, 4, 4, 1)):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


def _small_discriminator():
    image = keras.Input((4, 4, 1))
    # Without a kink, so that differences are close to derivatives.
    outputs = SpectralNorm(keras.layers.Conv2D(2, 3, activation="tanh", name="conv"))(image)
    outputs = keras.layers.Flatten()(outputs)
    return keras.Model(image, SpectralNorm(keras.layers.Dense(1, name="head"), scale=0.5)(outputs))


def test_gradients_against_differences():
    model = _small_discriminator()
    real, fake = _images(1), _images(2)
    before = model.get_weights()
    measured = Slopes(model).measure(real, fake)
    assert all(map(np.array_equal, before, model.get_weights()))

    def loss():
        on_real, on_fake = (np.asarray(model(images)) for images in (real, fake))
        return float(np.maximum(1 - on_real, 0).mean() + np.maximum(1 + on_fake, 0).mean())

    kernels = [layer.layer.kernel for layer in model.layers if hasattr(layer, "layer")]
    matrix = np.reshape(kernels[0], (9, 2))
    assert measured["sigma"][0] == pytest.approx(np.linalg.svd(matrix)[1][0], rel=1e-4)
    expected = [np.linalg.norm(tools.finite_differences(loss, kernel, 1e-2)) for kernel in kernels]
    assert measured["loss"] == pytest.approx(expected, rel=1e-2)

    plain = tfspecnorm.fold(model)
    both = np.concatenate([real, fake])

    def output():
        return float(np.asarray(plain(both)).mean())

    expected = [
        np.linalg.norm(tools.finite_differences(output, plain.get_layer(name).kernel, 1e-2))
        for name in ("conv", "head")
    ]
    assert measured["output"] == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_a_linear_discriminator_by_hand(scale):
    """D(x) = c·w·x/‖w‖ + b: its slope is c everywhere, its gradient in w̄ the mean image."""
    image = keras.Input((4, 4, 1))
    wrapper = SpectralNorm(keras.layers.Dense(1, name="head"), scale=scale)
    model = keras.Model(image, wrapper(keras.layers.Flatten()(image)))
    slopes = Slopes(model)
    # The copy follows the model.
    weights = np.linspace(-2, 3, 16).astype("float32")[:, None]
    wrapper.layer.kernel.assign(weights)
    wrapper.warm_up()
    real, fake = _images(1), _images(2)
    measured = slopes.measure(real, fake)
    norm = np.linalg.norm(weights)
    for images in (measured["real"], measured["fake"]):
        assert list(images.values()) == pytest.approx(3 * [scale], rel=1e-5)
    mean = np.concatenate([real, fake]).mean(0)
    assert measured["output"] == pytest.approx([np.linalg.norm(mean)], rel=1e-5)
    assert measured["sigma"] == pytest.approx([norm], rel=1e-5)
    assert measured["variance"] == pytest.approx([16 * np.var(scale * weights / norm)], rel=1e-4)


@pytest.mark.parametrize("name", tools.quick(gan_setup.NORMALIZATIONS, ["SN", "BSN"]))
def test_all_kernels_are_found(name):
    setting = Setting("smoke")
    images = gan_setup.images_of(setting)
    options = next(
        run.options for run in gradients.runs(setting) if run.options["normalization"] == name
    )
    model = gan_setup.built(images, options).discriminator
    assert Slopes(model).layers == (*(f"conv{number}" for number in range(1, 8)), "head")


def _run(name, seed, gradient, variance):
    """A run with the gradients before training, in the first and in the last quarter."""
    points = [
        {
            "step": step,
            "loss": [gradient[time]] * 2,
            "output": [gradient[time]] * 2,
            "real": {"median": gradient[time]},
            "fake": {"median": gradient[time]},
            "sigma": [1.0, 1.0],
            "variance": [variance[time == 2]] * 2,
        }
        for step, time in enumerate((0, 1, 1, 1, 2))
    ]
    return {
        "options": {"normalization": name, "seed": seed},
        "figures": {"layers": ["conv1", "head"], "points": points},
    }


def _results(none, strict, spectral=(1, 1, 1), variance=(0.5, 0.5), seeds=3):
    runs = {}
    for seed in range(seeds):
        for name, gradient in (("none", none), ("strict SN", strict), ("SN", spectral)):
            wobble = 1 + 0.01 * seed
            ends = tuple(None if value is None else value * wobble for value in gradient)
            runs[f"{name}-{seed}"] = _run(name, seed, ends, variance)
    return runs


def _verdicts(results):
    return [finding.verdict for finding in gradients.findings(results)]


def test_verdicts_in_both_directions():
    assert _verdicts(_results((0.01, 1, 50), (1, 1, 0.02))) == 5 * ["holds"]
    assert _verdicts(_results((0.01, 1, None), (1, 1, 0.02)))[0] == "holds"
    other = _results((0.2, 1, 5), (1, 1, 20), (1, 1, 40), (0.5, 0.1))
    assert _verdicts(other) == 5 * ["does not hold"]
    # Means at the limits, with a spread around them.
    near = _results((0.1, 1, 10), (1, 1, 0.1), (1, 1, 1), (0.5, 0.5))
    for seed, factor in enumerate((0.5, 1, 2)):
        for name, times in (("none", (0, 2)), ("strict SN", (2,))):
            near[f"{name}-{seed}"] = _run(
                name,
                seed,
                tuple(
                    value * factor if time in times else value
                    for time, value in enumerate((0.1, 1, 10 if name == "none" else 0.1))
                ),
                (0.5, 0.5),
            )
    assert _verdicts(near)[:3] == 3 * ["undecided"]
    # One seed decides nothing.
    one = _results((0.01, 1, 50), (1, 1, 0.02), seeds=1)
    assert _verdicts(one) == 5 * ["not measured yet"]


def test_ratios_are_taken_seed_by_seed():
    results = _results((1e-3, 10, 100), (1, 1, 1))
    for time, expected in (("start", -3), ("first", 1), ("last", 2)):
        found = gradient_curves.over_spectral(results, "none", "loss", time)
        assert found == pytest.approx(3 * [expected])
    assert gradient_curves.growth(results, "none", "real") == pytest.approx([1, 1, 1])
    assert gradient_curves.factor([1.0, 1.0]) == "10 ×/÷ 1 (2 seeds)"


def test_diverged_trainings_are_counted():
    """One of SN's from the start: its growth would be 1."""
    results = _results((0.01, 1, 50), (1, 1, 0.02))
    assert gradient_curves.diverged(results, "SN") == 0
    results["SN-1"] = _run("SN", 1, (1, None, None), (0.5, 0.5))
    assert gradient_curves.diverged(results, "SN") == 1
    assert _verdicts(results)[2:] == ["undecided", "does not hold", "does not hold"]
    rows = gradients.findings(results)
    assert all("SN: 1 of 3 diverged" in rows[place].ours for place in (0, 2, 3, 4))


def test_paper_column():
    assert gradients.findings({})[1].paper == "no statement"


def test_some_runs_or_none(tmp_path):
    assert {(row.verdict, row.ours) for row in gradients.findings({})} == {
        ("not measured yet", "–")
    }
    assert gradients.details({}) == ""
    results = _results((0, 1, None), (1, 1, 1))
    for name in ("none-0", "SN-1"):
        some = {name: results[name]}
        assert len(gradients.findings(some)) == 5
        assert "conv1" in gradients.details(some)
        gradients.draw(some, tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 0


def test_runs_of_all_scales():
    assert len(gradients.runs(Setting())) == 18
    assert len(gradients.runs(Setting("smoke"))) == len(gan_setup.NORMALIZATIONS)
    for scale in ("small", "paper", "smoke"):
        steps, every = gradients.STEPS[scale]
        assert steps % every == 0
        options = gradients.runs(Setting(scale))[0].options
        assert (options["steps"], options["every"]) == (steps, every)
    strict = gan_setup.NORMALIZATIONS["strict SN"]
    assert isinstance(strict, functools.partial) and strict.keywords == {"norm": "operator"}
