"""Time to 1e-3 and to 5 % of the norm of a convolution, by each method, over kernel sizes.

    python -m benchmarks.speed.norm_times

Random kernels in double precision, "same" padding, 32×32 pixels; the methods are those of
`benchmarks/norm_methods.py`, which says what each value is. A method counts from the first of its
settings whose value is as near to the norm as wanted.
"""

from typing import Any

import numpy as np

from benchmarks import norm_methods
from benchmarks.command_line import positive_integer
from benchmarks.speed import measure

SIZES = ((3, 16), (3, 32), (3, 64), (3, 128), (5, 32), (7, 32))
PIXELS = 32


def figures_of(taps: int, channels: int, repeats: int, seed: int) -> dict[str, Any]:
    """Seconds and relative deviation of each method."""
    random = np.random.default_rng(seed)
    kernel = random.standard_normal((taps, taps, channels, channels)) / taps / np.sqrt(channels)
    rows = norm_methods.measured(norm_methods.all_methods(kernel, PIXELS), repeats)
    (reference,) = (row.value for row in rows if row.method.name == norm_methods.REFERENCE)
    return {
        row.method.name: {
            "meaning": row.method.meaning,
            "seconds": row.seconds,
            "deviation": row.value / reference - 1,
        }
        for row in rows
    }


def main() -> None:
    parser = measure.parser("norm_times", __doc__, network=False)
    parser.add_argument("--repeats", type=positive_integer, default=1)
    parser.add_argument("--sizes", nargs="+", help="such as 3x64: taps and channels")
    options = parser.parse_args()
    measure.print_header("norm_times", options)
    sizes = SIZES
    if options.sizes:
        sizes = tuple(tuple(map(int, size.split("x"))) for size in options.sizes)
    figures = {}
    for taps, channels in sizes:
        name = f"{taps}×{taps}, {channels} to {channels}"
        figures[name] = figures_of(taps, channels, options.repeats, options.seed)
        for method, found in figures[name].items():
            print(f"{name}: {method}: {found['seconds']:.3g} s, {found['deviation']:+.2e}")
    measure.store(options, figures)


if __name__ == "__main__":
    main()
