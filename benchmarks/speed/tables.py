"""How tables of `docs/performance.md` are made: functions from all results to Markdown."""

from collections.abc import Callable
from typing import Any

Figures = dict[str, Any]
TABLES: dict[str, Callable[[dict[str, Figures]], list[str]]] = {}


def table(name: str) -> Callable[[Callable], Callable]:
    """Registers a function from all results to the lines of a table."""

    def add(function: Callable) -> Callable:
        TABLES[name] = function
        return function

    return add


def markdown(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def ratio(found: Figures | None) -> str:
    if found is None:
        return ""
    return f"{found['ratio']:.3f} ({found['lower_quartile']:.3f} to {found['upper_quartile']:.3f})"


def by_contender(
    results: dict[str, Figures], parts: dict[str, str], figure: str, skip: str = ""
) -> list[str]:
    """One row for each contender, one column for each part that is there."""
    measured = {name: results.get(name, {"figures": {}})["figures"] for name in parts}
    parts = {name: title for name, title in parts.items() if figure in measured[name]}
    columns = {name: measured[name][figure] for name in parts}
    names = list(dict.fromkeys(key for column in columns.values() for key in column))
    rows = [
        [name, *(ratio(column.get(name)) for column in columns.values())]
        for name in names
        if name != "none" and not (skip and name.endswith(skip))
    ]
    base = ["none, ms"]
    base += [f"{column['none']['milliseconds']:.1f}" for column in columns.values()]
    return markdown(["contender", *parts.values()], [base, *rows])


NAMES = {
    "vgg7": "VGG7",
    "densenet_bc": "DenseNet-BC-100",
    "mobilenet_v2": "MobileNetV2 0.5",
    "mobilenet_v2_full": "MobileNetV2 1.0",
    "transformer": "Transformer",
    "sn_dcgan": "SN-DCGAN",
}


def parts_of(form: str) -> dict[str, str]:
    """Titles of the parts that measure one figure of each network, `form` with its name."""
    return {form.format(network): title for network, title in NAMES.items()}


def ratios(results: dict[str, Figures], parts: dict[str, str], figure: str, unit: str) -> list[str]:
    """One row for each contender, one column for each part, of ratios without spread."""
    parts = {name: title for name, title in parts.items() if name in results}
    columns = [results[name]["figures"][figure] for name in parts]
    names = list(dict.fromkeys(key for column in columns for key in column))
    rows = [
        [name, *(f"{column[name]['ratio']:.3f}" if name in column else "" for column in columns)]
        for name in names
        if name != "none"
    ]
    base = [f"none, {unit}", *(f"{column['none']['mebibytes']:,.0f}" for column in columns)]
    return markdown(["contender", *parts.values()], [base, *rows])
