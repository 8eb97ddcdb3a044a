"""Sizes of activations and of gradients in untrained networks, by the gains they start with."""

import math
import statistics
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from threadpoolctl import threadpool_limits

# The scripts of the folder import each other by their bare names.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import weight_norm_start as script

from benchmarks.claims import spread, starts_training
from benchmarks.claims.claim import Finding, Results, Run, Setting
from tfspecnorm import initializers
from tfspecnorm.layers import WeightNorm

PART = "signals"
PANELS = 2
WIDTHS = (200, 1000)
_FORWARD, _BACKWARD, _ONE = "robust", "√2", "1"
_GAINS = {"feed-forward": (_FORWARD, _BACKWARD, _ONE), "residual": (_FORWARD, _ONE)}
_WAYS = ("forward", "backward")
# "About 1" and "vanishes" or "explodes".
_NEAR, _FAR = 1.5, 100


def runs(setting: Setting) -> list[Run]:
    return [
        Run(f"signals-seed-{seed}", {"part": PART, "seed": seed}) for seed in setting.seeds_or(5)
    ]


def measure(setting: Setting, options: dict[str, Any]) -> dict[str, Any]:
    """Ratios ‖hˡ‖/‖x‖ and ‖∂hˡ‖/‖∂hᴸ‖ of each network, width and gain."""
    sizes = {str(width): script.Signals(width=width) for width in WIDTHS}
    if setting.scale == "smoke":
        sizes = {"60": script.SMOKE_SIGNALS}
    return {
        network: {
            width: signals(network, own, options["seed"] + 1000 * place)
            for place, (width, own) in enumerate(sizes.items())
        }
        for network in script.NETWORKS
    }


def signals(network: str, sizes: Any, seed: int) -> dict[str, dict[str, list[float]]]:
    """The ratios of one network with the same orthogonal directions for all gains."""
    keras.utils.clear_session()
    random = np.random.default_rng(seed)
    if network == "residual":
        model, stages = script.residual(sizes, random)
    else:
        model, stages = script.feed_forward(sizes, random), []
    inputs = random.standard_normal((sizes.samples, sizes.inputs)).astype("float32")
    with threadpool_limits(1, user_api="blas"):
        initializers.robust(model, stages=stages, seed=seed)
    found = {}
    for gain in _GAINS[network]:
        if gain != _FORWARD:
            _set_gains(model, math.sqrt(2) if gain == _BACKWARD else 1.0)
        found[gain] = script.signal_ratios(model, inputs, random)
    return found


def _set_gains(model: keras.Model, value: float) -> None:
    for layer in model.layers:
        if isinstance(layer, WeightNorm):
            gain = layer.gains()["kernel"]
            gain.assign(np.full(gain.shape, value))


def _ratios(results: Results, network: str, gain: str) -> dict[str, dict[str, list[list[float]]]]:
    """By width and way the ratios of all seeds."""
    found: dict[str, dict[str, list[list[float]]]] = {}
    for run in starts_training.of_part(results, PART):
        for width, gains in run[network].items():
            for way in _WAYS:
                found.setdefault(width, {}).setdefault(way, []).append(gains[gain][way])
    return found


def _means(results: Results, network: str, gain: str, way: str) -> list[list[float]]:
    """For each width the means of the ratios over the seeds, layer by layer."""
    found = _ratios(results, network, gain).values()
    return [np.mean(ways[way], axis=0).tolist() for ways in found]


def _ends(results: Results, network: str, gain: str) -> dict[str, list[list[float]]]:
    """By way, for each width the ratios of the seeds where the signal has passed all layers."""
    place = {"forward": -1, "backward": 0}
    return {
        way: [
            [seed[place[way]] for seed in ways[way]]
            for ways in _ratios(results, network, gain).values()
        ]
        for way in _WAYS
    }


