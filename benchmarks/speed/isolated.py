"""What the normalization itself takes, and what the memory alone would allow.

    python -m benchmarks.speed.isolated --framework project --network mobilenet_v2 --batch 1

With a batch of one image a step is little more than the work on the kernels: what a contender takes
longer than the un-normalized network is the cost of its normalization. The least that it could
take: kernels read twice and written once, at the bandwidth of copying large arrays.
"""

import time
from typing import Any

import numpy as np

from benchmarks.speed import measure, pairing, project

COPIED_BYTES = 2**28
NORMALIZED = ("SN", "SN, grouped", "BSN", "WN", "keras SN")


def bandwidth() -> float:
    """Bytes read and written in a second, by the quickest of some copies of a large array."""
    source, target = np.zeros(COPIED_BYTES, "uint8"), np.ones(COPIED_BYTES, "uint8")
    seconds = []
    for _ in range(8):
        start = time.perf_counter()
        np.copyto(target, source)
        seconds.append(time.perf_counter() - start)
    return 2 * COPIED_BYTES / min(seconds)


def kernel_bytes(made: Any) -> int:
    """Bytes of the variables that are matrices or more."""
    shapes = [variable.shape for variable in made.trainable_variables]
    return 4 * sum(int(np.prod(shape)) for shape in shapes if len(shape) > 1)


def main() -> None:
    options = measure.parser("isolated", __doc__).parse_args()
    measure.print_header("isolated", options)
    speed = bandwidth()
    names = [measure.BASELINE, *(options.contenders or NORMALIZED)]
    made = {name: project.model(options.network, name) for name in names}
    size = kernel_bytes(made[measure.BASELINE])
    steps = {
        name: project.training_step(model, options.network, options.batch, options.compile)
        for name, model in made.items()
    }
    measure.warm_up(steps)
    times = pairing.interleaved(steps, options.rounds, options.calls, options.seed)
    found = pairing.compared(times, measure.BASELINE)
    base, least = found[measure.BASELINE]["milliseconds"], 3000 * size / speed
    figures: dict[str, Any] = {"bandwidth": speed, "bytes": size, "least": least}
    for name in names[1:]:
        figures[name] = found[name]["milliseconds"] - base
        print(f"{name}: {figures[name]:.2f} ms for {size / 2**20:.1f} MiB, least {least:.2f} ms")
    measure.store(options, {"isolated": figures})


if __name__ == "__main__":
    main()
