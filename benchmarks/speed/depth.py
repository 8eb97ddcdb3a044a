"""How a step and the first step grow with the number of wrapped layers.

    python -m benchmarks.speed.depth --rounds 12

Chains of dense layers of equal size, plain and wrapped; the slope of the logarithms says whether
the cost of a wrapper grows faster than the number of layers.
"""

import json
import math
import time
from typing import Any

import keras
import numpy as np

from benchmarks.speed import measure, pairing, project, with_keras

DEPTHS = (10, 25, 50, 100, 200)
UNITS = 64


def chain(depth: int, contender: str) -> keras.Model:
    """A chain of dense layers, and a head."""
    keras.utils.set_random_seed(0)
    wrap = project.CONTENDERS[contender.removesuffix(", grouped")][0]
    x = inputs = keras.Input((UNITS,))
    for _ in range(depth):
        x = wrap(keras.layers.Dense(UNITS, "relu"))(x)
    made = keras.Model(inputs, keras.layers.Dense(10)(x))
    grouped = contender.endswith(", grouped")
    return project.tfspecnorm.group(made) if grouped else made


def steps_of(made: keras.Model, batch: int) -> Any:
    """A training step on a fixed batch."""
    random = np.random.default_rng(0)
    inputs = random.standard_normal((batch, UNITS)).astype("float32")
    labels = (np.arange(batch) % 10).astype("int32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(keras.optimizers.SGD(with_keras.LEARNING_RATE), loss, jit_compile=False)
    return lambda: made.train_on_batch(inputs, labels)


def slope(depths: list[int], values: list[float]) -> float:
    """The exponent of growth, by least squares on logarithms."""
    return float(np.polyfit(np.log(depths), np.log(values), 1)[0])


def main() -> None:
    parser = measure.parser("depth", __doc__, network=False)
    options = parser.parse_args()
    measure.print_header("depth", options)
    names = [measure.BASELINE, *(options.contenders or ["SN", "SN, grouped", "WN"])]
    figures: dict[str, Any] = {name: {"step": [], "first step": []} for name in names}
    steps_of(chain(5, "SN"), options.batch)()
    for depth in DEPTHS:
        steps = {}
        for name in names:
            start = time.perf_counter()
            steps[name] = steps_of(chain(depth, name), options.batch)
            steps[name]()
            figures[name]["first step"].append(time.perf_counter() - start)
        times = pairing.interleaved(steps, options.rounds, options.calls, options.seed)
        for name, found in pairing.compared(times, measure.BASELINE).items():
            figures[name]["step"].append(found["milliseconds"] / 1000)
        print(depth, {name: round(1000 * figures[name]["step"][-1], 2) for name in names})
    base = figures[measure.BASELINE]
    for name in names[1:]:
        for kind in ("step", "first step"):
            added = [
                own - plain for own, plain in zip(figures[name][kind], base[kind], strict=True)
            ]
            usable = all(value > 0 for value in added)
            figures[name][f"exponent of the {kind}"] = (
                slope(list(DEPTHS), added) if usable else math.nan
            )
    figures["depths"] = list(DEPTHS)
    print(json.dumps(figures, indent=1))
    measure.store(options, figures)


if __name__ == "__main__":
    main()
