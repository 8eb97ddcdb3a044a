"""What the start of a weight-normalized network decides: sizes of signals, and training.

    python -m benchmarks.weight_norm_start --output output/weight_norm_start.json
    python -m benchmarks.weight_norm_start --experiment signals --width 200

*Signals*: norms of activations and of gradients in networks on Gaussian inputs, for the gains of
`tfspecnorm.initializers.robust` and for gains of 1 on the same orthogonal directions. *Digits*: the
training loss of a network of 200 hidden layers on scikit-learn's digits, for the robust and for
the data-dependent start, at each learning rate of a grid.

Runs on TensorFlow. Reference: Arpit, Campos, Bengio, "How to Initialize your Network? Robust
Initialization for WeightNorm & ResNets", 2019, arXiv:1906.02341.
"""

import dataclasses
import json
import math
import time
from pathlib import Path
from typing import Any

from benchmarks.command_line import Parser, command_of, listed, positive_integer, versions
from benchmarks.files import write_whole
from benchmarks.start_digits import SMOKE_DIGITS, Digits, digits
from benchmarks.start_signals import NETWORKS, SMOKE_SIGNALS, Signals, mean_signals


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
    parser = Parser("weight_norm_start", __doc__)
    parser.add_argument("--experiment", choices=("all", "signals", "digits"), default="all")
    parser.add_argument(
        "--seeds", type=positive_integer, help="seeds from 0 on: default 20, and 2 for digits"
    )
    parser.add_argument(
        "--width", type=positive_integer, default=1000, help="middle of the widths (signals)"
    )
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

    command = command_of("weight_norm_start")
    report: dict[str, Any] = {"versions": versions(), "command": command}
    print(listed(report["versions"]))
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
        write_whole(arguments.output, json.dumps(report, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
