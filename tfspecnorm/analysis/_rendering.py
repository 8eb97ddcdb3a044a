"""Reports as tables, frames and pictures, by packages that the rest does without."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tfspecnorm._util.arguments import check_path
from tfspecnorm._util.files import writing
from tfspecnorm._util.optional import optional

_EXTRA = "analysis"


def frame(rows: list[dict[str, Any]]) -> Any:
    """A `pandas.DataFrame` of rows."""
    return optional("pandas").DataFrame(rows)


def number(value: float | None) -> str:
    """A number for a table, a dash for none."""
    return "–" if value is None else f"{value:.4g}"


_COLUMNS = {
    "layer": "left",
    "kernel": "left",
    "shape": "right",
    "matrix norm": "right",
    "smallest": "right",
    "condition": "right",
    "operator norm": "right",
    "certified bound": "right",
    "stable rank": "right",
    "normalized by": "left",
}


def _cells(record: Any) -> list[str]:
    """What a row of the table shows, under the names of `_COLUMNS`."""
    estimated = record.operator_guarantee == "estimate"
    note = record.normalization or ""
    if record.covered is False:
        size = "×".join(str(part) for part in record.input_size)
        note += f", not covered at {size}"
    if record.reason is not None:
        note = f"not measured: {record.reason}"
    return [
        record.layer,
        record.kernel,
        "×".join(str(part) for part in record.shape),
        number(record.matrix_norm),
        number(record.smallest_singular_value),
        number(record.condition_number),
        ("≥ " if estimated else "") + number(record.operator_norm),
        number(record.certified_bound),
        "–" if record.stable_rank is None else f"{record.stable_rank:.1f}",
        note,
    ]


def _summary(report: Any) -> str:
    """How many kernels there are and how many of them have no norm."""
    parameters = sum(record.parameters for record in report)
    measured = len(report) - len(report.unsized)
    summary = f"{measured} kernels measured"
    if report.unsized:
        summary += f", {len(report.unsized)} not measured"
    return f"{summary}; {parameters:,} parameters in all of them"


def text(report: Any) -> str:
    """A spectral report as lines of text with aligned columns."""
    rows = [list(_COLUMNS), *(_cells(record) for record in report)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if side == "left" else cell.rjust(width)
            for cell, width, side in zip(row, widths, _COLUMNS.values(), strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join([f"Kernels of {report.model}", *lines, _summary(report)])


def table(report: Any) -> Any:
    """A `rich.table.Table` of a spectral report."""
    made = optional("rich.table", _EXTRA).Table(
        title=f"Kernels of {report.model}", caption=_summary(report)
    )
    for name, side in _COLUMNS.items():
        folds = name in ("layer", "normalized by")
        made.add_column(name, justify=side, overflow="fold" if folds else "ellipsis")
    for record in report:
        made.add_row(*_cells(record))
    return made


def plot(rows: Any, path: Any) -> None:
    """A picture of a spectral report: the norms of each kernel, one above the other."""
    path = Path(check_path("path", path))
    report = [record for record in rows if record.reason is None]
    figure_class = optional("matplotlib.figure", _EXTRA).Figure
    names = [
        record.layer if record.kernel == "kernel" else f"{record.layer}/{record.kernel}"
        for record in report
    ]
    figure = figure_class(figsize=(8, 1.5 + 0.22 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    series = {
        "matrix norm": ("o", [record.matrix_norm for record in report]),
        "operator norm": ("x", [record.operator_norm for record in report]),
        "certified bound": ("|", [record.certified_bound for record in report]),
    }
    for label, (marker, values) in series.items():
        known = [(value, row) for row, value in enumerate(values) if value is not None]
        axes.plot(*zip(*known, strict=True) if known else ([], []), marker, label=label)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("norm of the kernel that the layer computes with")
    axes.set_title(rows.model)
    axes.legend()
    axes.grid(axis="x", alpha=0.3)
    with writing(path) as partial:
        figure.savefig(partial, dpi=150)


@contextlib.contextmanager
def _bar(shown: bool) -> Iterator[Any]:
    if not shown:
        yield None
        return
    console = optional("rich.console", _EXTRA).Console(stderr=True)
    with optional("rich.progress", _EXTRA).Progress(console=console, transient=True) as bar:
        yield bar


def tracked(rows: list[tuple], name: str, shown: bool) -> Iterable[tuple]:
    """The rows one by one, with a progress bar on the standard error file if it is wanted."""
    with _bar(shown) as bar:
        task = None if bar is None else bar.add_task(name, total=len(rows))
        for row in rows:
            if bar is not None:
                bar.update(task, description=str(row[0]))
            yield row
            if bar is not None:
                bar.advance(task)
