"""What a run found: a table on the terminal, and the same as a file."""

import dataclasses
import json
from typing import Any

from rich.console import Console
from rich.table import Table

from common.command import command_line
from common.run import Run, versions

REPORT = "report.json"


@dataclasses.dataclass(frozen=True)
class Result:
    """The numbers of a finished run.

    Args:
        parameters: Number of trainable parameters of the trained model.
        accuracy_keras: Share of right answers on the test images, trained model.
        accuracy_folded: The same for the folded model.
        training_seconds: Time of all epochs, with their tests.
        accuracy_litert: Share of right answers of the LiteRT file; this and what follows is
            `None` where none was written.
        largest_difference: Largest |difference| of a logit, LiteRT file and trained model.
        litert_bytes: Size of the LiteRT file.
        latency_ms: Median time of one image in the LiteRT file, one thread, in milliseconds.
    """

    parameters: int
    accuracy_keras: float
    accuracy_folded: float
    training_seconds: float
    accuracy_litert: float | None = None
    largest_difference: float | None = None
    litert_bytes: int | None = None
    latency_ms: float | None = None


def write_report(run: Run, result: Result, standardization: dict[str, Any]) -> None:
    """Prints a table of the results and writes them to `report.json`.

    Args:
        run: The run.
        result: Its numbers.
        standardization: Mean and deviation of the channels: the LiteRT file takes
            `(pixels - mean) / deviation` of pixels in [0, 255].
    """
    report = {
        "command": command_line(),
        "versions": versions(),
        "settings": run.settings,
        "standardization": standardization,
        "result": dataclasses.asdict(result),
    }
    with run.folder.writing(REPORT) as path:
        path.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    print_table(run.title, _rows(result))


def print_table(title: str, rows: dict[str, str]) -> None:
    """Prints a table of two columns.

    Args:
        title: Title of the table.
        rows: Dict from what was measured to its value.
    """
    table = Table(title=title, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in rows.items():
        table.add_row(name, value)
    Console().print(table)


def _rows(result: Result) -> dict[str, str]:
    rows = {
        "trainable parameters": f"{result.parameters:,}",
        "test accuracy, Keras": f"{result.accuracy_keras:.2%}",
        "test accuracy, folded": f"{result.accuracy_folded:.2%}",
        "training time": f"{result.training_seconds:.0f} s",
    }
    if result.litert_bytes is not None:
        rows |= {
            "test accuracy, LiteRT": f"{result.accuracy_litert:.2%}",
            "largest |LiteRT - Keras|": f"{result.largest_difference:.1e}",
            "LiteRT file": f"{result.litert_bytes:,} bytes",
            "LiteRT latency, one thread": f"{result.latency_ms:.2f} ms",
        }
    return rows
