"""What the start of a weight-normalized network decides: sizes of signals, and training.

    python benchmarks/weight_norm_start.py --output output/weight_norm_start.json
    python benchmarks/weight_norm_start.py --experiment signals --width 200

*Signals*: norms of activations and of gradients in networks on Gaussian inputs, for the gains of
`tfspecnorm.initializers.robust` and for gains of 1 on the same orthogonal directions. *Digits*: the
training loss of a network of 200 hidden layers on scikit-learn's digits, for the robust and for
the data-dependent start, at each learning rate of a grid.

Runs on TensorFlow. Reference: Arpit, Campos, Bengio, "How to Initialize your Network? Robust
Initialization for WeightNorm & ResNets", 2019, arXiv:1906.02341.
"""

import argparse
import dataclasses
import importlib.metadata
import itertools
import json
import math
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from threadpoolctl import threadpool_limits

from tfspecnorm import initializers, schedules
from tfspecnorm.layers import WeightNorm

STARTS = ("robust", "gain 1")
NETWORKS = ("feed-forward", "residual")


@dataclasses.dataclass(frozen=True)
class Signals:
    """Sizes of the networks in which signals are measured; widths lie within 50 of `width`."""

    width: int = 1000
    inputs: int = 500
    layers: int = 20
    blocks: int = 40
    samples: int = 1000
    spread: int = 50


@dataclasses.dataclass(frozen=True)
class Digits:
    """The training runs on digits, the same for both starts."""

    hidden_layers: int = 200
    width: int = 128
    epochs: int = 40
    batch_size: int = 128
    warm_up_steps: int = 60
    rates: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1)
    momentum: float = 0.9
    # The length of the gradient over all weights is at most this.
    global_clipnorm: float | None = 1.0


SMOKE_SIGNALS = Signals(width=60, inputs=40, layers=4, blocks=4, samples=20, spread=5)
SMOKE_DIGITS = Digits(hidden_layers=3, width=16, epochs=2, warm_up_steps=5, rates=(0.03,))


def feed_forward(sizes: Signals, random: np.random.Generator) -> keras.Model:
    """Dense layers with ReLU; the outputs are those of every layer."""
    widths = random.integers(sizes.width - sizes.spread, sizes.width + sizes.spread, sizes.layers)
    hidden = inputs = keras.Input((sizes.inputs,))
    outputs = []
    for width in widths:
        hidden = WeightNorm(keras.layers.Dense(int(width), activation="relu"))(hidden)
        outputs.append(hidden)
    return keras.Model(inputs, outputs)


def residual(
    sizes: Signals, random: np.random.Generator
) -> tuple[keras.Model, list[list[initializers.ResidualBlock]]]:
    """One stage of blocks h + dense(ReLU(dense(h))) and its description; every block's output."""
    widths = random.integers(sizes.width - sizes.spread, sizes.width + sizes.spread, sizes.blocks)
    hidden = inputs = keras.Input((sizes.inputs,))
    outputs, stage = [], []
    for number, width in enumerate(widths):
        first = WeightNorm(keras.layers.Dense(int(width), activation="relu"))
        last = WeightNorm(keras.layers.Dense(sizes.inputs, name=f"last_{number}"))
        hidden = keras.layers.Add()([hidden, last(first(hidden))])
        outputs.append(hidden)
        stage.append(initializers.ResidualBlock(last=last.layer.name))
    return keras.Model(inputs, outputs), [stage]


def signals(network: str, sizes: Signals, seed: int) -> dict[str, dict[str, list[float]]]:
    """For each start the ratios of `signal_ratios`, in one network with the same directions."""
    keras.utils.clear_session()
    random = np.random.default_rng(seed)
    if network == "residual":
        model, stages = residual(sizes, random)
    else:
        model, stages = feed_forward(sizes, random), []
    inputs = random.standard_normal((sizes.samples, sizes.inputs)).astype("float32")
    # On busy cores the threads of a decomposition wait for each other ten times as long.
    with threadpool_limits(1, user_api="blas"):
        initializers.robust(model, stages=stages, seed=seed)
    found = {"robust": signal_ratios(model, inputs, random)}
    for layer in model.layers:
        if isinstance(layer, WeightNorm):
            gain = layer.gains()["kernel"]
            gain.assign(np.ones(gain.shape))
    found["gain 1"] = signal_ratios(model, inputs, random)
    return found


