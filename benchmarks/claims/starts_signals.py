"""Sizes of activations and of gradients in untrained networks, by the gains they start with."""

import dataclasses
import math
import statistics
from typing import Any

import numpy as np

from benchmarks import start_signals, weight_norm_start
from benchmarks.claims import spread, starts_training
from benchmarks.claims.claim import Finding, Results, Run, Setting

PART = "signals"
PANELS = 2
WIDTHS = (200, 1000)
_FORWARD, _BACKWARD, _ONE = "robust", "√2", "1"
_GAINS = {"feed-forward": (_FORWARD, _BACKWARD, _ONE), "residual": (_FORWARD, _ONE)}
_WAYS = ("forward", "backward")
# "About 1", "vanishes" or "explodes", and what may be missing to the bounds of a stage.
_NEAR, _FAR, _MARGIN = 1.5, 100, 0.05


def runs(setting: Setting) -> list[Run]:
    smoke = setting.scale == "smoke"
    sizes = dataclasses.asdict(start_signals.SMOKE_SIGNALS if smoke else start_signals.Signals())
    width = sizes.pop("width")
    options = {"part": PART, "widths": [width] if smoke else list(WIDTHS)} | sizes
    return [Run(f"signals-seed-{seed}", options | {"seed": seed}) for seed in setting.seeds_or(5)]


def measure(setting: Setting, options: dict[str, Any]) -> dict[str, Any]:
    """Ratios ‖hˡ‖/‖x‖ and ‖∂hˡ‖/‖∂hᴸ‖ of each network, width and gain."""
    names = {field.name for field in dataclasses.fields(start_signals.Signals)}
    sizes = {name: value for name, value in options.items() if name in names}
    return {
        network: {
            str(width): signals(
                network, start_signals.Signals(width=width, **sizes), options["seed"] + 1000 * place
            )
            for place, width in enumerate(options["widths"])
        }
        for network in start_signals.NETWORKS
    }


def signals(network: str, sizes: start_signals.Signals, seed: int) -> dict[str, Any]:
    """The ratios of one network with the same orthogonal directions for all gains."""
    measured = start_signals.signals(network, sizes, seed)
    found = {_FORWARD: measured["robust"], _ONE: measured["gain 1"]}
    if _BACKWARD in _GAINS[network]:
        found[_BACKWARD] = _scaled(found[_ONE], math.sqrt(2))
    return found


def _scaled(ratios: dict[str, list[float]], gain: float) -> dict[str, list[float]]:
    """The ratios with another gain than 1: layers with ReLU and without bias are homogeneous."""
    layers = np.arange(1, len(ratios["forward"]) + 1)
    return {
        "forward": (ratios["forward"] * gain**layers).tolist(),
        "backward": (ratios["backward"] * gain ** (len(layers) - layers)).tolist(),
    }


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


def _ends(results: Results, network: str, gain: str) -> dict[tuple[str, str], list[float]]:
    """By width and way the ratios of the seeds where the signal has passed all layers."""
    place = {"forward": -1, "backward": 0}
    return {
        (width, way): [seed[place[way]] for seed in seeds]
        for width, ways in _ratios(results, network, gain).items()
        for way, seeds in ways.items()
    }


def findings(results: Results) -> list[Finding]:
    differs = f"as in the authors' notebook, widths about {' and '.join(map(str, WIDTHS))}"
    root = "; figures of gain √2 follow from those of gain 1, layer by layer a factor of √2"
    rows = [
        (
            f"20 layers, robust gains: activations and gradients keep their size (within {_NEAR})",
            "about 1 in all layers (notebook)",
            *_kept(results, _FORWARD, _WAYS),
            differs,
        ),
        (
            f"20 layers, gains of 1: both vanish exponentially (below 1/{_FAR} at the end)",
            "vanish exponentially (notebook)",
            *_lost(results, "feed-forward", -1),
            differs,
        ),
        (
            f"20 layers, gains of √2: gradients keep their size (within {_NEAR})",
            "√2 preserves the size of gradients (poster)",
            *_kept(results, _BACKWARD, ("backward",)),
            differs + root,
        ),
        (
            "Stage of 40 residual blocks, robust gains: grows by a factor in [√2, √e], both ways "
            f"(give or take {_MARGIN})",
            "factor in [√2, √e], for gradients too (poster)",
            *_bounded(results),
            differs,
        ),
        (
            f"40 residual blocks, gains of 1: both explode (above {_FAR} at the end)",
            "explode (notebook)",
            *_lost(results, "residual", 1),
            differs,
        ),
    ]
    return [Finding(*row) for row in rows]


def _within(values: list[float], least: float, largest: float) -> int | None:
    """1 if the mean lies between both, -1 if outside, 0 if a limit is inside the spread."""
    signs = spread.against(values, least), spread.against(values, largest)
    if None in signs:
        return None
    return min(signs[0], -signs[1])


def _kept(results: Results, gain: str, ways: tuple[str, ...]) -> tuple[str, str]:
    """Whether all layers of a width and way keep the size of their signals."""
    found = _ratios(results, "feed-forward", gain)
    signs: list[int | None] = []
    means: list[float] = []
    for width in map(str, WIDTHS):
        for way in ways:
            layers = list(zip(*found.get(width, {}).get(way, []), strict=True))
            own = [_within(layer, 1 / _NEAR, _NEAR) for layer in layers]
            signs.append(None if not own or None in own else min(own))
            means += [statistics.fmean(layer) for layer in layers]
    text = f"ratios of all layers {min(means):.2f} to {max(means):.2f}" if means else "–"
    return text, spread.judged(signs, even="undecided")


def _lost(results: Results, network: str, sign: int) -> tuple[str, str]:
    """Whether the signal is far from its first size, above or below as the sign says."""
    ends = _ends(results, network, _ONE)
    signs = []
    for width in map(str, WIDTHS):
        for way in _WAYS:
            side = spread.against(ends.get((width, way), []), float(_FAR) ** sign)
            signs.append(None if side is None else sign * side)
    means = [statistics.fmean(values) for values in ends.values()]
    text = f"{_number(min(means))} to {_number(max(means))} at the end" if means else "–"
    return text, spread.judged(signs, even="undecided")


def _bounded(results: Results) -> tuple[str, str]:
    ends = _ends(results, "residual", _FORWARD)
    limits = math.sqrt(2) - _MARGIN, math.sqrt(math.e) + _MARGIN
    wanted = [(str(width), way) for width in WIDTHS for way in _WAYS]
    signs = [_within(ends.get(key, []), *limits) for key in wanted]
    texts = [f"{way}, width {width}: {spread.spread(own)}" for (width, way), own in ends.items()]
    return "; ".join(texts) or "–", spread.judged(signs, even="undecided")


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
                    _spread([seed[-1] for seed in ways["forward"]]),
                    f"{_number(means.min())}, {_number(means.max())}",
                    _spread([seed[0] for seed in ways["backward"]]),
                ]
                lines.append(f"| {network} | {width} | {gain} | {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > head else ""


def _number(value: float) -> str:
    return weight_norm_start.number(value).replace("-", "−")


def _spread(values: list[float]) -> str:
    """Small and large ones in units of a power of ten."""
    exponent = math.floor(math.log10(statistics.fmean(values)))
    if -2 < exponent < 4:
        return spread.spread(values)
    unit = f" · 10^{exponent}".replace("-", "−")
    return spread.spread([value / 10.0**exponent for value in values], unit=unit)


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
