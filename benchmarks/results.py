"""Prints what runs of the examples have found, as a table in Markdown.

    python -m benchmarks.results savedmodels/demo/*/report.json

Each row is one `report.json`, with the command and the seed that made it.
"""

import json
import re
import shlex
from pathlib import Path

from benchmarks.command_line import Parser

HEAD = (
    "command",
    "seed",
    "parameters",
    "test accuracy: Keras",
    "folded",
    "LiteRT",
    "LiteRT file, bytes",
    "training, s",
)


def main() -> None:
    parser = Parser("results", __doc__)
    parser.add_argument("reports", nargs="+", type=Path, metavar="report.json")
    paths = parser.parse_args().reports
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    print(f"| {' | '.join(HEAD)} |")
    print("|---" * len(HEAD) + "|")
    for report in sorted(reports, key=lambda report: command(report)):
        result, settings = report["result"], report["settings"]
        row = (
            f"`{command(report)}`",
            settings["seed"],
            f"{result['parameters']:,}",
            *(f"{result[f'accuracy_{kind}']:.2%}" for kind in ("keras", "folded", "litert")),
            f"{result['litert_bytes']:,}",
            f"{result['training_seconds']:.0f}",
        )
        print(f"| {' | '.join(map(str, row))} |")
    versions = {tuple(sorted(report["versions"].items())) for report in reports}
    for found in versions:
        print("\nVersions: " + ", ".join(f"{name} {version}" for name, version in found) + ".")


def command(report: dict) -> str:
    """The command without what only says where the results go."""
    words = shlex.split(report["command"])
    kept = [word for word in words if word != "--restart"]
    if "--output" in kept:
        place = kept.index("--output")
        del kept[place : place + 2]
    return re.sub(r"\S*examples/", "examples/", shlex.join(kept))


if __name__ == "__main__":
    main()