def findings(results: Results) -> list[Finding]:
    differs = f"as in the authors' notebook, widths about {' and '.join(map(str, WIDTHS))}"
    figure = "qualitative (figure of the synthetic experiment)"
    rows = [
        (
            f"20 layers, robust gains: activations and gradients keep their size (within {_NEAR})",
            *_kept(results, _FORWARD, _WAYS),
        ),
        ("20 layers, gains of 1: both vanish exponentially", *_lost(results, "feed-forward", -1)),
        (
            f"20 layers, gains of √2: gradients keep their size (within {_NEAR})",
            *_kept(results, _BACKWARD, ("backward",)),
        ),
        (
            "Stage of 40 residual blocks, robust gains: grows by a factor in [√2, √e], both ways",
            *_bounded(results),
        ),
        ("40 residual blocks, gains of 1: both explode", *_lost(results, "residual", 1)),
    ]
    return [Finding(claim, figure, ours, verdict, differs) for claim, ours, verdict in rows]


def _kept(results: Results, gain: str, ways: tuple[str, ...]) -> tuple[str, str]:
    found = [
        ratio
        for way in ways
        for ratios in _means(results, "feed-forward", gain, way)
        for ratio in ratios
    ]
    if not found:
        return "none", "not measured yet"
    kept = [1 if 1 / _NEAR <= ratio <= _NEAR else -1 for ratio in found]
    return f"ratios of all layers {min(found):.2f} to {max(found):.2f}", spread.judged(kept)


def _lost(results: Results, network: str, sign: int) -> tuple[str, str]:
    """Whether the signal is far from its first size, above or below as the sign says."""
    ends = _ends(results, network, _ONE)
    found = [statistics.fmean(values) for way in _WAYS for values in ends[way]]
    if not found:
        return "none", "not measured yet"
    far = [1 if ratio**sign > _FAR else -1 for ratio in found]
    text = f"{script.number(min(found))} to {script.number(max(found))} at the end"
    return text, spread.judged(far)


def _bounded(results: Results) -> tuple[str, str]:
    ends = _ends(results, "residual", _FORWARD)
    signs, texts = [], []
    for way in _WAYS:
        for values in ends[way]:
            mean = statistics.fmean(values)
            room = statistics.stdev(values) if len(values) > 1 else 0.0
            inside = math.sqrt(2) - room <= mean <= math.sqrt(math.e) + room
            signs.append(1 if inside else -1)
            texts.append(f"{way} {spread.spread(values)}")
    return "; ".join(texts) or "none", spread.judged(signs)


def details(results: Results) -> str:
    lines = [
        "| network | width | g | forward, end | least, largest | backward, first layer |",
        "|---|---|---|---|---|---|",
    ]
    head = len(lines)
    for network, gains in _GAINS.items():
        for gain in gains:
            for width, ways in _ratios(results, network, gain).items():
                means = np.mean(ways["forward"], axis=0)
                cells = [
                    _number_with_spread([seed[-1] for seed in ways["forward"]]),
                    f"{script.number(means.min())}, {script.number(means.max())}",
                    _number_with_spread([seed[0] for seed in ways["backward"]]),
                ]
                lines.append(f"| {network} | {width} | {gain} | {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > head else ""


def _number_with_spread(values: list[float]) -> str:
    mean = script.number(statistics.fmean(values))
    if len(values) == 1:
        return f"{mean} (1 seed)"
    return f"{mean} ± {statistics.stdev(values):.2g} ({len(values)} seeds)"


def draw(axes: list[Any], results: Results) -> None:
    for panel, (network, gains) in zip(axes, _GAINS.items(), strict=True):
        for color, gain in enumerate(gains):
            for way, style in zip(_WAYS, ("-", ":"), strict=True):
                for place, means in enumerate(_means(results, network, gain, way)):
                    label = f"g {gain}, {way}" if place == 0 else None
                    numbers = range(1, len(means) + 1)
                    panel.plot(numbers, means, f"C{color}{style}", label=label)
        panel.set_yscale("log")
        panel.set_xlabel("layer" if network == "feed-forward" else "block")
        panel.set_title(f"{network}: size of signals")
