"""Draws a column of the histories of several runs of the examples into one picture.

    python -m benchmarks.compare_runs curves.png frechet_distance/classifier \\
        savedmodels/demo/dcgan-digits-spectral savedmodels/demo/dcgan-digits-bidirectional-scaled

Epochs at which a run was not measured are left out. The legend names the normalization and the seed
of each run, which stand in its `report.json`.
"""

import csv
import json
import math
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.command_line import Parser


def main() -> None:
    parser = Parser("compare_runs", __doc__)
    parser.add_argument("picture", type=Path, help="file to draw into")
    parser.add_argument("column", help="of history.csv")
    parser.add_argument("runs", nargs="+", type=Path, metavar="run", help="folder of a run")
    options = parser.parse_args()
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for run in options.runs:
        settings = json.loads((run / "report.json").read_text(encoding="utf-8"))["settings"]
        with (run / "history.csv").open() as file:
            rows = list(csv.DictReader(file))
        points = [(int(row["epoch"]), float(row[options.column])) for row in rows]
        points = [(epoch, value) for epoch, value in points if math.isfinite(value)]
        label = f"{settings['normalization']}, seed {settings['seed']}"
        axes.plot(*zip(*points, strict=True), marker="o", label=label)
    axes.set_xlabel("epoch")
    axes.set_ylabel(options.column)
    axes.set_yscale("log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(options.picture, dpi=120)


if __name__ == "__main__":
    main()
