"""Does a normalization cost anything in the file? Paired latencies of LiteRT files.

    KERAS_BACKEND=tensorflow python -m benchmarks.litert_latency

For each network and normalization two files are written, from the folded model and from the plain
variant with the same weights, and run in turns on the same samples, in one thread, in an order that
alternates. The ratio of two neighbours is one value; the median of all is printed, with the middle
half of them. Networks whose batch normalizations cannot be folded all are compared with the plain
variant too: the ratio says what the rest costs.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter

import tfspecnorm
from benchmarks.command_line import Parser, positive_integer, print_provenance, whole_number
from benchmarks.speed import pairing
from tfspecnorm import models
from tfspecnorm.models import normalizations

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 2, 2), (6, 64, 2, 2))
NETWORKS: dict[str, Callable[[Any, float], keras.Model]] = {
    "vgg7": lambda kind, slope: models.vgg7((32, 32, 3), 10, kind, negative_slope=slope),
    "small_cnn": lambda kind, slope: models.small_cnn((28, 28, 1), 10, kind, negative_slope=slope),
    "mobilenet_v2": lambda kind, slope: models.mobilenet_v2((32, 32, 3), 10, kind, stages=STAGES),
    "densenet_bc": lambda kind, slope: models.densenet_bc(
        (32, 32, 3), 10, kind, depth=22, negative_slope=slope
    ),
}
WARM_UP_RUNS = 10
WANTED = 0.05


class Row(NamedTuple):
    """Ratios of one network with one normalization."""

    network: str
    normalization: str
    operators: tuple[int, int]
    size_difference: int
    milliseconds: float
    ratios: list[float]


def main() -> None:
    parser = Parser("litert_latency", __doc__)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument(
        "--runs", type=positive_integer, default=400, help="pairs (default: %(default)s)"
    )
    parser.add_argument("--seed", type=whole_number, default=0)
    options = parser.parse_args()
    print_provenance("litert_latency", options.seed)
    print()
    print("| network | normalization | operators | plain | bytes more | ms | ratio | middle half |")
    print("|---|---|---|---|---|---|---|---|")
    rows = []
    for network in options.networks:
        for normalization in normalizations.NAMES:
            row = measured(network, normalization, options.runs, options.seed)
            rows.append(row)
            low, median, high = pairing.quartiles(row.ratios)
            print(
                f"| {network} | {normalization} | {row.operators[0]} | {row.operators[1]} | "
                f"{row.size_difference} | {row.milliseconds:.3f} | {median:.3f} | "
                f"{low:.3f} to {high:.3f} |",
                flush=True,
            )
    same = [row for row in rows if row.operators[0] == row.operators[1]]
    worst = max(abs(statistics.median(row.ratios) - 1) for row in same)
    print(
        f"\nfiles with the same operators: {len(same)} of {len(rows)}; largest |ratio - 1| of "
        f"them: {worst:.3f} (wanted: at most {WANTED})"
    )


def measured(network: str, normalization: str, runs: int, seed: int) -> Row:
    """Writes both files and runs them in turns."""
    keras.utils.set_random_seed(seed)
    slope = normalizations.get(normalization).negative_slope
    model = NETWORKS[network](normalization, slope)
    twin = NETWORKS[network]("none", slope)
    weights = tfspecnorm.fold(model, batch_norm=True).get_weights()
    if [array.shape for array in weights] == [tuple(part.shape) for part in twin.weights]:
        twin.set_weights(weights)
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder) / "model.tflite", Path(folder) / "plain.tflite"
        reports = [
            tfspecnorm.export(part, path, runs=1)
            for part, path in zip((model, twin), paths, strict=True)
        ]
        times = in_turns(paths, runs, seed)
    return Row(
        network,
        normalization,
        tuple(sum(report.operators.values()) for report in reports),
        reports[0].file_bytes - reports[1].file_bytes,
        1e3 * statistics.median(times[0]),
        [one / other for one, other in zip(*times, strict=True)],
    )


def in_turns(paths: tuple[Path, Path], runs: int, seed: int) -> tuple[list[float], list[float]]:
    """Seconds of each run of two files, which take turns."""
    interpreters = [Interpreter(str(path), num_threads=1) for path in paths]
    for interpreter in interpreters:
        interpreter.allocate_tensors()
    (given,) = interpreters[0].get_input_details()
    random = np.random.default_rng(seed)
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(WARM_UP_RUNS + runs):
        sample = random.standard_normal(given["shape"]).astype("float32")
        for place in (0, 1) if number % 2 else (1, 0):
            interpreters[place].set_tensor(given["index"], sample)
            start = time.perf_counter()
            interpreters[place].invoke()
            times[place].append(time.perf_counter() - start)
    return tuple(part[WARM_UP_RUNS:] for part in times)


if __name__ == "__main__":
    main()
