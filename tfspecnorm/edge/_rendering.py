"""An edge report as rows of text."""

from pathlib import Path
from typing import Any

from tfspecnorm._util.optional import optional


def rows(report: Any) -> list[tuple[str, str]]:
    """What was measured and its value, in the order in which a reader wants to know."""
    operators = ", ".join(f"{count} {name}" for name, count in report.operators.items())
    found = [
        ("format", f"{report.format}, {report.quantize or 'not quantized'}"),
        ("file", f"{report.file_bytes:,} bytes"),
        ("parameters", f"{report.parameters:,}"),
        ("operators", operators or "–"),
    ]
    if report.activations:
        found.append(("types between operators", ", ".join(report.activations)))
    found += [("input", _tensor(part)) for part in report.inputs]
    found += [("output", _tensor(part)) for part in report.outputs]
    if report.accuracy_file is not None:
        found += [
            ("accuracy of the model", f"{report.accuracy_model:.2%}"),
            ("accuracy of the file", f"{report.accuracy_file:.2%}"),
            ("accuracy drop", f"{100 * report.accuracy_drop:.2f} points"),
        ]
    if report.largest_difference is not None:
        found.append(("samples compared", f"{report.samples:,}"))
        if report.agreement is not None:
            found.append(("same prediction as the model", f"{report.agreement:.2%}"))
        found += [
            ("largest difference of an output", f"{report.largest_difference:.2e}"),
            ("mean difference", f"{report.mean_difference:.2e}"),
            ("signal-to-noise ratio", f"{report.signal_to_noise_db:.1f} dB"),
        ]
    if report.latency_ms is not None:
        low, high = report.latency_range_ms
        threads = "1 thread" if report.threads == 1 else f"{report.threads} threads"
        found.append(
            (
                f"latency, {threads}, median of {report.runs}",
                f"{report.latency_ms:.3f} ms (10 % to 90 %: {low:.3f} to {high:.3f})",
            )
        )
    return found + _micro_rows(report.micro)


def _micro_rows(micro: Any) -> list[tuple[str, str]]:
    if micro is None:
        return []
    if not micro.supported:
        return [("microcontroller", f"does not run: {micro.reason}")]
    found = [
        ("microcontroller", "runs"),
        ("model (flash)", f"{micro.model_bytes:,} bytes"),
        ("arena (RAM)", "–" if micro.arena_bytes is None else f"{micro.arena_bytes:,} bytes"),
    ]
    if micro.agreement is not None:
        same = f"{micro.agreement:.2%} of {micro.samples:,}"
        found.append(("same prediction as LiteRT", same))
    return [*found, ("largest difference to LiteRT", f"{micro.largest_difference:.2e}")]


def _tensor(part: Any) -> str:
    shape = "×".join("any" if size is None else str(size) for size in part.shape)
    text = f"{part.name}: {part.dtype} {shape}"
    if part.scale is not None:
        text += f", scale {part.scale:.6g}, zero point {part.zero_point}"
    return text


def markdown(report: Any) -> str:
    """A table of two columns in Markdown."""
    lines = [f"| {Path(report.path).name} | |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in rows(report)]
    return "\n".join(lines) + "\n"


def table(report: Any) -> Any:
    """A `rich.table.Table`."""
    made = optional("rich.table", "edge").Table(title=Path(report.path).name, show_header=False)
    made.add_column()
    made.add_column(overflow="fold")
    for name, value in rows(report):
        made.add_row(name, value)
    return made