def signal_ratios(
    model: keras.Model, inputs: np.ndarray, random: np.random.Generator
) -> dict[str, list[float]]:
    """Means over the samples of ‖hˡ‖/‖x‖ and ‖∂hˡ‖/‖∂hᴸ‖, for a Gaussian gradient at the top."""
    import tensorflow as tf

    inputs = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        states = model(inputs)
    top = tf.constant(random.standard_normal(states[-1].shape).astype("float32"))
    gradients = tape.gradient(states[-1], states, output_gradients=top)
    return {
        "forward": _mean_ratios(states, inputs),
        "backward": _mean_ratios(gradients, top),
    }


def _mean_ratios(tensors: Iterable[Any], reference: Any) -> list[float]:
    lengths = np.linalg.norm(reference, axis=-1)
    return [float(np.mean(np.linalg.norm(tensor, axis=-1) / lengths)) for tensor in tensors]


def mean_signals(network: str, sizes: Signals, seeds: int) -> dict[str, dict[str, list[float]]]:
    """Means of `signals` over seeds 0, 1, ..."""
    runs = [signals(network, sizes, seed) for seed in range(seeds)]
    return {
        start: {
            way: np.mean([run[start][way] for run in runs], axis=0).tolist()
            for way in ("forward", "backward")
        }
        for start in STARTS
    }


