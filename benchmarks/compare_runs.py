"""Draws a column of the histories of several runs of the examples into one picture.

    python benchmarks/compare_runs.py curves.png frechet_distance/classifier \\
        savedmodels/demo/dcgan-digits-spectral savedmodels/demo/dcgan-digits-bidirectional-scaled

Epochs at which a run was not measured are left out. The legend names the normalization and the seed
of each run, which stand in its `report.json`.
"""

import csv
import json
import math
import sys
from pathlib import Path

from matplotlib.figure import Figure


def main(arguments: list[str]) -> None:
    if len(arguments) < 3:
        sys.exit("usage: python benchmarks/compare_runs.py PICTURE.png COLUMN RUN...")
    picture, column, *runs = arguments
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for run in map(Path, runs):
        settings = json.loads((run / "report.json").read_text(encoding="utf-8"))["settings"]
        with (run / "history.csv").open() as file:
            rows = list(csv.DictReader(file))
        points = [(int(row["epoch"]), float(row[column])) for row in rows]
        points = [(epoch, value) for epoch, value in points if math.isfinite(value)]
        label = f"{settings['normalization']}, seed {settings['seed']}"
        axes.plot(*zip(*points, strict=True), marker="o", label=label)
    axes.set_xlabel("epoch")
    axes.set_ylabel(column)
    axes.set_yscale("log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    main(sys.argv[1:])
