"""Writes the tables of `docs/performance.md` from the files of figures, and draws its plots.

    python -m benchmarks.speed.page

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; all other text is left alone.
"""

import argparse
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
_BLOCK = re.compile(r"(<!-- table: (?P<name>[^>]+) -->\n).*?(<!-- end -->)", re.DOTALL)

Figures = dict[str, Any]
TABLES: dict[str, Callable[[dict[str, Figures]], list[str]]] = {}


def table(name: str) -> Callable[[Callable], Callable]:
    """Registers a function from all results to the lines of a table."""

    def add(function: Callable) -> Callable:
        TABLES[name] = function
        return function

    return add


def loaded(folder: Path = RESULTS) -> dict[str, Figures]:
    """The figures of each finished part by its name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def _markdown(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _ratio(found: Figures | None) -> str:
    if found is None:
        return ""
    return f"{found['ratio']:.3f} ({found['lower_quartile']:.3f} to {found['upper_quartile']:.3f})"


def _by_contender(
    results: dict[str, Figures], parts: dict[str, str], figure: str, skip: str = ""
) -> list[str]:
    """One row for each contender, one column for each part that is there."""
    measured = {name: results.get(name, {"figures": {}})["figures"] for name in parts}
    parts = {name: title for name, title in parts.items() if figure in measured[name]}
    columns = {name: measured[name][figure] for name in parts}
    names = list(dict.fromkeys(key for column in columns.values() for key in column))
    rows = [
        [name, *(_ratio(column.get(name)) for column in columns.values())]
        for name in names
        if name != "none" and not (skip and name.endswith(skip))
    ]
    base = ["none, ms"]
    base += [f"{column['none']['milliseconds']:.1f}" for column in columns.values()]
    return _markdown(["contender", *parts.values()], [base, *rows])


_TENSORFLOW = {
    "tensorflow-vgg7": "VGG7",
    "tensorflow-densenet_bc": "DenseNet-BC-100",
    "tensorflow-mobilenet_v2": "MobileNetV2 0.5",
    "tensorflow-mobilenet_v2_full": "MobileNetV2 1.0",
    "tensorflow-transformer": "Transformer",
    "tensorflow-sn_dcgan": "SN-DCGAN",
}


@table("training step")
def _training_step(results: dict[str, Figures]) -> list[str]:
    return _by_contender(results, _TENSORFLOW, "training step")


@table("parts")
def _parts(results: dict[str, Figures]) -> list[str]:
    parts = {"tensorflow-mobilenet_v2-parts": "MobileNetV2 0.5"}
    return _by_contender(results, parts, "training step")


@table("first step")
def _first_step(results: dict[str, Figures]) -> list[str]:
    return _by_contender(results, _TENSORFLOW, "first step")


@table("inference")
def _inference(results: dict[str, Figures]) -> list[str]:
    return _by_contender(results, _TENSORFLOW, "inference")


@table("batch of 128")
def _large_batch(results: dict[str, Figures]) -> list[str]:
    parts = {"tensorflow-vgg7-128": "VGG7", "tensorflow-mobilenet_v2-128": "MobileNetV2 0.5"}
    return _by_contender(results, parts, "training step")


@table("XLA")
def _compiled(results: dict[str, Figures]) -> list[str]:
    lines = []
    for figure in ("training step", "first step"):
        parts = {
            "tensorflow-vgg7-xla": f"VGG7, {figure}",
            "tensorflow-mobilenet_v2-xla": f"MobileNetV2 0.5, {figure}",
        }
        lines += [*_by_contender(results, parts, figure), ""]
    return lines[:-1]


@table("backends")
def _backends(results: dict[str, Figures]) -> list[str]:
    parts = {
        f"{backend}-{network}": f"{title}, {name}"
        for network, name in (("vgg7", "VGG7"), ("mobilenet_v2", "MobileNetV2 0.5"))
        for backend, title in (("jax", "JAX"), ("torch", "PyTorch"))
    }
    return _by_contender(results, parts, "training step")


_PEERS = {
    "keras2": "TensorFlow 2.15",
    "pytorch": "PyTorch",
    "flax": "flax",
    "equinox": "equinox",
}


@table("peers")
def _peers(results: dict[str, Figures]) -> list[str]:
    rows = []
    for framework, title in _PEERS.items():
        columns = {
            network: results.get(f"{framework}-{network}", {}).get("figures", {})
            for network in ("vgg7", "mobilenet_v2")
        }
        names = dict.fromkeys(
            name for found in columns.values() for name in found.get("training step", {})
        )
        for name in names:
            if name == "none":
                continue
            cells = [
                _ratio(found.get(figure, {}).get(name))
                for found in columns.values()
                for figure in ("training step", "first step")
            ]
            rows.append([title, name, *(cell.split(" (")[0] if i % 2 else cell
                                         for i, cell in enumerate(cells))])  # fmt: skip
    head = ["framework", "contender", "VGG7, step", "first step", "MobileNetV2 0.5, step"]
    return _markdown([*head, "first step"], rows)


@table("isolated")
def _isolated(results: dict[str, Figures]) -> list[str]:
    if "isolated" not in results:
        return []
    found = dict(results["isolated"]["figures"]["isolated"])
    bandwidth, size, least = (found.pop(name) for name in ("bandwidth", "bytes", "least"))
    rows = [[name, f"{value:.2f}", f"{value / least:.1f}"] for name, value in found.items()]
    head = [
        "contender",
        f"ms for {size / 2**20:.1f} MiB of kernels",
        f"times {least:.2f} ms, three passes at {bandwidth / 1e9:.1f} GB/s",
    ]
    return _markdown(head, rows)


@table("memory")
def _memory(results: dict[str, Figures]) -> list[str]:
    found = results.get("memory", {}).get("figures", {}).get("memory", {})
    rows = [[name, f"{own['mebibytes']:.0f}", f"{own['ratio']:.3f}"] for name, own in found.items()]
    return _markdown(["contender", "MiB", "ratio"], rows)


@table("depth")
def _depth(results: dict[str, Figures]) -> list[str]:
    if "depth" not in results:
        return []
    found = dict(results["depth"]["figures"])
    depths = found.pop("depths")
    rows = []
    for name, own in found.items():
        cells = [f"{1000 * step:.1f} / {first:.2f}" for step, first in zip(
            own["step"], own["first step"], strict=True)]  # fmt: skip
        exponents = ""
        if name != "none":
            kinds = ("step", "first step")
            exponents = " / ".join(f"{own[f'exponent of the {kind}']:.2f}" for kind in kinds)
        rows.append([name, *cells, exponents])
    return _markdown(["step, ms / first step, s", *map(str, depths), "exponents"], rows)


@table("norms")
def _norms(results: dict[str, Figures]) -> list[str]:
    sizes = results.get("norm_times", {}).get("figures", {})
    methods = list(dict.fromkeys(name for found in sizes.values() for name in found))
    rows = []
    for method in methods:
        cells = []
        for found in sizes.values():
            own = found.get(method)
            cells.append(
                "" if own is None else f"{1000 * own['seconds']:.3g} ({own['deviation']:+.1e})"
            )
        rows.append([method, *cells])
    return _markdown(["ms (relative deviation)", *sizes], rows)


@table("norms to a tolerance")
def _norms_to_a_tolerance(results: dict[str, Figures]) -> list[str]:
    """The quickest setting of each family that is near enough."""
    sizes = results.get("norm_times", {}).get("figures", {})
    families = {
        "operator norm": "operator norm",
        "Fourier, all singular values": "circular FFT",
        "Fourier, by Cholesky": "Fourier certificate",
        "Gram": "Gram, ",
        "Gram in space": "Gram in space",
        "tensor norm": "tensor norm",
        "four reshapes": "four reshapes",
    }
    rows = []
    for tolerance in (1e-3, 5e-2):
        for title, start in families.items():
            cells = []
            for found in sizes.values():
                times = [
                    own["seconds"]
                    for name, own in found.items()
                    if name.startswith(start) and abs(own["deviation"]) <= tolerance
                ]
                cells.append(f"{1000 * min(times):.3g}" if times else "not reached")
            rows.append([f"{title}, to {tolerance:g}", *cells])
    return _markdown(["ms", *sizes], rows)


@table("wanted")
def _wanted(results: dict[str, Figures]) -> list[str]:
    """What was wanted of the figures, and whether it holds."""

    def ratio(part: str, figure: str, contender: str) -> float | None:
        figures = results.get(part, {}).get("figures", {})
        return figures.get(figure, {}).get(contender, {}).get("ratio")

    def quotient(part: str, figure: str, contender: str, other: str) -> float | None:
        values = [ratio(part, figure, name) for name in (contender, other)]
        return None if None in values else values[0] / values[1]

    step, first, folded = "training step", "first step", "inference"
    parts, mobile = "tensorflow-mobilenet_v2-parts", "tensorflow-mobilenet_v2"
    vgg, dense, transformer = (f"tensorflow-{n}" for n in ("vgg7", "densenet_bc", "transformer"))
    lines = [
        (f"{name}, {title}, training step", ratio(part, step, name), limit)
        for part, title, limit in (
            (parts, "MobileNetV2 0.5", 1.03),
            (vgg, "VGG7", 1.02),
            (dense, "DenseNet-BC-100", 1.02),
            (transformer, "Transformer", 1.02),
        )
        for name in ("SN", "SN, grouped")
    ]
    lines += [
        ("SN on depthwise kernels alone", ratio(parts, step, "SN, depthwise only"), 1.01),
        *(
            (f"{name}, {title}, first step", ratio(part, first, name), 1.5)
            for part, title in (
                (mobile, "MobileNetV2 0.5"),
                (dense, "DenseNet-BC-100"),
                (f"{mobile}-xla", "MobileNetV2 0.5 with XLA"),
            )
            for name in ("SN", "SN, grouped")
        ),
        ("MSN over batch normalization, VGG7", _of_batch(quotient, vgg), 0.74),
        ("MSN over batch normalization, DenseNet-BC-100", _of_batch(quotient, dense), 0.52),
        ("MSN, VGG7, training step", ratio(vgg, step, "MSN"), 1.10),
        ("MSN, DenseNet-BC-100, training step", ratio(dense, step, "MSN"), 1.10),
        ("SN folded, MobileNetV2 0.5, inference", ratio(mobile, folded, "SN, folded"), 1.02),
        ("MSN folded, DenseNet-BC-100, inference", ratio(dense, folded, "MSN, folded"), 1.02),
    ]
    memory = results.get("memory", {}).get("figures", {}).get("memory", {})
    lines += [
        (f"{name}, memory at the peak", memory.get(name, {}).get("ratio"), 1.02)
        for name in ("SN", "SN, grouped", "MSN", "WN")
    ]
    rows = [
        [title, f"≤ {limit:g}", f"{value:.3f}", "yes" if value <= limit else "no"]
        for title, value, limit in lines
        if value is not None
    ]
    return _markdown(["times un-normalized", "wanted", "found", "holds"], rows)


def _of_batch(quotient: Callable[..., float | None], part: str) -> float | None:
    return quotient(part, "training step", "MSN", "batch normalization")


@table("commands")
def _commands(results: dict[str, Figures]) -> list[str]:
    versions: dict[str, set[str]] = {}
    for found in results.values():
        for name, version in found["versions"].items():
            versions.setdefault(name, set()).add(version)
    described = ", ".join(f"{name} {' and '.join(sorted(all))}" for name, all in versions.items())
    seeds = sorted({found["seed"] for found in results.values()})
    return [f"`make bench`; {described}; seed {', '.join(map(str, seeds))}."]


def written(text: str, results: dict[str, Figures]) -> str:
    """The page with its tables made anew."""

    def made(block: re.Match) -> str:
        # Empty lines around a table: Markdown asks for them.
        return "\n".join([block[1], *TABLES[block["name"]](results), "", block[3]])

    return _BLOCK.sub(made, text)


def draw(results: dict[str, Figures], folder: Path) -> None:
    """Plots of the training step, and of growth with depth."""
    from matplotlib.figure import Figure

    present = {name: title for name, title in _TENSORFLOW.items() if name in results}
    contenders = ("keras SN", "SN", "SN, grouped", "MSN", "WN")
    figure = Figure((8, 3.5), layout="constrained")
    axes = figure.add_subplot()
    for place, contender in enumerate(contenders):
        for number, name in enumerate(present):
            found = results[name]["figures"]["training step"].get(contender)
            if found is None:
                continue
            middle = found["ratio"]
            error = [[middle - found["lower_quartile"]], [found["upper_quartile"] - middle]]
            axes.bar(
                number + 0.16 * (place - 2),
                middle - 1,
                0.15,
                bottom=1,
                yerr=error,
                color=f"C{place}",
                label=contender if number == 0 else None,
            )
    axes.set_xticks(range(len(present)), present.values())
    axes.set_ylabel("training step, times un-normalized")
    axes.axhline(1, color="black", linewidth=0.8)
    axes.legend(ncols=len(contenders), fontsize="small")
    figure.savefig(folder / "performance_steps.png", dpi=110)
    if "depth" not in results:
        return
    found = dict(results["depth"]["figures"])
    depths = found.pop("depths")
    figure = Figure((8, 3), layout="constrained")
    for number, kind in enumerate(("step", "first step"), start=1):
        axes = figure.add_subplot(1, 2, number)
        for name, own in found.items():
            axes.loglog(depths, own[kind], marker="o", label=name)
        axes.set_xlabel("dense layers")
        axes.set_ylabel(f"{kind}, s")
        axes.legend(fontsize="small")
    figure.savefig(folder / "performance_depth.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.page")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    results = loaded(options.results)
    text = written(options.page.read_text(), results)
    partial = options.page.with_suffix(".partial")
    partial.write_text(text)
    os.replace(partial, options.page)
    draw(results, options.page.parent / "images")


if __name__ == "__main__":
    main()