def training_digits() -> tuple[np.ndarray, np.ndarray]:
    """80 % of the digits, shuffled, with mean 0 and deviation 1 over all pixels."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    pixels, _, labels, _ = train_test_split(
        pixels, labels, test_size=0.2, random_state=0, stratify=labels
    )
    return ((pixels - pixels.mean()) / pixels.std()).astype("float32"), labels


class DigitsNetwork:
    """A deep network that is traced once and then trained from many starts."""

    def __init__(self, settings: Digits) -> None:
        keras.utils.clear_session()
        self.settings = settings
        self.pixels, self.labels = training_digits()
        hidden = [
            WeightNorm(keras.layers.Dense(settings.width, activation="relu"))
            for _ in range(settings.hidden_layers)
        ]
        self.head = keras.layers.Dense(10)
        self.model = keras.Sequential([keras.Input((64,)), *hidden, self.head])
        self.model.compile(
            keras.optimizers.SGD(
                momentum=settings.momentum, global_clipnorm=settings.global_clipnorm
            ),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=False,
        )

    def start(self, start: str, seed: int) -> None:
        """Orthogonal directions in any case; the head and the optimizer start anew."""
        keras.utils.set_random_seed(seed)
        initializers.robust(self.model, seed=seed)
        if start == "data-dependent":
            batch = self.pixels[: self.settings.batch_size]
            initializers.data_dependent(self.model, batch)
        glorot = keras.initializers.GlorotUniform(seed)
        self.head.set_weights([glorot(self.head.kernel.shape), np.zeros(10)])
        for variable in self.model.optimizer.variables:
            variable.assign(np.zeros(variable.shape))

    def losses(
        self, start: str, rate: float, seed: int, warm_up: bool = True, below: float = -math.inf
    ) -> list[float]:
        """Training loss of each epoch, until one is below a value or no number any more."""
        self.start(start, seed)
        schedule = schedules.QuadraticWarmUp(rate, self.settings.warm_up_steps if warm_up else 1)
        history = self.model.fit(
            self.pixels,
            self.labels,
            batch_size=self.settings.batch_size,
            epochs=self.settings.epochs,
            verbose=0,
            callbacks=[_Rate(schedule), keras.callbacks.TerminateOnNaN(), _StopBelow(below)],
        )
        return history.history["loss"]


class _Rate(keras.callbacks.Callback):
    """Sets the rate of each step: a schedule in the optimizer would be traced for every rate."""

    def __init__(self, schedule: Any) -> None:
        super().__init__()
        self._schedule = schedule
        self._step = 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.model.optimizer.learning_rate = float(self._schedule(self._step))
        self._step += 1


class _StopBelow(keras.callbacks.Callback):
    def __init__(self, value: float) -> None:
        super().__init__()
        self._value = value

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs["loss"] < self._value:
            self.model.stop_training = True


RUNS = (("robust", True), ("data-dependent", True), ("data-dependent", False))


def digits(settings: Digits, seeds: int) -> list[dict[str, Any]]:
    """The losses of every start, learning rate and seed."""
    network = DigitsNetwork(settings)
    return [
        {
            "start": start,
            "warm_up": warm_up,
            "rate": rate,
            "seed": seed,
            "losses": network.losses(start, rate, seed, warm_up),
        }
        for (start, warm_up), rate, seed in itertools.product(RUNS, settings.rates, range(seeds))
    ]


def _in_json(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """JSON has no NaN."""
    return [
        row | {"losses": [loss if math.isfinite(loss) else None for loss in row["losses"]]}
        for row in rows
    ]


def number(value: float) -> str:
    """Three digits, and what is far from 1 as a power of ten."""
    if not math.isfinite(value):
        return "not finite"
    return f"{value:.3g}" if 0.001 <= value < 10_000 else f"{value:.1e}"


def print_signals(network: str, sizes: Signals, found: dict[str, dict[str, list[float]]]) -> None:
    depth = len(found["robust"]["forward"])
    places = sorted({max(depth // 4, 1), max(depth // 2, 1), depth})
    unit = "b" if network == "residual" else "l"
    print(f"\n{network}, widths about {sizes.width}\n")
    print(
        f"| gains | {' | '.join(f'forward {unit}={place}' for place in places)} "
        f"| forward: least, largest | backward {unit}=1 |"
    )
    print("|---" * (len(places) + 3) + "|")
    for start, ratios in found.items():
        forward = ratios["forward"]
        cells = [number(forward[place - 1]) for place in places]
        cells += [f"{number(min(forward))}, {number(max(forward))}", number(ratios["backward"][0])]
        print(f"| {start} | {' | '.join(cells)} |", flush=True)


def print_digits(settings: Digits, rows: list[dict[str, Any]]) -> None:
    print(f"\n{settings}\n")
    print("| start | warm-up | rate | seed | first epoch | least | last | epochs |")
    print("|---" * 8 + "|")
    for row in rows:
        losses = row["losses"]
        least = min((loss for loss in losses if math.isfinite(loss)), default=math.nan)
        cells = " | ".join(number(loss) for loss in (losses[0], least, losses[-1]))
        warm_up = "yes" if row["warm_up"] else "no"
        described = f"{row['start']} | {warm_up} | {row['rate']:g} | {row['seed']}"
        print(f"| {described} | {cells} | {len(losses)} |")


def main() -> None:
    # The scripts of this folder import each other by their bare names.
    from compare_keras import versions

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiment", choices=("all", "signals", "digits"), default="all")
    parser.add_argument("--seeds", type=int, help="seeds from 0 on: default 20, and 2 for digits")
    parser.add_argument("--width", type=int, default=1000, help="middle of the widths (signals)")
    parser.add_argument("--rates", type=float, nargs="+", help="learning rates (digits)")
    parser.add_argument("--momentum", type=float, default=Digits.momentum, help="of SGD (digits)")
    parser.add_argument(
        "--clip",
        type=float,
        default=Digits.global_clipnorm,
        help="largest length of the gradient over all weights, 0 for any (digits)",
    )
    parser.add_argument("--smoke", action="store_true", help="tiny networks, one seed")
    parser.add_argument("--output", type=Path, help="file for the unrounded results, in JSON")
    arguments = parser.parse_args()

    found_versions = versions() | {"scikit-learn": importlib.metadata.version("scikit-learn")}
    command = " ".join(["python", *sys.argv])
    report: dict[str, Any] = {"versions": found_versions, "command": command}
    print(", ".join(f"{name} {version}" for name, version in found_versions.items()))
    print(f"Command: {command}")
    begin = time.perf_counter()
    if arguments.experiment != "digits":
        sizes = dataclasses.replace(Signals(), width=arguments.width)
        sizes = SMOKE_SIGNALS if arguments.smoke else sizes
        seeds = arguments.seeds or (1 if arguments.smoke else 20)
        report["signals"] = {"seeds": seeds, "sizes": dataclasses.asdict(sizes)}
        print(f"Signals: seeds 0 to {seeds - 1}, {sizes.samples} samples")
        for network in NETWORKS:
            report["signals"][network] = mean_signals(network, sizes, seeds)
            print_signals(network, sizes, report["signals"][network])
        print(f"\n{time.perf_counter() - begin:.0f} s")
    begin = time.perf_counter()
    if arguments.experiment != "signals":
        settings = dataclasses.replace(
            SMOKE_DIGITS if arguments.smoke else Digits(),
            momentum=arguments.momentum,
            global_clipnorm=arguments.clip or None,
        )
        if arguments.rates:
            settings = dataclasses.replace(settings, rates=tuple(arguments.rates))
        seeds = arguments.seeds or (1 if arguments.smoke else 2)
        rows = digits(settings, seeds)
        report["digits"] = {"settings": dataclasses.asdict(settings), "runs": _in_json(rows)}
        print_digits(settings, rows)
        print(f"\n{time.perf_counter() - begin:.0f} s")
    if arguments.output is not None:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(report, indent=1, allow_nan=False)
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
